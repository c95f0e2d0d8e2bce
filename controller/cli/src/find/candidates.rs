//! What can be had back: for each host and path the restore points that have it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controller::PLAN_TAG;
use strongroom_repository::inspect::describe_entry;
use strongroom_repository::text::escape;
use strongroom_repository::{ChunkId, Entry, Kind, ObjectId, Snapshot};

use crate::choice::short_id;
use crate::output::Answer;
use crate::shown::{Align, Table, count, duration, entry_time, size, time};

/// The answer to a search.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Candidates {
    /// Loss is counted until then.
    pub(super) as_of: Timestamp,
    /// By host and path.
    pub(super) matches: Vec<Match>,
    /// Whether there are more paths than were wanted.
    pub(super) is_cut: bool,
}

/// A path on a host.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Point {
    snapshot: ObjectId,
    time: Timestamp,
    /// The plan whose run made it; none for a backup by hand.
    plan: Option<String>,
    /// The repositories that have it.
    pub(super) repositories: Vec<String>,
    /// Whether a restore of it was verified.
    pub(super) is_proven: bool,
    /// The places of those repositories.
    #[serde(skip)]
    pub(super) places: Vec<usize>,
    /// The leaf in which its entry is.
    #[serde(skip)]
    pub(super) page: ChunkId,
    /// None where that cannot be read.
    #[serde(serialize_with = "described")]
    pub(super) entry: Option<Entry>,
}

fn described<S: serde::Serializer>(entry: &Option<Entry>, to: S) -> Result<S::Ok, S::Error> {
    let described = entry.as_ref().map(|entry| {
        let all = describe_entry(b"", entry);
        let kept = ["kind", "size", "mtime", "mode", "user", "group", "blake3"];
        kept.map(|field| (field, all[field].clone())).into_iter().collect::<BTreeMap<_, _>>()
    });
    described.serialize(to)
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
    pub(super) fn new(snapshot: &Snapshot, page: ChunkId) -> Self {
        Self {
            snapshot: snapshot.id,
            time: snapshot.manifest.time,
            plan: snapshot.manifest.tags.get(PLAN_TAG).cloned(),
            repositories: Vec::new(),
            is_proven: false,
            places: Vec::new(),
            page,
            entry: None,
        }
    }

    /// What was written since is lost.
    fn loss(&self, as_of: Timestamp) -> String {
        Duration::try_from(as_of.duration_since(self.time)).map_or_else(|_| "-".into(), duration)
    }
}

impl Answer for Candidates {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("SNAPSHOT", Align::Left),
            ("OF", Align::Left),
            ("LOSES", Align::Right),
            ("PROVEN", Align::Left),
            ("IN", Align::Left),
            ("SIZE", Align::Right),
            ("MODIFIED", Align::Left),
            ("PATH", Align::Left),
        ]);
        for found in &self.matches {
            for point in &found.points {
                let entry = point.entry.as_ref();
                let is_directory = entry.is_some_and(|entry| entry.kind == Kind::Directory);
                table.row([
                    found.host.clone(),
                    short_id(&point.snapshot.hex()),
                    time(point.time),
                    point.loss(self.as_of),
                    if point.is_proven { "yes" } else { "NO" }.into(),
                    point.repositories.join(", "),
                    entry.map_or("UNREADABLE".into(), |entry| size(entry.size)),
                    entry.map_or(String::new(), |entry| entry_time(entry.mtime)),
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
