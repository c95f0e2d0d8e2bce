//! Where bytes come from, in order: a file, its holes left out, or a stream. A feed also makes the plain hash of what it gave.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::{Errno, pread};
use strongroom_repository::{Extent, FileHash};

use super::Buffer;

/// Holes are hashed in steps of this size, which is enough for the hash to use all of its parallel units.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// The buffer holds what was wanted.
    Wanted,
    /// There is no more.
    End,
}

/// What a feed gave altogether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Length of the file, holes included.
    pub size: u64,
    /// Its plain BLAKE3, holes as zeros.
    pub hash: FileHash,
    /// Its runs of data, if it has holes.
    pub extents: Option<Vec<Extent>>,
}

/// A source of bytes.
pub trait Feed {
    /// Fills the buffer until it holds `wanted` bytes or nothing is left. Once it said [`Fed::End`] it says so again.
    fn fill(&mut self, buffer: &mut Buffer, wanted: usize) -> io::Result<Fed>;

    /// What was given; after the end.
    fn summary(&mut self) -> Summary;
}

/// The data of a file.
#[derive(Debug)]
pub(super) struct FileFeed<'a> {
    file: BorrowedFd<'a>,
    size: u64,
    sparse: Option<Arc<Vec<Extent>>>,
    /// The run that is being read, and how many there were before it.
    run: Extent,
    next_run: usize,
    hasher: blake3::Hasher,
    ended: bool,
}

impl<'a> FileFeed<'a> {
    /// The first `size` bytes of a file; with `extents`, only those runs of them.
    pub(super) fn new(file: BorrowedFd<'a>, size: u64, extents: Option<Arc<Vec<Extent>>>) -> Self {
        let run = Extent { offset: 0, length: if extents.is_some() { 0 } else { size } };
        Self { file, size, sparse: extents, run, next_run: 0, hasher: blake3::Hasher::new(), ended: false }
    }

    fn advance_run(&mut self) -> bool {
        let next = self.sparse.as_ref().and_then(|runs| runs.get(self.next_run));
        let Some(next) = next else { return false };
        self.run = *next;
        self.next_run += 1;
        true
    }

    /// Another process made the file shorter: it ends here.
    fn cut_off(&mut self) {
        self.size = self.run.offset;
        if let Some(runs) = &self.sparse {
            let mut kept: Vec<Extent> = runs[..self.next_run].to_vec();
            if let Some(last) = kept.last_mut() {
                last.length -= self.run.length;
            }
            kept.retain(|run| run.length > 0);
            self.sparse = Some(Arc::new(kept));
        }
        self.ended = true;
    }
}

impl Feed for FileFeed<'_> {
    fn fill(&mut self, buffer: &mut Buffer, wanted: usize) -> io::Result<Fed> {
        while buffer.filled().len() < wanted && !self.ended {
            if self.run.length == 0 {
                self.ended = !self.advance_run();
                continue;
            }
            hash_zeros_to(&mut self.hasher, self.run.offset);
            let room = buffer.room_to(wanted);
            let count = room.len().min(usize::try_from(self.run.length).unwrap_or(usize::MAX));
            match pread(self.file, &mut room[..count], self.run.offset) {
                Ok(0) => self.cut_off(),
                Ok(count) => {
                    self.hasher.update(&room[..count]);
                    buffer.advance(count);
                    self.run.offset += count as u64;
                    self.run.length -= count as u64;
                }
                Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(if self.ended { Fed::End } else { Fed::Wanted })
    }

    fn summary(&mut self) -> Summary {
        hash_zeros_to(&mut self.hasher, self.size);
        let extents = self.sparse.as_ref().map(|runs| runs.to_vec());
        Summary { size: self.size, hash: *self.hasher.finalize().as_bytes(), extents }
    }
}

fn hash_zeros_to(hasher: &mut blake3::Hasher, end: u64) {
    while hasher.count() < end {
        let count = usize::try_from(end - hasher.count()).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        hasher.update(&ZEROS[..count]);
    }
}

/// What a reader gives until its end.
pub struct StreamFeed {
    reader: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    ended: bool,
}

impl std::fmt::Debug for StreamFeed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "StreamFeed({} bytes so far)", self.hasher.count())
    }
}

impl StreamFeed {
    /// Reads `reader` to its end.
    #[must_use]
    pub fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, hasher: blake3::Hasher::new(), ended: false }
    }
}

impl Feed for StreamFeed {
    fn fill(&mut self, buffer: &mut Buffer, wanted: usize) -> io::Result<Fed> {
        while buffer.filled().len() < wanted && !self.ended {
            let room = buffer.room_to(wanted);
            match self.reader.read(room) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.hasher.update(&room[..count]);
                    buffer.advance(count);
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(if self.ended { Fed::End } else { Fed::Wanted })
    }

    fn summary(&mut self) -> Summary {
        Summary { size: self.hasher.count(), hash: *self.hasher.finalize().as_bytes(), extents: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    fn run(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    fn drain(feed: &mut dyn Feed, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut buffer = Buffer::default();
            let fed = feed.fill(&mut buffer, step).unwrap();
            all.extend_from_slice(buffer.filled());
            if fed == Fed::End {
                return all;
            }
        }
    }

    #[test]
    fn holes_are_hashed_and_not_given() {
        let file = tempfile::tempfile().unwrap();
        let mut whole = vec![0; 300_000];
        for at in [1000, 200_000] {
            whole[at..at + 5000].fill(at as u8 | 1);
            file.write_all_at(&whole[at..at + 5000], at as u64).unwrap();
        }
        file.set_len(300_000).unwrap();
        let runs = vec![run(1000, 5000), run(200_000, 5000)];
        for step in [1, 777, 6000, 100_000] {
            let mut feed = FileFeed::new(file.as_fd(), 300_000, Some(Arc::new(runs.clone())));
            assert_eq!(drain(&mut feed, step), [&whole[1000..6000], &whole[200_000..205_000]].concat(), "step {step}");
            let expect = Summary { size: 300_000, hash: *blake3::hash(&whole).as_bytes(), extents: Some(runs.clone()) };
            assert_eq!(feed.summary(), expect);
        }
    }

    #[test]
    fn a_file_that_became_shorter_ends_where_it_ends() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 1000], 0).unwrap();
        let mut feed = FileFeed::new(file.as_fd(), 5000, None);
        assert_eq!(drain(&mut feed, 64), [7; 1000]);
        assert_eq!(feed.summary(), Summary { size: 1000, hash: *blake3::hash(&[7; 1000]).as_bytes(), extents: None });
        let runs = vec![run(0, 100), run(900, 300), run(3000, 10)];
        let mut feed = FileFeed::new(file.as_fd(), 5000, Some(Arc::new(runs)));
        assert_eq!(drain(&mut feed, 64).len(), 200);
        let summary = feed.summary();
        assert_eq!((summary.size, summary.extents), (1000, Some(vec![run(0, 100), run(900, 100)])));
    }

    #[test]
    fn a_stream_is_read_to_its_end() {
        let bytes: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        let mut feed = StreamFeed::new(Box::new(io::Cursor::new(bytes.clone())));
        assert_eq!(drain(&mut feed, 999), bytes);
        assert_eq!(feed.summary().hash, *blake3::hash(&bytes).as_bytes());
    }
}
