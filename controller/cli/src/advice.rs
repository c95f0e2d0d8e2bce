//! What to do next, for each kind of failure; a command that knows better says so itself.

use std::io;

use strongroom_repository::store::StoreError;
use strongroom_repository::{Error, ErrorKind};

use crate::failure::Cause;

/// General advice for a cause.
pub(crate) fn next(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Repository(error) => return repository(error),
        Cause::Location(StoreError::NotAFolder { .. }) => "give the repository's folder",
        Cause::Location(StoreError::Inspect { .. }) => "check the path and who may read it",
        Cause::Location(_) | Cause::Plan(_) | Cause::Usage(_) => return None,
        Cause::File { source, .. } => return file(source.kind()),
        Cause::Output(_) => "check that there is room where standard output goes",
        Cause::Key(_) => "give the key with --key FILE, or its passphrase with --passphrase-file FILE",
        Cause::Absent(_) | Cause::Stopped(_) => return None,
        Cause::Damaged(_) => "`strongroom repo check --read-data` says what else is damaged; an older snapshot may have a good copy",
        Cause::Program(_) => "run it again with -v to see more",
    })
}

fn repository(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NoRepository => "check the location, and whether its disk is mounted; make a repository with `strongroom repo init URL`",
        Error::Exists => "use it as it is, or give another location",
        Error::TooNew { .. } => "use a release of Strongroom that is at least as new as the one that wrote it",
        Error::WriterOnly(_) => "use the key of a holder; `strongroom key list` names the holders",
        Error::Unindexed { .. } => "`strongroom repo rebuild-index` makes the index anew from the packs",
        Error::ParentGone(_) | Error::Fenced(_) => "run the same command again: it begins a new session",
        Error::Cache { .. } => "check the cache folder (--cache-dir): it can be deleted at any time and is made anew",
        _ => return kind(error.kind()),
    })
}

fn kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Corrupt => "`strongroom repo check --read-data` says what else is damaged and which files need it",
        ErrorKind::Key => "use the key of one of its holders: --key FILE or --passphrase-file FILE",
        ErrorKind::NoSpace => "make room where the repository lies, then run the same command again: what is stored already counts",
        ErrorKind::Permission => "run as a user who may read and write the repository's folder",
        ErrorKind::Transient => "run the same command again; if it fails again, check the store's connection",
        ErrorKind::NotFound | ErrorKind::Refused => return None,
        ErrorKind::Other => "check the disk below the repository (`dmesg`), then run `strongroom repo check`",
    })
}

fn file(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "run as a user who may use it",
        io::ErrorKind::AlreadyExists => "give another path: nothing is overwritten",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, then run the same command again",
        _ => return None,
    })
}
