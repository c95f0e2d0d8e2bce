//! The threads of a restore: started together, fed through one queue, joined at the end.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use strongroom_repository::Repository;
use tokio::sync::oneshot;

use super::error::RestoreError;
use super::events::Listener;
use super::findings::Findings;
use super::jobs::{self, Jobs};
use super::options::RestoreOptions;
use super::prepare::Preparer;
use super::staging::Staging;
use super::threads::spawn;
use super::verify::{Verifier, VerifyTimes};
use super::writer::Writer;
use crate::filesystem::Root;
use crate::progress::Progress;

/// Windows that may wait to be read back, besides the one that is.
const WINDOWS_WAITING: usize = 1;

/// The running threads.
#[derive(Debug)]
pub(super) struct Crew {
    jobs: Option<Jobs>,
    writers: Vec<JoinHandle<()>>,
    verifier: Option<JoinHandle<()>>,
    verified: Option<oneshot::Receiver<VerifyTimes>>,
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
}

impl Crew {
    pub(super) fn start(tools: &Tools, options: &RestoreOptions) -> Result<Self, RestoreError> {
        let (jobs, orders) = jobs::queue();
        let (written, to_verify) = mpsc::sync_channel(WINDOWS_WAITING);
        let (done, verified) = oneshot::channel();
        let verifier = Verifier::new(&tools.staging, &tools.root, &tools.findings, tools.listener.clone());
        let verifier = spawn("restore-verify", move || {
            // Nobody waits any more when the restore was cancelled.
            let _cancelled = done.send(verifier.run(&to_verify));
        })?;
        let mut crew = Self { jobs: Some(jobs), writers: Vec::new(), verifier: Some(verifier), verified: Some(verified) };
        let preparer = Arc::new(Preparer {
            root: Arc::clone(&tools.root),
            findings: Arc::clone(&tools.findings),
            progress: Arc::clone(&tools.progress),
            found: tools.staging.found(),
            reader: Mutex::new(None),
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
            };
            crew.writers.push(spawn(&format!("restore-write-{number}"), move || writer.run())?);
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
        let verified = self.verified.take().ok_or(RestoreError::Thread)?;
        let times = verified.await.map_err(|_| RestoreError::Thread);
        self.join()?;
        times
    }

    fn join(&mut self) -> Result<(), RestoreError> {
        let threads = self.writers.drain(..).chain(self.verifier.take());
        let panicked = threads.map(JoinHandle::join).filter(Result::is_err).count();
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
