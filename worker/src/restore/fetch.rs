//! Fetching the frames of a window, a few requests ahead of the threads that open them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_repository::{Error, ErrorKind, FrameId, Repository};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Fetches frames and hands them to the threads.
#[derive(Debug)]
pub(super) struct Fetcher {
    repository: Arc<Repository>,
    findings: Arc<Findings>,
    jobs: Jobs,
    memory: Arc<Semaphore>,
    pace: Arc<Pace>,
}

/// Frames that are fetched together, and the memory set aside for them.
struct Batch {
    frames: Vec<FrameWork>,
    memory: Arc<OwnedSemaphorePermit>,
}

type Fetched = (Batch, Result<Vec<Bytes>, Error>);

impl Fetcher {
    pub(super) fn new(repository: Arc<Repository>, findings: Arc<Findings>, jobs: Jobs, pace: Arc<Pace>) -> Self {
        Self { repository, findings, jobs, memory: Arc::new(Semaphore::new(WAITING_KIB as usize)), pace }
    }

    /// Hands over all frames of a window. A frame that is damaged or gone costs its files and nothing else.
    pub(super) async fn run(&self, work: &Arc<Work>) -> Result<(), RestoreError> {
        let mut ahead = batches(work.frames(&self.repository));
        let mut under_way: JoinSet<Fetched> = JoinSet::new();
        loop {
            while under_way.len() < REQUESTS_AHEAD
                && let Some(frames) = ahead.pop_front()
            {
                let Some(memory) = self.set_aside(&frames, under_way.is_empty()).await? else {
                    ahead.push_front(frames);
                    break;
                };
                self.pace.may_go_on().await;
                self.request(Batch { frames, memory: Arc::new(memory) }, &mut under_way);
            }
            let Some(fetched) = under_way.join_next().await else { return Ok(()) };
            let (batch, result) = fetched.map_err(|_| RestoreError::Thread)?;
            self.hand_over(work, batch, result).await?;
            self.findings.check()?;
        }
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

    fn request(&self, batch: Batch, under_way: &mut JoinSet<Fetched>) {
        let repository = Arc::clone(&self.repository);
        under_way.spawn(async move {
            let ids: Vec<FrameId> = batch.frames.iter().map(|frame| frame.frame).collect();
            let result = repository.fetch_frames(&ids).await;
            (batch, result)
        });
    }

    async fn hand_over(
        &self,
        work: &Arc<Work>,
        batch: Batch,
        result: Result<Vec<Bytes>, Error>,
    ) -> Result<(), RestoreError> {
        let Batch { frames, memory } = batch;
        match result {
            Ok(sealed) => {
                for (frame, sealed) in frames.into_iter().zip(sealed) {
                    self.hand_over_one(work, frame, sealed, &memory).await?;
                }
            }
            Err(error) if !is_damage(&error) => return Err(error.into()),
            // One of them is bad: the others are fetched one by one.
            Err(_) => {
                for frame in frames {
                    match self.repository.fetch_frames(&[frame.frame]).await {
                        Ok(sealed) => self.hand_over_one(work, frame, sealed.concat().into(), &memory).await?,
                        // An empty frame: whoever is to open it looks for its chunks elsewhere, and says what is lost.
                        Err(error) if is_damage(&error) => {
                            self.hand_over_one(work, frame, Bytes::new(), &memory).await?
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
