//! From a node of the file system to an entry of the snapshot: everything but the content.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use strongroom_repository::tree::order::join;
use strongroom_repository::{Entry, Kind};

use crate::filesystem::{Stat, attributes, inode_flags};
use crate::owners::Owners;
use crate::remarks::{Doing, Problem, Remark};
use crate::state::Fingerprint;

/// An entry, and how the next run tells whether it is still true.
#[derive(Debug)]
pub struct Capture {
    /// What the snapshot keeps.
    pub entry: Entry,
    /// What the node looked like before its content was read.
    pub fingerprint: Fingerprint,
    /// Bytes of content that were read.
    pub bytes_read: u64,
    /// What there is to say about it.
    pub remarks: Vec<Remark>,
}

/// What came of looking at a node.
#[derive(Debug)]
pub enum Outcome {
    /// An entry.
    Captured(Box<Capture>),
    /// No entry: why.
    LeftOut(Remark),
}

impl Capture {
    /// The entry of a node with what its metadata says.
    #[must_use]
    pub fn new(name: &CStr, kind: Kind, stat: &Stat, owners: &Owners) -> Self {
        let mut entry = Entry::new(name.to_bytes().to_vec(), kind);
        entry.mode = stat.mode & 0o7777;
        (entry.uid, entry.gid) = (stat.uid, stat.gid);
        (entry.user, entry.group) = (owners.user(stat.uid), owners.group(stat.gid));
        (entry.mtime, entry.birth) = (stat.mtime, stat.birth);
        if stat.links > 1 && kind != Kind::Directory {
            entry.hardlink = Some((u64::from(stat.device), stat.inode));
        }
        if matches!(kind, Kind::CharacterDevice | Kind::BlockDevice) {
            entry.device = Some(stat.special);
        }
        Self { entry, fingerprint: Fingerprint::of(stat), bytes_read: 0, remarks: Vec::new() }
    }

    /// Adds the attributes and flags of an open file or directory.
    pub fn add_attributes(&mut self, directory: &[u8], node: BorrowedFd<'_>) {
        match attributes::of(node) {
            Ok(attributes) => self.entry.xattrs = attributes,
            Err(fault) => self.attribute_fault(directory, fault),
        }
        match inode_flags::read(node) {
            Ok((flags, project)) => (self.entry.flags, self.entry.project) = (flags, project),
            Err(fault) => self.attribute_fault(directory, fault),
        }
    }

    /// Adds the attributes of a node that is not opened.
    fn add_attributes_at(&mut self, directory: &[u8], place: BorrowedFd<'_>, name: &CStr) {
        match attributes::at(place, name) {
            Ok(attributes) => self.entry.xattrs = attributes,
            Err(fault) => self.attribute_fault(directory, fault),
        }
    }

    fn attribute_fault(&mut self, directory: &[u8], source: io::Error) {
        let path = join(directory, &self.entry.name);
        self.remarks.push(Remark::Problem(Problem { path, doing: Doing::ReadAttributes, source }));
        // An entry that lacks something is never taken for unchanged.
        self.fingerprint = self.fingerprint.spoiled();
    }
}

/// Captures a node that has no content: anything but a regular file.
pub fn without_content(directory: &[u8], place: BorrowedFd<'_>, name: &CStr, stat: &Stat, owners: &Owners) -> Outcome {
    let Some(kind) = stat.kind() else {
        return Outcome::LeftOut(Remark::fault(
            join(directory, name.to_bytes()),
            Doing::Inspect,
            io::ErrorKind::Unsupported.into(),
        ));
    };
    let mut capture = Capture::new(name, kind, stat, owners);
    match kind {
        Kind::Directory => capture.add_directory(directory, place, name),
        Kind::Symlink => match readlinkat(place, name, Vec::with_capacity(64)) {
            Ok(target) => {
                capture.entry.target = Some(target.into_bytes());
                capture.add_attributes_at(directory, place, name);
            }
            Err(fault) => {
                return Outcome::LeftOut(Remark::fault(join(directory, name.to_bytes()), Doing::Read, fault.into()));
            }
        },
        _ => capture.add_attributes_at(directory, place, name),
    }
    Outcome::Captured(Box::new(capture))
}

impl Capture {
    /// A directory keeps its entry whatever happens to it now: what the walk found in it needs a parent. One that is gone or denies opening keeps
    /// what its metadata says.
    fn add_directory(&mut self, directory: &[u8], place: BorrowedFd<'_>, name: &CStr) {
        match open_directory(place, name) {
            Ok(opened) => self.add_attributes(directory, opened.as_fd()),
            Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => {
                self.add_attributes_at(directory, place, name)
            }
            Err(fault) => self.remarks.push(Remark::fault(join(directory, name.to_bytes()), Doing::Inspect, fault)),
        }
    }
}

fn open_directory(place: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(place, name, flags, Mode::empty())?)
}
