//! Why a store could not be opened, and what kind of failure an operation on it met.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use object_store::ObjectStore;

/// A place that cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was given.
    #[error("the location of the repository is empty; give a path or file:///absolute/path")]
    Empty,
    /// A store that this release does not know. Only the scheme is shown: the rest may hold a password.
    #[error("'{scheme}:' locations are not supported in this release; give a path or file:///absolute/path")]
    UnsupportedScheme {
        /// The part before the colon.
        scheme: String,
    },
    /// A file URL of another machine.
    #[error("the file URL names the host '{host}'; only local files can be opened, as file:///absolute/path")]
    ForeignHost {
        /// The host.
        host: String,
    },
    /// A file URL without an absolute path, or with a `%` sequence that does not decode.
    #[error("the file URL '{url}' is malformed; give file:///absolute/path, with %25 for a percent sign")]
    Malformed {
        /// The URL.
        url: String,
    },
    /// A relative path could not be completed.
    #[error("cannot make '{path}' absolute")]
    Absolute {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else stands where the store's folder should be.
    #[error("'{path}' is not a folder")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder cannot be looked at.
    #[error("cannot open '{path}'")]
    Inspect {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The only questions that callers ask about a store's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no object of that name.
    NotFound,
    /// The name is taken; what is there was not touched.
    AlreadyExists,
    /// The store or the quota is full.
    NoSpace,
    /// The store does not let us.
    PermissionDenied,
    /// Nobody may write to the store.
    ReadOnly,
    /// Trying again may help.
    Transient,
    /// Anything else, a failing medium (EIO) among it.
    Other,
}

/// Classifies an error: by its variant, else by the first I/O error in its chain of causes.
#[must_use]
pub fn kind(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        _ => kind_of_cause(error),
    }
}

fn kind_of_cause(error: &(dyn StdError + 'static)) -> ErrorKind {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(nested) = cause.downcast_ref::<object_store::Error>() {
            return kind(nested);
        }
        next = match cause.downcast_ref::<io::Error>() {
            Some(error) => match kind_of_io(error) {
                // An io::Error hides what it was made from: its source() is that error's source.
                ErrorKind::Other => error.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                known => return known,
            },
            None => cause.source(),
        };
    }
    ErrorKind::Other
}

fn kind_of_io(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
        Io::PermissionDenied => ErrorKind::PermissionDenied,
        Io::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        Io::Interrupted
        | Io::WouldBlock
        | Io::TimedOut
        | Io::ResourceBusy
        | Io::StaleNetworkFileHandle
        | Io::ConnectionRefused
        | Io::ConnectionReset
        | Io::ConnectionAborted
        | Io::BrokenPipe
        | Io::NotConnected
        | Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::NetworkDown => ErrorKind::Transient,
        _ => ErrorKind::Other,
    }
}

/// The refusal of an operation that no store of a repository offers.
#[must_use]
pub fn refused(operation: &str, by: &dyn ObjectStore) -> object_store::Error {
    object_store::Error::NotSupported {
        source: format!("{by} does not {operation}: objects are put whole, once, under their final name").into(),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: source.into() }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("two levels down")]
    struct Nested(#[source] io::Error);

    fn check(errno: Errno, expect: ErrorKind) {
        assert_eq!(kind(&generic(io::Error::from(errno))), expect, "{errno:?}");
        assert_eq!(kind(&generic(Nested(errno.into()))), expect, "{errno:?} below an error of ours");
        let wrapped = io::Error::other(generic(io::Error::from(errno)));
        assert_eq!(kind(&generic(wrapped)), expect, "{errno:?} inside an io::Error");
    }

    #[test]
    fn kinds_come_from_the_chain_of_causes() {
        check(Errno::NOSPC, ErrorKind::NoSpace);
        check(Errno::DQUOT, ErrorKind::NoSpace);
        check(Errno::ROFS, ErrorKind::ReadOnly);
        check(Errno::ACCESS, ErrorKind::PermissionDenied);
        check(Errno::PERM, ErrorKind::PermissionDenied);
        check(Errno::TIMEDOUT, ErrorKind::Transient);
        check(Errno::STALE, ErrorKind::Transient);
        check(Errno::IO, ErrorKind::Other);
        // Only the store itself can say that an object is missing.
        check(Errno::NOENT, ErrorKind::Other);
    }

    #[test]
    fn kinds_come_from_the_variant_first() {
        let source = || io::Error::from(Errno::NOSPC).into();
        let path = || "config".to_owned();
        let missing = object_store::Error::NotFound { path: path(), source: source() };
        assert_eq!(kind(&missing), ErrorKind::NotFound);
        let taken = object_store::Error::AlreadyExists { path: path(), source: source() };
        assert_eq!(kind(&generic(taken)), ErrorKind::AlreadyExists);
        let denied = object_store::Error::Unauthenticated { path: path(), source: source() };
        assert_eq!(kind(&denied), ErrorKind::PermissionDenied);
    }
}
