//! The hands of a run in this process: the worker's own functions, called directly.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustix::process::geteuid;
use strongroom_controller::{
    BackupDone, BackupOrder, CheckResult, CheckVerdict, CopyDone, CopyOrder, Executor, RestoreDone, StepPlace,
    Verification,
};
use strongroom_plans::{
    ByteSize, CheckCommand, CheckLimits, FilesSource, Input as Planned, Source, SourcePath, Step, TimeSpan,
};
use strongroom_repository::{ObjectId, Problem, Snapshot, SnapshotKind};
use strongroom_worker::backup::Input;
use strongroom_worker::checks::{self, Bounds, Isolation, Restored};
use strongroom_worker::exclude::{Caches, Excludes, Mounts};
use strongroom_worker::pace::Pace;
use strongroom_worker::restore::{
    Aspect, Deviation, DeviationKind, Overwrite, RestoreOptions, RestoreProblem, RestoreReport,
};

use super::around::Around;
use super::scratch::Scratch;
use crate::access::Opened;
use crate::backup::{self, Request};
use crate::choice;
use crate::context::Context;
use crate::copies;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::restore;
use crate::room;
use crate::store_place::StorePlace;

/// So many findings of one kind go into the record.
const FINDINGS_MAX: usize = 1000;

/// Does a plan's steps here and now.
#[derive(Debug)]
pub(crate) struct Local<'a> {
    context: &'a Context,
    opened: &'a Opened,
    host: String,
    scratch: Scratch,
    kind: SnapshotKind,
    copies: Vec<CopyAt<'a>>,
    /// Of the restore point in the scratch directory: of the snapshot that was begun last.
    time: Option<Timestamp>,
}

/// One of the plan's copies.
#[derive(Debug)]
pub(crate) enum CopyAt<'a> {
    /// It is opened when it is filled.
    Url(String),
    /// It is open, and filled by one run at a time.
    Open(&'a Opened, &'a Mutex<()>),
}

/// What of a snapshot is restored.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) snapshot: Snapshot,
    /// In its tree; none for everything.
    pub(crate) paths: Vec<Vec<u8>>,
}

impl Part {
    pub(crate) fn whole(snapshot: Snapshot) -> Self {
        Self { snapshot, paths: Vec::new() }
    }
}

impl<'a> Local<'a> {
    pub(crate) fn new(
        context: &'a Context,
        opened: &'a Opened,
        host: String,
        scratch: Scratch,
        kind: SnapshotKind,
    ) -> Self {
        Self { context, opened, host, scratch, kind, copies: Vec::new(), time: None }
    }

    /// The same, with the plan's copies in their order.
    pub(crate) fn with_copies(self, copies: Vec<CopyAt<'a>>) -> Self {
        Self { copies, ..self }
    }

    fn fill(&self, copy: &CopyAt<'_>, plan: &str) -> Result<CopyDone, Failure> {
        let of = (plan, self.host.as_str());
        match copy {
            CopyAt::Url(url) => {
                let place = StorePlace::open(url, self.context)?;
                let to = copies::open_made(self.opened, place, self.context)?;
                copies::bring_for_plan(self.opened, &to, of, self.context)
            }
            CopyAt::Open(to, alone) => {
                let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
                copies::bring_for_plan(self.opened, to, of, self.context)
            }
        }
    }

    /// Reads a snapshot's manifest.
    pub(crate) fn snapshot(&self, id: ObjectId) -> Result<Snapshot, Failure> {
        let what = format!("read snapshot {}", choice::short_id(&id.hex()));
        self.context.wait(&what, self.opened.repository.snapshot(id))
    }

    /// Restores parts of snapshots into an empty scratch directory, and verifies them.
    pub(crate) fn restore_parts(&mut self, parts: &[Part]) -> Result<RestoreDone, Failure> {
        self.scratch.create()?;
        self.time = parts.iter().map(|part| part.snapshot.manifest.time).max();
        let mut done = RestoreDone::default();
        for part in parts {
            add(&mut done, self.restore_one(part)?);
        }
        Ok(done)
    }

    fn restored(&self) -> Restored<'_> {
        Restored { folder: self.scratch.path(), time: self.time }
    }

    fn restore_one(&self, part: &Part) -> Result<RestoreReport, Failure> {
        let Part { snapshot, paths } = part;
        let options = RestoreOptions {
            paths: paths.clone(),
            // The snapshots of a run share the directories that lead to their sources.
            overwrite: Overwrite::Changed,
            writers: self.context.threads(),
            ..RestoreOptions::into_target(self.scratch.path())
        };
        let plan = restore::plan(self.opened, snapshot, options, self.context)?;
        let restored = restore::carry_out(plan, "restoring to scratch", self.context);
        restored.map_err(|failure| {
            failure.advise("the scratch directory is below the state folder: --state-dir DIR puts it elsewhere")
        })
    }
}

impl Executor for Local<'_> {
    type Fault = Failure;

    fn beginning(&mut self, place: StepPlace, step: &Step) {
        self.context.say(&format!("step {} of {}: {step}", place.number, place.of));
    }

    fn back_up(&mut self, order: &BackupOrder<'_>) -> Result<BackupDone, Failure> {
        let around = Around::new(order, &self.host, self.opened.repository.id(), self.context);
        let report = around.run(|| {
            let request = Request {
                input: input(order.source, &around)?,
                kind: self.kind,
                host: self.host.clone(),
                tags: order.tags.clone(),
                threads: order.limits.threads().and_then(|count| NonZeroUsize::try_from(count).ok()),
                pace: Arc::new(Pace::new(order.limits.read_rate().and_then(|rate| NonZeroU64::new(rate.bytes())))),
            };
            let room = room::for_backup(self.opened, None, self.context)?;
            backup::make(&self.opened.repository, request, room, self.context)
        })?;
        room::note_added(self.opened, report.totals.bytes_stored, self.context);
        Ok(BackupDone {
            snapshot: report.snapshot,
            commit: report.commit,
            kind: report.kind,
            totals: report.totals,
            problems: report.problems,
        })
    }

    fn restore(&mut self, snapshots: &[ObjectId]) -> Result<RestoreDone, Failure> {
        let whole = |id: &ObjectId| self.snapshot(*id).map(Part::whole);
        let parts = snapshots.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        self.restore_parts(&parts)
    }

    /// Isolated as far as this user can: what was restored may be a database that would join its cluster.
    fn check(&mut self, command: &CheckCommand, limits: CheckLimits) -> Result<CheckResult, Failure> {
        let (words, started) = (command.words().map(str::to_owned).collect::<Vec<_>>(), Timestamp::now());
        let signal = || self.context.signals.received();
        let stop = || signal().is_some();
        let isolation = Isolation::here();
        let isolated = matches!(isolation, Ok(Isolation::Namespaces));
        let made = match isolation {
            Ok(isolation) => checks::run(&words, self.restored(), isolation, bounds(limits), &stop)
                .map(|made| (told(made.verdict), made.output)),
            Err(error) => Ok((CheckVerdict::NotStarted, error.to_string())),
        };
        let (verdict, output) = made.map_err(|_| {
            // A check is stopped by nothing else.
            Failure::new(format!("run the check `{command}`"), Cause::Stopped(signal().unwrap_or_default()))
        })?;
        let finished = Timestamp::now();
        let (command, limits) = (command.to_string(), (!limits.are_none()).then(|| limits.to_string()));
        Ok(CheckResult { command, verdict, started, finished, output, limits, isolated })
    }

    /// A copy that is out of reach leaves the backup safe and the other copies to be filled.
    fn copy(&mut self, order: &CopyOrder<'_>) -> Result<CopyDone, Failure> {
        let Some(copy) = self.copies.get(order.number) else {
            return Ok(CopyDone { faults: vec!["it is not known here".into()], ..CopyDone::default() });
        };
        let location = match copy {
            CopyAt::Url(url) => url.clone(),
            CopyAt::Open(opened, _) => opened.location.to_string(),
        };
        match self.fill(copy, order.plan) {
            Err(failure) if !matches!(failure.exit(), Exit::Stopped(_)) => {
                Ok(CopyDone { location, faults: vec![failure.to_string()], ..CopyDone::default() })
            }
            done => done,
        }
    }

    fn discard_scratch(&mut self) -> Result<(), Failure> {
        self.scratch.remove()
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, Failure> {
        Ok(choice::all(self.opened, self.context)?.readable)
    }
}

/// A plan's limits in the worker's words.
fn bounds(limits: CheckLimits) -> Bounds {
    Bounds {
        time: limits.time().map_or(checks::TIME_OUT, Into::into),
        cpu_seconds: limits.cpu().map(TimeSpan::seconds),
        memory_bytes: limits.memory().map(ByteSize::bytes),
    }
}

/// The worker's word as the record has it.
pub(crate) fn told(verdict: checks::CheckVerdict) -> CheckVerdict {
    match verdict {
        checks::CheckVerdict::Agreed => CheckVerdict::Agreed,
        checks::CheckVerdict::Disagreed(code) => CheckVerdict::Disagreed(code),
        checks::CheckVerdict::Killed(signal) => CheckVerdict::Killed(signal),
        checks::CheckVerdict::TimedOut => CheckVerdict::TimedOut,
        checks::CheckVerdict::CpuUsedUp => CheckVerdict::CpuUsedUp,
        checks::CheckVerdict::NotStarted => CheckVerdict::NotStarted,
        checks::CheckVerdict::Otherwise => CheckVerdict::Otherwise,
    }
}

fn input(source: &Source, around: &Around<'_>) -> Result<Input, Failure> {
    Ok(match source.input() {
        Planned::Files(files) => Input::Files {
            root: "/".into(),
            sources: files.files().iter().map(SourcePath::as_path).map(Into::into).collect(),
            excludes: rules(files),
        },
        Planned::Command(command) => {
            Input::Stream { name: command.name().as_path().to_owned(), reader: Box::new(around.output(command)?) }
        }
    })
}

/// A plan's rules in the worker's words; both read patterns the same way.
fn rules(source: &FilesSource) -> Excludes {
    Excludes {
        patterns: source.exclude().iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        caches: if source.excludes_caches() { Caches::LeaveOut } else { Caches::Keep },
        mounts: if source.stays_on_one_file_system() { Mounts::StayOut } else { Mounts::Cross },
        larger_than_bytes: source.exclude_larger_than().map(ByteSize::bytes),
    }
}

fn add(done: &mut RestoreDone, report: RestoreReport) {
    let Verification { files_equal, bytes_equal, metadata_compared } = &mut done.verification;
    *files_equal += report.verification.verified_files;
    *bytes_equal += report.verification.verified_bytes;
    *metadata_compared += report.verification.compared_nodes;
    let (different, deviations): (Vec<_>, Vec<_>) = report.deviations.into_iter().partition(is_difference);
    let changed = different.len() as u64;
    let problem = |problem: RestoreProblem| Problem { path: format!("/{}", problem.path), error: problem.error };
    done.differences.extend(report.problems.into_iter().map(problem).chain(different.into_iter().map(told_of)));
    done.differences.truncate(FINDINGS_MAX);
    done.differences_total += report.problems_total + changed;
    done.deviations.extend(deviations.into_iter().map(told_of));
    done.deviations.truncate(FINDINGS_MAX);
    done.deviations_total += report.deviations_total - changed;
}

/// What root has set comes back so, unless somebody changed it meanwhile or the disk lost it. Times and holes are as fine as the file system makes them.
fn is_difference(deviation: &Deviation) -> bool {
    let is_as_set = !matches!(deviation.aspect, Aspect::Time | Aspect::Holes);
    deviation.kind == DeviationKind::Different && is_as_set && geteuid().is_root()
}

fn told_of(deviation: Deviation) -> Problem {
    let Deviation { path, aspect, reason, .. } = deviation;
    Problem { path: format!("/{path}"), error: format!("{aspect}: {reason}") }
}
