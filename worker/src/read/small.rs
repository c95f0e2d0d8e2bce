//! Reading a regular file until it holds still; small ones here, large ones by [`super::large`] and [`super::image`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::io::{Errno, pread};
use strongroom_repository::tree::order::join;
use strongroom_repository::{Content, Error, Extent, Kind};

use super::feed::{Feed, FileFeed, Summary};
use super::lane::LaneWorker;
use super::{Fault, Target, image, large};
use crate::capture::{Capture, Outcome};
use crate::filesystem::{Stat, holes, open};
use crate::remarks::{Doing, Notice, Remark};

/// How often a file that keeps changing is read: the first time and three more.
const READINGS_MAX: u32 = 4;

/// From this size on two calls more are nothing beside reading the file.
const HOLES_SOUGHT_BYTES: u64 = 64 << 10;

/// A larger file, in bytes, is read twice at most: a database of 100 GiB that is written all day will not hold still the fourth time either.
const READ_AGAIN_BYTES_MAX: u64 = 256 << 20;

/// One reading of a file.
pub(super) struct Reading {
    pub(super) summary: Summary,
    pub(super) bytes_read: u64,
    pub(super) stored: Stored,
}

/// Where the content of a reading is.
pub(super) enum Stored {
    /// In the repository.
    Done(Content),
    /// In the lane's buffer, until it is known that it will be kept.
    InBuffer,
}

/// Captures a regular file with its content.
pub(super) fn file(
    worker: &mut LaneWorker<'_>,
    directory: &[u8],
    place: BorrowedFd<'_>,
    target: &Target,
) -> Result<Outcome, Error> {
    let path = || join(directory, target.name.to_bytes());
    let opened = match open::file_at(place, &target.name) {
        Ok(opened) => opened,
        Err(fault) => return Ok(Outcome::LeftOut(Remark::fault(path(), Doing::Read, fault))),
    };
    match read_until_still(worker, opened.as_fd(), target) {
        Ok((stat, reading, held)) => {
            let mut capture = Capture::new(&target.name, Kind::File, &stat, worker.desk.owners);
            capture.add_attributes(directory, opened.as_fd());
            add_content(&mut capture, reading);
            if held == Held::No {
                capture.entry.consistency.torn = true;
                capture.fingerprint = capture.fingerprint.spoiled();
                capture.remarks.push(Remark::notice(path(), Notice::Torn));
            }
            Ok(Outcome::Captured(Box::new(capture)))
        }
        Err(Fault::Source(fault)) => {
            let fault = if is_file(opened.as_fd()) { fault } else { gone() };
            Ok(Outcome::LeftOut(Remark::fault(path(), Doing::Read, fault)))
        }
        Err(Fault::Repository(error)) => Err(error),
    }
}

/// The file that the walk saw is not there any more: something else took its name.
fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn is_file(opened: BorrowedFd<'_>) -> bool {
    Stat::of(opened).is_ok_and(|stat| stat.is_file())
}

/// Moves what was read into the entry.
pub(super) fn add_content(capture: &mut Capture, reading: Reading) {
    let Reading { summary, bytes_read, stored } = reading;
    capture.bytes_read = bytes_read;
    capture.entry.size = summary.size;
    capture.entry.hash = Some(summary.hash);
    capture.entry.extents = summary.extents;
    if let Stored::Done(content) = stored {
        capture.entry.content = content;
    }
}

/// Whether a file stayed the same from before it was read until after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

fn read_until_still(
    worker: &mut LaneWorker<'_>,
    file: BorrowedFd<'_>,
    target: &Target,
) -> Result<(Stat, Reading, Held), Fault> {
    let mut before = target.stat;
    let mut bytes_read = 0;
    for count in 1.. {
        if !before.is_file() {
            return Err(gone().into());
        }
        let mut reading = read_once(worker, file, target, &before)?;
        bytes_read += reading.bytes_read;
        let after = Stat::of(file)?;
        let held = if before.is_still(&after) { Held::Yes } else { Held::No };
        let last = count == READINGS_MAX || (count > 1 && before.size > READ_AGAIN_BYTES_MAX);
        if held == Held::Yes || last {
            reading.bytes_read = bytes_read;
            settle(worker, &mut reading)?;
            return Ok((before, reading, held));
        }
        before = after;
    }
    // BUG if it is reached: the loop above ends at the latest with its fourth turn.
    Err(io::Error::from(io::ErrorKind::Other).into())
}

fn read_once(
    worker: &mut LaneWorker<'_>,
    file: BorrowedFd<'_>,
    target: &Target,
    stat: &Stat,
) -> Result<Reading, Fault> {
    // Blocks of extended attributes count as allocated, so they can hide a short hole: large files are asked in any case.
    let may_have_holes = stat.may_have_holes() || stat.size >= HOLES_SOUGHT_BYTES;
    let extents = if may_have_holes { holes::data_extents(file, stat.size)? } else { None };
    if stat.size >= u64::from(worker.parameters.large_file) {
        let extents = extents.map(Arc::new);
        return if image::is_image(file, target.name.to_bytes(), stat.size, &worker.parameters) {
            image::read(worker, file, stat.size, extents)
        } else {
            large::read(worker, file, stat.size, extents)
        };
    }
    match extents {
        Some(extents) => read_sparse(worker, file, stat.size, extents),
        None => read_plain(worker, file, stat.size as usize),
    }
}

/// The usual case: one read, and the hash only once the content is known to be kept.
fn read_plain(worker: &mut LaneWorker<'_>, file: BorrowedFd<'_>, size: usize) -> Result<Reading, Fault> {
    let buffer = &mut worker.buffer;
    buffer.clear();
    while buffer.filled().len() < size {
        let at = buffer.filled().len() as u64;
        match pread(file, buffer.room_to(size), at) {
            Ok(0) => break,
            Ok(count) => buffer.advance(count),
            Err(Errno::INTR) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let size = buffer.filled().len() as u64;
    worker.desk.took(size);
    Ok(Reading { summary: Summary { size, hash: [0; 32], extents: None }, bytes_read: size, stored: Stored::InBuffer })
}

fn read_sparse(
    worker: &mut LaneWorker<'_>,
    file: BorrowedFd<'_>,
    size: u64,
    extents: Vec<Extent>,
) -> Result<Reading, Fault> {
    let mut feed = FileFeed::new(file, size, Some(Arc::new(extents)));
    worker.buffer.clear();
    // The data of a file this small fit in one filling; the one byte more meets the end.
    feed.fill(&mut worker.buffer, size as usize + 1)?;
    worker.desk.took(size);
    let bytes_read = worker.buffer.filled().len() as u64;
    Ok(Reading { summary: feed.summary(), bytes_read, stored: Stored::InBuffer })
}

/// Hands what is in the buffer to the repository.
fn settle(worker: &mut LaneWorker<'_>, reading: &mut Reading) -> Result<(), Fault> {
    if !matches!(reading.stored, Stored::InBuffer) {
        return Ok(());
    }
    let bytes = worker.buffer.filled();
    let content = if reading.summary.extents.is_none() {
        // One chunk that is the whole file, and hashed once for both.
        reading.summary.hash =
            if bytes.is_empty() { *blake3::hash(bytes).as_bytes() } else { worker.lane.add_whole(bytes)? };
        if bytes.is_empty() { Content::None } else { Content::Whole }
    } else if bytes.is_empty() {
        Content::None
    } else {
        Content::Chunks(vec![worker.lane.add(bytes)?])
    };
    reading.stored = Stored::Done(content);
    Ok(())
}
