//! Making nodes that have no content: directories, links, fifos, devices, and files without data.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, linkat, makedev, mkdirat, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;
use strongroom_repository::Kind;

use super::content;
use super::window::Item;

/// What nobody but the restore may touch before it is finished.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Makes the node of an item; a file comes back open.
pub(super) fn node(place: BorrowedFd<'_>, item: &Item) -> io::Result<Option<OwnedFd>> {
    let (name, entry) = (item.name.as_c_str(), &item.entry);
    let device = entry.device.map_or(0, |(major, minor)| makedev(major, minor));
    let make = || match entry.kind {
        Kind::Symlink => symlinkat(entry.target.as_deref().unwrap_or_default(), place, name),
        Kind::Fifo => mknodat(place, name, FileType::Fifo, PRIVATE, 0),
        Kind::CharacterDevice => mknodat(place, name, FileType::CharacterDevice, PRIVATE, device),
        Kind::BlockDevice => mknodat(place, name, FileType::BlockDevice, PRIVATE, device),
        Kind::File | Kind::Directory | Kind::Socket => Err(Errno::INVAL),
    };
    if entry.kind == Kind::File {
        return content::create_for_pieces(place, name, entry).map(Some);
    }
    in_place_of(place, name, make).map(|()| None)
}

/// Makes a directory that only the restore can enter; one that is there already, from an interrupted run, is opened up again.
pub(super) fn directory(place: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match mkdirat(place, name, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        other => return Ok(other?),
    }
    let stat = crate::filesystem::Stat::at(place, name)?;
    if !stat.is_directory() {
        return in_place_of(place, name, || mkdirat(place, name, Mode::RWXU));
    }
    Ok(rustix::fs::chmodat(place, name, Mode::RWXU, AtFlags::empty())?)
}

/// Gives a file another name.
pub(super) fn link(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &CStr)) -> io::Result<()> {
    in_place_of(to.0, to.1, || linkat(from.0, from.1, to.0, to.1, AtFlags::empty()))
}

/// Removes the name of something that could not be finished. If it is not there, or is a directory and so something else, that is fine.
pub(super) fn remove(place: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match unlinkat(place, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes something; what an interrupted run left under the name goes first.
fn in_place_of(place: BorrowedFd<'_>, name: &CStr, make: impl Fn() -> rustix::io::Result<()>) -> io::Result<()> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(place, name, AtFlags::empty())?;
            Ok(make()?)
        }
        other => Ok(other?),
    }
}
