//! What of each pack is needed. A frame that lies in several packs is needed in one of them: one that is not condemned, if there is one.

use std::collections::HashMap;

use crate::ids::ObjectId;
use crate::index::{FrameId, FrameInfo, Index, PackRow};
use crate::live::Live;
use crate::pack::FRAME_HEADER_SIZE;

/// One pack, as a prune sees it.
#[derive(Debug, Clone)]
pub(super) struct PackUsage {
    pub(super) pack: PackRow,
    /// The commit that condemned it.
    pub(super) condemned: Option<u64>,
    /// Sealed bytes of all its frames.
    pub(super) frame_bytes: u64,
    /// Sealed bytes of the frames that are needed here.
    pub(super) needed_bytes: u64,
}

impl PackUsage {
    /// Sealed bytes of the frames that nobody needs here.
    pub(super) fn unused_bytes(&self) -> u64 {
        self.frame_bytes - self.needed_bytes
    }
}

/// Condemned packs by the commit that condemned them.
pub(crate) type Condemned = std::collections::BTreeMap<ObjectId, u64>;

/// Weighs every pack of the index.
pub(super) fn weigh(index: &Index, condemned: &Condemned, needed: &Live) -> Vec<PackUsage> {
    let mut packs: Vec<PackUsage> = Vec::new();
    let mut numbers: HashMap<ObjectId, usize> = HashMap::new();
    for pack in index.packs() {
        numbers.entry(pack.id).or_insert_with(|| {
            let condemned = condemned.get(&pack.id).copied();
            packs.push(PackUsage { pack, condemned, frame_bytes: 0, needed_bytes: 0 });
            packs.len() - 1
        });
    }
    for (_, info) in index.frames(|_| true) {
        if let Some(number) = numbers.get(&info.pack.id) {
            packs[*number].frame_bytes += sealed_bytes(&info);
        }
    }
    for_each_home(index, condemned, &mut needed.clone(), |_, info| {
        if let Some(number) = numbers.get(&info.pack.id) {
            packs[*number].needed_bytes += sealed_bytes(&info);
        }
    });
    packs
}

/// The frames that are needed in the packs that `of` picks.
pub(crate) fn needed_in(
    index: &Index,
    condemned: &Condemned,
    needed: &Live,
    of: impl Fn(&ObjectId) -> bool,
) -> Vec<FrameId> {
    let mut frames = Vec::new();
    for_each_home(index, condemned, &mut needed.clone(), |frame, info| {
        if of(&info.pack.id) {
            frames.push(frame);
        }
    });
    frames
}

/// Finds one home for each frame of `waiting`, and takes it out.
fn for_each_home(index: &Index, condemned: &Condemned, waiting: &mut Live, mut home: impl FnMut(FrameId, FrameInfo)) {
    for among_condemned in [false, true] {
        for (frame, info) in index.frames(|pack| condemned.contains_key(&pack.id) == among_condemned) {
            if waiting.remove(&info.segment.nonce, info.row.ordinal) {
                home(frame, info);
            }
        }
    }
}

/// Bytes of a frame in its pack.
pub(crate) fn sealed_bytes(info: &FrameInfo) -> u64 {
    u64::from(info.row.sealed_length) + FRAME_HEADER_SIZE as u64
}
