//! What the program's exit code says. Every code is derived here and nowhere else.

use strongroom_controller::Verdict;
use strongroom_repository::store::StoreError;
use strongroom_repository::{Error, ErrorKind};

use strongroom_worker::backup::{self, BackupError, BackupReport};
use strongroom_worker::mount::MountError;
use strongroom_worker::ready_check::Finding;
use strongroom_worker::restore::{self, ProblemKind, RestoreError, RestoreReport};

use crate::failure::Cause;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Success,
    /// It failed, for a reason that no other code names.
    Failed,
    /// The command line or a plan file is wrong; nothing was begun.
    Usage,
    /// Done, but for some files.
    Partial,
    /// Stored or restored bytes are not what they should be, or something is not protected as it should be.
    Damaged,
    /// The store cannot be reached, or there is no room.
    StoreOutOfReach,
    /// A key is missing, wrong or not enough, or access is denied.
    Denied,
    /// What was asked for is not there.
    NotFound,
    /// Stopped by a signal of this number.
    Stopped(u8),
}

/// The table of codes for `strongroom --help` and the README.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or a plan file is wrong; nothing was begun
  3  partial: some files could not be read or restored, the rest was done
  4  damage was found, a verification failed, or something is not protected, or less than before
  5  the store is out of reach, or there is no room
  6  a key is missing, wrong or not enough, or access is denied
  7  what was asked for is not there: repository, snapshot, path
  130, 143  stopped by Ctrl-C, by SIGTERM";

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Damaged => 4,
            Self::StoreOutOfReach => 5,
            Self::Denied => 6,
            Self::NotFound => 7,
            // The shell's own convention for a program that a signal ended.
            Self::Stopped(signal) => 128 + signal,
        }
    }
}

impl From<&Cause> for Exit {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Repository(error) => error.into(),
            Cause::Backup(error) => error.into(),
            Cause::Restore(error) => error.into(),
            Cause::Mount(error) => error.into(),
            Cause::Location(StoreError::NoCredentials) => Self::Denied,
            Cause::Location(_) | Cause::Usage(_) | Cause::Plan(_) => Self::Usage,
            Cause::File { source, .. } => source.kind().into(),
            Cause::Output(_) | Cause::Program(_) => Self::Failed,
            Cause::Key(_) | Cause::Forbidden(_) => Self::Denied,
            Cause::Absent(_) => Self::NotFound,
            Cause::WrongPlace(_) => Self::StoreOutOfReach,
            Cause::Damaged(_) => Self::Damaged,
            Cause::Stopped(signal) => Self::Stopped(*signal),
        }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Corrupt => Self::Damaged,
            ErrorKind::Key | ErrorKind::Permission => Self::Denied,
            ErrorKind::NoSpace | ErrorKind::Transient => Self::StoreOutOfReach,
            // A store that fails without saying why (EIO) is not there for us either.
            ErrorKind::Other if matches!(error, Error::Store { .. } | Error::Poisoned(_)) => Self::StoreOutOfReach,
            ErrorKind::Refused | ErrorKind::Other => Self::Failed,
        }
    }
}

impl From<&BackupError> for Exit {
    fn from(error: &BackupError) -> Self {
        match error {
            BackupError::Repository(error) => error.into(),
            BackupError::Source(_) | BackupError::Pattern(_) | BackupError::StreamName(_) => Self::Usage,
            BackupError::NoSource => Self::NotFound,
            BackupError::NoRoom(_) => Self::StoreOutOfReach,
            BackupError::Root(error) => error.kind().into(),
            BackupError::Stream(_) | BackupError::Stopped | BackupError::Thread | BackupError::StateDamaged => {
                Self::Failed
            }
        }
    }
}

impl From<&RestoreError> for Exit {
    fn from(error: &RestoreError) -> Self {
        match error {
            RestoreError::Repository(error) => error.into(),
            RestoreError::NotInSnapshot(_) => Self::NotFound,
            RestoreError::BadPath(_) => Self::Usage,
            RestoreError::NoRoom { .. } => Self::StoreOutOfReach,
            RestoreError::Target { source, .. } => source.kind().into(),
            RestoreError::Busy(_) | RestoreError::Note { .. } | RestoreError::Withheld(_) | RestoreError::Thread => {
                Self::Failed
            }
        }
    }
}

impl From<&MountError> for Exit {
    fn from(error: &MountError) -> Self {
        match error {
            MountError::Repository(error) => error.into(),
            MountError::Mount { source, .. } | MountError::Unmount { source, .. } => source.kind().into(),
        }
    }
}

impl From<&BackupReport> for Exit {
    fn from(report: &BackupReport) -> Self {
        match report.outcome {
            backup::Outcome::Complete => Self::Success,
            backup::Outcome::Partial => Self::Partial,
        }
    }
}

impl From<&RestoreReport> for Exit {
    fn from(report: &RestoreReport) -> Self {
        let kinds = report.problems.iter().map(|problem| problem.kind);
        restored(report.outcome, kinds)
    }
}

/// A restore that could not bring everything back has found damage if the repository is to blame, and is partial if the target is.
fn restored(outcome: restore::Outcome, mut problems: impl Iterator<Item = ProblemKind>) -> Exit {
    let is_damage = |kind| matches!(kind, ProblemKind::Repository | ProblemKind::Mismatch | ProblemKind::Malformed);
    match outcome {
        restore::Outcome::Restored => Exit::Success,
        restore::Outcome::Failed => Exit::Damaged,
        _ if problems.any(is_damage) => Exit::Damaged,
        restore::Outcome::Deviating | restore::Outcome::Unproven | restore::Outcome::Partial => Exit::Partial,
    }
}

/// As `test` has it, since checks of plans are programs of that kind.
impl From<&Finding> for Exit {
    fn from(finding: &Finding) -> Self {
        if finding.agrees { Self::Success } else { Self::Failed }
    }
}

/// A run that nothing ended early.
impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::Success,
            Verdict::Partial => Self::Partial,
            Verdict::Unproven => Self::Damaged,
            Verdict::Failed => Self::Failed,
        }
    }
}

impl From<std::io::ErrorKind> for Exit {
    fn from(kind: std::io::ErrorKind) -> Self {
        match kind {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::StoreOutOfReach,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn codes_follow_from_what_went_wrong() {
        let file = |kind: io::ErrorKind| Cause::File { doing: "read", path: "f".into(), source: kind.into() };
        let damaged = || Error::Damaged { name: "config".into(), reason: "short".into() };
        let cases: [(Cause, u8); 12] = [
            (Error::NoRepository.into(), 7),
            (Error::Exists.into(), 1),
            (damaged().into(), 4),
            (BackupError::Repository(damaged()).into(), 4),
            (RestoreError::Repository(Error::Key("wrong".into())).into(), 6),
            (Error::WriterOnly("read").into(), 6),
            (BackupError::NoSource.into(), 7),
            (RestoreError::BadPath("..".into()).into(), 2),
            (file(io::ErrorKind::NotFound), 7),
            (file(io::ErrorKind::PermissionDenied), 6),
            (file(io::ErrorKind::StorageFull), 5),
            (Cause::Stopped(15), 143),
        ];
        for (cause, expect) in cases {
            assert_eq!(Exit::from(&cause).code(), expect, "{cause:?}");
        }
    }

    #[test]
    fn a_restore_with_damage_is_not_merely_partial() {
        use restore::Outcome::{Deviating, Failed, Partial, Restored};
        let code = |outcome, problems: &[ProblemKind]| restored(outcome, problems.iter().copied()).code();
        assert_eq!([code(Restored, &[]), code(Deviating, &[]), code(Failed, &[ProblemKind::Target])], [0, 3, 4]);
        assert_eq!([code(Partial, &[ProblemKind::Target]), code(Partial, &[ProblemKind::Conflict])], [3, 3]);
        assert_eq!(code(Partial, &[ProblemKind::Target, ProblemKind::Repository]), 4);
    }
}
