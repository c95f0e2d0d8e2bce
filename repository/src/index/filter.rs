//! A binary-fuse filter in front of each run: about 9 bits a chunk say "not here" without touching the run (1 in 256 is a false alarm).
//!
//! It is made in parts, each for a range of ids, so that making one takes little memory however long the run is; and it is read where it lies in its
//! cache file, so that 100 million chunks cost no memory that the kernel could not take back.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter as _, FilterRef as _};

use super::run::Run;
use crate::cache;
use crate::codec::{Malformed, Reader};
use crate::ids::ChunkId;
use crate::mapped::Mapped;

/// Chunks in a part, at most, if ids are as random as hashes are: making one takes some 30 bytes a chunk, and parts of half as many would take 2 % more room.
const PART_CHUNKS: usize = 1 << 20;
/// More parts than the runs of any repository need: 2^16 of 2^20 chunks each.
const PARTS_MAX: usize = 1 << 16;
/// What finds and reads a part's fingerprints.
const DESCRIPTOR: usize = <BinaryFuse8 as DmaSerializable>::DESCRIPTOR_LEN;
/// Descriptor and number of fingerprints.
const PART_SIZE: usize = DESCRIPTOR + 4;

/// A filter over bytes that are mapped, or in memory where there is no cache.
pub(crate) struct Filter {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    parts: Vec<Part>,
}

/// One part: checked once, when it is opened.
struct Part {
    descriptor: [u8; DESCRIPTOR],
    /// Empty if there is no filter: everything may be here.
    fingerprints: Range<usize>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Filter({} parts)", self.parts.len())
    }
}

impl Filter {
    /// Maps the filter of a run from its cache file, or builds it and fills the file.
    pub(crate) fn of(run: &Run, path: &Path) -> Self {
        if let Some(cached) = Self::cached(run, path) {
            return cached;
        }
        let content = build(run);
        if let Err(error) = cache::write(path, &content) {
            tracing::debug!(%error, "filter not cached");
        }
        Self::cached(run, path).unwrap_or_else(|| Self::in_memory(content))
    }

    fn cached(run: &Run, path: &Path) -> Option<Self> {
        let filter = Self::open(Arc::new(Mapped::open(path).ok()?)).ok()?;
        (filter.parts.len() == part_count(run)).then_some(filter)
    }

    fn in_memory(content: Vec<u8>) -> Self {
        let content: Arc<Vec<u8>> = Arc::new(content);
        // BUG if it cannot be opened: it was built just now. Then nothing is filtered.
        Self::open(Arc::clone(&content) as _).unwrap_or(Self { bytes: content, parts: Vec::new() })
    }

    fn open(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self, Malformed> {
        let mut from = Reader::new((*bytes).as_ref());
        let count = from.count32(PART_SIZE, "parts of a filter")?;
        if !count.is_power_of_two() || count > PARTS_MAX {
            return Err(from.malformed("parts of a filter"));
        }
        let mut table = Reader::new(from.take(count * PART_SIZE, "parts of a filter")?);
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            let descriptor = table.array("descriptor of a filter")?;
            let length = table.u32("length of a filter")? as usize;
            let start = from.position();
            from.take(length, "fingerprints")?;
            if length > 0 && !is_within(&descriptor, length) {
                return Err(table.malformed("descriptor of a filter"));
            }
            parts.push(Part { descriptor, fingerprints: start..start + length });
        }
        from.finish("filter")?;
        Ok(Self { bytes, parts })
    }

    /// False only if the run does not hold the chunk.
    pub(crate) fn may_hold(&self, id: &ChunkId) -> bool {
        let prefix = id.prefix();
        let part = self.parts.get(part_of(&prefix, self.parts.len()));
        let Some(part) = part.filter(|part| !part.fingerprints.is_empty()) else { return true };
        let fingerprints = (*self.bytes).as_ref().get(part.fingerprints.clone());
        fingerprints.is_none_or(|prints| BinaryFuse8Ref::from_dma(&part.descriptor, prints).contains(&key(&prefix)))
    }
}

/// Whether no key can lead outside of so many fingerprints: a file is believed only as far as it has been checked.
fn is_within(descriptor: &[u8; DESCRIPTOR], length: usize) -> bool {
    let mut from = Reader::new(&descriptor[8..]);
    let mut number = || from.u32("descriptor of a filter").ok().map(u64::from);
    let (Some(segment), Some(mask), Some(span)) = (number(), number(), number()) else { return false };
    segment.is_power_of_two()
        && mask == segment - 1
        && span > 0
        && span.is_multiple_of(segment)
        && span + 2 * segment <= length as u64
}

fn key(prefix: &[u8; 16]) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&prefix[..8]);
    u64::from_le_bytes(eight)
}

fn part_count(run: &Run) -> usize {
    run.chunk_count().div_ceil(PART_CHUNKS).max(1).next_power_of_two().min(PARTS_MAX)
}

/// Parts are ranges of ids of equal width.
fn part_of(prefix: &[u8; 16], count: usize) -> usize {
    usize::from(u16::from_be_bytes([prefix[0], prefix[1]])) * count / PARTS_MAX
}

/// The filter's content: number of parts; for each its descriptor and how many fingerprints it has; all fingerprints.
fn build(run: &Run) -> Vec<u8> {
    let count = part_count(run);
    let mut table = (count as u32).to_le_bytes().to_vec();
    let mut fingerprints = Vec::with_capacity(run.chunk_count() * 9 / 8 + 64);
    let mut at = 0;
    for part in 0..count {
        let end = run.first_where(at, |prefix| part_of(&prefix, count) > part);
        // Entries are sorted, so equal keys follow each other.
        let mut keys: Vec<u64> = (at..end).map(|at| key(&run.prefix(at))).collect();
        keys.dedup();
        at = end;
        let built = (!keys.is_empty()).then(|| BinaryFuse8::try_from(keys).ok()).flatten();
        let mut descriptor = [0; DESCRIPTOR];
        let prints = built.as_ref().map_or(&[][..], |filter| {
            filter.dma_copy_descriptor_to(&mut descriptor);
            filter.dma_fingerprints()
        });
        table.extend_from_slice(&descriptor);
        table.extend_from_slice(&(prints.len() as u32).to_le_bytes());
        fingerprints.extend_from_slice(prints);
    }
    table.extend_from_slice(&fingerprints);
    table
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
