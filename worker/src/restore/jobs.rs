//! What the threads of a restore are given to do.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use strongroom_repository::FrameId;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::error::RestoreError;
use super::window::Window;
use super::work::Work;

/// Jobs that wait for a thread. Frames among them are bounded by their bytes besides.
const JOBS_WAITING: usize = 64;

/// One thing to do for a window.
#[derive(Debug)]
pub(super) enum Job {
    /// Open a frame and write its pieces.
    Frame(FrameJob),
    /// Make some nodes without content.
    Nodes(Range<usize>),
    /// All jobs of the window were handed out.
    NoMore,
}

/// A fetched frame.
#[derive(Debug)]
pub(super) struct FrameJob {
    pub(super) frame: FrameId,
    pub(super) pieces: Range<usize>,
    pub(super) sealed: Bytes,
    /// Given back when the frame is written.
    pub(super) _memory: Arc<OwnedSemaphorePermit>,
}

/// What a thread receives.
#[derive(Debug)]
pub(super) enum Order {
    /// Make the directories of a window and look for what an interrupted run left.
    Prepare(Arc<Window>, oneshot::Sender<()>),
    /// Do a job of a window.
    Do(Job, Arc<Work>),
}

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Jobs(mpsc::Sender<Order>);

/// The receiving end, shared by the threads.
#[derive(Debug, Clone)]
pub(super) struct Orders(Arc<Mutex<mpsc::Receiver<Order>>>);

/// A queue of jobs.
pub(super) fn queue() -> (Jobs, Orders) {
    let (sender, receiver) = mpsc::channel(JOBS_WAITING);
    (Jobs(sender), Orders(Arc::new(Mutex::new(receiver))))
}

impl Jobs {
    /// Hands out a job of a window.
    pub(super) async fn send(&self, job: Job, work: &Arc<Work>) -> Result<(), RestoreError> {
        if !matches!(job, Job::NoMore) {
            work.jobs_left.fetch_add(1, Ordering::AcqRel);
        }
        self.0.send(Order::Do(job, Arc::clone(work))).await.map_err(|_| RestoreError::Thread)
    }

    /// Has a window prepared and waits until it is.
    pub(super) async fn prepare(&self, window: &Arc<Window>) -> Result<(), RestoreError> {
        let (done, is_done) = oneshot::channel();
        self.0.send(Order::Prepare(Arc::clone(window), done)).await.map_err(|_| RestoreError::Thread)?;
        is_done.await.map_err(|_| RestoreError::Thread)
    }
}

impl Orders {
    /// The next order; none when all senders are gone.
    pub(super) fn next(&self) -> Option<Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }
}
