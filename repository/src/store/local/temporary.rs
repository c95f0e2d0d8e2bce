//! Unfinished objects: files in `tmp/` that are linked to their name once they are whole.
//!
//! Each is created under a random name and held under flock(2) by its writer for as long as that
//! lives. So a file that nobody holds is a dead writer's, and may go: no process ids, clocks or
//! boot ids are asked, and a writer in another container counts. A cleaner that comes between a
//! writer's create and its lock can win the lock; the writer then takes another name.
//!
//! On a network file system whose locks end at the client, a cleaner elsewhere may remove the file
//! of a living writer. That writer's link then fails: a put that has to be repeated, never one
//! that is taken for done.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::error::LocalError;
use super::folders;
use super::names::TEMPORARY;

/// Only the owner reads a repository. Objects keep the mode of their temporary file.
const MODE: u32 = 0o600;

/// Attempts to create a file that no cleaner takes away; one is the rule.
const ATTEMPTS_MAX: u32 = 16;

/// A file under a temporary name, removed with the value.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) file: File,
    path: PathBuf,
}

impl Temporary {
    /// Creates an empty file below `root`, which must exist.
    pub(super) fn create(root: &Path) -> Result<Self, LocalError> {
        let folder = root.join(TEMPORARY);
        let mut attempts = 0;
        loop {
            let path = folder.join(random_name()?);
            match create_locked(&path) {
                Ok(Some(file)) => return Ok(Self { file, path }),
                Ok(None) if attempts < ATTEMPTS_MAX => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts == 0 => {
                    folders::make(&folder)?;
                }
                Ok(None) => return Err(LocalError::io("keep", &path)(io::ErrorKind::ResourceBusy.into())),
                Err(error) => return Err(LocalError::io("create", &path)(error)),
            }
            attempts += 1;
        }
    }

    /// Gives the file its final name, unless something has that name.
    pub(super) fn publish_new(&self, path: &Path) -> Result<(), LocalError> {
        fs::hard_link(&self.path, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => LocalError::Exists { path: path.into(), source },
            _ => LocalError::Publish { path: path.into(), source },
        })
    }

    /// Gives the file its final name in place of whatever has it.
    pub(super) fn publish_over(&self, path: &Path) -> Result<(), LocalError> {
        fs::rename(&self.path, path).map_err(LocalError::io("replace", path))
    }

    /// Where the file lies while it is unfinished.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now goes when the store is next opened.
        drop(fs::remove_file(&self.path));
    }
}

/// Removes what dead writers left below `root`. It is no fault if that cannot be done.
pub(super) fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root.join(TEMPORARY)) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match remove_if_dead(&path) {
            Ok(()) => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "temporary file stays"),
        }
    }
}

fn remove_if_dead(path: &Path) -> io::Result<()> {
    // Writable, because NFS grants exclusive locks on nothing less.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fs::remove_file(path)
}

/// Creates and locks a file; None if a cleaner was faster.
fn create_locked(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        // Without locks in the file system nothing is ever found dead there, nor needs protection.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOLCK | rustix::io::Errno::NOSYS) => {}
        other => other?,
    }
    let is_linked = file.metadata()?.nlink() > 0;
    Ok(is_linked.then_some(file))
}

fn random_name() -> Result<String, LocalError> {
    let mut name = [0; 16];
    aws_lc_rs::rand::fill(&mut name).map_err(|_| LocalError::Random)?;
    Ok(data_encoding::HEXLOWER.encode(&name))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn count(root: &Path) -> usize {
        fs::read_dir(root.join(TEMPORARY)).expect("folder").count()
    }

    #[test]
    fn only_files_of_the_dead_are_swept() {
        let root = tempfile::tempdir().expect("folder");
        let living = Temporary::create(root.path()).expect("temporary file");
        fs::write(root.path().join("tmp/dead"), "left by a kill").expect("write");
        assert_eq!(count(root.path()), 2);
        sweep(root.path());
        assert_eq!(count(root.path()), 1);
        assert!(living.path().exists());
        drop(living);
        assert_eq!(count(root.path()), 0);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let root = tempfile::tempdir().expect("folder");
        let folder = root.path().join("tmp/folder");
        fs::create_dir_all(&folder).expect("folder");
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("tmp/link")).expect("link");
        sweep(root.path());
        assert_eq!(count(root.path()), 2);
    }

    /// Cleaners run against writers, and every writer's file stays linked until it lets go.
    #[test]
    fn cleaners_never_take_a_file_that_is_being_written() {
        let root = tempfile::tempdir().expect("folder");
        let stop = AtomicBool::new(false);
        let clean = || {
            while !stop.load(Ordering::Relaxed) {
                sweep(root.path());
            }
        };
        let write = |round| {
            let temporary = Temporary::create(root.path())?;
            temporary.publish_new(&root.path().join(format!("done-{round}")))
        };
        let written: Result<(), LocalError> = std::thread::scope(|scope| {
            scope.spawn(clean);
            scope.spawn(clean);
            let written = (0..3000).try_for_each(write);
            stop.store(true, Ordering::Relaxed);
            written
        });
        written.expect("every writer keeps its file");
        assert_eq!(count(root.path()), 0);
    }
}
