//! Why a change does not go on.

use std::io;
use std::path::{Path, PathBuf};

use super::{ChangeId, JournalError, Refusal};

/// Why a change does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// One at a time.
    #[error("change '{0}' has not ended: confirm or revert it first")]
    UnderWay(ChangeId),
    /// The name has been used.
    #[error("there is a change '{0}' already")]
    Known(ChangeId),
    /// It cannot be made as it is asked for; everything that speaks against it.
    #[error("{}", listed(.0))]
    Refused(Vec<Refusal>),
    /// Somebody else has changed it since it was looked at.
    #[error("'{}' has changed while the change was prepared: look again, and begin anew", .0.display())]
    Moved(PathBuf),
    /// What was written is not what is read back.
    #[error("'{}' does not hold what was written to it", .0.display())]
    ReadBack(PathBuf),
    /// Only what is staged can be switched.
    #[error("change '{id}' cannot be switched: it {is}")]
    NotStaged { id: ChangeId, is: &'static str },
    /// Only what has been switched can be confirmed.
    #[error("change '{id}' cannot be confirmed: it {is}")]
    NotSwitched { id: ChangeId, is: &'static str },
    /// Its deadline has passed.
    #[error("change '{0}' was not confirmed in time, and goes back")]
    TooLate(ChangeId),
    /// There is no way back any more but another change.
    #[error("change '{0}' is confirmed: roll out the earlier release to undo it")]
    Confirmed(ChangeId),
    /// After the revert these paths are not as they were.
    #[error("change '{id}' could not be undone: {} not as before", paths(.left))]
    Inconsistent { id: ChangeId, left: Vec<PathBuf> },
    /// The system refuses.
    #[error("cannot {doing} '{}'", .path.display())]
    Files { doing: &'static str, path: PathBuf, source: io::Error },
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl ChangeError {
    pub(super) fn files(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Files { doing, path: path.to_owned(), source }
    }
}

fn listed(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
}

fn paths(left: &[PathBuf]) -> String {
    let shown: Vec<String> = left.iter().map(|path| format!("'{}'", path.display())).collect();
    format!("{} {}", shown.join(", "), if left.len() == 1 { "is" } else { "are" })
}
