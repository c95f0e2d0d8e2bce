//! Keyed content-defined cutting: FastCDC with normalisation level 2 over a gear table that is derived from a repository secret, so that the
//! lengths of chunks tell nothing about known files.

use crate::config::Parameters;
use crate::keys::SharedKeys;

/// Finds where chunks end.
#[derive(Clone)]
pub struct Cutter {
    gear: Box<[u64; 256]>,
    minimum: usize,
    average: usize,
    maximum: usize,
    mask_before: u64,
    mask_after: u64,
}

impl std::fmt::Debug for Cutter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Cutter({}..{}..{})", self.minimum, self.average, self.maximum)
    }
}

/// A mask of the `bits` highest bits: those that the most of the last 64 bytes have reached.
fn high_bits(bits: u32) -> u64 {
    !0u64 << (64 - bits.clamp(1, 63))
}

impl Cutter {
    /// A cutter of one repository.
    pub(crate) fn new(keys: &SharedKeys, parameters: &Parameters) -> Self {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_derive_key("strongroom v1 gear table")
            .update(keys.cut.expose())
            .finalize_xof()
            .fill(&mut bytes);
        let mut gear = Box::new([0; 256]);
        for (slot, eight) in gear.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *slot = u64::from_le_bytes(*eight);
        }
        let bits = parameters.chunk_average.max(4).ilog2();
        Self {
            gear,
            minimum: parameters.chunk_min as usize,
            average: parameters.chunk_average as usize,
            maximum: parameters.chunk_max as usize,
            // Level 2: two bits harder before the average, two bits easier after it, which gathers the lengths around it.
            mask_before: high_bits(bits + 2),
            mask_after: high_bits(bits - 2),
        }
    }

    /// The longest chunk: with so many bytes in the buffer an answer is certain.
    #[must_use]
    pub fn maximum(&self) -> usize {
        self.maximum
    }

    /// The length of the chunk at the front of `buffer`; none if it may go on beyond the buffer (give more bytes then, or say that this is the end of the file).
    #[must_use]
    pub fn next_cut(&self, buffer: &[u8], end_of_file: EndOfFile) -> Option<usize> {
        let limit = buffer.len().min(self.maximum);
        let complete = end_of_file == EndOfFile::Yes || buffer.len() >= self.maximum;
        if limit <= self.minimum {
            return complete.then_some(limit);
        }
        let middle = self.average.clamp(self.minimum, limit);
        let mut hash = 0u64;
        let mut found =
            self.scan(&buffer[self.minimum..middle], self.mask_before, &mut hash).map(|at| self.minimum + at);
        if found.is_none() {
            found = self.scan(&buffer[middle..limit], self.mask_after, &mut hash).map(|at| middle + at);
        }
        found.or(complete.then_some(limit))
    }

    fn scan(&self, bytes: &[u8], mask: u64, hash: &mut u64) -> Option<usize> {
        let mut rolling = *hash;
        for (at, byte) in bytes.iter().enumerate() {
            rolling = (rolling << 1).wrapping_add(self.gear[usize::from(*byte)]);
            if rolling & mask == 0 {
                return Some(at + 1);
            }
        }
        *hash = rolling;
        None
    }
}

/// Whether the buffer reaches the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfFile {
    /// Nothing follows.
    Yes,
    /// More may follow.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;

    fn cutter() -> Cutter {
        Cutter::new(&SharedKeys::new(&Secret::new([3; 32])), &Parameters::small())
    }

    fn noise(count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        blake3::Hasher::new_keyed(&[1; 32]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cuts(bytes: &[u8]) -> Vec<usize> {
        let cutter = cutter();
        let mut at = 0;
        let mut ends = Vec::new();
        while at < bytes.len() {
            at += cutter.next_cut(&bytes[at..], EndOfFile::Yes).unwrap();
            ends.push(at);
        }
        ends
    }

    #[test]
    fn lengths_keep_to_their_bounds_and_gather_around_the_average() {
        let bytes = noise(8 << 20);
        let parameters = Parameters::small();
        let ends = cuts(&bytes);
        let lengths: Vec<usize> =
            std::iter::once(0).chain(ends.iter().copied()).zip(&ends).map(|(start, end)| end - start).collect();
        assert!(lengths.iter().all(|length| *length <= parameters.chunk_max as usize));
        assert!(lengths[..lengths.len() - 1].iter().all(|length| *length > parameters.chunk_min as usize));
        let mean = bytes.len() / lengths.len();
        let average = parameters.chunk_average as usize;
        assert!((average * 3 / 4..average * 3 / 2).contains(&mean), "mean {mean}");
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_around_it() {
        let bytes = noise(4 << 20);
        let mut changed = bytes.clone();
        changed.splice(2_000_000..2_000_000, *b"inserted");
        let before: std::collections::HashSet<usize> = cuts(&bytes).into_iter().collect();
        let after: Vec<usize> =
            cuts(&changed).into_iter().map(|end| if end > 2_000_008 { end - 8 } else { end }).collect();
        let moved = after.iter().filter(|end| !before.contains(end)).count();
        assert!(moved <= 4, "{moved} of {} cuts moved", after.len());
    }

    #[test]
    fn an_answer_does_not_depend_on_how_much_was_read_ahead() {
        let bytes = noise(1 << 20);
        let cutter = cutter();
        let whole = cutter.next_cut(&bytes, EndOfFile::No).unwrap();
        assert_eq!(cutter.next_cut(&bytes[..whole - 1], EndOfFile::No), None);
        assert_eq!(cutter.next_cut(&bytes[..whole], EndOfFile::No), Some(whole));
    }
}
