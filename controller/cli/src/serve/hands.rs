//! The hands of a run in a fleet: the host's worker backs up, this machine restores to scratch and proves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use strongroom_controller::daemon::{Doing, RunOrder};
use strongroom_controller::links::{Links, Unreachable};
use strongroom_controller::remote::{self, JobFault, RemoteJob};
use strongroom_controller::{
    BackupDone, BackupOrder, CheckResult, CopyDone, CopyOrder, Executor, RestoreDone, StepPlace,
};
use strongroom_plans::{CheckCommand, CheckLimits, FailureClass, RunKind, Step};
use strongroom_proto::worker::{BackupJob, DirectStore, FailureKind, Hooks, Limits, Running, StartRequest};
use strongroom_repository::{ObjectId, Snapshot, WriterIdentity, chain};
use strongroom_worker::backup::BackupReport;

use crate::access::Opened;
use crate::context::Context;
use crate::failure::{Cause, Failure};
use crate::room;
use crate::run::Local;

/// Does the steps of one run.
pub(super) struct Hands<'a> {
    pub(super) order: &'a RunOrder,
    pub(super) links: &'a Arc<Links>,
    pub(super) opened: &'a Opened,
    pub(super) context: &'a Context,
    /// Restores and checks, on this machine.
    pub(super) local: Local<'a>,
    /// Jobs so far: each source is one.
    pub(super) jobs: AtomicU32,
    /// Set when nothing was begun, because the host could not be reached.
    pub(super) unreachable: Option<Unreachable>,
    /// Set when the host was lost on the way, or the store for it.
    pub(super) lost: Option<String>,
    /// Set when the run was cancelled.
    pub(super) cancelled: bool,
    /// What the backup failed by, where trying again may be of use.
    pub(super) class: Option<FailureClass>,
}

impl Hands<'_> {
    fn job(&self, order: &BackupOrder<'_>) -> StartRequest {
        let number = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let job = format!("{}.{number}", self.order.run);
        let mut tags = order.tags.clone();
        tags.insert("run".into(), self.order.run.to_string());
        tags.insert("job".into(), job.clone());
        StartRequest {
            job,
            generation: self.order.attempt.into(),
            backup: Some(BackupJob {
                repository: self.opened.repository.id().to_string(),
                full: self.order.kind == RunKind::Full,
                host: self.order.host.clone(),
                tags: tags.into_iter().collect(),
                source: Some(order.source.into()),
                // Nothing is said where nothing is meant, so that a job keeps its fingerprint from release to release.
                limits: Some(order.limits.into()).filter(|limits| *limits != Limits::default()),
                hooks: Hooks::of(order.source),
                direct: DirectStore::of(self.order.plan.access()),
            }),
            restore: None,
        }
    }

    /// A key with which the host adds to the repository. It goes to the host and is kept nowhere else.
    async fn key(&self) -> Result<Vec<u8>, String> {
        let writer = WriterIdentity { holder: self.order.host.clone() };
        let file = self.opened.repository.add_writer(&writer).await.map_err(|error| chain(&error))?;
        tracing::info!(host = self.order.host, "registered a writer's key");
        Ok(file.to_text().into_bytes())
    }

    fn fail(&mut self, fault: JobFault) -> Failure {
        match &fault {
            JobFault::Unreachable { source, .. } => self.unreachable = Some(source.clone()),
            JobFault::OutOfSight { .. } | JobFault::Failed { kind: FailureKind::StoreUnreachable, .. } => {
                self.lost = Some(chain(&fault));
            }
            JobFault::Cancelled => self.cancelled = true,
            JobFault::Failed { kind, .. } => self.class = class(*kind),
            _ => {}
        }
        Failure::new(format!("back up on {}", self.order.host), Cause::Program(Box::new(fault)))
    }
}

impl Executor for Hands<'_> {
    type Fault = Failure;

    fn beginning(&mut self, place: StepPlace, step: &Step) {
        self.order.tell(Doing { step: format!("step {} of {}: {step}", place.number, place.of), ..Doing::default() });
    }

    fn back_up(&mut self, order: &BackupOrder<'_>) -> Result<BackupDone, Failure> {
        let request = self.job(order);
        let job = RemoteJob {
            host: self.order.host.clone(),
            request,
            cancel: self.order.cancel.clone(),
            pause: self.order.pause.clone(),
        };
        let progress = |running: &Running| {
            self.order.tell(Doing {
                step: if running.paused { "halted".into() } else { running.doing.clone() },
                files_done: running.files_done,
                bytes_done: running.bytes_done,
                bytes_total: running.bytes_total,
            });
        };
        let what = format!("back up on {}", self.order.host);
        let running = remote::run(self.links, &job, || self.key(), progress);
        // The outer failure is a signal: the run goes on at the next start.
        let done = self.context.wait(&what, async { Ok::<_, Cause>(running.await) })?;
        let report = done.map_err(|fault| self.fail(fault))?;
        let report: BackupReport = serde_json::from_slice(&report)
            .map_err(|error| Failure::new("understand the worker's report", Cause::Program(Box::new(error))))?;
        room::note_added(self.opened, report.totals.bytes_stored, self.context);
        Ok(BackupDone {
            snapshot: report.snapshot,
            commit: report.commit,
            kind: report.kind,
            totals: report.totals,
            problems: report.problems,
        })
    }

    /// What the worker committed is newer than what is known here.
    fn restore(&mut self, snapshots: &[ObjectId]) -> Result<RestoreDone, Failure> {
        self.context.wait("read what the host committed", self.opened.repository.refresh())?;
        self.local.restore(snapshots)
    }

    fn check(&mut self, command: &CheckCommand, limits: CheckLimits) -> Result<CheckResult, Failure> {
        self.local.check(command, limits)
    }

    fn copy(&mut self, order: &CopyOrder<'_>) -> Result<CopyDone, Failure> {
        self.local.copy(order)
    }

    fn discard_scratch(&mut self) -> Result<(), Failure> {
        self.local.discard_scratch()
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, Failure> {
        self.local.snapshots()
    }
}

/// The classes by which plans say what is tried again; the worker's own faults are none of them.
fn class(kind: FailureKind) -> Option<FailureClass> {
    match kind {
        FailureKind::Store => Some(FailureClass::Store),
        FailureKind::Source => Some(FailureClass::Source),
        FailureKind::Command => Some(FailureClass::Command),
        FailureKind::StoreUnreachable => Some(FailureClass::Lost),
        FailureKind::Worker | FailureKind::Target | FailureKind::Unspecified => None,
    }
}
