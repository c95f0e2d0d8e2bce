//! An exclusive lock on a file, whose end is certain.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::{Deref, DerefMut};

/// A file that is locked as long as this lives. It is flock(2)'s kind: it goes with the process, however that ends.
///
/// Closing the file would not be enough to give the lock back. A child that was forked a moment ago, and has not yet executed its program, holds the same open file
/// and with it the lock; whoever comes next would find it taken.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks a file. None if another one has it.
    pub fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "a lock is given back by closing its file");
        }
    }
}

impl Deref for FileLock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for FileLock {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::Path;

    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    use super::*;

    fn take(path: &Path) -> Option<FileLock> {
        FileLock::take(File::create(path).unwrap()).unwrap()
    }

    #[test]
    fn it_is_given_back_though_a_child_still_holds_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = take(&path).unwrap();
        assert!(take(&path).is_none());
        // What a fork leaves in the child: another descriptor of the same open file.
        let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let _inherited = pidfd_getfd(this, lock.as_raw_fd(), PidfdGetfdFlags::empty()).unwrap();
        drop(lock);
        assert!(take(&path).is_some());
    }
}
