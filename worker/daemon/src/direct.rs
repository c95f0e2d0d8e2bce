//! A repository's store that the worker opens itself, at a directory as this host has it: a mounted share of a file server, say.
//!
//! What holds:
//!
//! * Nothing is written to a directory that has not shown that it holds the job's repository. So a mount that is missing costs a run, and fills no disk.
//! * The mount is held as long as the store is open.
//!
//! Deliberately absent: mounting anything; and protection of what is stored. Behind the gateway a host cannot remove what is there, here only the file server's own rules
//! stand against it.

use std::path::{Path, PathBuf};

use strongroom_repository::store::{LocalStore, StoreError};
use strongroom_repository::{Error, ErrorKind};

/// Why a directory is not the repository, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// It cannot be opened.
    #[error("the repository's directory cannot be used on this host ({REMEDY})")]
    Unusable(#[source] StoreError),
    /// No repository in it, as in an empty mount point.
    #[error("the directory '{}' on this host holds no repository ({REMEDY})", .0.display())]
    NoRepository(PathBuf),
    /// Another repository.
    #[error("the directory '{}' on this host holds another repository, and was left as it is ({REMEDY})", path.display())]
    Foreign {
        /// Which directory.
        path: PathBuf,
        /// Which repositories.
        source: Error,
    },
    /// The file server does not let us.
    #[error("this host may not use the repository in '{}' ({RIGHTS})", path.display())]
    Denied {
        /// Which directory.
        path: PathBuf,
        /// What it did not let us.
        source: Error,
    },
    /// As behind the gateway.
    #[error(transparent)]
    Repository(Error),
}

const REMEDY: &str = "mount there what it lies on, or correct `on-hosts` of the repository in site.yaml";
const RIGHTS: &str = "it must be mounted writable, outside of /usr, /boot and /etc, and its file server let this host's root write as the user whose it is";

/// Opens the directory, which must be there. What it holds is not known yet.
pub async fn open(directory: &Path) -> Result<LocalStore, DirectError> {
    LocalStore::join(directory.into()).await.map_err(DirectError::Unusable)
}

impl DirectError {
    /// What a failure of the repository means, where it lies in a directory of this host.
    #[must_use]
    pub fn of(directory: &Path, error: Error) -> Self {
        let path = directory.to_path_buf();
        match error {
            Error::NoRepository => Self::NoRepository(path),
            source @ Error::Foreign { .. } => Self::Foreign { path, source },
            source if source.kind() == ErrorKind::Permission => Self::Denied { path, source },
            other => Self::Repository(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use strongroom_repository::chain;

    use super::*;

    #[test]
    fn a_failure_says_what_can_be_done_on_the_host() {
        let written = |kind: io::ErrorKind| Error::Store {
            doing: "write",
            name: "sessions/1".into(),
            source: object_store::Error::Generic { store: "test", source: io::Error::from(kind).into() },
        };
        let said = |error| chain(&DirectError::of(Path::new("/mnt/backup"), error));
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            let said = said(written(kind));
            let parts = ["'/mnt/backup'", "mounted writable", "as the user whose it is", "cannot write sessions/1"];
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        assert_eq!(said(written(io::ErrorKind::StorageFull)), chain(&written(io::ErrorKind::StorageFull)));
    }
}
