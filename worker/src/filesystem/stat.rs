//! What the kernel says about a node, in the shape that the backup needs.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use strongroom_repository::tree::entry::{Kind, Time};

/// Everything but the access time, which a backup neither keeps nor compares.
const MASK: StatxFlags = StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME).union(StatxFlags::BTIME);

/// The size of the blocks that `blocks` counts, whatever the file system's own block size.
const BLOCK_BYTES: u64 = 512;

/// Metadata of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which device the node is on, in the kernel's own 32 bits: 12 of the major number, 20 of the minor.
    pub device: u32,
    /// Its number there.
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// How many names it has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Allocated, in units of 512 bytes.
    pub blocks: u64,
    /// Last modification of the content.
    pub mtime: Time,
    /// Last change of anything.
    pub ctime: Time,
    /// Creation, where the file system keeps it.
    pub birth: Option<Time>,
    /// Major and minor number, if the node is a device.
    pub special: (u32, u32),
}

impl Stat {
    /// Looks at a name in a directory, without following it and without mounting what is not mounted. Attributes are as fresh as `stat(2)` gives
    /// them: asking for cached ones is no faster on a local file system and would miss changes on a remote one.
    #[inline]
    pub fn at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(Self::from_kernel(&statx(directory, name, flags, MASK)?))
    }

    /// Looks at what a link leads to, as far as it is known here: no server is asked.
    pub(crate) fn behind(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Self> {
        let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        Ok(Self::from_kernel(&statx(directory, name, flags, MASK)?))
    }

    /// Looks at an open node.
    pub fn of(node: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::from_kernel(&statx(node, c"", AtFlags::EMPTY_PATH, MASK)?))
    }

    fn from_kernel(from: &Statx) -> Self {
        Self {
            device: fold_device(from.stx_dev_major, from.stx_dev_minor),
            inode: from.stx_ino,
            mode: u32::from(from.stx_mode),
            links: from.stx_nlink,
            uid: from.stx_uid,
            gid: from.stx_gid,
            size: from.stx_size,
            blocks: from.stx_blocks,
            mtime: time(from.stx_mtime),
            ctime: time(from.stx_ctime),
            birth: (from.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(from.stx_btime)),
            special: (from.stx_rdev_major, from.stx_rdev_minor),
        }
    }

    /// What the node is; none for a type that this release does not know.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match FileType::from_raw_mode(self.mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::CharacterDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Unknown => return None,
        })
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::RegularFile
    }

    /// Bytes of content: the length of a regular file, nothing for anything else.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        if self.is_file() { self.size } else { 0 }
    }

    /// Bytes that it takes on its file system.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.blocks.saturating_mul(BLOCK_BYTES)
    }

    /// Whether fewer bytes are allocated than the file is long: it may have holes.
    #[must_use]
    pub fn may_have_holes(&self) -> bool {
        self.allocated_bytes() < self.size
    }

    /// Whether `later` shows the same node with nothing changed since.
    #[must_use]
    pub fn is_still(&self, later: &Self) -> bool {
        (self.device, self.inode, self.mode, self.size) == (later.device, later.inode, later.mode, later.size)
            && (self.mtime, self.ctime) == (later.mtime, later.ctime)
    }
}

fn fold_device(major: u32, minor: u32) -> u32 {
    major << 20 | minor & 0xf_ffff
}

fn time(from: StatxTimestamp) -> Time {
    Time { seconds: from.tv_sec, nanoseconds: from.tv_nsec }
}
