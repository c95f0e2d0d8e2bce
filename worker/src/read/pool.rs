//! The work of the lanes: jobs in the order of the tree, and pieces of large files that any free lane takes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Buffer, Job, Outcomes};

/// The number of a job, in the order in which they were handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(u64);

/// A lane stopped without finishing, which is a fault of the program.
#[derive(Debug, thiserror::Error)]
#[error("a reading thread failed")]
pub struct PoolFailed;

/// A part of a large file. Whoever runs it owes its assembly an answer.
pub(super) type Piece = Box<dyn FnOnce(&mut super::lane::LaneWorker<'_>) + Send>;

/// What a lane does next.
pub(super) enum Work {
    Job(JobId, Job),
    Piece(Piece),
    /// Nothing is left and nothing will come.
    Done,
}

/// Jobs, pieces and results. Jobs are bounded by whoever hands them in; pieces by `pieces_max`, since each may hold a chunk of 8 MiB.
pub struct Pool {
    inner: Mutex<Inner>,
    /// Lanes wait here for work, and for pieces of their own file that another lane has.
    work: Condvar,
    /// The consumer waits here for results.
    results: Condvar,
    pieces_max: usize,
}

#[derive(Default)]
struct Inner {
    next_id: u64,
    jobs: VecDeque<(JobId, Job)>,
    pieces: VecDeque<Piece>,
    results: HashMap<JobId, Outcomes>,
    /// Memory of chunks that were stored, to be used again.
    buffers: Vec<Buffer>,
    waiting_lanes: usize,
    closed: bool,
    failed: bool,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.lock();
        write!(out, "Pool({} jobs, {} pieces, {} results)", inner.jobs.len(), inner.pieces.len(), inner.results.len())
    }
}

impl Pool {
    /// A pool for so many lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        // One piece waiting for each lane keeps all of them busy while one reads; more would only take memory.
        Self { inner: Mutex::default(), work: Condvar::new(), results: Condvar::new(), pieces_max: lanes }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in a job.
    pub fn submit(&self, job: Job) -> JobId {
        let mut inner = self.lock();
        let id = JobId(inner.next_id);
        inner.next_id += 1;
        inner.jobs.push_back((id, job));
        self.wake_lane(&inner);
        id
    }

    /// The result of a job if it is done.
    pub fn take(&self, id: JobId) -> Option<Outcomes> {
        self.lock().results.remove(&id)
    }

    /// The result of a job.
    pub fn wait(&self, id: JobId) -> Result<Outcomes, PoolFailed> {
        let mut inner = self.lock();
        loop {
            if let Some(outcomes) = inner.results.remove(&id) {
                return Ok(outcomes);
            }
            if inner.failed {
                return Err(PoolFailed);
            }
            inner = self.results.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more jobs will come: lanes finish what there is, then flush and end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// The run is given up: what was not begun is forgotten.
    pub fn abandon(&self) {
        let mut inner = self.lock();
        inner.jobs.clear();
        inner.closed = true;
        self.work.notify_all();
    }

    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.work.notify_all();
        self.results.notify_all();
    }

    pub(super) fn next(&self) -> Work {
        let mut inner = self.lock();
        loop {
            if let Some(piece) = inner.pieces.pop_front() {
                return Work::Piece(piece);
            }
            if let Some((id, job)) = inner.jobs.pop_front() {
                return Work::Job(id, job);
            }
            if inner.closed || inner.failed {
                return Work::Done;
            }
            inner = self.wait_for_work(inner);
        }
    }

    pub(super) fn deliver(&self, id: JobId, outcomes: Outcomes) {
        self.lock().results.insert(id, outcomes);
        self.results.notify_all();
    }

    /// Offers a piece to other lanes; gives it back if enough of them wait already.
    pub(super) fn offer(&self, piece: Piece) -> Option<Piece> {
        let mut inner = self.lock();
        if inner.pieces.len() >= self.pieces_max {
            return Some(piece);
        }
        inner.pieces.push_back(piece);
        self.wake_lane(&inner);
        None
    }

    /// For a lane that waits for its own pieces: one to do meanwhile, or none as soon as `is_done`.
    pub(super) fn help_until(&self, is_done: impl Fn() -> bool) -> Result<Option<Piece>, PoolFailed> {
        let mut inner = self.lock();
        loop {
            if is_done() {
                return Ok(None);
            }
            if inner.failed {
                return Err(PoolFailed);
            }
            if let Some(piece) = inner.pieces.pop_front() {
                return Ok(Some(piece));
            }
            inner = self.wait_for_work(inner);
        }
    }

    /// A piece was answered. The lock makes sure that a lane which just looked and is about to wait does not miss it.
    pub(super) fn piece_answered(&self) {
        let inner = self.lock();
        if inner.waiting_lanes > 0 {
            self.work.notify_all();
        }
    }

    /// Memory for a chunk.
    pub(super) fn buffer(&self) -> Buffer {
        self.lock().buffers.pop().unwrap_or_default()
    }

    /// Takes memory back.
    pub(super) fn recycle(&self, mut buffer: Buffer) {
        buffer.clear();
        let mut inner = self.lock();
        if inner.buffers.len() < self.pieces_max {
            inner.buffers.push(buffer);
        }
    }

    fn wait_for_work<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.waiting_lanes += 1;
        let mut inner = self.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
        inner.waiting_lanes -= 1;
        inner
    }

    fn wake_lane(&self, inner: &Inner) {
        if inner.waiting_lanes > 0 {
            self.work.notify_all();
        }
    }
}
