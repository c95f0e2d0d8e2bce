//! Extended attributes, POSIX ACLs and file capabilities among them, as the raw values that the kernel gives.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// The kernel's own limit for a value and for a list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`), in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;

/// Enough for the names of nearly every file; a longer list is asked for again.
const NAMES_BYTES: usize = 512;

/// Names and values, sorted by name.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// The attributes of an open file or directory.
pub fn of(node: BorrowedFd<'_>) -> io::Result<Attributes> {
    collect(|names| flistxattr(node, names), |name, value| fgetxattr(node, name, value))
}

/// The attributes of a name in an open directory, without following or opening it.
pub fn at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Attributes> {
    // There is no `listxattrat` before Linux 6.13. The directory's entry in /proc leads to the directory that is open, not to its path.
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = CString::new(path)?;
    collect(|names| llistxattr(path.as_c_str(), names), |name, value| lgetxattr(path.as_c_str(), name, value))
}

fn collect(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Attributes> {
    let mut small = [0; NAMES_BYTES];
    match list(&mut small) {
        Ok(0) | Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        Ok(length) => values(&small[..length], get),
        Err(Errno::RANGE) => {
            let mut large = vec![0; ATTRIBUTE_BYTES_MAX];
            let length = list(&mut large)?;
            values(&large[..length], get)
        }
        Err(fault) => Err(fault.into()),
    }
}

fn values(names: &[u8], get: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>) -> io::Result<Attributes> {
    let mut attributes = Vec::new();
    let mut buffer = vec![0; ATTRIBUTE_BYTES_MAX];
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match get(name, &mut buffer) {
            Ok(length) => attributes.push((name.to_bytes().to_vec(), buffer[..length].to_vec())),
            // It went away since the list was made.
            Err(Errno::NODATA) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{XattrFlags, fsetxattr};
    use std::os::fd::AsFd;

    #[test]
    fn attributes_come_sorted_and_whole() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = std::fs::File::create(directory.path().join("file")).unwrap();
        let large = vec![b'x'; 1500];
        let long_name = format!("user.{}", "n".repeat(200));
        let mut expect: Attributes =
            vec![(b"user.b".to_vec(), b"2".to_vec()), (b"user.a".to_vec(), large), (b"user.empty".to_vec(), vec![])];
        expect.extend((0..4).map(|digit| (format!("{long_name}{digit}").into_bytes(), vec![digit])));
        for (name, value) in &expect {
            fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()).unwrap();
        }
        expect.sort();
        assert_eq!(of(file.as_fd()).unwrap(), expect);
        let directory = std::fs::File::open(directory.path()).unwrap();
        assert_eq!(at(directory.as_fd(), c"file").unwrap(), expect);
        assert_eq!(at(directory.as_fd(), c"absent").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
