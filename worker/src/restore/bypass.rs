//! Whether reads of a file system can be made to come from its disk, and how.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Advice, AtFlags, Mode, OFlags, fadvise, openat, unlinkat};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::aio::ALIGNMENT;

/// From this length on the pages of a file are dropped from the cache before it is read back: not for the reading, but because nobody else wants them.
/// What a restore has written and will not look at again should not push out what the host works with. A call costs 2.5 µs, so small files are left.
const WORTH_DROPPING_BYTES: u64 = 16 << 10;

/// How to read past the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bypass {
    /// `O_DIRECT` asks the disk.
    Direct,
    /// `O_DIRECT` is refused or a mere hint, as for compressed files on btrfs or with journalled data on ext4: pages are dropped first.
    Drop,
}

impl Bypass {
    /// Tries out what the file system of a directory does.
    pub(super) fn probe(directory: BorrowedFd<'_>) -> io::Result<Self> {
        const NAME: &CStr = c"probe";
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(directory, NAME, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(&[1; ALIGNMENT])?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        let bypass = match openat(directory, NAME, OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()) {
            Ok(direct) => after_direct_read(&direct, &file),
            Err(_) => Self::Drop,
        };
        unlinkat(directory, NAME, AtFlags::empty())?;
        Ok(bypass)
    }

    /// Opens a file so that reading it asks the disk.
    pub(super) fn open(self, directory: BorrowedFd<'_>, name: &CStr, size: u64) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match openat(directory, name, flags | OFlags::DIRECT, Mode::empty()) {
            Err(Errno::INVAL) => openat(directory, name, flags, Mode::empty()),
            other => other,
        }?;
        if self == Self::Drop || size >= WORTH_DROPPING_BYTES {
            fadvise(&opened, 0, None, Advice::DontNeed)?;
        }
        Ok(opened)
    }
}

/// If the bytes are in the cache after a direct read, that went through the cache.
fn after_direct_read(direct: &OwnedFd, file: &File) -> Bypass {
    let mut buffer = vec![0; 2 * ALIGNMENT];
    let skip = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = &mut buffer[skip..skip + ALIGNMENT];
    if pread(direct, &mut *aligned, 0).is_err() {
        return Bypass::Drop;
    }
    match preadv2(file, &mut [IoSliceMut::new(aligned)], 0, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN) => Bypass::Direct,
        _ => Bypass::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn memory_cannot_be_bypassed() {
        if !std::path::Path::new("/dev/shm").is_dir() {
            return;
        }
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let open = File::open(directory.path()).unwrap();
        assert_eq!(Bypass::probe(open.as_fd()).unwrap(), Bypass::Drop);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn either_way_the_content_is_read() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::write(directory.path().join("file"), [9; ALIGNMENT]).unwrap();
        let open = File::open(directory.path()).unwrap();
        for bypass in [Bypass::Drop, Bypass::Direct, Bypass::probe(open.as_fd()).unwrap()] {
            let file = bypass.open(open.as_fd(), c"file", ALIGNMENT as u64).unwrap();
            let mut buffer = vec![0; 2 * ALIGNMENT];
            let skip = buffer.as_ptr().align_offset(ALIGNMENT);
            assert_eq!(pread(&file, &mut buffer[skip..skip + ALIGNMENT], 0).unwrap(), ALIGNMENT);
            assert_eq!(buffer[skip..skip + ALIGNMENT], [9; ALIGNMENT]);
        }
    }
}
