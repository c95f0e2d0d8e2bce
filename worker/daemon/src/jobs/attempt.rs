//! One try of a job, from its turn to its end.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use strongroom_repository::{Error, Repository, SnapshotKind};
use strongroom_worker::backup::{self, BackupError, BackupEvent, BackupOptions, BackupReport, EventSink, Input, Room};
use strongroom_worker::command::{Order, Running, Take};
use strongroom_worker::exclude::{Caches, Excludes, Mounts};
use strongroom_worker::progress::Progress;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::control::Wish;
use super::gate::{gate, visible};
use super::hooks::{self, HookResult};
use super::job::Job;
use super::opening::{self, Unopened, kind_of_store, told};
use super::report::{Made, report};
use super::turns::Turns;
use super::{Site, blocking, restoring};
use crate::gateway::{GatewayStore, GiveUp};
use crate::ledger::{FailureKind, Recorded};
use crate::request::{Request, Source, command_time_max};
use crate::task::Task;

/// How often watchers hear of progress.
const TICK: Duration = Duration::from_millis(500);

/// How a try ended.
#[derive(Debug)]
enum End {
    BackedUp(Box<BackupReport>, Made),
    Failed(FailureKind, String),
    Asked(Wish),
}

impl From<Unopened> for End {
    fn from(Unopened { kind, reason }: Unopened) -> Self {
        Self::Failed(kind, reason)
    }
}

/// Runs a job until it has ended or the worker stops.
pub(super) async fn run(job: Arc<Job>, site: Arc<Site>, turns: Arc<Turns>) {
    let task = job.with(|entry| entry.request.clone());
    let trying = async {
        match &task {
            Task::Backup(request) => Box::pin(attempt(&job, &site, &turns, request)).await,
            Task::Restore(request) => Box::pin(restoring::attempt(&job, &site, &turns, request)).await,
        }
    };
    let trying = AssertUnwindSafe(trying).catch_unwind();
    let panicked = |_| Some(Recorded::Failed { kind: FailureKind::Worker, reason: "the worker has a fault".into() });
    if let Some(state) = trying.await.unwrap_or_else(panicked) {
        tracing::info!(job = %job.id(), state = name(&state), "ended");
        blocking(|| job.end(state));
    }
}

fn name(state: &Recorded) -> &'static str {
    match state {
        Recorded::Running => "running",
        Recorded::BackedUp { .. } => "backed up",
        Recorded::Restored { .. } => "restored",
        Recorded::Failed { .. } => "failed",
        Recorded::Cancelled => "cancelled",
    }
}

/// None if the worker stops and the job is to go on later.
async fn attempt(job: &Arc<Job>, site: &Site, turns: &Turns, request: &Request) -> Option<Recorded> {
    job.show_doing("waiting for another job");
    let turn = tokio::select! {
        turn = turns.take(request.subject()) => turn,
        wish = job.control().asked() => return ended(End::Asked(wish), &[]),
    };
    let this = Attempt { job, site, request, stop: Arc::default() };
    let (end, hooks) = this.run().await;
    drop(turn);
    ended(end, &hooks)
}

fn ended(end: End, hooks: &[HookResult]) -> Option<Recorded> {
    match end {
        End::BackedUp(made, how) => Some(Recorded::BackedUp { report: report(&made, how, hooks) }),
        End::Asked(Wish::Cancel) => Some(Recorded::Cancelled),
        End::Asked(Wish::Stop) => None,
        End::Failed(kind, mut reason) => {
            for error in hooks.iter().filter_map(|hook| hook.error.as_ref()) {
                reason.push_str("; and after it: ");
                reason.push_str(error);
            }
            Some(Recorded::Failed { kind, reason })
        }
    }
}

struct Attempt<'a> {
    job: &'a Arc<Job>,
    site: &'a Site,
    request: &'a Request,
    /// Ends the commands of this try.
    stop: Arc<AtomicBool>,
}

impl Attempt<'_> {
    async fn run(&self) -> (End, Vec<HookResult>) {
        self.job.show_doing("opening the repository");
        let (gateway, give_up) =
            GatewayStore::with_patience(self.site.links.clone(), self.request.repository, self.site.patience);
        let opened = tokio::select! {
            opened = opening::open_for_backup(self.site, self.request, gateway.clone()) => opened.map_err(End::from),
            wish = self.job.control().asked() => Err(End::Asked(wish)),
        };
        let repository = match opened {
            Ok(repository) => repository,
            Err(end) => return (end, Vec::new()),
        };
        if let Some(report) = visible(self.job, &repository.history()) {
            tracing::info!(job = %self.job.id(), snapshot = %report.snapshot, "an earlier try is visible and adopted");
            return self.after(End::BackedUp(report.into(), Made::Earlier), Vec::new()).await;
        }
        if self.job.with(|entry| entry.cancelling) {
            return (End::Asked(Wish::Cancel), Vec::new());
        }
        let room = tokio::select! {
            room = opening::room(self.request, &gateway) => room,
            wish = self.job.control().asked() => return (End::Asked(wish), Vec::new()),
        };
        let (end, hooks) = self.work(repository, room, give_up).await;
        self.after(end, hooks).await
    }

    /// The hooks before, and the backup.
    async fn work(&self, repository: Arc<Repository>, room: Room, give_up: GiveUp) -> (End, Vec<HookResult>) {
        let before = async {
            let hooks = hooks::before(self.job, self.request, &self.stop);
            tokio::pin!(hooks);
            tokio::select! {
                done = &mut hooks => return done,
                _ = self.job.control().asked() => self.stop.store(true, Ordering::Relaxed),
            }
            hooks.await
        };
        let hooks = match before.await {
            Ok(hooks) => hooks,
            Err(error) => {
                let failed =
                    || End::Failed(FailureKind::Command, format!("a command before the backup failed: {error}"));
                return (self.job.control().wish().map_or_else(failed, End::Asked), Vec::new());
            }
        };
        self.job.show_doing("backing up");
        (self.back_up(repository, room, give_up).await, hooks)
    }

    async fn back_up(&self, repository: Arc<Repository>, room: Room, give_up: GiveUp) -> End {
        let options = match self.options(room) {
            Ok(options) => options,
            Err(end) => return end,
        };
        let progress = Arc::new(Progress::default());
        let _ticker = Ticker::start(Arc::clone(self.job), Arc::clone(&progress));
        let (over, is_over) = oneshot::channel();
        let events = sink(self.job, over);
        let running = backup::run_if(Arc::clone(&repository), options, progress, events, gate(Arc::clone(self.job)));
        let mut running = Box::pin(running);
        let done = tokio::select! {
            done = &mut running => done,
            wish = self.job.control().asked() => {
                // The gate lets nothing through any more. The run stops at its next step, and its commands and calls end at once.
                self.stop.store(true, Ordering::Relaxed);
                give_up.now();
                drop(running);
                drop(is_over.await);
                return End::Asked(wish);
            }
        };
        match done {
            Ok(report) => End::BackedUp(report.into(), Made::Now),
            Err(error) => self.failed(error, &repository),
        }
    }

    fn failed(&self, error: BackupError, repository: &Repository) -> End {
        if let BackupError::Repository(Error::Withheld(_)) = &error {
            if let Some(wish) = self.job.control().wish() {
                return End::Asked(wish);
            }
            if let Some(report) = visible(self.job, &repository.history()) {
                return End::BackedUp(report.into(), Made::Earlier);
            }
        }
        match (kind(&error), error) {
            (kind, BackupError::Repository(error)) => {
                End::Failed(kind, format!("the repository failed: {}", told(&self.request.store, error)))
            }
            (kind, error) => End::Failed(kind, strongroom_repository::chain(&error)),
        }
    }

    async fn after(&self, end: End, mut hooks: Vec<HookResult>) -> (End, Vec<HookResult>) {
        let snapshot = match &end {
            End::BackedUp(report, _) => report.snapshot.to_string(),
            _ => String::new(),
        };
        let outcome = match &end {
            End::BackedUp(..) => "backed-up",
            End::Failed(..) => "failed",
            End::Asked(Wish::Cancel) => "cancelled",
            End::Asked(Wish::Stop) => "interrupted",
        };
        let told = [("STRONGROOM_RESULT", outcome), ("STRONGROOM_SNAPSHOT", &*snapshot)];
        hooks.extend(hooks::after(self.job, self.request, &told).await);
        (end, hooks)
    }

    fn options(&self, room: Room) -> Result<BackupOptions, End> {
        let request = self.request;
        let mut tags = request.tags.clone();
        tags.insert("job".into(), self.job.id().to_string());
        let asked = request.limits.threads.and_then(|threads| usize::try_from(threads.get()).ok());
        let threads = asked.and_then(NonZeroUsize::new).or_else(|| std::thread::available_parallelism().ok());
        Ok(BackupOptions {
            input: self.input()?,
            kind: if request.full { SnapshotKind::Full } else { SnapshotKind::Incremental },
            host: request.host.clone(),
            tags,
            state_folder: self.site.sources_folder.clone(),
            uploads: UPLOADS_AT_ONCE,
            threads: threads.unwrap_or(NonZeroUsize::MIN).min(THREADS_MAX),
            pace: Arc::clone(self.job.pace()),
            room,
            now: (self.site.clock)(),
            program: crate::PROGRAM.into(),
        })
    }

    fn input(&self) -> Result<Input, End> {
        Ok(match &self.request.source {
            Source::Files { paths, excludes, exclude_caches, one_file_system, larger_than } => Input::Files {
                root: "/".into(),
                sources: paths.clone(),
                excludes: Excludes {
                    patterns: excludes.clone(),
                    caches: if *exclude_caches { Caches::LeaveOut } else { Caches::Keep },
                    mounts: if *one_file_system { Mounts::StayOut } else { Mounts::Cross },
                    larger_than_bytes: *larger_than,
                },
            },
            Source::Command { name, arguments, seconds_max } => {
                let order = Order {
                    arguments: arguments.clone(),
                    environment: hooks::environment(self.job, self.request),
                    time_max: command_time_max(*seconds_max),
                };
                let running = Running::start(order, Take::Output, Arc::clone(&self.stop));
                let failed = |error| End::Failed(FailureKind::Command, strongroom_repository::chain(&error));
                Input::Stream { name: name.clone(), reader: Box::new(running.map_err(failed)?) }
            }
        })
    }
}

/// Packs on their way at once: behind a line, the one before is made durable while the next one comes. 64 MiB of memory each.
const UPLOADS_AT_ONCE: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
/// What a request may ask for: more only costs memory.
pub(super) const THREADS_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Tells the log; and, by its end, that the run's thread has ended.
fn sink(job: &Job, over: oneshot::Sender<()>) -> EventSink {
    let job = job.id().clone();
    Box::new(move |event| {
        let _ends_with_the_run = &over;
        match event {
            BackupEvent::StateUsed { parent } => tracing::debug!(%job, %parent, "builds on the last backup"),
            BackupEvent::StateLeftAside(why) => tracing::info!(%job, %why, "every file is read"),
            BackupEvent::BeginsAgain { why } => tracing::info!(%job, why, "is done once more"),
            BackupEvent::Remark(remark) => tracing::debug!(%job, ?remark, "remark"),
            BackupEvent::Committed { snapshot } => tracing::info!(%job, %snapshot, "committed"),
            BackupEvent::StateNotKept(why) => tracing::warn!(%job, %why, "the next backup will read every file again"),
        }
    })
}

/// Whose fault it was.
fn kind(error: &BackupError) -> FailureKind {
    match error {
        BackupError::Source(_)
        | BackupError::Pattern(_)
        | BackupError::NoSource
        | BackupError::Root(_)
        | BackupError::StreamName(_) => FailureKind::Source,
        BackupError::NoRoom(_) => FailureKind::Store,
        BackupError::Stream(_) => FailureKind::Command,
        BackupError::Repository(error) => kind_of_store(error),
        BackupError::Stopped | BackupError::Thread | BackupError::StateDamaged => FailureKind::Worker,
    }
}

/// Shows progress now and then, as long as it lives.
pub(super) struct Ticker(JoinHandle<()>);

impl Ticker {
    pub(super) fn start(job: Arc<Job>, progress: Arc<Progress>) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                job.show_position(progress.position());
            }
        }))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
