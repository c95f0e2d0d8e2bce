//! A payload in parts, from any place on: slices of the payload's own bytes.

use bytes::{Bytes, BytesMut};
use object_store::PutPayload;
use strongroom_proto::gateway::{PutHeader, PutPart};

/// Large enough that its frame costs nothing, small enough to stay in a processor's cache on its way: parts of 1 MiB, 256, 128 and 64 KiB came to 470, 540, 510 and
/// 505 MiB/s over one connection on two cores.
pub(super) const PART_BYTES: usize = 256 << 10;
/// Slices below this are copied together: a message costs as much as copying some kilobytes.
const SMALL_BYTES: usize = 32 << 10;

/// The parts of a put that goes on at `header.offset`, the header in the first.
pub(super) fn parts(header: PutHeader, payload: &PutPayload) -> impl Iterator<Item = PutPart> + Send + use<> {
    let offset = usize::try_from(header.offset).unwrap_or(usize::MAX);
    let first = PutPart { header: Some(header), bytes: Bytes::new() };
    let slices = Slices { rest: after(payload, offset).collect::<Vec<Bytes>>().into_iter(), current: Bytes::new() };
    std::iter::once(first).chain(slices.map(|bytes| PutPart { header: None, bytes }))
}

fn after(payload: &PutPayload, mut offset: usize) -> impl Iterator<Item = Bytes> {
    payload.iter().filter_map(move |bytes| {
        let skipped = offset.min(bytes.len());
        offset -= skipped;
        (skipped < bytes.len()).then(|| bytes.slice(skipped..))
    })
}

struct Slices {
    rest: std::vec::IntoIter<Bytes>,
    current: Bytes,
}

impl Slices {
    fn refill(&mut self) {
        if self.current.is_empty() {
            self.current = self.rest.next().unwrap_or_default();
        }
    }
}

impl Iterator for Slices {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.refill();
        if self.current.len() >= SMALL_BYTES {
            return Some(self.current.split_to(self.current.len().min(PART_BYTES)));
        }
        let mut joined = BytesMut::new();
        while !self.current.is_empty() && self.current.len() < SMALL_BYTES && joined.len() < PART_BYTES - SMALL_BYTES {
            joined.extend_from_slice(&std::mem::take(&mut self.current));
            self.refill();
        }
        (!joined.is_empty()).then(|| joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_from_any_place_are_the_rest_of_the_payload() {
        let all: Bytes = (0..5_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let cuts = [0, 0, 1, 2, 500, 40_000, 40_001, 3_000_000, 3_000_010, 3_500_000, all.len()];
        let payload: PutPayload = cuts.windows(2).map(|cut| all.slice(cut[0]..cut[1])).collect();
        for offset in [0, 1, 2, 499, 500, 41_000, 2_999_999, 3_000_005, all.len() - 1, all.len()] {
            let header = PutHeader { offset: offset as u64, ..PutHeader::default() };
            let parts: Vec<PutPart> = parts(header.clone(), &payload).collect();
            assert_eq!((parts[0].header.as_ref(), parts[0].bytes.len()), (Some(&header), 0));
            assert!(
                parts[1..].iter().all(|part| part.header.is_none() && (1..=PART_BYTES).contains(&part.bytes.len()))
            );
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
            assert!(joined == all[offset..], "from {offset}");
            assert!(parts.len() < 30, "{}", parts.len());
        }
    }

    #[test]
    fn large_slices_are_not_copied_and_small_ones_are_joined() {
        let large = Bytes::from(vec![7; 3 << 20]);
        let slices: Vec<Bytes> =
            parts(PutHeader::default(), &large.clone().into()).skip(1).map(|part| part.bytes).collect();
        assert_eq!(slices.len(), 12);
        assert!(slices.iter().all(|slice| large.as_ptr_range().contains(&slice.as_ptr())));
        let small: PutPayload = (0..1000).map(|_| Bytes::from(vec![1; 1000])).collect();
        assert_eq!(parts(PutHeader::default(), &small).count(), 1 + 5);
    }
}
