//! Doing what a plan says.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::mark::{self, Needed};
use super::moving::{self, Moved};
use super::plan::{MovedTally, PrunePlan, When};
use super::sessions::{self, SessionFate, Sessions};
use super::strays::Stray;
use super::{PruneOptions, PruneProgress, index, strays, usage};
use crate::error::{Error, ErrorKind, chain};
use crate::history::{History, Operation};
use crate::ids::{ObjectId, SessionId};
use crate::object::{self, ObjectType};
use crate::parity;
use crate::repository::{Repository, remove};

/// How often a sweep looks again because a backup was committed meanwhile; then it is left to the next prune.
const SWEEP_TRIES_MAX: usize = 16;

/// What a prune did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PruneReport {
    /// Packs that were condemned.
    pub condemned: u64,
    /// What was moved.
    pub moved: MovedTally,
    /// New packs that it went into.
    pub new_packs: u64,
    /// Packs that were deleted.
    pub swept: u64,
    /// Bytes of all objects that were deleted.
    pub deleted_bytes: u64,
    /// Condemned packs that stay for now: open sessions may build on them, or do again.
    pub waiting: u64,
    /// Strays that were deleted.
    pub strays: u64,
    /// Sessions that were fenced.
    pub fenced: u64,
    /// Damaged frames that could not be moved; their packs stay.
    pub faults: Vec<String>,
    /// Objects that should have been deleted and could not be; the next prune finds them as strays.
    pub not_deleted: Vec<String>,
    /// Why the store denied to delete, the first time that it did: what is locked, or not for this key to delete.
    pub denied: Option<String>,
    /// The newest commit that it made.
    pub commit: Option<u64>,
    /// Bytes of the reserve that was given up because the store was full; 0 if it was not.
    pub reserve_used_bytes: u64,
    /// Bytes that lie in reserve now.
    pub reserve_bytes: u64,
}

/// What a prune may write for index runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Whatever it takes.
    Enough,
    /// About so many bytes, and what it frees on the way.
    Bytes(u64),
}

/// Does what a plan says, and adds what was done to the report, also where it fails. Whatever stops it, what was committed before stands, and the next prune goes on from there.
pub(super) async fn run(
    (repository, plan): (&Arc<Repository>, &PrunePlan),
    options: &PruneOptions,
    room: Room,
    progress: &PruneProgress,
    report: &mut PruneReport,
) -> Result<(), Error> {
    let own = repository.begin_maintenance(options.now).await?;
    let mut execution = Execution { repository, plan, own, room, report };
    let done = execution.run(progress).await;
    repository.end_maintenance(own).await;
    done
}

struct Execution<'a> {
    repository: &'a Arc<Repository>,
    plan: &'a PrunePlan,
    own: SessionId,
    room: Room,
    report: &'a mut PruneReport,
}

/// What a sweep takes away, and for which snapshots that was found right.
struct Sweep {
    packs: HashSet<ObjectId>,
    needed: Needed,
}

impl Execution<'_> {
    async fn run(&mut self, progress: &PruneProgress) -> Result<(), Error> {
        self.fence().await?;
        let moved = moving::move_frames(self.repository, &self.plan.work, progress).await?;
        self.condemn(&moved).await?;
        self.sweep().await?;
        self.delete_strays().await?;
        self.report.faults.extend(moved.faults);
        Ok(())
    }

    async fn fence(&mut self) -> Result<(), Error> {
        let fenced = self.plan.sessions.iter().filter(|open| open.fate == SessionFate::Fenced);
        let operations: Vec<Operation> = fenced.map(|open| Operation::Fence { session: open.session }).collect();
        if !operations.is_empty() {
            let fenced = operations.len() as u64;
            self.report.commit = Some(self.repository.commit_operations(operations).await?);
            self.report.fenced += fenced;
        }
        Ok(())
    }

    /// Puts the new packs into the index and condemns those that go, in one commit.
    async fn condemn(&mut self, moved: &Moved) -> Result<(), Error> {
        // Those that turned out to be damaged among them: what lies there is not to be built upon.
        let packs = self.plan.work.condemn.clone();
        let condemned = packs.len() as u64;
        let mut operations = Vec::new();
        if !moved.packs.is_empty() {
            let run = index::put_run(self.repository, moved.packs.clone()).await?;
            operations.push(Operation::ReplaceIndex { drop: Vec::new(), add: vec![run] });
        }
        if !packs.is_empty() {
            operations.push(Operation::Condemn { packs });
        }
        if operations.is_empty() {
            return Ok(());
        }
        let planned: HashSet<ObjectId> = self.plan.work.index.runs().map(|(id, _)| *id).collect();
        let unchanged = |history: &History| {
            let has_all = planned.iter().all(|run| history.index.contains(run));
            if has_all { Ok(()) } else { Err(other_maintenance()) }
        };
        self.report.commit = Some(self.repository.commit_when(operations, unchanged).await?);
        self.report.condemned += condemned;
        self.report.new_packs += moved.packs.len() as u64;
        let frames = moved.packs.iter().flat_map(|pack| &pack.frames);
        self.report.moved = frames.fold(self.report.moved, |sum, (frame, _)| MovedTally {
            frames: sum.frames + 1,
            bytes: sum.bytes + u64::from(frame.sealed_length) + crate::pack::FRAME_HEADER_SIZE as u64,
        });
        Ok(())
    }

    /// Sweeps all that may go: at once, or where there is little room, as much as that pays for, and then more with what came free.
    async fn sweep(&mut self) -> Result<(), Error> {
        let mut planned: HashSet<ObjectId> =
            self.plan.packs.iter().filter(|fate| fate.when == When::Now).map(|fate| fate.pack).collect();
        loop {
            let (freed_before, planned_before) = (self.report.deleted_bytes, planned.len());
            self.sweep_some(&mut planned).await?;
            let Room::Bytes(room) = &mut self.room else { return Ok(()) };
            *room += self.report.deleted_bytes - freed_before;
            if planned.is_empty() || planned.len() == planned_before {
                return Ok(());
            }
        }
    }

    /// Takes the condemned packs that nobody may build on out of the index, and deletes them; those are planned no more.
    async fn sweep_some(&mut self, planned: &mut HashSet<ObjectId>) -> Result<(), Error> {
        for _ in 0..SWEEP_TRIES_MAX {
            let sessions = sessions::read(self.repository, Some(self.own)).await?;
            let mut sweep = self.sweepable(&sessions, planned).await?;
            let opened = self.repository.open_whole_index().await?;
            if let Room::Bytes(room) = self.room {
                sweep.packs = index::affordable(&opened, &sweep.packs, room);
            }
            let sizes: BTreeMap<ObjectId, (ObjectType, u64)> = opened
                .packs()
                .filter(|pack| sweep.packs.contains(&pack.id))
                .map(|pack| (pack.id, (pack.kind, pack.size)))
                .collect();
            let rewrite = match self.room {
                Room::Enough => index::choose(&opened, &sweep.packs),
                // What is only joined makes no room.
                Room::Bytes(_) => index::choose_naming(&opened, &sweep.packs),
            };
            if sweep.packs.is_empty() && rewrite.runs.len() < 2 && sessions.ended.is_empty() {
                break;
            }
            if !(sweep.packs.is_empty() && rewrite.runs.len() < 2) {
                if let Room::Bytes(room) = &mut self.room {
                    *room = room.saturating_sub(index::bytes_to_write(&opened, &rewrite, &sweep.packs));
                }
                let add = index::write(self.repository, &opened, &rewrite, &sweep.packs).await?;
                let packs = sweep.packs.iter().copied().collect();
                let operations = vec![Operation::ReplaceIndex { drop: rewrite.runs, add }, Operation::Sweep { packs }];
                match self.commit_sweep(operations, &sweep.needed).await? {
                    Some(commit) => self.report.commit = Some(commit),
                    None => continue,
                }
            }
            for (id, (kind, bytes)) in sizes {
                planned.remove(&id);
                self.report.swept += 1;
                self.delete(object::hashed_name(kind, &id), bytes).await;
                if self.repository.config.parameters.parity_percent > 0 {
                    self.delete(parity::name_of(&id), 0).await;
                }
            }
            for record in sessions.ended {
                self.delete(record, 0).await;
            }
            break;
        }
        self.report.waiting = self.repository.history().condemned.len() as u64;
        Ok(())
    }

    /// Commits a sweep; nothing if a snapshot was added since it was looked at, which may need what it takes away.
    async fn commit_sweep(&self, operations: Vec<Operation>, needed: &Needed) -> Result<Option<u64>, Error> {
        let asked: HashSet<ObjectId> = needed.snapshots.iter().copied().collect();
        let dropped = match &operations[0] {
            Operation::ReplaceIndex { drop, .. } => drop.clone(),
            _ => Vec::new(),
        };
        let mut has_moved_on = false;
        let still = |history: &History| {
            has_moved_on = !history.snapshots.iter().all(|added| asked.contains(&added.snapshot));
            match dropped.iter().all(|run| history.index.contains(run)) {
                true if !has_moved_on => Ok(()),
                _ => Err(other_maintenance()),
            }
        };
        match self.repository.commit_when(operations, still).await {
            Err(_) if has_moved_on => Ok(None),
            done => done.map(Some),
        }
    }

    /// Those of the planned packs that are without a needed frame, and that no open session can have built on.
    async fn sweepable(&self, sessions: &Sessions, planned: &HashSet<ObjectId>) -> Result<Sweep, Error> {
        let opened = self.repository.open_whole_index().await?;
        let history = self.repository.history();
        let needed = mark::mark(self.repository, &opened, &history, sessions).await?;
        let weighed = usage::weigh(&opened, &history.condemned, &needed.frames);
        let may_go = weighed.iter().filter(|usage| {
            let condemned = usage.condemned.filter(|_| usage.needed_bytes == 0 && planned.contains(&usage.pack.id));
            condemned.is_some_and(|commit| sessions.older_than(commit).next().is_none())
        });
        Ok(Sweep { packs: may_go.map(|usage| usage.pack.id).collect(), needed })
    }

    /// A session that was to be fenced may have committed before its fence, and then its packs are no strays. Now that every session has ended that they may belong to, the
    /// history of this moment has the last word.
    async fn delete_strays(&mut self) -> Result<(), Error> {
        for _ in 0..SWEEP_TRIES_MAX {
            let going = self.strays_to_delete().await?;
            if !self.discard(&going).await? {
                continue;
            }
            for stray in going {
                self.report.strays += 1;
                self.delete(stray.name, stray.bytes).await;
            }
            break;
        }
        strays::remember(&self.plan.strays, &self.plan.work.sightings);
        Ok(())
    }

    async fn strays_to_delete(&self) -> Result<Vec<Stray>, Error> {
        let sessions = sessions::read(self.repository, Some(self.own)).await?;
        self.repository.open_whole_index().await?;
        let referred = strays::referred(self.repository, &sessions, &self.plan.work.groups);
        let now = self.plan.strays.iter().filter(|stray| stray.when == When::Now && !referred.contains(&stray.id));
        Ok(now.cloned().collect())
    }

    /// Says in the history which names are never used again, before the first of them is deleted. Not if a snapshot was added since they were found to be strays.
    async fn discard(&mut self, going: &[Stray]) -> Result<bool, Error> {
        let kinds = [ObjectType::Pack, ObjectType::PagePack, ObjectType::Snapshot];
        let objects: Vec<ObjectId> =
            going.iter().filter(|stray| kinds.contains(&stray.kind)).map(|stray| stray.id).collect();
        if objects.is_empty() {
            return Ok(true);
        }
        let looked_at: HashSet<ObjectId> = snapshots_of(&self.repository.history()).collect();
        let mut has_moved_on = false;
        let still = |history: &History| {
            has_moved_on = !snapshots_of(history).all(|snapshot| looked_at.contains(&snapshot));
            if has_moved_on { Err(other_maintenance()) } else { Ok(()) }
        };
        match self.repository.commit_when(vec![Operation::Discard { objects }], still).await {
            Err(_) if has_moved_on => Ok(false),
            done => {
                self.report.commit = Some(done?);
                Ok(true)
            }
        }
    }

    /// What cannot be deleted is referred to by nothing, and found by the next prune.
    async fn delete(&mut self, name: String, bytes: u64) {
        match remove(&*self.repository.store, &name).await {
            Ok(()) => self.report.deleted_bytes += bytes,
            Err(error) => {
                // What befalls all of them is told once, in the report.
                if error.kind() == ErrorKind::Permission {
                    self.report.denied.get_or_insert_with(|| chain(&error));
                } else {
                    tracing::warn!(%error, name, "not deleted");
                }
                self.report.not_deleted.push(name);
            }
        }
    }
}

fn snapshots_of(history: &History) -> impl Iterator<Item = ObjectId> {
    history.snapshots.iter().map(|added| added.snapshot)
}

fn other_maintenance() -> Error {
    Error::Fenced("another prune or rebuild has changed the index meanwhile: run this one again".into())
}
