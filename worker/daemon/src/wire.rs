//! Messages become requests, and states become messages: the one place where the two meet.

use std::num::NonZeroU64;

use strongroom_proto::worker::{self as wire, backup_job, direct_store, job_state};
use strongroom_repository::text::escape;
use strongroom_worker::progress::Position;
use strongroom_worker::restore::{Overwrite, Owners, Replaced};

use crate::jobs::{Phase, View};
use crate::ledger::FailureKind;
use crate::request::{Around, Hook, Limits, Probe, Request, RequestFault, RestoreRequest, Source, StorePlace};

impl TryFrom<wire::BackupJob> for Request {
    type Error = RequestFault;

    fn try_from(job: wire::BackupJob) -> Result<Self, RequestFault> {
        let repository = job.repository.parse().map_err(|_| RequestFault::Repository(job.repository))?;
        let hooks = job.hooks.unwrap_or_default();
        let request = Self {
            repository,
            store: job.direct.map_or(Ok(StorePlace::Gateway), StorePlace::try_from)?,
            full: job.full,
            host: job.host,
            tags: job.tags.into_iter().collect(),
            source: job.source.ok_or(RequestFault::NoSource)?.into(),
            limits: job.limits.unwrap_or_default().into(),
            before: hooks.before.into_iter().map(Hook::from).collect(),
            after: hooks.after.into_iter().map(Hook::from).collect(),
        };
        request.check().map(|()| request)
    }
}

impl TryFrom<wire::RestoreJob> for RestoreRequest {
    type Error = RequestFault;

    fn try_from(job: wire::RestoreJob) -> Result<Self, RequestFault> {
        let overwrite = wire::Overwrite::try_from(job.overwrite).map_err(|_| RequestFault::Overwrite(job.overwrite))?;
        let request = Self {
            repository: job.repository.parse().map_err(|_| RequestFault::Repository(job.repository))?,
            store: job.direct.map_or(Ok(StorePlace::Gateway), StorePlace::try_from)?,
            snapshot: job.snapshot.parse().map_err(|_| RequestFault::Snapshot(job.snapshot))?,
            paths: job.paths.iter().map(|path| escape(path)).collect(),
            target: escape(&job.target),
            overwrite: match overwrite {
                wire::Overwrite::Never => Overwrite::Never,
                wire::Overwrite::Changed => Overwrite::Changed,
                wire::Overwrite::Always => Overwrite::Always,
            },
            replaced: if job.set_aside { Replaced::SetAside } else { Replaced::Remove },
            owners: if job.owners_by_name { Owners::ByName } else { Owners::ByNumber },
            limits: job.limits.unwrap_or_default().into(),
            dry_run: job.dry_run,
            promote_to: (!job.promote_to.is_empty()).then(|| escape(&job.promote_to)),
            checks: job.checks.into_iter().map(Hook::from).collect(),
            around: job.around.unwrap_or_default().into(),
        };
        request.check().map(|()| request)
    }
}

impl From<wire::Limits> for Limits {
    fn from(limits: wire::Limits) -> Self {
        Self {
            upload_bytes_per_second: NonZeroU64::new(limits.upload_bytes_per_second),
            read_bytes_per_second: NonZeroU64::new(limits.read_bytes_per_second),
            threads: NonZeroU64::new(limits.threads.into()),
            download_bytes_per_second: NonZeroU64::new(limits.download_bytes_per_second),
        }
    }
}

impl TryFrom<wire::DirectStore> for StorePlace {
    type Error = RequestFault;

    fn try_from(store: wire::DirectStore) -> Result<Self, RequestFault> {
        match store.place.ok_or(RequestFault::NoStore)? {
            direct_store::Place::Directory(path) => Ok(Self::Directory(path.into())),
        }
    }
}

impl From<backup_job::Source> for Source {
    fn from(source: backup_job::Source) -> Self {
        match source {
            backup_job::Source::Files(files) => Self::Files {
                paths: files.paths.into_iter().map(Into::into).collect(),
                excludes: files.excludes,
                exclude_caches: files.exclude_caches,
                one_file_system: files.one_file_system,
                larger_than: (files.larger_than > 0).then_some(files.larger_than),
            },
            backup_job::Source::Command(command) => Self::Command {
                name: command.name.into(),
                arguments: command.arguments,
                seconds_max: NonZeroU64::new(command.seconds_max),
            },
        }
    }
}

impl From<wire::Hook> for Hook {
    fn from(hook: wire::Hook) -> Self {
        Self { arguments: hook.arguments, seconds_max: NonZeroU64::new(hook.seconds_max) }
    }
}

impl From<wire::Around> for Around {
    fn from(around: wire::Around) -> Self {
        let prints = |probe: &wire::Probe| (!probe.prints.is_empty()).then(|| probe.prints.clone());
        let probe = |probe: wire::Probe| Probe {
            prints: prints(&probe),
            wait_seconds: probe.wait_seconds,
            hook: probe.run.unwrap_or_default().into(),
        };
        Self {
            before: around.before.into_iter().map(Hook::from).collect(),
            after: around.after.into_iter().map(Hook::from).collect(),
            probes: around.probes.into_iter().map(probe).collect(),
            environment: around.environment.into_iter().map(|variable| (variable.name, variable.value)).collect(),
        }
    }
}

impl From<View> for wire::JobState {
    fn from(view: View) -> Self {
        Self {
            job: view.job.to_string(),
            generation: view.generation,
            number: view.number,
            state: Some(state(view.phase, (view.is_paused, view.wants_loan))),
        }
    }
}

/// The flags are those of [`View`]: paused, and waiting for keys.
fn state(phase: Phase, flags: (bool, bool)) -> job_state::State {
    use job_state::State;
    match phase {
        Phase::Running { doing, position } => State::Running(running(doing, position, flags)),
        Phase::BackedUp { report } => State::BackedUp(wire::BackedUp { report: report.to_vec() }),
        Phase::Restored { report } => State::Restored(wire::Restored { report: report.to_vec() }),
        Phase::Failed { kind, reason } => {
            State::Failed(wire::Failed { reason, kind: wire::FailureKind::from(kind).into() })
        }
        Phase::Cancelled => State::Cancelled(wire::Cancelled {}),
    }
}

fn running(doing: String, position: Position, (paused, wants_loan): (bool, bool)) -> wire::Running {
    wire::Running {
        doing,
        files_done: position.files_done,
        files_total: position.files_total,
        bytes_done: position.bytes_done,
        bytes_total: position.bytes_total,
        paused,
        wants_loan,
    }
}

impl From<FailureKind> for wire::FailureKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::StoreUnreachable => Self::StoreUnreachable,
            FailureKind::Store => Self::Store,
            FailureKind::Source => Self::Source,
            FailureKind::Command => Self::Command,
            FailureKind::Worker => Self::Worker,
            FailureKind::Target => Self::Target,
        }
    }
}
