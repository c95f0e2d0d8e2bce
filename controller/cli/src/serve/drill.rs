//! One drill on a thread of its own: a restore point to scratch, as a run's own proof is made.

mod sample;

use std::path::{Path, PathBuf};

use strongroom_controller::drill_report::{DrillEnd, DrillOrder, DrillReport};
use strongroom_controller::{
    BackupDone, BackupOrder, CheckResult, CopyDone, CopyOrder, Executor, RestoreDone, RunRequest, StepPlace, drill,
};
use strongroom_plans::{CheckCommand, CheckLimits, Sample, Step};
use strongroom_repository::{ObjectId, Snapshot, SnapshotKind};

use super::runner::Runner;
use crate::access::Opened;
use crate::backup::program;
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::run::{Local, Scratch, SystemClock};
use sample::Draw;

/// By this, scratch directories of drills are told from those of runs, which are taken up again.
const SCRATCH: &str = "drill-";

impl Runner<'_> {
    /// Does a drill, and reports its end.
    pub(super) fn drill(&self, order: DrillOrder) {
        let end = match self.report(&order) {
            Err(_) if self.context.signals.received().is_some() => DrillEnd::Interrupted,
            Err(failure) => DrillEnd::Over(Box::new(DrillReport::failed(failure.to_string()))),
            Ok(report) => DrillEnd::Over(Box::new(report)),
        };
        order.end(end);
    }

    /// An error is one that was met before anything was restored, or a signal.
    fn report(&self, order: &DrillOrder) -> Result<DrillReport, Failure> {
        let what = || format!("drill {} of {}", order.plan.name(), order.host);
        let Some(opened) = self.repositories.get(order.plan.repository()) else {
            return Err(Failure::new(what(), Cause::Usage("its repository is not open".into())));
        };
        if order.snapshots.is_empty() {
            // Nothing would come back equal, and that would prove nothing.
            return Err(Failure::new(what(), Cause::Absent("there is no restore point".into())));
        }
        // What hosts committed is newer than what is known here.
        self.context.wait("read what hosts committed", opened.repository.refresh())?;
        let snapshots: Result<Vec<ObjectId>, _> = order.snapshots.iter().map(|id| id.parse()).collect();
        let snapshots = snapshots.map_err(|_| Cause::Usage("a snapshot of it has no name".into())).doing(what)?;
        let scratch = scratch(&self.context.state_dir()?, order.drill.as_str());
        let request = RunRequest {
            plan: order.plan.plan(),
            plan_hash: order.plan_version.clone(),
            host: order.host.clone(),
            program: program(),
            repository: opened.repository.id(),
            location: opened.location.to_string(),
        };
        let local = Local::new(self.context, opened, order.host.clone(), scratch, SnapshotKind::Incremental);
        let mut hands = Hands { order, opened, context: self.context, local };
        let ended = drill(&request, snapshots, &mut hands, &SystemClock);
        match ended.fault {
            Some(fault) if self.context.signals.received().is_some() => Err(fault),
            fault => Ok(DrillReport::of(&ended.record, fault.map(|fault| fault.to_string()))),
        }
    }
}

fn scratch_folder(state: &Path) -> PathBuf {
    state.join("scratch")
}

/// A scratch directory that the next start removes, should this controller be killed.
pub(super) fn scratch(state: &Path, name: &str) -> Scratch {
    Scratch::at(scratch_folder(state).join(format!("{SCRATCH}{name}")))
}

/// Removes what drills of a controller that was killed have left: copies of what was backed up.
pub(super) fn sweep(state: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(scratch_folder(state)).into_iter().flatten().flatten();
    let left = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(SCRATCH.as_bytes()));
    left.map(|entry| Scratch::at(entry.path())).try_for_each(|scratch| scratch.remove())
}

/// Those of a run on this machine; what they do stands in the log.
struct Hands<'a> {
    order: &'a DrillOrder,
    opened: &'a Opened,
    context: &'a Context,
    local: Local<'a>,
}

impl Hands<'_> {
    /// A part of the restore point; which, and how far that brings the drills, is in the answer.
    fn restore_sample(&mut self, sample: &Sample, snapshots: &[ObjectId]) -> Result<RestoreDone, Failure> {
        let snapshots: Vec<Snapshot> = snapshots.iter().map(|id| self.local.snapshot(*id)).collect::<Result<_, _>>()?;
        let draw = Draw::of(self.order, sample, (self.opened, &snapshots), self.context)?;
        let parts = draw.parts(self.opened, snapshots, self.context)?;
        let done = self.local.restore_parts(&parts)?;
        let sample = Some(draw.remember(&done)?);
        Ok(RestoreDone { sample, ..done })
    }
}

impl Executor for Hands<'_> {
    type Fault = Failure;

    fn beginning(&mut self, place: StepPlace, step: &Step) {
        tracing::info!(drill = %self.order.drill, step = place.number, of = place.of, "{step}");
    }

    fn back_up(&mut self, order: &BackupOrder<'_>) -> Result<BackupDone, Failure> {
        self.local.back_up(order)
    }

    fn restore(&mut self, snapshots: &[ObjectId]) -> Result<RestoreDone, Failure> {
        match self.order.sample() {
            Some(sample) => self.restore_sample(sample, snapshots),
            None => self.local.restore(snapshots),
        }
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
