//! A restored directory put at the place where it is used, in one instant.
//!
//! Both are on one file system, so it is a rename. Where a directory is at that place the two change places: at every instant the place holds all of the old or all of the new, and
//! what was there lies where the restored one was. No link is followed on the way to either.
//!
//! A rename leaves no trace of whether it was done, so whoever may be interrupted notes the directory's [`inode`] before, and asks for it after.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, RenameFlags, renameat_with, statat};
use rustix::io::Errno;
use strongroom_repository::text::escape;

use crate::filesystem::Root;
use crate::open_files::OpenFiles;

/// Why a directory is not put in place.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// It cannot be looked at.
    #[error("cannot look at '{path}'")]
    Look { path: String, source: io::Error },
    /// Something else is there.
    #[error("'{0}' is not a directory")]
    NoDirectory(String),
    /// A rename does not lead there.
    #[error(
        "'{from}' and '{to}' are not on one file system, as far as the worker may go: restore to a directory beside '{to}'"
    )]
    Apart { from: String, to: String },
    /// The system refuses.
    #[error("cannot put '{from}' at '{to}'")]
    Rename { from: String, to: String, source: io::Error },
}

/// What was there before, if anything was, lies here now.
pub type Aside = Option<PathBuf>;

/// A name in an open directory.
struct Place {
    parent: OwnedFd,
    name: std::ffi::CString,
    shown: String,
}

/// The number by which a directory is known on its file system, wherever it is moved; none if nothing is there.
pub fn inode(directory: &Path) -> Result<Option<u64>, PromoteError> {
    match Place::at(directory)?.stat()? {
        Some((FileType::Directory, inode)) => Ok(Some(inode)),
        Some(_) => Err(PromoteError::NoDirectory(shown(directory))),
        None => Ok(None),
    }
}

/// Puts `from` at `to`, and makes that durable. Blocking.
pub fn promote(from: &Path, to: &Path) -> Result<Aside, PromoteError> {
    let (old, new) = (Place::at(from)?, Place::at(to)?);
    let is_there = inode(to)?.is_some();
    let flags = if is_there { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    let renamed = renameat_with(&old.parent, &old.name, &new.parent, &new.name, flags);
    renamed.map_err(|error| match error {
        Errno::XDEV => PromoteError::Apart { from: old.shown.clone(), to: new.shown.clone() },
        error => PromoteError::Rename { from: old.shown.clone(), to: new.shown.clone(), source: error.into() },
    })?;
    for place in [&new, &old] {
        place.flush().map_err(|source| PromoteError::Look { path: place.shown.clone(), source })?;
    }
    Ok(is_there.then(|| from.to_owned()))
}

/// Which process writes to a file below a directory, and to which: what changes places under it, it writes on into. Blocking.
#[must_use]
pub fn writer_below(directory: &Path) -> Option<String> {
    let (path, writer) = OpenFiles::now().writer_below(directory)?;
    Some(format!("{writer} writes to '{}'", shown(&path)))
}

/// How many nodes that are no directories lie below one. Blocking.
pub fn count(directory: &Path) -> io::Result<u64> {
    let (mut nodes, mut left) = (0, vec![directory.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => left.push(entry.path()),
                false => nodes += 1,
            }
        }
    }
    Ok(nodes)
}

impl Place {
    fn at(path: &Path) -> Result<Self, PromoteError> {
        let shown = shown(path);
        let failed = |source| PromoteError::Look { path: shown.clone(), source };
        let (parent, name) =
            path.parent().zip(path.file_name()).ok_or_else(|| PromoteError::NoDirectory(shown.clone()))?;
        let below_root = parent.as_os_str().as_bytes().strip_prefix(b"/").unwrap_or_default();
        let parent = Root::of_host().and_then(|root| root.listing(below_root)).map_err(failed)?;
        let name = std::ffi::CString::new(name.as_bytes()).map_err(|error| failed(error.into()))?;
        Ok(Self { parent, name, shown })
    }

    fn stat(&self) -> Result<Option<(FileType, u64)>, PromoteError> {
        match statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(PromoteError::Look { path: self.shown.clone(), source: error.into() }),
        }
    }

    fn flush(&self) -> io::Result<()> {
        File::from(self.parent.try_clone()?).sync_all()
    }
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn two_directories_change_places_and_one_goes_where_none_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("back/data")).unwrap();
        fs::write(at("back/data/new"), "").unwrap();
        fs::create_dir(at("used")).unwrap();
        fs::write(at("used/old"), "").unwrap();
        let before = inode(&at("back/data")).unwrap();
        assert_eq!(promote(&at("back/data"), &at("used")).unwrap(), Some(at("back/data")));
        assert!(at("used/new").exists() && at("back/data/old").exists());
        assert_eq!(inode(&at("used")).unwrap(), before);
        assert_eq!((promote(&at("used"), &at("free")).unwrap(), inode(&at("used")).unwrap()), (None, None));
        assert_eq!((inode(&at("free")).unwrap(), count(&at("free")).unwrap()), (before, 1));
    }

    #[test]
    fn nothing_goes_by_a_link_or_to_another_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("real/data")).unwrap();
        symlink("real", at("link")).unwrap();
        fs::write(at("file"), "").unwrap();
        assert!(matches!(promote(&at("link/data"), &at("to")), Err(PromoteError::Look { .. })));
        assert!(matches!(promote(&at("real/data"), &at("link")), Err(PromoteError::NoDirectory(_))));
        assert!(matches!(promote(&at("real/data"), &at("file")), Err(PromoteError::NoDirectory(_))));
        assert!(matches!(promote(&at("real/data"), &at("none/to")), Err(PromoteError::Look { .. })));
        assert!(promote(&at("real/data"), Path::new("/proc/data")).is_err());
        assert!(at("real/data").exists());
    }
}
