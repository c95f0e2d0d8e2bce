//! Large files: an interrupted restore goes on in the middle of them. The largest take several windows, each with a part of them: the disk gets a part,
//! and gives it back to be hashed, while the next one is opened.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use strongroom_repository::{ChunkRef, Extent};

use super::readback::Hashed;

/// Of files with more data than this every good chunk is taken over. A restore that was cut off has some in every state at once, so that what is fetched
/// again of smaller ones stays well below what was under way.
pub(super) const LARGE_BYTES: u64 = 4 << 20;

/// Parts are about this large.
const PART_BYTES: u64 = 128 << 20;

/// What the parts of a file share.
#[derive(Debug)]
pub(super) struct LargeFile {
    chunks: Vec<ChunkRef>,
    /// Whether the file is there to be written to.
    pub(super) created: OnceLock<bool>,
    /// It was found in the staging directory.
    left_over: AtomicBool,
    failed: AtomicBool,
    /// What was read back so far.
    hashed: Mutex<Hashed>,
}

/// One part of a large file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) file: Arc<LargeFile>,
    chunks: Range<usize>,
    /// Where it begins in the content.
    pub(super) position: u64,
    /// Where it ends in the file.
    pub(super) file_end: u64,
    /// Nothing comes after it.
    pub(super) is_last: bool,
}

impl Part {
    /// Cuts a file of these chunks. The file is `size` bytes long, its data where `extents` say.
    pub(super) fn cut(chunks: Vec<ChunkRef>, extents: Option<&[Extent]>, size: u64) -> Vec<Self> {
        let mut cuts = Vec::new();
        let (mut start, mut position, mut end) = (0, 0, 0);
        for (at, chunk) in chunks.iter().enumerate() {
            end += u64::from(chunk.length);
            if end - position >= PART_BYTES || at + 1 == chunks.len() {
                cuts.push((start..at + 1, position, end));
                (start, position) = (at + 1, end);
            }
        }
        let last = cuts.len().saturating_sub(1);
        let file = LargeFile {
            chunks,
            created: OnceLock::new(),
            left_over: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            hashed: Mutex::default(),
        };
        let file = Arc::new(file);
        let part = |(at, (chunks, position, end)): (usize, (Range<usize>, u64, u64))| {
            let is_last = at == last;
            let file_end = if is_last { size } else { place_of_end(extents, end) };
            Self { file: Arc::clone(&file), chunks, position, file_end, is_last }
        };
        cuts.into_iter().enumerate().map(part).collect()
    }

    pub(super) fn chunks(&self) -> &[ChunkRef] {
        &self.file.chunks[self.chunks.clone()]
    }

    /// Whether the file takes one window only.
    pub(super) fn is_whole_file(&self) -> bool {
        self.position == 0 && self.is_last
    }
}

impl LargeFile {
    pub(super) fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    pub(super) fn mark_left_over(&self) {
        self.left_over.store(true, Ordering::Release);
    }

    /// Whether an interrupted run has left it, with good chunks in it.
    pub(super) fn is_left_over(&self) -> bool {
        self.left_over.load(Ordering::Acquire)
    }

    /// Gives the file up. True for the first of its parts to do so.
    pub(super) fn fail(&self) -> bool {
        !self.failed.swap(true, Ordering::AcqRel)
    }

    /// Whether one of its parts could not be restored, and so none is needed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What the parts before this one left to go on with.
    pub(super) fn take_hashed(&self) -> Hashed {
        std::mem::take(&mut self.hashed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn leave_hashed(&self, hashed: Hashed) {
        *self.hashed.lock().unwrap_or_else(PoisonError::into_inner) = hashed;
    }
}

/// Where in the file the content up to `end` ends.
fn place_of_end(extents: Option<&[Extent]>, end: u64) -> u64 {
    let Some(extents) = extents else { return end };
    let mut filled = 0;
    for extent in extents {
        if end <= filled + extent.length {
            return extent.offset + (end - filled);
        }
        filled += extent.length;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repository::ChunkId;

    fn check(lengths: &[u32], extents: Option<&[(u64, u64)]>, size: u64, expect: &[(usize, u64, u64)]) {
        let chunks = lengths.iter().map(|length| ChunkRef { id: ChunkId([0; 32]), length: *length }).collect();
        let make = |runs: &[(u64, u64)]| {
            runs.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect()
        };
        let extents: Option<Vec<Extent>> = extents.map(make);
        let parts = Part::cut(chunks, extents.as_deref(), size);
        let found: Vec<_> = parts.iter().map(|part| (part.chunks().len(), part.position, part.file_end)).collect();
        assert_eq!(found, expect);
        assert!(parts.iter().rev().enumerate().all(|(at, part)| part.is_last == (at == 0)));
    }

    #[test]
    fn parts_follow_each_other_to_the_end() {
        let half = (PART_BYTES / 2) as u32;
        let whole = PART_BYTES;
        check(&[half; 3], None, whole / 2 * 3, &[(2, 0, whole), (1, whole, whole / 2 * 3)]);
        check(&[half; 2], None, whole, &[(2, 0, whole)]);
        // The first part ends in the second run of data, the last with the hole at the end.
        let runs = [(1000, whole / 2), (whole * 4, whole)];
        check(&[half; 3], Some(&runs), whole * 9, &[(2, 0, whole * 4 + whole / 2), (1, whole, whole * 9)]);
    }
}
