//! Writing the bytes of a file: whole at once if they are one piece, else piece by piece in any order from any thread.
//!
//! Long pieces are written with `RWF_DONTCACHE` where the kernel has it (Linux 6.14): 3 GiB into fresh files took 13 s and 6.6 CPU seconds through
//! the cache and 2.4 s and 1.4 CPU seconds so, on a virtual machine that gives freed memory back to its host; `O_DIRECT` with its two unaligned ends
//! through the cache took 3.6 s. Short pieces must share writes to the disk, so they go through the cache.

use std::ffi::CStr;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, fallocate, ftruncate, openat, unlinkat};
use rustix::io::{Errno, ReadWriteFlags, pwrite, pwritev2};
use strongroom_repository::{Entry, Extent};

use super::flags;

/// `RWF_DONTCACHE` of linux/fs.h: write out at once and drop the pages then.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// From this length on a piece is worth a write of its own: disks reach their rate at about 256 KiB.
const LONG_PIECE_BYTES: usize = 256 << 10;

/// Whether this kernel and file system refused to write past the cache. One answer for all: it only decides about speed.
static CACHE_ONLY: AtomicBool = AtomicBool::new(false);

/// Creates a file that only this restore can read, replacing what an interrupted one left.
pub(super) fn create(directory: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
    let file = match open() {
        Err(Errno::EXIST) => {
            unlinkat(directory, name, AtFlags::empty())?;
            open()
        }
        other => other,
    }?;
    if flags::before_content(entry.flags) != 0 {
        // A file system without copy on write refuses; the comparison afterwards says so.
        let _refused = flags::set(std::os::fd::AsFd::as_fd(&file), flags::before_content(entry.flags));
    }
    Ok(file)
}

/// Creates a file that is written in pieces: its full length, with room for its data and with its holes.
pub(super) fn create_for_pieces(directory: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> io::Result<OwnedFd> {
    let file = create(directory, name, entry)?;
    ftruncate(&file, entry.size)?;
    let whole = [Extent { offset: 0, length: entry.size }];
    for extent in entry.extents.as_deref().unwrap_or(&whole).iter().filter(|extent| extent.length > 0) {
        match fallocate(&file, FallocateFlags::KEEP_SIZE, extent.offset, extent.length) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(file)
}

/// Opens a file that [`create_for_pieces`] made.
pub(super) fn reopen(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    Ok(openat(directory, name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Writes the bytes at `position` of the content, which the data extents take up one after the other.
pub(super) fn write(file: BorrowedFd<'_>, extents: Option<&[Extent]>, position: u64, bytes: &[u8]) -> io::Result<()> {
    let Some(extents) = extents else { return write_at(file, position, bytes) };
    for (offset, part) in places(extents, position, bytes.len()) {
        write_at(file, offset, &bytes[part])?;
    }
    Ok(())
}

/// Reads the bytes at `position` of the content.
pub(super) fn read(
    file: BorrowedFd<'_>,
    extents: Option<&[Extent]>,
    position: u64,
    bytes: &mut [u8],
) -> io::Result<()> {
    let Some(extents) = extents else { return read_at(file, position, bytes) };
    for (offset, part) in places(extents, position, bytes.len()) {
        read_at(file, offset, &mut bytes[part])?;
    }
    Ok(())
}

fn read_at(file: BorrowedFd<'_>, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pread(file, &mut *bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                offset += count as u64;
                bytes = &mut bytes[count..];
            }
            Err(Errno::INTR) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// Where the `length` bytes at `position` of the content lie in the file.
fn places(extents: &[Extent], position: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>)> + '_ {
    let end = position + length as u64;
    let mut filled = 0;
    extents.iter().filter_map(move |extent| {
        let (first, last) = (filled, filled + extent.length);
        filled = last;
        let (from, to) = (position.max(first), end.min(last));
        (from < to).then(|| (extent.offset + (from - first), (from - position) as usize..(to - position) as usize))
    })
}

fn write_at(file: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_some(file, offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                bytes = &bytes[count..];
            }
            Err(Errno::INTR) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

fn write_some(file: BorrowedFd<'_>, offset: u64, bytes: &[u8]) -> rustix::io::Result<usize> {
    if bytes.len() < LONG_PIECE_BYTES || CACHE_ONLY.load(Ordering::Relaxed) {
        return pwrite(file, bytes, offset);
    }
    match pwritev2(file, &[IoSlice::new(bytes)], offset, DONT_CACHE) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            CACHE_ONLY.store(true, Ordering::Relaxed);
            pwrite(file, bytes, offset)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use strongroom_repository::Kind;

    fn extents(runs: &[(u64, u64)]) -> Vec<Extent> {
        runs.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect()
    }

    #[test]
    fn content_fills_the_extents_one_after_the_other() {
        let check = |runs: &[(u64, u64)], position, length, expect: &[(u64, Range<usize>)]| {
            assert_eq!(places(&extents(runs), position, length).collect::<Vec<_>>(), expect);
        };
        let runs = [(10, 5), (100, 3), (200, 10)];
        check(&runs, 0, 5, &[(10, 0..5)]);
        check(&runs, 3, 6, &[(13, 0..2), (100, 2..5), (200, 5..6)]);
        check(&runs, 8, 10, &[(200, 0..10)]);
        check(&runs, 7, 0, &[]);
    }

    #[test]
    fn pieces_in_any_order_make_the_file_with_its_holes() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let directory = std::fs::File::open(top.path()).unwrap();
        let mut entry = Entry::new(b"f".to_vec(), Kind::File);
        entry.size = 40 << 20;
        entry.extents = Some(extents(&[(1 << 20, 3 << 20), (30 << 20, 2 << 20)]));
        std::fs::write(top.path().join("f"), "what an interrupted restore left").unwrap();
        let file = create_for_pieces(directory.as_fd(), c"f", &entry).unwrap();
        let content: Vec<u8> = (0..5 << 20).map(|at: u32| (at >> 8) as u8 | 1).collect();
        let cuts = [0, 2_500_000, 2_500_001, 4 << 20, 5 << 20];
        for part in cuts.windows(2).rev() {
            write(file.as_fd(), entry.extents.as_deref(), part[0] as u64, &content[part[0]..part[1]]).unwrap();
        }
        let read = std::fs::read(top.path().join("f")).unwrap();
        assert_eq!(read.len() as u64, entry.size);
        assert_eq!(read[1 << 20..4 << 20], content[..3 << 20]);
        assert_eq!(read[30 << 20..32 << 20], content[3 << 20..]);
        let file = std::fs::File::open(top.path().join("f")).unwrap();
        assert_eq!(crate::filesystem::holes::data_extents(file.as_fd(), entry.size).unwrap(), entry.extents);
        let mut back = vec![0; 4_000_000];
        super::read(file.as_fd(), entry.extents.as_deref(), 1_000_000, &mut back).unwrap();
        assert_eq!(back, content[1_000_000..5_000_000]);
    }
}
