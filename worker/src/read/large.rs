//! Large files and streams: one lane reads and hashes, every free lane stores chunks.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, fadvise};
use strongroom_repository::{ChunkRef, Content, EndOfFile, Error, Extent, Kind};

use super::feed::{Fed, Feed, FileFeed};
use super::lane::LaneWorker;
use super::pool::Piece;
use super::small::{Reading, Stored, add_content};
use super::{Buffer, Fault};
use crate::capture::{Capture, Outcome};
use crate::filesystem::Stat;
use crate::remarks::{Doing, Remark};

/// Reads a file that is cut by its content.
pub(super) fn read(
    worker: &mut LaneWorker<'_>,
    file: BorrowedFd<'_>,
    size: u64,
    extents: Option<Arc<Vec<Extent>>>,
) -> Result<Reading, Fault> {
    // It only asks for more reading ahead; a file system that knows no such thing reads as it does.
    let _ = fadvise(file, 0, None, Advice::Sequential);
    cut(worker, &mut FileFeed::new(file, size, extents))
}

/// Captures a stream as a file.
pub(super) fn stream(
    worker: &mut LaneWorker<'_>,
    mut feed: Box<dyn Feed + Send>,
    name: &CStr,
    stat: &Stat,
) -> Result<Outcome, Error> {
    match cut(worker, &mut *feed) {
        Ok(reading) => {
            let mut capture = Capture::new(name, Kind::File, stat, worker.desk.owners);
            add_content(&mut capture, reading);
            Ok(Outcome::Captured(Box::new(capture)))
        }
        Err(Fault::Source(fault)) => Ok(Outcome::LeftOut(Remark::fault(name.to_bytes().to_vec(), Doing::Read, fault))),
        Err(Fault::Repository(error)) => Err(error),
    }
}

fn cut(worker: &mut LaneWorker<'_>, feed: &mut dyn Feed) -> Result<Reading, Fault> {
    let assembly = Arc::new(Assembly::default());
    let mut buffer = worker.desk.pool.buffer();
    let mut bytes_read = 0;
    while let Some(length) = next_chunk(worker, feed, &mut buffer)? {
        let mut following = worker.desk.pool.buffer();
        following.append(&buffer.filled()[length..], worker.cutter.maximum());
        bytes_read += length as u64;
        worker.desk.took(length as u64);
        let full = std::mem::replace(&mut buffer, following);
        dispatch(worker, store_chunk(&assembly, full, length));
    }
    worker.desk.pool.recycle(buffer);
    let chunks = assembly.wait(worker)?;
    let summary = feed.summary();
    let content = match chunks.as_slice() {
        [_] if summary.extents.is_none() => Content::Whole,
        several => worker.desk.session.chunk_list(several)?,
    };
    Ok(Reading { summary, bytes_read, stored: Stored::Done(content) })
}

/// The length of the chunk at the front of the buffer, which is filled as far as needed: twice the average settles most chunks.
fn next_chunk(worker: &LaneWorker<'_>, feed: &mut dyn Feed, buffer: &mut Buffer) -> Result<Option<usize>, Fault> {
    let maximum = worker.cutter.maximum();
    for wanted in [(2 * worker.parameters.chunk_average as usize).min(maximum), maximum] {
        let end = match feed.fill(buffer, wanted)? {
            Fed::Wanted => EndOfFile::No,
            Fed::End => EndOfFile::Yes,
        };
        if buffer.filled().is_empty() {
            return Ok(None);
        }
        if let Some(length) = worker.cutter.next_cut(buffer.filled(), end) {
            return Ok(Some(length));
        }
    }
    // With a full buffer the cutter always answers.
    Ok(Some(buffer.filled().len()))
}

fn store_chunk(assembly: &Arc<Assembly<ChunkRef>>, buffer: Buffer, length: usize) -> Piece {
    let ticket = assembly.ticket();
    Box::new(move |worker| {
        let stored = worker.lane.add(&buffer.filled()[..length]);
        worker.desk.pool.recycle(buffer);
        ticket.answer(worker, stored.map_err(Fault::Repository));
    })
}

/// Gives a piece to a free lane, or does it here if enough of them wait.
pub(super) fn dispatch(worker: &mut LaneWorker<'_>, piece: Piece) {
    if let Some(piece) = worker.desk.pool.offer(piece) {
        piece(worker);
    }
}

/// Answers of pieces, in the order of the pieces.
#[derive(Debug)]
pub(super) struct Assembly<T> {
    inner: Mutex<Parts<T>>,
}

#[derive(Debug)]
struct Parts<T> {
    parts: Vec<Option<T>>,
    outstanding: usize,
    fault: Option<Fault>,
}

impl<T> Default for Assembly<T> {
    fn default() -> Self {
        Self { inner: Mutex::new(Parts { parts: Vec::new(), outstanding: 0, fault: None }) }
    }
}

/// The duty to answer for one piece.
pub(super) struct Ticket<T> {
    assembly: Arc<Assembly<T>>,
    index: usize,
}

impl<T> Ticket<T> {
    pub(super) fn answer(self, worker: &LaneWorker<'_>, answer: Result<T, Fault>) {
        let mut inner = self.assembly.lock();
        match answer {
            Ok(part) => inner.parts[self.index] = Some(part),
            Err(fault) => inner.fault = inner.fault.take().or(Some(fault)),
        }
        inner.outstanding -= 1;
        let done = inner.outstanding == 0;
        drop(inner);
        if done {
            worker.desk.pool.piece_answered();
        }
    }
}

impl<T> Assembly<T> {
    fn lock(&self) -> MutexGuard<'_, Parts<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the answer of the next piece.
    pub(super) fn ticket(self: &Arc<Self>) -> Ticket<T> {
        let mut inner = self.lock();
        inner.parts.push(None);
        inner.outstanding += 1;
        Ticket { assembly: Arc::clone(self), index: inner.parts.len() - 1 }
    }

    /// Whether something failed already, so that going on is in vain.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().fault.is_some()
    }

    /// All answers. The lane does pieces, of any file, while it waits.
    pub(super) fn wait(&self, worker: &mut LaneWorker<'_>) -> Result<Vec<T>, Fault> {
        let pool = worker.desk.pool;
        let failed = |_| Fault::Source(std::io::Error::other("a reading thread failed"));
        while let Some(piece) = pool.help_until(|| self.lock().outstanding == 0).map_err(failed)? {
            piece(worker);
        }
        let mut inner = self.lock();
        match inner.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(std::mem::take(&mut inner.parts).into_iter().flatten().collect()),
        }
    }
}
