//! All jobs of this worker: started once, run to their end whatever happens to the connection or the daemon, remembered for a while.
//!
//! What holds:
//!
//! * A job is in the ledger before anything of it happens, and its snapshot's id is there before the snapshot can become visible.
//! * One path serves first run, retry and recovery: look whether an earlier try became visible, and if not run from the beginning. So of all tries of a job, across crashes
//!   at any instruction, at most one snapshot becomes visible (see [`attempt`]).
//! * A worker never goes back a generation.
//!
//! | beside               | another job of the same source | a job of another source   |
//! |----------------------|--------------------------------|---------------------------|
//! | a job that runs      | waits                          | runs, up to [`AT_ONCE`]   |
//!
//! Of restores, those to one target wait for each other, and [`AT_ONCE`] run beside the backups.
//!
//! Deliberately absent: when and why a job is to run, and whether to try again. That is the controller's.

mod around;
mod attempt;
mod checking;
mod control;
mod decide;
mod gate;
mod hooks;
mod job;
mod opening;
mod promoting;
mod report;
mod restoring;
mod target;
mod turns;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use strongroom_repository::Loan;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinSet;

pub use decide::StartError;
pub use view::{Phase, View};

use crate::gateway::Links;
use crate::job_id::JobId;
use crate::keys::Keys;
use crate::ledger::{self, Entry, Ledger, LedgerError, Recorded};
use crate::task::Task;
use control::Wish;
use decide::{Decision, decide};
use job::Job;
use turns::Turns;

/// Jobs that run at the same time. A host has its own work to do, and two keep disk and line busy.
const AT_ONCE: usize = 2;
/// Jobs that wait or run. Each is a task and some kilobytes; more than that is a controller gone wrong.
const RUNNING_MAX: usize = 1000;
/// How long jobs may take to finish their current step when the worker stops. The service manager must wait longer than that.
pub const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Where jobs keep what they need, and the time.
#[derive(Debug)]
pub struct Site {
    /// The keys of repositories.
    pub keys: Keys,
    /// The way to them.
    pub links: Links,
    /// What is remembered of sources.
    pub sources_folder: PathBuf,
    /// What is kept of repositories.
    pub cache_folder: PathBuf,
    /// The host's clock.
    pub clock: fn() -> Timestamp,
    /// How long a job waits for the gateway.
    pub patience: Duration,
}

/// The jobs. Clones are the same jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    site: Arc<Site>,
    ledger: Arc<Ledger>,
    turns: Arc<Turns>,
    table: AsyncMutex<BTreeMap<JobId, Arc<Job>>>,
    tasks: Mutex<JoinSet<()>>,
    stopping: watch::Sender<bool>,
}

/// No job of this name and generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Never heard of it, or forgotten.
    #[error("no job '{0}' is known here")]
    Unknown(JobId),
    /// That attempt is over.
    #[error("generation {asked} of job '{job}' is over, it is at {known}")]
    Older {
        /// The job.
        job: JobId,
        /// What was asked for.
        asked: u64,
        /// What is known.
        known: u64,
    },
    /// That attempt was never started here.
    #[error("generation {asked} of job '{job}' was not started, it is at {known}")]
    Newer {
        /// The job.
        job: JobId,
        /// What was asked for.
        asked: u64,
        /// What is known.
        known: u64,
    },
}

/// Why keys are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LendError {
    /// There is no such job.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The job restores another snapshot, or is a backup.
    #[error("the keys that were lent are not those of job '{0}'")]
    NotForThis(JobId),
}

impl Jobs {
    /// The jobs of a ledger. Those that were running when it was last used are taken up again.
    pub fn open(site: Site, folder: PathBuf) -> Result<Self, LedgerError> {
        let (ledger, entries) = Ledger::open(&folder)?;
        let (ledger, clock) = (Arc::new(ledger), site.clock);
        let known = entries.into_iter().map(|entry| Arc::new(Job::new(entry, Arc::clone(&ledger), clock)));
        let mut table: BTreeMap<JobId, Arc<Job>> = known.map(|job| (job.id().clone(), job)).collect();
        sweep(&mut table, &ledger, clock());
        let running: Vec<Arc<Job>> = table.values().filter(|job| !job.with(Entry::has_ended)).cloned().collect();
        let jobs = Self {
            inner: Arc::new(Inner {
                site: Arc::new(site),
                ledger,
                turns: Arc::new(Turns::new(AT_ONCE)),
                table: AsyncMutex::new(table),
                tasks: Mutex::default(),
                stopping: watch::Sender::new(false),
            }),
        };
        for job in running {
            tracing::info!(job = %job.id(), "taken up again");
            job.record(|entry| entry.number += 1)?;
            jobs.spawn(job);
        }
        Ok(jobs)
    }

    /// Starts a job, or finds it started.
    pub async fn start(&self, id: JobId, generation: u64, request: Task) -> Result<View, StartError> {
        let mut table = self.inner.table.lock().await;
        let mut committing = Vec::new();
        if let Some(job) = table.get(&id) {
            match job.with(|entry| decide(entry, generation, &request.fingerprint()))? {
                Decision::Answer => return Ok(job.view()),
                Decision::Raise => {
                    blocking(|| job.record(|entry| (entry.generation, entry.number) = (generation, entry.number + 1)))?;
                    return Ok(job.view());
                }
                Decision::Run { committing: earlier } => committing = earlier,
            }
        }
        self.check_room(&table, &request)?;
        let number = table.get(&id).map_or(1, |job| job.with(|entry| entry.number + 1));
        let entry = Entry::new(id.clone(), generation, request, (self.inner.site.clock)());
        let entry = Entry { committing, number, ..entry };
        blocking(|| self.inner.ledger.write(&entry))?;
        tracing::info!(job = %id, generation, "started");
        let job = Arc::new(Job::new(entry, Arc::clone(&self.inner.ledger), self.inner.site.clock));
        table.insert(id, Arc::clone(&job));
        self.spawn(Arc::clone(&job));
        blocking(|| sweep(&mut table, &self.inner.ledger, (self.inner.site.clock)()));
        Ok(job.view())
    }

    fn check_room(&self, table: &BTreeMap<JobId, Arc<Job>>, request: &Task) -> Result<(), StartError> {
        if self.is_stopping() {
            return Err(StartError::Stopping);
        }
        if !self.inner.site.keys.has(request.repository()) {
            return Err(StartError::NotEnrolled(request.repository()));
        }
        let running = table.values().filter(|job| !job.with(Entry::has_ended)).count();
        if running < RUNNING_MAX { Ok(()) } else { Err(StartError::TooMany(RUNNING_MAX)) }
    }

    /// Hands a restore its keys, for as long as it runs.
    pub async fn lend(&self, id: &JobId, generation: u64, loan: Loan) -> Result<View, LendError> {
        let job = self.find(id, generation).await?;
        let is_meant = job.with(|entry| match &entry.request {
            Task::Restore(request) => (request.repository, request.snapshot) == (loan.repository(), loan.snapshot()),
            Task::Backup(_) => false,
        });
        if !is_meant {
            return Err(LendError::NotForThis(id.clone()));
        }
        tracing::info!(job = %id, segments = loan.segments(), "keys were lent");
        job.lend(loan);
        Ok(job.view())
    }

    /// The job's state, now and whenever it changes. Generation 0 is whichever is the newest.
    pub async fn watch(&self, id: &JobId, generation: u64) -> Result<watch::Receiver<View>, LookupError> {
        self.find(id, generation).await.map(|job| job.subscribe())
    }

    /// Asks a job to end. Too late for one that is becoming visible.
    pub async fn cancel(&self, id: &JobId, generation: u64) -> Result<Result<View, LedgerError>, LookupError> {
        let job = self.find(id, generation).await?;
        let is_running = !job.with(Entry::has_ended);
        let recorded = match is_running && job.control().ask(Wish::Cancel) {
            true => blocking(|| job.record(|entry| entry.cancelling = true)),
            false => Ok(()),
        };
        Ok(recorded.map(|()| job.view()))
    }

    /// Halts a job where it stands: it reads nothing more, also after a restart. One that has ended stays as it is.
    pub async fn pause(&self, id: &JobId, generation: u64) -> Result<Result<View, LedgerError>, LookupError> {
        self.set_paused(id, generation, true).await
    }

    /// Lets a halted job go on.
    pub async fn resume(&self, id: &JobId, generation: u64) -> Result<Result<View, LedgerError>, LookupError> {
        self.set_paused(id, generation, false).await
    }

    async fn set_paused(
        &self,
        id: &JobId,
        generation: u64,
        paused: bool,
    ) -> Result<Result<View, LedgerError>, LookupError> {
        let job = self.find(id, generation).await?;
        let changes = job.with(|entry| !entry.has_ended() && entry.paused != paused);
        let recorded = if changes { blocking(|| job.set_paused(paused)) } else { Ok(()) };
        Ok(recorded.map(|()| job.view()))
    }

    /// All that are remembered, newest first.
    pub async fn list(&self) -> Vec<View> {
        let table = self.inner.table.lock().await;
        let mut found: Vec<(Timestamp, View)> =
            table.values().map(|job| (job.with(|entry| entry.changed), job.view())).collect();
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        found.into_iter().map(|(_, view)| view).collect()
    }

    /// Interrupts what runs, waits until every job has finished its step, and starts nothing more. What was interrupted is taken up again by the next [`Jobs::open`].
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        for job in self.inner.table.lock().await.values() {
            job.control().ask(Wish::Stop);
        }
        let mut tasks = std::mem::take(&mut *self.tasks());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!(left = tasks.len(), "jobs did not stop in time and are left where they are");
        }
    }

    /// Resolves when [`Jobs::stop`] is called.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.inner.stopping.subscribe();
        async move { drop(stopping.wait_for(|stopping| *stopping).await) }
    }

    fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }

    async fn find(&self, id: &JobId, generation: u64) -> Result<Arc<Job>, LookupError> {
        let table = self.inner.table.lock().await;
        let job = table.get(id).ok_or_else(|| LookupError::Unknown(id.clone()))?;
        let known = job.with(|entry| entry.generation);
        match generation {
            asked if asked == 0 || asked == known => Ok(Arc::clone(job)),
            asked if asked < known => Err(LookupError::Older { job: id.clone(), asked, known }),
            asked => Err(LookupError::Newer { job: id.clone(), asked, known }),
        }
    }

    fn spawn(&self, job: Arc<Job>) {
        let inner = &self.inner;
        let running = attempt::run(job, Arc::clone(&inner.site), Arc::clone(&inner.turns));
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(running);
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what ended long ago.
fn sweep(table: &mut BTreeMap<JobId, Arc<Job>>, ledger: &Ledger, now: Timestamp) {
    let at_end = |job: &Job| job.with(|entry| entry.has_ended().then_some(entry.changed));
    let ended: Vec<(JobId, Timestamp)> =
        table.iter().filter_map(|(id, job)| Some((id.clone(), at_end(job)?))).collect();
    for id in ledger::outlived(ended.iter().map(|(id, at)| (id, *at)), now) {
        match ledger.forget(&id) {
            Ok(()) => drop(table.remove(&id)),
            Err(error) => tracing::warn!(error = strongroom_repository::chain(&error), "not forgotten"),
        }
    }
}

impl From<&Recorded> for Option<Phase> {
    fn from(state: &Recorded) -> Self {
        match state {
            Recorded::Running => None,
            Recorded::BackedUp { report } => Some(Phase::BackedUp { report: report.to_string().into() }),
            Recorded::Restored { report } => Some(Phase::Restored { report: report.to_string().into() }),
            Recorded::Failed { kind, reason } => Some(Phase::Failed { kind: *kind, reason: reason.clone() }),
            Recorded::Cancelled => Some(Phase::Cancelled),
        }
    }
}

/// A small file written and flushed, from a task. Other tasks go on meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
