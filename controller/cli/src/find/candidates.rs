//! What can be had back: for each host and path the restore points that have it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_controller::PLAN_TAG;
use strongroom_controller::journal::Proven;
use strongroom_controller::pace::Pace;
use strongroom_repository::text::escape;
use strongroom_repository::{ChunkId, Entry, ObjectId, Snapshot};

use super::described::Described;
use crate::choice::short_id;
use crate::exit::Exit;
use crate::output::Answer;
use crate::shown::{Align, Table, count, duration, size, time};

/// The answer to a search.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Candidates {
    /// Loss is counted until then.
    pub(super) as_of: Timestamp,
    /// By host and path.
    pub(super) matches: Vec<Match>,
    /// Whether there are more paths than were wanted.
    pub(super) is_cut: bool,
    /// Whether metadata could not be read: there may be more.
    pub(super) is_damaged: bool,
    /// Where nobody could look.
    pub(super) left_out: Vec<LeftOut>,
}

/// A repository in which nobody could look.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LeftOut {
    pub(super) repository: String,
    pub(super) why: String,
}

/// A path on a host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Match {
    host: String,
    path: String,
    #[serde(skip)]
    pub(super) raw: Vec<u8>,
    /// How many restore points have it.
    points_total: usize,
    /// The newest of them, newest first.
    pub(super) points: Vec<Point>,
}

/// A restore point that has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Point {
    pub(super) snapshot: ObjectId,
    time: Timestamp,
    /// The plan whose run made it; none for a backup by hand.
    plan: Option<String>,
    /// The repositories that have it.
    pub(super) repositories: Vec<String>,
    /// The newest restore of it that was verified.
    pub(super) proof: Option<Proven>,
    /// What a restore of it will take, as those before went; none if there were none.
    takes_seconds: Option<u64>,
    /// The places of those repositories.
    #[serde(skip)]
    pub(super) places: Vec<usize>,
    /// The page at the top of its snapshot's tree.
    #[serde(skip, default = "nowhere")]
    pub(super) root: ChunkId,
    /// The leaf in which its entry is.
    #[serde(skip, default = "nowhere")]
    pub(super) page: ChunkId,
    /// None where that cannot be read.
    entry: Option<Described>,
}

fn nowhere() -> ChunkId {
    ChunkId([0; 32])
}

impl Candidates {
    /// The worst of what there is to say.
    pub(super) fn exit(&self) -> Exit {
        match self {
            _ if !self.left_out.is_empty() => Exit::StoreOutOfReach,
            _ if self.is_damaged => Exit::Damaged,
            _ if self.matches.is_empty() => Exit::NotFound,
            _ => Exit::Success,
        }
    }
}

impl Match {
    /// The newest `most` of all points.
    pub(super) fn new(host: String, raw: Vec<u8>, all: HashMap<ObjectId, Point>, most: usize) -> Self {
        let points_total = all.len();
        let mut points: Vec<Point> = all.into_values().collect();
        points.sort_by_key(|point| (std::cmp::Reverse(point.time), point.snapshot));
        points.truncate(most);
        Self { host, path: format!("/{}", escape(&raw)), raw, points_total, points }
    }
}

impl Point {
    pub(super) fn new(snapshot: &Snapshot, root: ChunkId, page: ChunkId) -> Self {
        Self {
            snapshot: snapshot.id,
            time: snapshot.manifest.time,
            plan: snapshot.manifest.tags.get(PLAN_TAG).cloned(),
            repositories: Vec::new(),
            proof: None,
            takes_seconds: None,
            places: Vec::new(),
            root,
            page,
            entry: None,
        }
    }

    /// What it is, with so many bytes in it and below it, and what a restore of it takes at this pace.
    pub(super) fn describe(&mut self, entry: &Entry, bytes: Option<u64>, pace: Option<Pace>) {
        self.takes_seconds = bytes.zip(pace).map(|(bytes, pace)| rounded(pace.takes(bytes)));
        self.entry = Some(Described::of(entry, bytes));
    }

    /// What was written since is lost.
    fn loss(&self, as_of: Timestamp) -> String {
        Duration::try_from(as_of.duration_since(self.time)).map_or_else(|_| "-".into(), duration)
    }
}

/// Less than a second is one.
fn rounded(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

impl Answer for Candidates {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let now = Timestamp::now();
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("SNAPSHOT", Align::Left),
            ("OF", Align::Left),
            ("LOSES", Align::Right),
            ("PROVEN", Align::Left),
            ("IN", Align::Left),
            ("TAKES", Align::Right),
            ("SIZE", Align::Right),
            ("MODIFIED", Align::Left),
            ("PATH", Align::Left),
        ]);
        for found in &self.matches {
            for point in &found.points {
                let entry = point.entry.as_ref();
                let is_directory = entry.is_some_and(Described::is_directory);
                let takes = point.takes_seconds.map(|seconds| format!("~{}", duration(Duration::from_secs(seconds))));
                table.row([
                    found.host.clone(),
                    short_id(&point.snapshot.hex()),
                    time(point.time),
                    point.loss(self.as_of),
                    point.proof.as_ref().map_or("NO".into(), |proven| ago(proven, now)),
                    point.repositories.join(", "),
                    takes.unwrap_or_else(|| "-".into()),
                    entry.map_or("UNREADABLE".into(), |entry| entry.size.map_or("-".into(), size)),
                    entry.map_or(String::new(), Described::modified),
                    format!("{}{}", found.path, if is_directory { "/" } else { "" }),
                ]);
            }
        }
        if self.matches.is_empty() {
            return writeln!(out, "no restore point has it");
        }
        table.write(out)?;
        let older: usize = self.matches.iter().map(|found| found.points_total - found.points.len()).sum();
        if older > 0 {
            writeln!(out, "older restore points that have them, too: {} (--points N shows more)", count(older as u64))?;
        }
        if self.is_cut {
            writeln!(out, "there are more paths than these: narrow the pattern, or give --limit N")?;
        }
        Ok(())
    }
}

/// The level, and its age.
fn ago(proven: &Proven, now: Timestamp) -> String {
    format!("{} {} ago", proven.level, duration(now.duration_since(proven.at).unsigned_abs()))
}
