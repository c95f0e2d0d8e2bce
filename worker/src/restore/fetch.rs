//! Fetching the frames of a window, a few requests ahead of the threads that open them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_repository::{Error, ErrorKind, FrameId, Repository};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::error::RestoreError;
use super::findings::Findings;
use super::jobs::{FrameJob, Job, Jobs};
use super::work::{FrameWork, Work};
use crate::pace::Pace;

/// What one request asks for: long enough that its round trip does not show.
const REQUEST_BYTES: u64 = 4 << 20;

/// How many requests are under way: enough to fill a line of 2.5 Gbit/s at 100 ms, where the store gives each so much; and less than the memory below.
const REQUESTS_AHEAD: usize = 8;

/// How much sealed data may be under way or waiting for a thread, in KiB: 48 MiB, so that with everything else a restore stays below 256 MiB.
const WAITING_KIB: u32 = 48 << 10;

/// Fetches frames and hands them to the threads. The last frames of a window may be under way while those of the next are asked for: a line that is long never idles.
#[derive(Debug)]
pub(super) struct Fetcher {
    repository: Arc<Repository>,
    findings: Arc<Findings>,
    jobs: Jobs,
    memory: Arc<Semaphore>,
    pace: Arc<Pace>,
    under_way: JoinSet<Fetched>,
    /// Windows whose frames are not all handed over, in their order.
    open: VecDeque<Open>,
    /// Tells when the window that was closed last is written.
    closed: Option<oneshot::Receiver<()>>,
}

/// A window that is being fetched.
#[derive(Debug)]
struct Open {
    work: Arc<Work>,
    requests_left: usize,
    written: oneshot::Receiver<()>,
}

/// Frames that are fetched together, and the memory set aside for them.
struct Batch {
    work: Arc<Work>,
    frames: Vec<FrameWork>,
    memory: Arc<OwnedSemaphorePermit>,
}

type Fetched = (Batch, Result<Vec<Bytes>, Error>);

impl Fetcher {
    pub(super) fn new(repository: Arc<Repository>, findings: Arc<Findings>, jobs: Jobs, pace: Arc<Pace>) -> Self {
        let memory = Arc::new(Semaphore::new(WAITING_KIB as usize));
        let (under_way, open, closed) = (JoinSet::new(), VecDeque::new(), None);
        Self { repository, findings, jobs, memory, pace, under_way, open, closed }
    }

    /// Asks for all frames of a window, and hands over what comes meanwhile. A frame that is damaged or gone costs its files and nothing else.
    pub(super) async fn fetch(&mut self, work: Arc<Work>, written: oneshot::Receiver<()>) -> Result<(), RestoreError> {
        let ahead = batches(work.frames(&self.repository));
        let requests_left = ahead.len();
        self.open.push_back(Open { work: Arc::clone(&work), requests_left, written });
        for frames in ahead {
            while self.under_way.len() >= REQUESTS_AHEAD {
                self.take_one().await?;
            }
            let memory = loop {
                match self.set_aside(&frames, self.under_way.is_empty()).await? {
                    Some(memory) => break Arc::new(memory),
                    None => self.take_one().await?,
                }
            };
            self.pace.may_go_on().await;
            self.request(Batch { work: Arc::clone(&work), frames, memory });
        }
        self.close_done().await
    }

    /// Hands over what is still under way, and waits until the last window is written.
    pub(super) async fn finish(mut self) -> Result<(), RestoreError> {
        while !self.under_way.is_empty() {
            self.take_one().await?;
        }
        match self.closed {
            Some(last) => last.await.map_err(|_| RestoreError::Thread),
            None => Ok(()),
        }
    }

    async fn take_one(&mut self) -> Result<(), RestoreError> {
        let Some(fetched) = self.under_way.join_next().await else { return Ok(()) };
        let (batch, result) = fetched.map_err(|_| RestoreError::Thread)?;
        let work = Arc::clone(&batch.work);
        self.hand_over(batch, result).await?;
        self.findings.check()?;
        self.open.iter_mut().filter(|open| Arc::ptr_eq(&open.work, &work)).for_each(|open| open.requests_left -= 1);
        self.close_done().await
    }

    /// Windows may be written side by side but are finished one after the other.
    async fn close_done(&mut self) -> Result<(), RestoreError> {
        while let Some(Open { work, written, .. }) = self.open.pop_front_if(|open| open.requests_left == 0) {
            if let Some(before) = self.closed.replace(written) {
                before.await.map_err(|_| RestoreError::Thread)?;
            }
            self.jobs.send(Job::NoMore, &work).await?;
            self.findings.check()?;
        }
        Ok(())
    }

    /// Waits for memory only when nothing is under way: what is under way may hold the memory that would be waited for.
    async fn set_aside(
        &self,
        frames: &[FrameWork],
        may_wait: bool,
    ) -> Result<Option<OwnedSemaphorePermit>, RestoreError> {
        let kib = frames.iter().map(|frame| frame.sealed_length.div_ceil(1024)).sum::<u32>().min(WAITING_KIB);
        let memory = Arc::clone(&self.memory);
        if may_wait {
            return memory.acquire_many_owned(kib).await.map(Some).map_err(|_| RestoreError::Thread);
        }
        Ok(memory.try_acquire_many_owned(kib).ok())
    }

    fn request(&mut self, batch: Batch) {
        let repository = Arc::clone(&self.repository);
        self.under_way.spawn(async move {
            let ids: Vec<FrameId> = batch.frames.iter().map(|frame| frame.frame).collect();
            let result = repository.fetch_frames(&ids).await;
            (batch, result)
        });
    }

    async fn hand_over(&self, batch: Batch, result: Result<Vec<Bytes>, Error>) -> Result<(), RestoreError> {
        let Batch { work, frames, memory } = batch;
        match result {
            Ok(sealed) => {
                for (frame, sealed) in frames.into_iter().zip(sealed) {
                    self.hand_over_one(&work, frame, sealed, &memory).await?;
                }
            }
            Err(error) if !is_damage(&error) => return Err(error.into()),
            // One of them is bad: the others are fetched one by one.
            Err(_) => {
                for frame in frames {
                    match self.repository.fetch_frames(&[frame.frame]).await {
                        Ok(sealed) => self.hand_over_one(&work, frame, sealed.concat().into(), &memory).await?,
                        // An empty frame: whoever is to open it looks for its chunks elsewhere, and says what is lost.
                        Err(error) if is_damage(&error) => {
                            self.hand_over_one(&work, frame, Bytes::new(), &memory).await?
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }

    async fn hand_over_one(
        &self,
        work: &Arc<Work>,
        frame: FrameWork,
        sealed: Bytes,
        memory: &Arc<OwnedSemaphorePermit>,
    ) -> Result<(), RestoreError> {
        self.findings.fetched_bytes.add(sealed.len() as u64);
        let job = FrameJob { frame: frame.frame, pieces: frame.pieces, sealed, _memory: Arc::clone(memory) };
        self.jobs.send(Job::Frame(job), work).await
    }
}

/// Whether an error costs files, and not the restore.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound)
}

/// Frames in groups of about the size of a request.
fn batches(frames: Vec<FrameWork>) -> VecDeque<Vec<FrameWork>> {
    let mut batches: VecDeque<Vec<FrameWork>> = VecDeque::new();
    let mut bytes = REQUEST_BYTES;
    for frame in frames {
        if bytes >= REQUEST_BYTES {
            batches.push_back(Vec::new());
            bytes = 0;
        }
        bytes += u64::from(frame.sealed_length);
        batches.back_mut().into_iter().for_each(|batch| batch.push(frame.clone()));
    }
    batches
}
