//! Reading a stored file at any offset.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use strongroom_repository::{ChunkRef, Entry, Error, Extent, Repository, Tree};

/// A file that was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    entry: Arc<Entry>,
    chunks: Vec<ChunkRef>,
    /// Where each chunk begins in the content.
    starts: Vec<u64>,
    /// The chunk read last: reads come in pieces of 128 KiB, chunks are longer.
    last: Mutex<Option<(usize, Bytes)>>,
}

impl OpenFile {
    pub(super) async fn open(tree: &Tree, entry: Arc<Entry>) -> Result<Self, Error> {
        let chunks = tree.chunks(&entry).await?;
        let mut end = 0;
        let start = |chunk: &ChunkRef| {
            let start = end;
            end += u64::from(chunk.length);
            start
        };
        let starts = chunks.iter().map(start).collect();
        Ok(Self { entry, chunks, starts, last: Mutex::default() })
    }

    /// The bytes of a part of the file; fewer at its end. Holes are zeros.
    pub(super) async fn read(&self, repository: &Repository, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let end = offset.saturating_add(length as u64).min(self.entry.size);
        let mut out = vec![0; end.saturating_sub(offset) as usize];
        let whole = [Extent { offset: 0, length: self.entry.size }];
        for (content, at) in overlaps(self.entry.extents.as_deref().unwrap_or(&whole), offset..end) {
            let part = &mut out[(at - offset) as usize..][..(content.end - content.start) as usize];
            self.read_content(repository, content.start, part).await?;
        }
        Ok(out)
    }

    async fn read_content(&self, repository: &Repository, mut position: u64, mut out: &mut [u8]) -> Result<(), Error> {
        while !out.is_empty() {
            let at = self.starts.partition_point(|start| *start <= position).wrapping_sub(1);
            // A file whose chunks end before its size is one that no honest writer made: the rest reads as zeros.
            let Some(start) = self.starts.get(at) else { return Ok(()) };
            let chunk = self.chunk(repository, at).await?;
            let bytes = chunk.get((position - start) as usize..).unwrap_or_default();
            let count = bytes.len().min(out.len());
            if count == 0 {
                return Ok(());
            }
            out[..count].copy_from_slice(&bytes[..count]);
            position += count as u64;
            out = &mut out[count..];
        }
        Ok(())
    }

    async fn chunk(&self, repository: &Repository, at: usize) -> Result<Bytes, Error> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, bytes)) = last.filter(|(last, _)| *last == at) {
            return Ok(bytes);
        }
        let bytes = repository.read_chunk(&self.chunks[at]).await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, bytes.clone()));
        Ok(bytes)
    }
}

/// The parts of the content that lie in a range of the file, and where in the file.
fn overlaps(extents: &[Extent], range: Range<u64>) -> impl Iterator<Item = (Range<u64>, u64)> + '_ {
    let mut filled = 0u64;
    extents.iter().filter_map(move |extent| {
        let before = filled;
        filled = filled.saturating_add(extent.length);
        let from = range.start.max(extent.offset);
        let to = range.end.min(extent.offset.saturating_add(extent.length));
        (from < to).then(|| (before + (from - extent.offset)..before + (to - extent.offset), from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_file_become_ranges_of_the_content() {
        let check = |runs: &[(u64, u64)], range: Range<u64>, expect: &[(Range<u64>, u64)]| {
            let extents: Vec<Extent> =
                runs.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect();
            assert_eq!(overlaps(&extents, range).collect::<Vec<_>>(), expect);
        };
        let runs = [(10, 5), (100, 3), (200, 10)];
        check(&runs, 0..300, &[(0..5, 10), (5..8, 100), (8..18, 200)]);
        check(&runs, 12..102, &[(2..5, 12), (5..7, 100)]);
        check(&runs, 15..100, &[]);
        check(&runs, 209..1000, &[(17..18, 209)]);
        check(&runs, 50..50, &[]);
    }
}
