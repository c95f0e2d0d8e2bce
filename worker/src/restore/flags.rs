//! Setting inode flags and project ids: the other half of [`crate::filesystem::inode_flags`].

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;

use crate::filesystem::inode_flags::KEPT;

/// Flags that forbid changes. They are set when a node has its last name and nothing more is to be done to it.
const FORBIDDING: u32 = IFlags::IMMUTABLE.bits() | IFlags::APPEND.bits();

/// Flags that must be set while a file is empty: no copy on write.
const BEFORE_CONTENT: u32 = IFlags::NOCOW.bits();

/// The part of `flags` that forbids changes.
pub(super) fn forbidding(flags: Option<u32>) -> u32 {
    flags.unwrap_or(0) & FORBIDDING
}

/// The part of `flags` that does not.
pub(super) fn harmless(flags: Option<u32>) -> u32 {
    flags.unwrap_or(0) & KEPT & !FORBIDDING
}

/// The part of `flags` to be set before content is written.
pub(super) fn before_content(flags: Option<u32>) -> u32 {
    flags.unwrap_or(0) & BEFORE_CONTENT
}

/// Makes the settable flags of a node those given. A file system without flags is a fault only if there are flags to set.
pub(super) fn set(node: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
    let now = match ioctl_getflags(node) {
        Ok(now) => now.bits(),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) if flags == 0 => return Ok(()),
        Err(fault) => return Err(fault.into()),
    };
    let wanted = now & !KEPT | flags;
    if wanted != now {
        ioctl_setflags(node, IFlags::from_bits_retain(wanted))?;
    }
    Ok(())
}

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR` of linux/fs.h: `_IOR` and `_IOW('X', 31 and 32, struct fsxattr)`, 28 bytes.
const GET_EXTENDED: libc::c_ulong = 0x801c_581f;
const SET_EXTENDED: libc::c_ulong = 0x401c_5820;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Default)]
struct Extended {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_on_write_extent_size: u32,
    padding: [u8; 8],
}

/// Sets the project id of a node.
pub(super) fn set_project(node: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut extended = Extended::default();
    extended_call(node, GET_EXTENDED, &mut extended)?;
    extended.project = project;
    extended_call(node, SET_EXTENDED, &mut extended)
}

fn extended_call(node: BorrowedFd<'_>, request: libc::c_ulong, extended: &mut Extended) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix has no call for FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR")]
    // SAFETY: the kernel reads or writes one `struct fsxattr` of 28 bytes, which is what it is given; the numbers say so too, see the test.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), request as _, std::ptr::from_mut(extended)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::inode_flags;
    use std::os::fd::AsFd;

    #[test]
    fn the_request_numbers_state_the_size_of_what_is_passed() {
        for request in [GET_EXTENDED, SET_EXTENDED] {
            assert_eq!(request >> 16 & 0x3fff, size_of::<Extended>() as libc::c_ulong);
        }
    }

    #[test]
    fn flags_are_set_and_cleared() {
        let file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let node = file.as_file().as_fd();
        let flags = (IFlags::NODUMP | IFlags::NOATIME).bits();
        if set(node, flags).is_err() {
            return; // no flags on this file system
        }
        assert_eq!(inode_flags::read(node).unwrap().0, Some(flags));
        set(node, 0).unwrap();
        assert_eq!(inode_flags::read(node).unwrap().0, None);
        assert_eq!((forbidding(Some(0x30 | flags)), harmless(Some(0x30 | flags | 0x8_0000))), (0x30, flags));
    }

    #[test]
    fn a_file_system_without_flags_minds_only_if_there_are_some() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(set(file.as_fd(), 0).is_ok());
        assert!(set(file.as_fd(), IFlags::NODUMP.bits()).is_err());
        assert!(set_project(file.as_fd(), 1).is_err());
    }
}
