//! Counting who needs each frame: two passes over what the groups need, whatever their number.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::{ObjectId, SegmentNonce};
use crate::index::Index;
use crate::live::Live;
use crate::pack::FRAME_HEADER_SIZE;

/// One frame, where it counts.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// In its pack; 0 where there is no such frame.
    bytes: u64,
    /// Groups that need it.
    needing: u32,
    /// Groups that were given their part.
    given: u32,
}

/// Every frame that is stored, by segment and ordinal.
#[derive(Debug, Default)]
pub(super) struct Count {
    segments: HashMap<SegmentNonce, Vec<Slot>>,
}

/// What a group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) unique: u64,
    pub(super) shared: u64,
    pub(super) fair: u64,
}

impl Count {
    /// Gives each frame one home among the packs that are there, one that is not condemned if there is one. Returns the bytes of what lies there a second time.
    pub(super) fn find_homes(
        &mut self,
        index: &Index,
        condemned: &BTreeMap<ObjectId, u64>,
        is_there: impl Fn(&ObjectId) -> bool,
    ) -> u64 {
        let mut twice = 0;
        for among_condemned in [false, true] {
            let of = |id: &ObjectId| is_there(id) && condemned.contains_key(id) == among_condemned;
            for (_, info) in index.frames(|pack| of(&pack.id)) {
                let bytes = u64::from(info.row.sealed_length) + FRAME_HEADER_SIZE as u64;
                twice += self.put(info.segment.nonce, info.row.ordinal, bytes);
            }
        }
        twice
    }

    /// Returns the bytes if the frame has a home already.
    fn put(&mut self, segment: SegmentNonce, ordinal: u32, bytes: u64) -> u64 {
        let slots = self.segments.entry(segment).or_default();
        let at = ordinal as usize;
        if slots.len() <= at {
            slots.resize(at + 1, Slot::default());
        }
        if slots[at].bytes > 0 {
            return bytes;
        }
        slots[at].bytes = bytes;
        0
    }

    fn slot(&mut self, segment: &SegmentNonce, ordinal: u32) -> Option<&mut Slot> {
        self.segments.get_mut(segment)?.get_mut(ordinal as usize)
    }

    /// Notes what a group needs. A frame that is nowhere is damage, which `check` tells.
    pub(super) fn add_need(&mut self, live: &Live) {
        for (segment, ordinal) in live.iter() {
            if let Some(slot) = self.slot(segment, ordinal) {
                slot.needing += 1;
            }
        }
    }

    /// Bytes that no group needs, once all have been noted.
    pub(super) fn needed_by_nobody(&self) -> u64 {
        self.segments.values().flatten().filter(|slot| slot.needing == 0).map(|slot| slot.bytes).sum()
    }

    /// What a group uses, once all have been noted; to be asked once for each. Odd bytes go to those who come first, so that nothing is lost.
    pub(super) fn parts_of(&mut self, live: &Live) -> Parts {
        let mut parts = Parts::default();
        for (segment, ordinal) in live.iter() {
            let Some(slot) = self.slot(segment, ordinal) else { continue };
            let needing = u64::from(slot.needing.max(1));
            let odd = u64::from(u64::from(slot.given) < slot.bytes % needing);
            slot.given += 1;
            parts.fair += slot.bytes / needing + odd;
            match slot.needing {
                1 => parts.unique += slot.bytes,
                _ => parts.shared += slot.bytes,
            }
        }
        parts
    }
}

/// Bytes of packs that are no frames: their headers, footers and trailers.
pub(super) fn tables(index: &Index, there: &HashSet<ObjectId>) -> u64 {
    let packs: HashMap<ObjectId, u64> =
        index.packs().filter(|pack| there.contains(&pack.id)).map(|pack| (pack.id, pack.size)).collect();
    let frames = index.frames(|pack| there.contains(&pack.id));
    let frames: u64 = frames.map(|(_, info)| u64::from(info.row.sealed_length) + FRAME_HEADER_SIZE as u64).sum();
    packs.values().sum::<u64>().saturating_sub(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_need_is_split_to_the_byte() {
        let segment = SegmentNonce([1; 16]);
        let mut count = Count::default();
        for (ordinal, bytes) in [(0, 100), (1, 11), (2, 7), (3, 50)] {
            assert_eq!(count.put(segment, ordinal, bytes), 0);
        }
        assert_eq!(count.put(segment, 3, 50), 50, "a second home");
        let live = |ordinals: &[u32]| {
            let mut live = Live::default();
            ordinals.iter().for_each(|ordinal| live.insert(segment, *ordinal));
            live
        };
        let groups = [live(&[0, 1]), live(&[1, 2]), live(&[1, 2, 99])];
        groups.iter().for_each(|live| count.add_need(live));
        assert_eq!(count.needed_by_nobody(), 50);
        let parts = groups.each_ref().map(|live| count.parts_of(live));
        assert_eq!(parts[0], Parts { unique: 100, shared: 11, fair: 104 });
        assert_eq!(parts[1], Parts { unique: 0, shared: 18, fair: 4 + 4 });
        assert_eq!(parts[2], Parts { unique: 0, shared: 18, fair: 3 + 3 });
        assert_eq!(parts.iter().map(|parts| parts.fair).sum::<u64>(), 118);
    }
}
