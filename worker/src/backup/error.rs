//! What can end a run.

use strongroom_repository::Error;

use super::kept::TreeError;
use super::room::NoRoom;
use crate::exclude::PatternError;
use crate::read::PoolFailed;
use crate::sources::SourceError;
use crate::walk::WalkFailed;

/// What ends a run without a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A source was described wrongly.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A rule was described wrongly.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Nothing that was asked for is there.
    #[error("none of the sources can be found")]
    NoSource,
    /// The directory where paths begin cannot be opened.
    #[error("cannot open the root directory")]
    Root(#[source] std::io::Error),
    /// The stream's name is no path within the snapshot.
    #[error("'{0}' cannot be the name of a stream")]
    StreamName(String),
    /// The stream broke off. What came until then is not kept as if it were all.
    #[error("the stream broke off: {0}")]
    Stream(String),
    /// It surely does not fit. Nothing was written.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The repository or its store failed.
    #[error("the repository failed")]
    Repository(#[from] Error),
    /// The caller gave the run up.
    #[error("the run was stopped")]
    Stopped,
    /// A thread failed, which is a fault of the program.
    #[error("a thread of the run failed")]
    Thread,
    /// Part of the local state is damaged. Never seen by callers: the run begins again without it.
    #[error("the local state is damaged")]
    StateDamaged,
}

impl From<WalkFailed> for BackupError {
    fn from(_: WalkFailed) -> Self {
        Self::Thread
    }
}

impl From<PoolFailed> for BackupError {
    fn from(_: PoolFailed) -> Self {
        Self::Thread
    }
}

impl From<TreeError> for BackupError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Repository(error) => Self::Repository(error),
            TreeError::StateDamaged => Self::StateDamaged,
        }
    }
}
