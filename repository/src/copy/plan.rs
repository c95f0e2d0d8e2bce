//! What a copy will bring, before anything moves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::{FrameId, Index};
use crate::live::Live;
use crate::prune::usage;
use crate::repository::{Gone, Repository};

/// A pack is brought whole if this part of it is wanted: what is not is left to a prune of the copy.
const WHOLE_PERCENT: u64 = 75;

/// What will be brought.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CopyPlan {
    /// Snapshots to bring, oldest commit first.
    pub snapshots: Vec<ObjectId>,
    /// Those that are there already.
    pub there: u64,
    /// Those that were forgotten there, and are left out.
    pub forgotten: u64,
    /// Packs that are brought as they are.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Frames of other packs, which go into new ones.
    pub frames: u64,
    /// Their bytes.
    pub frame_bytes: u64,
    /// What cannot be brought, and why.
    pub faults: Vec<String>,
    #[serde(skip)]
    pub(super) work: Work,
}

/// What the execution needs and nobody wants to read.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) index: Arc<Index>,
    /// Packs that are brought whole when their first frame is wanted.
    pub(super) whole: HashSet<ObjectId>,
    pub(super) gone: Gone,
}

impl CopyPlan {
    /// Bytes that will be sent, without what is written around them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pack_bytes + self.frame_bytes
    }
}

/// Makes the plan. `wanted` are the snapshots to bring; all of them where it is none.
pub async fn plan(
    from: &Arc<Repository>,
    to: &Arc<Repository>,
    wanted: Option<&HashSet<ObjectId>>,
) -> Result<CopyPlan, Error> {
    from.refresh().await?;
    to.refresh().await?;
    refuse_the_same(from, to)?;
    let (theirs, ours) = (from.history(), to.history());
    let gone = to.gone().await?;
    let asked = theirs.snapshots.iter().map(|added| added.snapshot);
    let asked: Vec<ObjectId> = asked.filter(|id| wanted.is_none_or(|wanted| wanted.contains(id))).collect();
    let there: HashSet<ObjectId> = ours.snapshots.iter().map(|added| added.snapshot).collect();
    let (forgotten, mut snapshots): (Vec<ObjectId>, Vec<ObjectId>) =
        asked.iter().filter(|id| !there.contains(id)).partition(|id| gone.has(id));
    let mut faults = Vec::new();
    let mut missing = needed_by(from, &mut snapshots, &mut faults).await?;
    missing.subtract(&usable_frames(&*to.open_whole_index().await?, to));
    let index = from.open_index().await?;
    let unusable: HashSet<ObjectId> = to.current_index().packs().map(|pack| pack.id).collect();
    let mut plan = CopyPlan {
        there: (asked.len() - snapshots.len() - forgotten.len()) as u64 - faults.len() as u64,
        forgotten: forgotten.len() as u64,
        snapshots,
        packs: 0,
        pack_bytes: 0,
        frames: 0,
        frame_bytes: 0,
        faults,
        work: Work { index: Arc::clone(&index), whole: HashSet::new(), gone },
    };
    let sizes = frame_bytes_of_packs(&index);
    for (pack, frames) in by_pack(&index, &usage::needed_in(&index, &theirs.condemned, &missing, |_| true)) {
        let wanted_bytes: u64 =
            frames.iter().filter_map(|frame| index.frame(*frame)).map(|it| usage::sealed_bytes(&it)).sum();
        let (size, all) = sizes.get(&pack).copied().unwrap_or_default();
        let may_keep_its_name = !plan.work.gone.has(&pack) && !unusable.contains(&pack);
        if may_keep_its_name && wanted_bytes * 100 >= all * WHOLE_PERCENT {
            plan.packs += 1;
            plan.pack_bytes += size;
            plan.work.whole.insert(pack);
        } else {
            plan.frames += frames.len() as u64;
            plan.frame_bytes += wanted_bytes;
        }
    }
    Ok(plan)
}

fn refuse_the_same(from: &Repository, to: &Repository) -> Result<(), Error> {
    if from.id() != to.id() {
        return Err(Error::NotACopy { of: from.id(), here: to.id() });
    }
    let first = from.history().first_object;
    if first.is_some() && first == to.history().first_object { Err(Error::SameCopy) } else { Ok(()) }
}

/// What the snapshots need; those that cannot be read are taken out and told.
async fn needed_by(from: &Repository, snapshots: &mut Vec<ObjectId>, faults: &mut Vec<String>) -> Result<Live, Error> {
    let mut needed = Live::default();
    let mut readable = Vec::with_capacity(snapshots.len());
    for id in snapshots.drain(..) {
        match from.snapshot_inventory(id).await {
            Ok(inventory) => {
                needed.merge(&inventory.live);
                readable.push(id);
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => faults.push(chain(&error)),
            Err(error) => return Err(error),
        }
    }
    *snapshots = readable;
    Ok(needed)
}

/// The frames that a copy has in packs that may be built upon.
pub(super) fn usable_frames(index: &Index, of: &Repository) -> Live {
    let history = of.history();
    let mut usable = Live::default();
    for (_, frame) in index.frames(|pack| !history.condemned.contains_key(&pack.id)) {
        usable.insert(frame.segment.nonce, frame.row.ordinal);
    }
    usable
}

/// Frames by their packs, each in the order of the pack.
pub(super) fn by_pack(index: &Index, frames: &[FrameId]) -> BTreeMap<ObjectId, Vec<FrameId>> {
    let mut packs: BTreeMap<ObjectId, Vec<FrameId>> = BTreeMap::new();
    for frame in frames {
        if let Some(info) = index.frame(*frame) {
            packs.entry(info.pack.id).or_default().push(*frame);
        }
    }
    packs
}

/// Of each pack its size, and the bytes of its frames.
fn frame_bytes_of_packs(index: &Index) -> HashMap<ObjectId, (u64, u64)> {
    let mut sizes: HashMap<ObjectId, (u64, u64)> = HashMap::new();
    for (_, frame) in index.frames(|_| true) {
        sizes.entry(frame.pack.id).or_insert((frame.pack.size, 0)).1 += usage::sealed_bytes(&frame);
    }
    sizes
}
