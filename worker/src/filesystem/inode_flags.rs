//! Flags that `chattr` sets, and project ids.
//!
//! Kept are the flags that somebody can set and a restore can set again. What the file system sets by itself to describe its own layout (`e` for
//! extents, `I` for an indexed directory, inline data, encryption, verity) says nothing about the file and is left out.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{IFlags, ioctl_getflags};
use rustix::io::Errno;

/// The flags of `chattr` that a backup keeps and a restore sets: s u c S i a d A, no compression, j t D T C x P F. All others the file system keeps for itself.
pub const KEPT: u32 = 0x0000_04ff
    | 0x0000_4000
    | 0x0000_8000
    | 0x0001_0000
    | 0x0002_0000
    | 0x0080_0000
    | 0x0200_0000
    | 0x2000_0000
    | 0x4000_0000;

/// `FS_IOC_FSGETXATTR`: `_IOR('X', 31, struct fsxattr)` of 28 bytes.
const GET_EXTENDED: libc::c_ulong = 0x801c_581f;

/// `struct fsxattr` of linux/fs.h.
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

/// Flags and project id of an open file or directory, each none where it is zero or the file system has no such thing.
pub fn read(node: BorrowedFd<'_>) -> io::Result<(Option<u32>, Option<u32>)> {
    let flags = match ioctl_getflags(node) {
        Ok(flags) => flags & IFlags::from_bits_retain(KEPT),
        Err(fault) if is_absent(fault) => return Ok((None, None)),
        Err(fault) => return Err(fault.into()),
    };
    Ok((non_zero(flags.bits()), non_zero(project(node)?)))
}

fn non_zero(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

fn is_absent(fault: Errno) -> bool {
    matches!(fault, Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)
}

fn project(node: BorrowedFd<'_>) -> io::Result<u32> {
    let mut extended = Extended::default();
    #[expect(unsafe_code, reason = "rustix has no call for FS_IOC_FSGETXATTR")]
    // SAFETY: the kernel writes one `struct fsxattr` of 28 bytes, which is what it is given; the number says so too, see the test.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), GET_EXTENDED as _, &raw mut extended) };
    if result == 0 {
        return Ok(extended.project);
    }
    let fault = io::Error::last_os_error();
    match Errno::from_io_error(&fault) {
        Some(errno) if is_absent(errno) => Ok(0),
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_request_number_states_the_size_of_what_the_kernel_writes() {
        assert_eq!(GET_EXTENDED >> 16 & 0x3fff, size_of::<Extended>() as libc::c_ulong);
    }

    #[test]
    fn a_flag_that_was_set_is_read() {
        let file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(read(file.as_file().as_fd()).unwrap(), (None, None));
        if rustix::fs::ioctl_setflags(file.as_file(), IFlags::NODUMP).is_ok() {
            assert_eq!(read(file.as_file().as_fd()).unwrap(), (Some(IFlags::NODUMP.bits()), None));
        }
    }

    #[test]
    fn a_file_system_without_flags_is_no_fault() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert_eq!(read(file.as_fd()).unwrap(), (None, None));
    }
}
