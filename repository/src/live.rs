//! Which frames a snapshot or a page needs. Frames are named by segment and ordinal, which survive every repacking; so garbage collection is an OR of
//! these sets and needs no tree walk and no data key.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::SegmentNonce;

/// A set of frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live(BTreeMap<SegmentNonce, Vec<u8>>);

impl Live {
    /// Adds frame `ordinal` of a segment.
    pub fn insert(&mut self, segment: SegmentNonce, ordinal: u32) {
        let bits = self.0.entry(segment).or_default();
        let byte = ordinal as usize / 8;
        if bits.len() <= byte {
            bits.resize(byte + 1, 0);
        }
        bits[byte] |= 1 << (ordinal % 8);
    }

    /// Whether frame `ordinal` of a segment is in the set.
    #[must_use]
    pub fn contains(&self, segment: &SegmentNonce, ordinal: u32) -> bool {
        let bits = self.0.get(segment);
        bits.and_then(|bits| bits.get(ordinal as usize / 8)).is_some_and(|byte| byte >> (ordinal % 8) & 1 == 1)
    }

    /// Takes frame `ordinal` of a segment out; says whether it was there.
    pub fn remove(&mut self, segment: &SegmentNonce, ordinal: u32) -> bool {
        let Some(byte) = self.0.get_mut(segment).and_then(|bits| bits.get_mut(ordinal as usize / 8)) else {
            return false;
        };
        let (before, bit) = (*byte, 1 << (ordinal % 8));
        *byte &= !bit;
        before & bit != 0
    }

    /// Whether there is no frame in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().flatten().all(|byte| *byte == 0)
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (segment, more) in &other.0 {
            let bits = self.0.entry(*segment).or_default();
            if bits.len() < more.len() {
                bits.resize(more.len(), 0);
            }
            bits.iter_mut().zip(more).for_each(|(bit, more)| *bit |= more);
        }
    }

    /// Takes everything of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        for (segment, bits) in &mut self.0 {
            let taken = other.0.get(segment).into_iter().flatten();
            bits.iter_mut().zip(taken).for_each(|(bit, taken)| *bit &= !taken);
        }
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.0.values().flatten().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Every frame, by segment and ordinal.
    pub fn iter(&self) -> impl Iterator<Item = (&SegmentNonce, u32)> {
        self.0.iter().flat_map(|(segment, bits)| {
            let ordinals = (0u32..)
                .zip(bits)
                .flat_map(|(byte, bits)| (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| byte * 8 + bit));
            ordinals.map(move |ordinal| (segment, ordinal))
        })
    }

    /// The segments that hold at least one of the frames.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentNonce> {
        self.0.keys()
    }
}

impl Serialize for Live {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(segment, bits)| (segment, data_encoding::HEXLOWER.encode(bits))))
    }
}

impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = BTreeMap::<SegmentNonce, String>::deserialize(from)?;
        let decode = |(segment, hex): (SegmentNonce, String)| {
            data_encoding::HEXLOWER.decode(hex.as_bytes()).map(|bits| (segment, bits)).map_err(de::Error::custom)
        };
        text.into_iter().map(decode).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_what_it_was_given() {
        let (a, b) = (SegmentNonce([1; 16]), SegmentNonce([2; 16]));
        let mut left = Live::default();
        [0, 7, 8, 300].into_iter().for_each(|ordinal| left.insert(a, ordinal));
        let mut right = Live::default();
        right.insert(b, 1);
        left.merge(&right);
        assert_eq!(left.frames(), 5);
        assert!(left.contains(&a, 300) && left.contains(&b, 1) && !left.contains(&a, 1) && !left.contains(&b, 9));
        assert_eq!(left.iter().collect::<Vec<_>>(), [(&a, 0), (&a, 7), (&a, 8), (&a, 300), (&b, 1)]);
        let text = serde_json::to_string(&left).unwrap();
        assert_eq!(serde_json::from_str::<Live>(&text).unwrap(), left);
        left.subtract(&right);
        assert!(left.contains(&a, 300) && !left.contains(&b, 1));
        right.subtract(&left);
        left.subtract(&left.clone());
        assert!(left.is_empty() && right.frames() == 1);
    }
}
