//! Why a store could not be opened, and what kind of failure an operation on it met.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use object_store::ObjectStore;

use super::{GuardError, HINT, Location, S3Error, SftpError};

/// A place that cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was given.
    #[error("the location of the repository is empty; give a path or file:///absolute/path")]
    Empty,
    /// A store that this release does not know. Only the scheme is shown: the rest may hold a password.
    #[error(
        "'{scheme}:' locations are not supported in this release; give a path, file:///absolute/path, s3://bucket/prefix, sftp://user@host/absolute/path or gateway://user@host/absolute/path"
    )]
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
    /// A place in a bucket that cannot be understood. It is not repeated, for it may hold a secret.
    #[error(
        "the S3 location is malformed; give s3://bucket/prefix, and the endpoint in STRONGROOM_S3_ENDPOINT if it is not Amazon's"
    )]
    MalformedS3,
    /// A folder of another machine that cannot be understood. It is not repeated, for it may hold a secret.
    #[error(
        "the location on another machine is malformed; give sftp://user@host/absolute/path or gateway://user@host/absolute/path, with :port after the host if it is not 22"
    )]
    MalformedSftp,
    /// A location with a password in it, which everybody could read in the list of processes.
    #[error("credentials do not belong in a location, where other users can see them; take them out")]
    CredentialsInLocation,
    /// A location that takes more than itself to be opened.
    #[error("{location} is not a local folder")]
    NotLocal {
        /// The location.
        location: Location,
    },
    /// The endpoint is no address.
    #[error("the endpoint of the store is malformed; give https://host:port without a path, a user or a password")]
    MalformedEndpoint,
    /// A variable of the environment makes no sense. Its value is not repeated, for it may be a secret.
    #[error("the environment variable {name} is not {expect}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expect: &'static str,
    },
    /// Nothing says who asks.
    #[error(
        "there are no credentials for S3; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or STRONGROOM_S3_CREDENTIALS_FILE, or STRONGROOM_S3_CREDENTIALS_COMMAND"
    )]
    NoCredentials,
    /// The file with the store's own certificate authority cannot be read.
    #[error("cannot read the certificates in '{path}'")]
    Ca {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no certificate.
    #[error("'{path}' holds no certificate in PEM form")]
    NoCertificate {
        /// The path.
        path: PathBuf,
    },
    /// The client could not be made.
    #[error("cannot set up the connection to the store")]
    Client {
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
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
    /// The place itself is not there: no such bucket. Putting objects does not make it.
    NoStore,
    /// Anything else, a failing medium (EIO) among it.
    Other,
}

/// What a person can do about a store's error, if it is one whose remedy is known.
#[must_use]
pub fn remedy(error: &object_store::Error) -> Option<&'static str> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(answer) = cause.downcast_ref::<S3Error>() {
            return answer.remedy();
        }
        if let Some(answer) = cause.downcast_ref::<SftpError>() {
            return answer.remedy();
        }
        if let Some(guard) = cause.downcast_ref::<GuardError>() {
            return Some(guard.remedy());
        }
        next = cause.source();
    }
    None
}

/// Classifies an error: by its variant, else by the first cause in its chain that tells.
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
        if let Some(answer) = cause.downcast_ref::<S3Error>() {
            return answer.kind();
        }
        if let Some(answer) = cause.downcast_ref::<SftpError>() {
            return answer.kind();
        }
        if let Some(guard) = cause.downcast_ref::<GuardError>() {
            return guard.kind();
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

/// The refusal to overwrite.
pub(super) fn overwrite_refused() -> object_store::Error {
    object_store::Error::NotSupported { source: format!("only '{HINT}' may be overwritten").into() }
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
