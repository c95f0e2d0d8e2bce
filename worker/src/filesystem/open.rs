//! Opening by path, below one root and through no symbolic link.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::Stat;

/// The longest path handed to the kernel at once. Its limit, `PATH_MAX`, is 4096 with the final zero; deeper trees are descended in steps.
const PATH_BYTES_MAX: usize = 4000;

/// How directories are opened on the way: only as a place to start from, which needs no read permission.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory that all paths of a run are relative to: `/`, but for tests.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
    resolve: Resolve,
}

/// How the kernel is kept from following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolve {
    /// `openat2` does it in one call.
    AtOnce,
    /// Kernels before 5.6, and sandboxes that deny `openat2`: component by component.
    StepByStep,
}

impl Root {
    /// The root of the host.
    pub fn of_host() -> io::Result<Self> {
        Self::at(Path::new("/"))
    }

    /// A root elsewhere, such as a mounted copy of a host.
    pub fn at(path: &Path) -> io::Result<Self> {
        let directory = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let resolve = match openat2(&directory, ".", PLACE, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(_) => Resolve::AtOnce,
            Err(_) => Resolve::StepByStep,
        };
        Ok(Self { directory, path: path.to_owned(), resolve })
    }

    /// Where the root itself is, for messages and for asking the resolver of links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The device that the root is on.
    pub fn device(&self) -> io::Result<u32> {
        Ok(Stat::of(self.directory.as_fd())?.device)
    }

    /// Opens a directory as a place for calls relative to it.
    pub fn place(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.open(path, PLACE)
    }

    /// Opens a directory to list it.
    pub fn listing(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        without_access_time(flags, |flags| self.open(path, flags))
    }

    fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return Ok(openat(&self.directory, ".", flags, Mode::empty())?);
        }
        match self.resolve {
            Resolve::AtOnce => at_once(self.directory.as_fd(), path, flags),
            Resolve::StepByStep => step_by_step(self.directory.as_fd(), path, flags),
        }
    }
}

/// Opens a file in an open directory for reading. A fifo that took the file's place does not block it, and a link is not followed.
pub fn file_at(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    without_access_time(flags, |flags| Ok(openat(directory, name, flags, Mode::empty())?))
}

/// Tries to leave access times alone, which only the owner and root may ask for.
fn without_access_time(flags: OFlags, open: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    match open(flags | OFlags::NOATIME) {
        Err(fault) if fault.raw_os_error() == Some(Errno::PERM.raw_os_error()) => open(flags),
        other => other,
    }
}

fn at_once(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut rest = path;
    let mut place: Option<OwnedFd> = None;
    loop {
        let from = place.as_ref().map_or(root, AsFd::as_fd);
        let Some(cut) = step_end(rest) else {
            return Ok(openat2(from, rest, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?);
        };
        place = Some(openat2(from, &rest[..cut], PLACE, Mode::empty(), ResolveFlags::NO_SYMLINKS)?);
        rest = &rest[cut + 1..];
    }
}

/// Where to cut a path that is too long for one call.
fn step_end(path: &[u8]) -> Option<usize> {
    if path.len() <= PATH_BYTES_MAX {
        return None;
    }
    path[..PATH_BYTES_MAX].iter().rposition(|byte| *byte == b'/')
}

fn step_by_step(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut place: Option<OwnedFd> = None;
    let mut components = path.split(|byte| *byte == b'/').peekable();
    while let Some(component) = components.next() {
        let from = place.as_ref().map_or(root, AsFd::as_fd);
        if components.peek().is_none() {
            return Ok(openat(from, component, flags, Mode::empty())?);
        }
        place = Some(openat(from, component, PLACE, Mode::empty())?);
    }
    Err(Errno::NOENT.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn roots(path: &Path) -> [Root; 2] {
        let first = Root::at(path).unwrap();
        let second = Root { resolve: Resolve::StepByStep, ..Root::at(path).unwrap() };
        [first, second]
    }

    #[test]
    fn a_link_on_the_way_is_refused() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("real/inner")).unwrap();
        symlink("real", top.path().join("link")).unwrap();
        for root in roots(top.path()) {
            assert!(root.listing(b"real/inner").is_ok());
            assert!(root.place(b"").is_ok());
            for path in [&b"link/inner"[..], b"link", b"absent", b"real/absent/x"] {
                assert!(root.listing(path).is_err(), "{:?} {path:?}", root.resolve);
                assert!(root.place(path).is_err(), "{:?} {path:?}", root.resolve);
            }
        }
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_are_opened() {
        let top = tempfile::tempdir().unwrap();
        let name = [b'd'; 200];
        let mut place = openat(CWD, top.path(), PLACE, Mode::empty()).unwrap();
        for _ in 0..50 {
            rustix::fs::mkdirat(&place, &name[..], Mode::RWXU).unwrap();
            place = openat(&place, &name[..], PLACE, Mode::empty()).unwrap();
        }
        let path = [&name[..]; 50].join(&b'/');
        for root in roots(top.path()) {
            let opened = root.listing(&path).unwrap();
            let (want, got) = (rustix::fs::fstat(&place).unwrap(), rustix::fs::fstat(&opened).unwrap());
            assert_eq!((want.st_dev, want.st_ino), (got.st_dev, got.st_ino));
        }
    }
}
