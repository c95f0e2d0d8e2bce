//! The directory that a plan's snapshots are restored to, and which is gone afterwards.
//!
//! It holds a copy of the backed-up data, so it is its owner's alone, and what a killed run left is removed before the next one begins.

use std::fs::{self, DirEntry, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, openat};

use crate::access::create_private;
use crate::failure::{Cause, Doing, Failure};

/// A thread of a restore that was stopped may still finish a file; then the removal begins again.
const ATTEMPTS: usize = 10;

/// How many files are removed at once; measured: 4,500 files take 18 s one by one on a disk with online discard, 1.2 s so.
const REMOVERS: usize = 8;

/// A scratch directory that may or may not be there.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, empty.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        self.remove()?;
        create_private(&self.path).doing(|| "prepare the scratch directory".into())
    }

    /// Removes it with everything in it, whatever forbids that.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = remove_all(&self.path);
            if result.is_ok() {
                break;
            }
            unlock(&self.path);
        }
        let failed = |source| Cause::File { doing: "remove", path: self.path.clone(), source };
        result.map_err(failed).doing(|| "remove the scratch directory".into()).map_err(|failure| {
            failure
                .advise(format!("remove it by hand: it holds a copy of what was backed up ({})", self.path.display()))
        })
    }
}

/// Files first, by several threads: where the file system tells its disk of every freed block, each of them waits for the disk.
fn remove_all(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        folders.extend(entries(&folder, Kind::Folder));
    }
    let turn = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..REMOVERS {
            scope.spawn(|| {
                while let Some(folder) = folders.get(turn.fetch_add(1, Ordering::Relaxed)) {
                    // What stays is met again, and reported, by the removal of the folders.
                    entries(folder, Kind::Other).for_each(|file| drop(fs::remove_file(file)));
                }
            });
        }
    });
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Other,
}

fn entries(folder: &Path, wanted: Kind) -> impl Iterator<Item = PathBuf> {
    let kind = |entry: &DirEntry| match entry.file_type() {
        Ok(found) if found.is_dir() => Kind::Folder,
        _ => Kind::Other,
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(move |entry| kind(entry) == wanted).map(|entry| entry.path())
}

/// Takes away what keeps a restored tree from being removed: directories that their owner may not write, and flags that forbid changes.
fn unlock(path: &Path) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if !metadata.is_dir() && !metadata.is_file() {
        return;
    }
    unflag(path);
    if !metadata.is_dir() {
        return;
    }
    // What cannot be unlocked is reported by the removal.
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.for_each(|entry| unlock(&entry.path()));
}

fn unflag(path: &Path) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(CWD, path, flags, Mode::empty()) else { return };
    let forbidding = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(set) = ioctl_getflags(&file)
        && set.intersects(forbidding)
    {
        let _ = ioctl_setflags(&file, set - forbidding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_resists_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let scratch = Scratch::at(top.path().join("scratch"));
        scratch.create().unwrap();
        let locked = scratch.path().join("a/b");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        let file = fs::File::open(locked.join("file")).unwrap();
        // Needs root and a file system with flags; elsewhere the modes alone must do.
        let _ = ioctl_setflags(&file, IFlags::IMMUTABLE);
        fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
        scratch.remove().unwrap();
        assert!(!scratch.path().exists());
        scratch.remove().unwrap();
    }
}
