//! What can go wrong in a local folder, as the error that every store speaks.

use std::io;
use std::path::{Path, PathBuf};

use object_store::GetRange;

/// A failed step. The `io::Error` stays in the chain, so that its kind can be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum LocalError {
    #[error("'{name}' cannot be the name of an object")]
    Name { name: String },
    #[error("no such file")]
    Missing { path: PathBuf, source: io::Error },
    #[error("the file exists")]
    Exists { path: PathBuf, source: io::Error },
    #[error("only '{}' may be overwritten", crate::store::HINT)]
    Overwrite,
    #[error("an earlier flush of a folder failed, so this store takes no more writes until it is opened anew")]
    Closed,
    #[error("cannot {doing} '{path}'")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot flush the folder '{path}'")]
    FlushFolder { path: PathBuf, source: io::Error },
    #[error("cannot link '{path}' to its finished content (a repository needs a file system with hard links)")]
    Publish { path: PathBuf, source: io::Error },
    #[error("cannot read {range} of '{path}'")]
    Range { path: PathBuf, range: GetRange, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("'{path}' ends at byte {end}, before the end that it had when it was opened")]
    Shrunk { path: PathBuf, end: u64 },
    #[error("no randomness for the name of a temporary file")]
    Random,
}

impl LocalError {
    /// An I/O error with what was being done, and to what.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }

    /// The same for opening an object, which may simply not be there.
    pub(super) fn open(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { path: path.into(), source },
            _ => Self::Io { doing: "open", path: path.into(), source },
        }
    }
}

impl From<LocalError> for object_store::Error {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Missing { path, source } => {
                Self::NotFound { path: path.display().to_string(), source: source.into() }
            }
            LocalError::Exists { path, source } => {
                Self::AlreadyExists { path: path.display().to_string(), source: source.into() }
            }
            LocalError::Overwrite => Self::NotSupported { source: error.into() },
            other => Self::Generic { store: "LocalStore", source: other.into() },
        }
    }
}
