//! Where a sparse file has data.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use strongroom_repository::tree::entry::Extent;

/// The most runs of data that an entry lists: 32 Ki of them encode in about 200 KiB, a twentieth of the largest page. A file that is more broken
/// up than this keeps its first holes, and the rest is stored as data with zeros in it.
const EXTENTS_MAX: usize = 32 * 1024;

/// The runs of data in the first `size` bytes of a file; none if they are one run without holes, or if the file system cannot tell.
/// Moves the file's position.
pub fn data_extents(file: BorrowedFd<'_>, size: u64) -> io::Result<Option<Vec<Extent>>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let Some(start) = position(seek(file, SeekFrom::Data(at)))? else { break };
        let end = if extents.len() + 1 == EXTENTS_MAX {
            size
        } else {
            position(seek(file, SeekFrom::Hole(start)))?.unwrap_or(size)
        };
        if start >= size || end <= start {
            break;
        }
        extents.push(Extent { offset: start, length: end.min(size) - start });
        at = end;
    }
    let whole = extents.first().is_some_and(|first| first.offset == 0 && first.length == size);
    Ok((size > 0 && !whole).then_some(extents))
}

/// None where the file ends in a hole. A file system without holes answers with one run of data, by the kernel's own fallback.
fn position(found: Result<u64, Errno>) -> io::Result<Option<u64>> {
    match found {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    const BLOCK: u64 = 1 << 16;

    fn check(writes: &[u64], size: u64, expect: Option<&[(u64, u64)]>) {
        let file = tempfile::tempfile().unwrap();
        for at in writes {
            file.write_all_at(&[7; BLOCK as usize], *at).unwrap();
        }
        file.set_len(size).unwrap();
        let found = data_extents(file.as_fd(), size).unwrap();
        let found: Option<Vec<(u64, u64)>> =
            found.map(|runs| runs.iter().map(|run| (run.offset, run.length)).collect());
        assert_eq!(found.as_deref(), expect, "writes {writes:?} size {size}");
    }

    #[test]
    fn data_is_found_between_holes() {
        check(&[], 0, None);
        check(&[0], BLOCK, None);
        check(&[], 3 << 30, Some(&[]));
        check(&[0], 5 * BLOCK, Some(&[(0, BLOCK)]));
        check(&[BLOCK], 2 * BLOCK, Some(&[(BLOCK, BLOCK)]));
        check(&[BLOCK, 4 * BLOCK], 9 * BLOCK, Some(&[(BLOCK, BLOCK), (4 * BLOCK, BLOCK)]));
    }
}
