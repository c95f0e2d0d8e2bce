//! What ends a restore. What befalls single files does not: that is in the report.

use std::io;
use std::path::PathBuf;

/// Why a restore could not be planned or finished. What it has done by then is resumed by the next run.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target's file system failed.
    #[error("cannot {doing} {path}")]
    Target {
        /// What was tried.
        doing: &'static str,
        /// Which path, readable.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A path that was asked for is not in the snapshot.
    #[error("the snapshot holds no '{0}'")]
    NotInSnapshot(String),
    /// A path that was asked for cannot name anything in a snapshot.
    #[error("'{0}' is not a path in a snapshot")]
    BadPath(String),
    /// Too little room.
    #[error("the restore needs {needed} bytes and {target} has {free} left")]
    NoRoom {
        /// Where.
        target: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// Another process is restoring the same into the same place.
    #[error("another restore is at work in {0}")]
    Busy(PathBuf),
    /// The note about a restore that was being put in place cannot be read.
    #[error("the note {path} of an unfinished restore cannot be used")]
    Note {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Whoever was asked did not let it go on.
    #[error("the restore was not completed: {0}")]
    Withheld(String),
    /// The repository or its store failed.
    #[error(transparent)]
    Repository(#[from] strongroom_repository::Error),
    /// A thread of the restore ended early, which is a fault in this program.
    #[error("a thread of the restore ended early")]
    Thread,
}

impl RestoreError {
    pub(super) fn target(doing: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Target { doing, path, source }
    }
}
