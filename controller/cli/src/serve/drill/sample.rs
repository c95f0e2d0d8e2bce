//! The sample of a drill: which files of a restore point it restores, and what is remembered of that.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use strongroom_controller::RestoreDone;
use strongroom_controller::drill_report::DrillOrder;
use strongroom_controller::sampling::choice::{Terms, choose};
use strongroom_controller::sampling::memory::Memory;
use strongroom_controller::sampling::{Candidate, Content, PathKey, Sampled};
use strongroom_plans::Sample;
use strongroom_repository::text::escape;
use strongroom_repository::tree::order::join;
use strongroom_repository::{Entry, Kind, ObjectId, Snapshot};

use crate::access::Opened;
use crate::context::Context;
use crate::failure::{Cause, Failure};
use crate::run::Part;
use crate::state_file;

/// A sample that was drawn.
#[derive(Debug)]
pub(super) struct Draw {
    /// Every regular file of the restore point, in the order of its snapshots and their trees.
    files: Vec<Candidate>,
    /// Which of them are restored.
    chosen: Vec<usize>,
    seed: u32,
    promise: Option<SignedDuration>,
    now: Timestamp,
    memory: Memory,
    kept_at: PathBuf,
}

impl Draw {
    /// Draws it.
    pub(super) fn of(
        order: &DrillOrder,
        sample: &Sample,
        (opened, snapshots): (&Opened, &[Snapshot]),
        context: &Context,
    ) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for snapshot in snapshots {
            each_file(opened, snapshot, context, |path, entry| files.push(candidate(path, entry, sample)))?;
        }
        let kept_at = context.state_dir()?.join("drills").join(format!("{}@{}", order.plan.name(), order.host));
        let (memory, seed, now) = (remembered(&kept_at, context)?, seed(order), Timestamp::now());
        let terms = Terms { sample_bytes: sample.size().bytes(), seed, now: now.as_second() };
        let chosen = choose(&files, &memory, terms);
        let promise = sample.promise().map(|promise| SignedDuration::from_secs(promise.seconds().cast_signed()));
        Ok(Self { files, chosen, seed, promise, now, memory, kept_at })
    }

    /// What is to be restored of each snapshot. There may be too many paths to keep all of them: the trees are walked again.
    pub(super) fn parts(
        &self,
        opened: &Opened,
        snapshots: Vec<Snapshot>,
        context: &Context,
    ) -> Result<Vec<Part>, Failure> {
        // Where all content is restored, all names of it are, too.
        if contents(self.chosen()) == contents(self.files.iter()) {
            return Ok(snapshots.into_iter().map(Part::whole).collect());
        }
        let (mut parts, mut at, mut chosen) = (Vec::new(), 0, self.chosen.iter().peekable());
        for snapshot in snapshots {
            let mut paths = Vec::new();
            each_file(opened, &snapshot, context, |path, _| {
                if chosen.next_if_eq(&&at).is_some() {
                    paths.push(path.to_owned());
                }
                at += 1;
            })?;
            // No paths would mean all of them.
            if !paths.is_empty() {
                parts.push(Part { snapshot, paths });
            }
        }
        Ok(parts)
    }

    /// Notes what came back equal, for the drills after this one.
    pub(super) fn remember(&self, done: &RestoreDone) -> Result<Sampled, Failure> {
        let restored = self.restored(done);
        let memory = self.memory.after(&self.files, restored.iter().map(|file| file.content), self.now.as_second());
        state_file::replace(&self.kept_at, memory.encode(), "note what the drill restored")?;
        Ok(Sampled {
            seed: self.seed,
            files: restored.len() as u64,
            bytes: restored.iter().map(|file| file.bytes).sum(),
            coverage: memory.coverage(&self.files, self.promise, self.now.as_second()),
        })
    }

    fn chosen(&self) -> impl Iterator<Item = &Candidate> {
        self.chosen.iter().filter_map(|at| self.files.get(*at))
    }

    /// Each content once.
    fn restored(&self, done: &RestoreDone) -> Vec<Candidate> {
        // Where not every difference is named, any file may be the one that is not.
        if done.differences_total > done.differences.len() as u64 {
            return Vec::new();
        }
        let different: HashSet<PathKey> =
            done.differences.iter().map(|problem| PathKey::of(problem.path.trim_start_matches('/'))).collect();
        let mut counted = HashSet::new();
        self.chosen().filter(|file| !different.contains(&file.path) && counted.insert(file.content)).copied().collect()
    }
}

/// How many different ones there are.
fn contents<'f>(files: impl Iterator<Item = &'f Candidate>) -> usize {
    files.map(|file| file.content).collect::<HashSet<_>>().len()
}

/// A drill that is asked for twice draws twice; what was drawn can be drawn again from its record.
fn seed(order: &DrillOrder) -> u32 {
    let [first, second, third, fourth, ..] = ObjectId::of(order.drill.as_str().as_bytes()).0;
    u32::from_le_bytes([first, second, third, fourth])
}

fn candidate(path: &[u8], entry: &Entry, sample: &Sample) -> Candidate {
    let key = escape(path);
    // A file without a hash is one hole, or of an older writer: then the file it is stands for what is in it.
    let unnamed = || ObjectId::of(format!("{key} {} {:?}", entry.size, entry.mtime).as_bytes()).0;
    Candidate {
        path: PathKey::of(&key),
        content: Content::of(&entry.hash.unwrap_or_else(unnamed)),
        bytes: entry.data_bytes(),
        modified: entry.mtime.seconds,
        always: sample.has_always(&Path::new("/").join(OsStr::from_bytes(path))),
    }
}

/// Walks the regular files of a snapshot, always in the same order. A page that cannot be read ends it: what is in it cannot be drawn, and would never be missed.
fn each_file(
    opened: &Opened,
    snapshot: &Snapshot,
    context: &Context,
    mut see: impl FnMut(&[u8], &Entry),
) -> Result<(), Failure> {
    let mut walk = opened.repository.tree(snapshot).walk(b"");
    context.wait("read which files the restore point has", async {
        while let Some((directory, entry)) = walk.next().await? {
            if entry.kind == Kind::File {
                see(&join(&directory, &entry.name), &entry);
            }
        }
        Ok::<_, strongroom_repository::Error>(())
    })
}

/// What cannot be understood is as good as none, which is said: then the drills begin anew.
fn remembered(path: &Path, context: &Context) -> Result<Memory, Failure> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Memory::default()),
        read => read.map_err(|source| {
            let cause = Cause::File { doing: "read", path: path.to_owned(), source };
            Failure::new("read what drills have restored", cause)
        })?,
    };
    let memory = Memory::decode(&bytes);
    if memory.is_none() {
        context.say(&format!("{}: it is not what was written; the samples of drills begin anew", path.display()));
    }
    Ok(memory.unwrap_or_default())
}
