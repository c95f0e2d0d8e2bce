//! One daemon for one state: two on one ledger would run every job twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::ServeError;

/// Held while a daemon uses its state; given back when dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(state: &Path) -> Result<Self, ServeError> {
        let path = state.join("lock");
        let failed = |source| ServeError::Folder { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ServeError::Locked(state.into())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Drop for Lock {
    /// Closing is not enough: a child that was forked a moment ago, and has not yet executed its program, holds the same open file, and with it the lock.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock is given back by closing its file");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    use super::*;

    #[test]
    fn it_is_given_back_though_a_child_still_holds_its_file() {
        let state = tempfile::tempdir().unwrap();
        let lock = Lock::take(state.path()).unwrap();
        assert!(matches!(Lock::take(state.path()), Err(ServeError::Locked(_))));
        // What a fork leaves in the child: another descriptor of the same open file.
        let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let _inherited = pidfd_getfd(this, lock.0.as_raw_fd(), PidfdGetfdFlags::empty()).unwrap();
        drop(lock);
        Lock::take(state.path()).unwrap();
    }
}
