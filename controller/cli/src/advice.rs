//! What to do next, for each kind of failure; a command that knows better says so itself.

use std::io;

use strongroom_repository::store::{self, StoreError};
use strongroom_repository::{Error, ErrorKind};

use strongroom_worker::backup::BackupError;
use strongroom_worker::mount::MountError;
use strongroom_worker::restore::RestoreError;

use crate::failure::Cause;

/// General advice for a cause.
pub(crate) fn next(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Repository(error) => return repository(error),
        Cause::Backup(error) => return backup(error),
        Cause::Restore(error) => return restore(error),
        Cause::Mount(error) => return mount(error),
        Cause::Location(StoreError::NotAFolder { .. }) => "give the repository's folder",
        Cause::Location(StoreError::Inspect { .. }) => "check the path and who may read it",
        Cause::Location(_) | Cause::Plan(_) | Cause::Usage(_) => return None,
        Cause::File { source, .. } => return file(source.kind()),
        Cause::Output(_) => "check that there is room where standard output goes",
        Cause::Key(_) => "give the key with --key FILE, or its passphrase with --passphrase-file FILE",
        Cause::Forbidden(_) => {
            "ask somebody who has that role (`strongroom site people` lists who has which), or have it given to you in site.yaml"
        }
        Cause::Absent(_) | Cause::WrongPlace(_) | Cause::Stopped(_) => return None,
        Cause::Damaged(_) => {
            "`strongroom repo check --read-data` says what else is damaged; an older snapshot may have a good copy"
        }
        Cause::Program(_) => "run it again with -v to see more",
    })
}

fn repository(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Store { source, .. } => return store::remedy(source).or_else(|| kind(error.kind())),
        Error::NoRepository => {
            "check the location, and whether its disk is mounted; make a repository with `strongroom repo init URL`"
        }
        Error::Exists => "use it as it is, or give another location",
        Error::TooNew { .. } => "use a release of Strongroom that is at least as new as the one that wrote it",
        Error::WriterOnly(_) | Error::NotLent(_) => "use the key of a holder; `strongroom key list` names the holders",
        Error::Unindexed { .. } => "`strongroom repo rebuild-index` makes the index anew from the packs",
        Error::Doubtful { .. } => {
            "`strongroom snapshots` lists those that can be read; choose one by its id. `strongroom repo check --read-data` says what else is damaged"
        }
        Error::WentBack { .. } => {
            "nothing was changed. Bring the lost commits back, from a copy of the store or from the versions of its bucket. If an older state was put back on purpose, make a backup, delete the file that remembers, and run it again"
        }
        Error::NotLocked => {
            "take a bucket with object lock and give it a default retention, so that what is written is locked from its first moment; or let this key see locks (s3:GetObjectRetention)"
        }
        Error::ParentGone(_) | Error::Fenced(_) => "run the same command again: it begins a new session",
        Error::Cache { .. } => "check the cache folder (--cache-dir): it can be deleted at any time and is made anew",
        _ => return kind(error.kind()),
    })
}

fn kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Corrupt => "`strongroom repo check --read-data` says what else is damaged and which files need it",
        ErrorKind::Key => "use the key of one of its holders: --key FILE or --passphrase-file FILE",
        ErrorKind::NoSpace => {
            "make room where the repository lies, then run the same command again: what is stored already counts"
        }
        ErrorKind::Permission => "run as a user who may read and write the repository's folder",
        ErrorKind::Transient => "run the same command again; if it fails again, check the store's connection",
        ErrorKind::NotFound | ErrorKind::Refused => return None,
        ErrorKind::Other => "check the disk below the repository (`dmesg`), then run `strongroom repo check`",
    })
}

fn backup(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::Repository(error) => return repository(error),
        BackupError::NoRoom(_) => {
            "nothing was written. `strongroom repo prune` frees what no snapshot needs, `strongroom repo usage` says who uses what; or make room where the repository lies, or raise its quota with `strongroom repo quota`"
        }
        BackupError::NoSource => "check the paths, and whether their disks are mounted",
        BackupError::Pattern(_) => "close each [ and {, or put a backslash in front to mean the sign itself",
        BackupError::StreamName(_) => "write a path such as dumps/all.sql",
        BackupError::Stream(_) => "look at the command that feeds the stream; nothing of it is kept",
        BackupError::Source(_) | BackupError::Root(_) => "check the path and who may read it",
        BackupError::Stopped => "run the same command again",
        BackupError::Thread | BackupError::StateDamaged => {
            "this is a fault of the program: report it with the output of -vv"
        }
    })
}

fn restore(error: &RestoreError) -> Option<&'static str> {
    Some(match error {
        RestoreError::Repository(error) => return repository(error),
        RestoreError::Target { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
            "give a directory with --target"
        }
        RestoreError::Target { source, .. } => return file(source.kind()),
        RestoreError::NotInSnapshot(_) => "`strongroom ls` and `strongroom find` show what is in a snapshot",
        RestoreError::BadPath(_) => "write it as `strongroom ls` shows it",
        RestoreError::NoRoom { .. } => "make room, restore less, or give another --target",
        RestoreError::Busy(_) => "wait until it is over, or give another --target",
        RestoreError::Note { .. } => {
            "remove the folder that the note is in, and run the same command again: it begins anew"
        }
        RestoreError::Withheld(_) => "run the same command again",
        RestoreError::Thread => "this is a fault of the program: report it with the output of -vv",
    })
}

fn mount(error: &MountError) -> Option<&'static str> {
    Some(match error {
        MountError::Repository(error) => return repository(error),
        MountError::Mount { .. } => {
            "check that /dev/fuse is there, that fusermount3 is installed, and that nothing is mounted there"
        }
        MountError::Unmount { .. } => "close what looks into it, then unmount it with `umount`",
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
