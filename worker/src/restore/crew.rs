//! The threads of a restore: started together, fed through one queue, joined at the end.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use strongroom_repository::Repository;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::error::RestoreError;
use super::events::Listener;
use super::findings::Findings;
use super::jobs::{self, Jobs};
use super::options::RestoreOptions;
use super::prepare::Preparer;
use super::readback::Reader;
use super::staging::{Found, Staging};
use super::takeover::Takeover;
use super::threads::spawn;
use super::verify::{Flusher, Verifier};
use super::writer::Writer;
use crate::filesystem::Root;
use crate::progress::Progress;

/// Windows that may wait to be flushed, besides the one that is.
const WINDOWS_WAITING: usize = 1;

/// The running threads.
#[derive(Debug)]
pub(super) struct Crew {
    jobs: Option<Jobs>,
    threads: Vec<JoinHandle<()>>,
    flushed: Option<oneshot::Receiver<Duration>>,
    verified: Option<oneshot::Receiver<Duration>>,
}

/// How long the two parts of verifying took.
#[derive(Debug, Clone, Copy)]
pub(super) struct VerifyTimes {
    pub(super) flush: Duration,
    pub(super) read_back: Duration,
}

/// What the threads work with.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) repository: Arc<Repository>,
    pub(super) staging: Arc<Staging>,
    pub(super) root: Arc<Root>,
    pub(super) findings: Arc<Findings>,
    pub(super) progress: Arc<Progress>,
    pub(super) listener: Listener,
    pub(super) runtime: Handle,
}

impl Tools {
    fn takeover(&self) -> Takeover {
        Takeover {
            repository: Arc::clone(&self.repository),
            root: Arc::clone(&self.root),
            findings: Arc::clone(&self.findings),
            progress: Arc::clone(&self.progress),
            bypass: self.staging.bypass(),
            reader: Mutex::new(Reader::new()),
        }
    }
}

impl Crew {
    pub(super) fn start(tools: &Tools, options: &RestoreOptions) -> Result<Self, RestoreError> {
        let (jobs, orders) = jobs::queue();
        let (written, to_flush) = mpsc::sync_channel(WINDOWS_WAITING);
        // A flushed window is handed over when the one before is read back.
        let (flushed, to_verify) = mpsc::sync_channel(0);
        let (flush_done, is_flushed) = oneshot::channel();
        let (verify_done, is_verified) = oneshot::channel();
        let verifier = Verifier::new(tools);
        let (staging, findings) = (Arc::clone(&tools.staging), Arc::clone(&tools.findings));
        let flusher = Flusher { staging, findings, listener: tools.listener.clone(), flushed };
        let mut crew =
            Self { jobs: Some(jobs), threads: Vec::new(), flushed: Some(is_flushed), verified: Some(is_verified) };
        // Nobody waits for either any more when the restore was cancelled.
        crew.threads.push(spawn("restore-verify", move || _ = verify_done.send(verifier.run(&to_verify)))?);
        crew.threads.push(spawn("restore-flush", move || _ = flush_done.send(flusher.run(&to_flush)))?);
        let preparer = Arc::new(Preparer {
            root: Arc::clone(&tools.root),
            findings: Arc::clone(&tools.findings),
            takeover: (tools.staging.found() == Found::Unfinished).then(|| tools.takeover()),
        });
        for number in 0..options.writers.get() {
            let writer = Writer {
                repository: Arc::clone(&tools.repository),
                root: Arc::clone(&tools.root),
                findings: Arc::clone(&tools.findings),
                progress: Arc::clone(&tools.progress),
                orders: orders.clone(),
                written: written.clone(),
                preparer: Arc::clone(&preparer),
                runtime: tools.runtime.clone(),
            };
            crew.threads.push(spawn(&format!("restore-write-{number}"), move || writer.run())?);
        }
        Ok(crew)
    }

    /// The way to give them work.
    pub(super) fn jobs(&self) -> Result<Jobs, RestoreError> {
        self.jobs.clone().ok_or(RestoreError::Thread)
    }

    /// Waits until everything that was handed out is written and read back. All other holders of the queue must be gone.
    pub(super) async fn finish(mut self) -> Result<VerifyTimes, RestoreError> {
        self.jobs = None;
        let (flushed, verified) = (self.flushed.take(), self.verified.take());
        let (Some(flushed), Some(verified)) = (flushed, verified) else { return Err(RestoreError::Thread) };
        let times = (flushed.await, verified.await);
        self.join()?;
        match times {
            (Ok(flush), Ok(read_back)) => Ok(VerifyTimes { flush, read_back }),
            _ => Err(RestoreError::Thread),
        }
    }

    fn join(&mut self) -> Result<(), RestoreError> {
        let panicked = self.threads.drain(..).map(JoinHandle::join).filter(Result::is_err).count();
        if panicked == 0 { Ok(()) } else { Err(RestoreError::Thread) }
    }
}

impl Drop for Crew {
    /// When a restore is given up or cancelled, the threads finish the job they are at and end.
    fn drop(&mut self) {
        self.jobs = None;
        if self.join().is_err() {
            tracing::error!("a thread of the restore panicked");
        }
    }
}
