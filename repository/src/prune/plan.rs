//! What a prune will do, and why; made without changing anything.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::PruneOptions;
use super::choose::{Chosen, choose};
use super::index::{self, Rewrite};
use super::mark::{self, Needed};
use super::sessions::{self, OpenSession, SessionFate, Sessions};
use super::strays::{self, Stray};
use super::usage::{self, PackUsage};
use crate::error::Error;
use crate::group::Catalog;
use crate::ids::{ObjectId, SessionId};
use crate::index::{FrameId, Index};
use crate::object::ObjectType;
use crate::read::reads_for;
use crate::repository::Repository;

/// Why a pack goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No snapshot needs anything in it.
    Unused,
    /// Too little of it is needed: that is moved.
    Wasteful,
    /// It is one of many small ones: they are joined.
    Small,
    /// It was condemned before.
    Condemned,
}

/// When a pack's object is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// In this prune.
    Now,
    /// In a later one: these sessions are open and may build on it.
    After(Vec<SessionId>),
}

/// What becomes of a pack that goes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackFate {
    /// Which.
    pub pack: ObjectId,
    /// `data` or `metadata`.
    pub kind: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Bytes of it that are moved into new packs.
    pub moved_bytes: u64,
    /// Why it goes.
    pub why: Why,
    /// When.
    pub when: When,
}

/// A number of frames, and their sealed bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MovedTally {
    /// How many.
    pub frames: u64,
    /// Their sealed bytes.
    pub bytes: u64,
}

/// Requests to the store, as far as they can be told beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Reads.
    pub gets: u64,
    /// Writes.
    pub puts: u64,
    /// Deletions.
    pub deletes: u64,
}

/// What a prune will do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrunePlan {
    /// The newest commit that it is made for.
    pub commit: u64,
    /// Snapshots in force.
    pub snapshots: u64,
    /// Packs that stay as they are.
    pub kept_packs: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Bytes among them that nobody needs.
    pub unused_bytes: u64,
    /// The packs that go.
    pub packs: Vec<PackFate>,
    /// What is moved out of them.
    pub moved: MovedTally,
    /// Bytes of objects that are deleted in this prune.
    pub deleted_bytes: u64,
    /// Bytes of objects that later prunes will delete, once the sessions that they wait for have ended.
    pub later_bytes: u64,
    /// The open sessions.
    pub sessions: Vec<OpenSession>,
    /// Objects that nothing refers to.
    pub strays: Vec<Stray>,
    /// Index runs that are written anew or joined.
    pub index_runs: u64,
    /// Packs that stay and come back from fewer losses than before, because others of their group go: until they are grouped anew.
    pub less_protected: u64,
    /// Requests.
    pub requests: Requests,
    #[serde(skip)]
    pub(super) work: Work,
}

/// What the execution needs and nobody wants to read.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) index: Arc<Index>,
    pub(super) needed: Needed,
    /// The packs that will be condemned.
    pub(super) condemn: Vec<ObjectId>,
    /// The frames that are moved, in the order of the index.
    pub(super) moving: Vec<FrameId>,
    /// Where strays are remembered.
    pub(super) sightings: PathBuf,
    /// The parity across packs.
    pub(super) groups: Catalog,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.index_runs == 0 && self.strays.is_empty()
    }

    /// Leaves of the plan only the sweep of these packs, where they are condemned already; strays are remembered, and left.
    pub(super) fn confine_to(&mut self, packs: &BTreeSet<ObjectId>) {
        self.packs.retain(|fate| fate.why == Why::Condemned && packs.contains(&fate.pack));
        self.work.condemn.clear();
        self.work.moving.clear();
        self.sessions.clear();
        self.strays.retain(|stray| stray.when != When::Now);
    }

    /// Bytes that the store will hold less, once everything is deleted that can be.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        (self.deleted_bytes + self.later_bytes).saturating_sub(self.moved.bytes)
    }
}

/// Makes the plan; needs a reader's key, as the commits that follow do.
pub async fn plan(repository: &Arc<Repository>, options: &PruneOptions) -> Result<PrunePlan, Error> {
    repository.key.secrets("prune")?;
    let listed = strays::list_objects(repository).await?;
    let mut sessions = sessions::read(repository, None).await?;
    let index = repository.open_whole_index().await?;
    repository.refuse_if_went_back().await?;
    let history = repository.history();
    let needed = mark::mark(repository, &index, &history, &sessions).await?;
    let packs = usage::weigh(&index, &history.condemned, &needed.frames);
    refuse_homeless(&index, &needed)?;
    let chosen = choose(&packs, u64::from(repository.config.parameters.pack_target), options);
    let sightings = repository.file_of_copy("strays");
    let find_strays = |sessions: &Sessions| strays::find(&listed, repository, sessions, &sightings);
    if !(chosen.is_empty() && history.condemned.is_empty() && find_strays(&sessions).is_empty()) {
        fence_the_old(&mut sessions, options);
    }
    let newest = history.newest + 1;
    let mut fates = fates(&packs, &chosen, &sessions, newest);
    // Condemned packs whose frames are needed again are moved beyond the limit, unless nothing is to be moved.
    fates.retain(|(number, _)| options.moved_bytes_max != Some(0) || packs[*number].needed_bytes == 0);
    let going: HashSet<ObjectId> = fates.iter().map(|(_, fate)| fate.pack).collect();
    let moved_out: HashSet<ObjectId> =
        fates.iter().filter(|(_, fate)| fate.moved_bytes > 0).map(|(_, fate)| fate.pack).collect();
    let moving = usage::needed_in(&index, &history.condemned, &needed.frames, |pack| moved_out.contains(pack));
    let swept: HashSet<ObjectId> =
        fates.iter().filter(|(_, fate)| fate.when == When::Now).map(|(_, fate)| fate.pack).collect();
    let rewrite = index::choose(&index, &swept);
    let condemn = chosen.iter().map(|chosen| packs[chosen.pack].pack.id).collect();
    let strays = strays::for_nobody(repository, find_strays(&sessions)).await?;
    let less_protected = less_protected(&listed.groups, &packs, &going);
    let kept: Vec<&PackUsage> = packs.iter().filter(|usage| !going.contains(&usage.pack.id)).collect();
    let packs: Vec<PackFate> = fates.into_iter().map(|(_, fate)| fate).collect();
    let moved = MovedTally { frames: moving.len() as u64, bytes: packs.iter().map(|fate| fate.moved_bytes).sum() };
    let sum =
        |now: bool| packs.iter().filter(|fate| (fate.when == When::Now) == now).map(|fate| fate.bytes).sum::<u64>();
    let requests = requests(&index, &moving, moved, repository, &packs, &strays, &rewrite)?;
    Ok(PrunePlan {
        commit: history.newest,
        snapshots: history.snapshots.len() as u64,
        kept_packs: kept.len() as u64,
        kept_bytes: kept.iter().map(|usage| usage.pack.size).sum(),
        unused_bytes: kept.iter().map(|usage| usage.unused_bytes()).sum(),
        moved,
        deleted_bytes: sum(true)
            + strays.iter().filter(|stray| stray.when == When::Now).map(|stray| stray.bytes).sum::<u64>(),
        later_bytes: sum(false)
            + strays.iter().filter(|stray| stray.when != When::Now).map(|stray| stray.bytes).sum::<u64>(),
        packs,
        sessions: sessions.open,
        strays,
        index_runs: rewrite.runs.len() as u64,
        less_protected,
        requests,
        work: Work { index, needed, condemn, moving, sightings, groups: listed.groups },
    })
}

/// How many of the packs that stay bear fewer losses when others are gone.
fn less_protected(groups: &Catalog, packs: &[PackUsage], going: &HashSet<ObjectId>) -> u64 {
    let all: BTreeSet<ObjectId> = packs.iter().map(|usage| usage.pack.id).collect();
    let before = groups.losses_borne(&all);
    let staying = all.into_iter().filter(|pack| !going.contains(pack)).collect();
    groups.losses_borne(&staying).iter().filter(|(pack, losses)| before.get(pack) > Some(*losses)).count() as u64
}

/// Frames that snapshots need and no pack has are a loss, and nothing is deleted while nobody knows why.
fn refuse_homeless(index: &Index, needed: &Needed) -> Result<(), Error> {
    let mut homeless = needed.in_force.clone();
    index.frame_names().for_each(|(segment, ordinal)| {
        homeless.remove(&segment, ordinal);
    });
    match homeless.frames() {
        0 => Ok(()),
        frames => {
            Err(Error::damaged("the index", format!("{frames} frames that snapshots need are in none of its packs")))
        }
    }
}

/// Fences what is older than the options allow.
fn fence_the_old(sessions: &mut Sessions, options: &PruneOptions) {
    for open in &mut sessions.open {
        let age = std::time::Duration::try_from(options.now.duration_since(open.since));
        // A record from the future has no age: it is waited for.
        if age.is_ok_and(|age| age >= options.fence_after) {
            open.fate = SessionFate::Fenced;
        }
    }
}

/// What becomes of each pack that goes, by its position; `commit` is the one that will condemn.
fn fates(packs: &[PackUsage], chosen: &[Chosen], sessions: &Sessions, commit: u64) -> Vec<(usize, PackFate)> {
    let before =
        packs.iter().enumerate().filter_map(|(number, usage)| Some((number, Why::Condemned, usage.condemned?)));
    let now = chosen.iter().map(|chosen| (chosen.pack, chosen.why, commit));
    let fate = |(number, why, condemned): (usize, Why, u64)| {
        let usage: &PackUsage = &packs[number];
        let waits: Vec<SessionId> = sessions.older_than(condemned).map(|open| open.session).collect();
        let when = if waits.is_empty() { When::Now } else { When::After(waits) };
        // What an older session may still add is moved when that has ended.
        let is_moved = why != Why::Condemned || when == When::Now;
        let kind = if usage.pack.kind == ObjectType::PagePack { "metadata" } else { "data" };
        let moved_bytes = if is_moved { usage.needed_bytes } else { 0 };
        (number, PackFate { pack: usage.pack.id, kind, bytes: usage.pack.size, moved_bytes, why, when })
    };
    before.chain(now).map(fate).collect()
}

fn requests(
    index: &Index,
    moving: &[FrameId],
    moved: MovedTally,
    repository: &Repository,
    packs: &[PackFate],
    strays: &[Stray],
    rewrite: &Rewrite,
) -> Result<Requests, Error> {
    let new_packs = moved.bytes.div_ceil(u64::from(repository.config.parameters.pack_target));
    let deletes = packs.iter().filter(|fate| fate.when == When::Now).count()
        + strays.iter().filter(|stray| stray.when == When::Now).count();
    // Two commits, each with the hint; the record of the prune itself; the run of the moved frames.
    let puts = if packs.is_empty() { 0 } else { new_packs + rewrite.outputs as u64 + 6 };
    // And one for the names that are never used again.
    let puts = if strays.iter().any(|stray| stray.when == When::Now) { puts + 2 } else { puts };
    Ok(Requests { gets: reads_for(index, moving)?, puts, deletes: deletes as u64 + 1 })
}
