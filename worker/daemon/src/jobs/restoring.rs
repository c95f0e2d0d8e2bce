//! One try of a restore, from its keys to its end.
//!
//! The keys are lent by the controller for this job ([`Job::loan`]) and are nowhere but in memory: a try that begins after a restart waits until they are lent again. They
//! are wanted before the turn, so that a restore whose controller is away is in nobody's way.
//!
//! Recovery is the engine's: what is staged stays, and what is being put in place is moved on. The ledger keeps the report of a restore that is in place before the last
//! trace of it in the target goes; without that, the next try would find everything there and say that there was nothing to do.

use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use strongroom_repository::text::escape;
use strongroom_repository::{Credential, KeyFile, Loan, Repository, chain};
use strongroom_worker::progress::Progress;
use strongroom_worker::restore::{
    self, Gate, HookDone, Listener, RestoreError, RestoreEvent, RestoreOptions, RestorePlan, RestoreReport, Resumes,
};
use tokio::sync::oneshot;

use super::around::{self, NotBegun, Told};
use super::attempt::{THREADS_MAX, Ticker};
use super::control::Wish;
use super::job::Job;
use super::opening::{self, Unopened, Way, kind_of_store, told};
use super::promoting::{NotPromoted, Promotion};
use super::turns::Turns;
use super::{Site, blocking, checking, target};
use crate::gateway::GatewayStore;
use crate::ledger::{FailureKind, Recorded};
use crate::request::RestoreRequest;

/// How a try ended.
enum End {
    Restored(Value),
    Failed(FailureKind, String),
    Asked(Wish),
}

impl From<NotBegun> for End {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::Failed(error) => {
                Self::Failed(FailureKind::Command, format!("a command before the restore failed: {error}"))
            }
            NotBegun::Asked(wish) => Self::Asked(wish),
        }
    }
}

impl From<Unopened> for End {
    fn from(Unopened { kind, reason }: Unopened) -> Self {
        Self::Failed(kind, reason)
    }
}

/// None if the worker stops and the job is to go on later.
pub(super) async fn attempt(job: &Arc<Job>, site: &Site, turns: &Turns, request: &RestoreRequest) -> Option<Recorded> {
    job.show_doing("waiting for its keys");
    let loan = tokio::select! {
        loan = job.loan() => loan,
        wish = job.control().asked() => return ended(End::Asked(wish)),
    };
    job.show_doing("waiting for another restore");
    let turn = tokio::select! {
        turn = turns.take_restore(format!("restore to {}", request.target)) => turn,
        wish = job.control().asked() => return ended(End::Asked(wish)),
    };
    let end = Box::pin(Restoring { job, site, request }.run(&loan)).await;
    drop(turn);
    ended(end.unwrap_or_else(|end| end))
}

fn ended(end: End) -> Option<Recorded> {
    match end {
        End::Restored(report) => Some(Recorded::Restored { report }),
        End::Failed(kind, reason) => Some(Recorded::Failed { kind, reason }),
        End::Asked(Wish::Cancel) => Some(Recorded::Cancelled),
        End::Asked(Wish::Stop) => None,
    }
}

struct Restoring<'a> {
    job: &'a Arc<Job>,
    site: &'a Site,
    request: &'a RestoreRequest,
}

impl Restoring<'_> {
    async fn run(&self, loan: &Loan) -> Result<End, End> {
        blocking(|| target::check(&self.request.target()))
            .map_err(|reason| End::Failed(FailureKind::Target, reason))?;
        let promotion = Promotion::of(self.job, self.request);
        if let Some(report) = blocking(|| promotion.as_ref().and_then(Promotion::done)) {
            return Ok(End::Restored(report));
        }
        let gateway = GatewayStore::with_patience(self.site.links.clone(), self.request.repository, self.site.patience);
        let (gateway, give_up) = (gateway.0.borrowing(), gateway.1);
        self.job.show_doing("opening the repository");
        let repository = self.unless_asked(self.open(gateway, loan)).await??;
        self.job.show_doing("looking at the target");
        let planned = self.unless_asked(self.plan(&repository)).await?;
        let mut plan = planned.map_err(|error| self.failed(error))?;
        let told = Told { request: self.request, time: plan.summary.time };
        if self.request.dry_run {
            return Ok(End::Restored(to_value(&plan.summary)));
        }
        if let Some(promotion) = promotion {
            return self.promote(&promotion, &plan);
        }
        if let Some(report) = self.job.with(|entry| entry.placed.clone())
            && plan.summary.resumes == Resumes::Nothing
        {
            tracing::info!(job = %self.job.id(), "an earlier try has put everything in place");
            return match serde_json::from_value(report.clone()) {
                Ok(report) => self.checked(told, report).await,
                // Of a release with another shape.
                Err(_) => Ok(End::Restored(report)),
            };
        }
        if self.job.with(|entry| entry.cancelling) {
            return Err(End::Asked(Wish::Cancel));
        }
        let before = around::before(self.job, told).await?;
        if !before.is_empty() {
            self.job.show_doing("looking at the target");
            let planned = self.unless_asked(self.plan(&repository)).await?;
            plan = planned.map_err(|error| self.failed(error))?;
        }
        self.job.show_doing("restoring");
        let progress = Arc::new(Progress::default());
        let _ticker = Ticker::start(Arc::clone(self.job), Arc::clone(&progress));
        let (over, is_over) = oneshot::channel();
        let mut running = Box::pin(restore::run(plan, progress, listener(self.job, over, before.clone())));
        let done = tokio::select! {
            done = &mut running => done,
            wish = self.job.control().asked() => {
                // The gate lets nothing into place any more. Calls end at once, and threads at their next step.
                give_up.now();
                drop(running);
                drop(is_over.await);
                return Err(End::Asked(wish));
            }
        };
        match done {
            Ok(report) => self.checked(told, RestoreReport { hooks: before, ..report }).await,
            Err(error) => Err(self.failed(error)),
        }
    }

    fn promote(&self, promotion: &Promotion, plan: &RestorePlan) -> Result<End, End> {
        self.job.show_doing("putting it in place");
        match blocking(|| promotion.carry_out(plan)) {
            Ok(report) => Ok(End::Restored(report)),
            Err(NotPromoted::Asked) => Err(End::Asked(self.job.control().wish().unwrap_or(Wish::Stop))),
            Err(NotPromoted::Refused(reason)) => Err(End::Failed(FailureKind::Target, reason)),
        }
    }

    /// What is in place is in place: the checks, and what runs after it, can only say more of it.
    async fn checked(&self, told: Told<'_>, report: RestoreReport) -> Result<End, End> {
        let checked = checking::check(self.job, told, report).await.map_err(End::Asked)?;
        let probed = around::after(self.job, told, checked).await.map_err(End::Asked)?;
        Ok(End::Restored(to_value(&probed)))
    }

    async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            done = work => Ok(done),
            wish = self.job.control().asked() => Err(End::Asked(wish)),
        }
    }

    async fn open(&self, gateway: GatewayStore, loan: &Loan) -> Result<Arc<Repository>, End> {
        let no_key = |reason| End::Failed(FailureKind::Worker, reason);
        let credential = self.site.keys.credential(self.request.repository);
        let credential = match credential.map_err(|error| no_key(chain(&error)))? {
            Credential::File(KeyFile::Writer(file)) => Credential::Lent(file, Box::new(loan.clone())),
            _ => return Err(no_key("this host's key of the repository is none of a writer".into())),
        };
        let way = Way { store: &self.request.store, limit: self.request.limits.download_bytes_per_second };
        Ok(opening::open(way, gateway, &credential, &self.site.cache_folder).await?)
    }

    async fn plan(&self, repository: &Arc<Repository>) -> Result<RestorePlan, RestoreError> {
        let request = self.request;
        let snapshot = repository.snapshot(request.snapshot).await?;
        let mut options = RestoreOptions {
            paths: request.raw_paths(),
            overwrite: request.overwrite,
            replaced: request.replaced,
            owners: request.owners,
            pace: Arc::clone(self.job.pace()),
            ..RestoreOptions::into_target(request.target())
        };
        let threads = request.limits.threads.and_then(|threads| usize::try_from(threads.get()).ok());
        if let Some(threads) = threads.and_then(NonZeroUsize::new) {
            options.writers = threads.min(THREADS_MAX);
        }
        restore::plan(repository, &snapshot, options).await
    }

    fn failed(&self, error: RestoreError) -> End {
        if let (RestoreError::Withheld(_), Some(wish)) = (&error, self.job.control().wish()) {
            return End::Asked(wish);
        }
        match error {
            RestoreError::Repository(error) => End::Failed(
                kind_of_store(&error),
                format!("the repository failed: {}", told(&self.request.store, error)),
            ),
            error => End::Failed(kind(&error), chain(&error)),
        }
    }
}

/// Whose fault it was.
fn kind(error: &RestoreError) -> FailureKind {
    match error {
        RestoreError::Target { .. }
        | RestoreError::NoRoom { .. }
        | RestoreError::Busy(_)
        | RestoreError::Note { .. } => FailureKind::Target,
        RestoreError::NotInSnapshot(_) | RestoreError::BadPath(_) => FailureKind::Source,
        RestoreError::Repository(error) => kind_of_store(error),
        RestoreError::Withheld(_) | RestoreError::Thread => FailureKind::Worker,
    }
}

/// Tells the log, asks whether the restore may become visible, and keeps its report, with what ran before it; and, by its end, says that the restore's threads have ended.
fn listener(job: &Arc<Job>, over: oneshot::Sender<()>, before: Vec<HookDone>) -> Listener {
    let name = job.id().clone();
    let listen = move |event: &RestoreEvent| {
        let _ends_with_the_run = &over;
        match event {
            RestoreEvent::Staging { path } => {
                tracing::info!(job = %name, path = escape(path.as_os_str().as_encoded_bytes()), "is staged");
            }
            RestoreEvent::Placing => tracing::info!(job = %name, "is verified, and put in place"),
            RestoreEvent::Flushed { .. } | RestoreEvent::ReadBack { .. } | RestoreEvent::Placed => {}
        }
    };
    let (asked, keeping) = (Arc::clone(job), Arc::clone(job));
    Listener::new(listen).with_gate(Gate {
        may_place: Box::new(move || asked.control().commit(|| Ok(()))),
        placed: Box::new(move |report| {
            let report = RestoreReport { hooks: before.clone(), ..report.clone() };
            keeping.record(|entry| entry.placed = Some(to_value(&report))).map_err(|error| chain(&error))
        }),
    })
}

fn to_value(value: &impl Serialize) -> Value {
    // BUG if it fails: reports are strings, numbers and lists.
    serde_json::to_value(value).expect("a report serialises")
}
