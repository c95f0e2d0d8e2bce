//! What is done in the served folder. Everything here blocks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, StatVfs, flock, fstatvfs, linkat, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use strongroom_worker::filesystem::Root;

/// Only the owner reads a repository.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;

/// An open folder. Names are relative to it, and no link on the way is followed.
#[derive(Debug)]
pub(super) struct Folder(Root);

impl Folder {
    pub(super) fn open(path: &str) -> io::Result<Self> {
        Root::at(Path::new(if path.is_empty() { "/" } else { path })).map(Self)
    }

    /// The folder that a name is in, and its last part.
    fn above<'a>(&self, name: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        Ok((self.0.place(folder.as_bytes())?, last))
    }

    /// A file or folder, to be read or flushed.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        let (above, last) = self.above(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(openat(above, last, flags, Mode::empty())?.into())
    }

    /// A new file. As long as it is open it is locked, so that whoever opens the folder here does not take it for a dead writer's.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let (above, last) = self.above(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(above, last, flags, FILE_MODE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS) => Ok(file.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// One more name for a file, unless something has it.
    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from, old), (to, new)) = (self.above(from)?, self.above(to)?);
        Ok(linkat(from, old, to, new, AtFlags::empty())?)
    }

    /// Another name for a file, in place of whatever has it.
    pub(super) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from, old), (to, new)) = (self.above(from)?, self.above(to)?);
        Ok(renameat(from, old, to, new)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let (above, last) = self.above(name)?;
        Ok(unlinkat(above, last, AtFlags::empty())?)
    }

    pub(super) fn make_folder(&self, name: &str) -> io::Result<()> {
        let (above, last) = self.above(name)?;
        Ok(mkdirat(above, last, FOLDER_MODE)?)
    }

    /// What a folder holds, by name. What cannot be looked at any more is gone.
    pub(super) fn entries(&self, name: &str) -> io::Result<Vec<String>> {
        let folder = self.0.listing(if name == "." { b"" } else { name.as_bytes() })?;
        let names =
            Dir::read_from(folder.as_fd())?.map(|entry| Ok(entry?.file_name().to_str().ok().map(str::to_owned)));
        let names = names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten();
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }

    pub(super) fn space(&self) -> io::Result<StatVfs> {
        Ok(fstatvfs(self.0.place(b"")?)?)
    }
}
