//! The bytes of an object into a new file.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use object_store::PutPayload;
use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::buffers::{ALIGNMENT, Buffers};

/// From this size on the page cache is bypassed: FIGURES
const DIRECT_BYTES_MIN: usize = 1024 * 1024;

/// What is copied into aligned memory and written at once. FIGURES
const TRANSFER_BYTES: usize = 2 * 1024 * 1024;

/// Writes the whole payload at the beginning of `file`, which must be empty. Flushing is the caller's.
pub(super) fn write(file: &File, payload: &PutPayload, buffers: &Buffers) -> io::Result<()> {
    let length = payload.content_length();
    if length < DIRECT_BYTES_MIN {
        return write_cached(file, payload);
    }
    reserve(file, length as u64)?;
    match write_direct(file, payload, buffers) {
        // The file system offers no such transfers, or of another alignment only.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            set_direct(file, OFlags::empty())?;
            write_cached(file, payload)?;
        }
        other => other?,
    }
    // The last transfer was padded to the alignment.
    file.set_len(length as u64)
}

fn write_cached(mut file: &File, payload: &PutPayload) -> io::Result<()> {
    payload.iter().try_for_each(|bytes| file.write_all(bytes))
}

fn write_direct(file: &File, payload: &PutPayload, buffers: &Buffers) -> io::Result<()> {
    set_direct(file, OFlags::DIRECT)?;
    let mut buffer = buffers.take(TRANSFER_BYTES)?;
    let transfer = &mut buffer[..TRANSFER_BYTES];
    let (mut filled, mut offset) = (0, 0);
    for mut rest in payload.iter().map(|bytes| &bytes[..]) {
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(transfer.len() - filled));
            transfer[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            rest = later;
            if filled == transfer.len() {
                file.write_all_at(transfer, offset)?;
                offset += filled as u64;
                filled = 0;
            }
        }
    }
    let padded = filled.next_multiple_of(ALIGNMENT);
    transfer[filled..padded].fill(0);
    file.write_all_at(&transfer[..padded], offset)
}

/// Takes the space before anything is written, so that a full store is noticed at once.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(Errno::INTR) => {}
            // Not every file system can; there the writes themselves tell.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(()),
            other => return Ok(other?),
        }
    }
}

/// Bypasses the page cache from now on, or no longer.
pub(super) fn set_direct(file: &File, direct: OFlags) -> io::Result<()> {
    let flags = fcntl_getfl(file)?.difference(OFlags::DIRECT);
    Ok(fcntl_setfl(file, flags | direct)?)
}
