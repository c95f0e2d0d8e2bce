//! What of some files would be stored, from a few of their chunks.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use strongroom_repository::{EndOfFile, Index, Repository};

use super::estimate::NewFile;
use crate::filesystem::Root;

/// Files that are looked into: at 2 MiB each, a moment's reading.
const FILES_MAX: u64 = 32;
/// What is left of a doubtful sum: a sample may be wrong by so much, and only what surely does not fit is refused.
const SURE_PART: f64 = 0.8;
/// Of both ends of a file, to tell copies from files of the same size.
const END_BYTES: u64 = 4096;

/// Files as they come along the bytes of all of them: a large one may come more than once.
pub(super) fn spread<'a>(files: &[&'a NewFile]) -> Vec<&'a NewFile> {
    let all: u64 = files.iter().map(|file| file.bytes).sum();
    let step = (all / FILES_MAX).max(1);
    let (mut end, mut next, mut picked) = (0, step / 2, Vec::new());
    for file in files {
        end += file.bytes;
        if next < end {
            picked.push(*file);
            next += step * (end - next).div_ceil(step);
        }
    }
    picked
}

/// The part of these files' bytes that would surely be stored. Files that cannot be read are left out; without any that can, nobody knows, and nothing is sure.
pub(super) fn part_stored(files: &[&NewFile], root: &Root, repository: &Repository, index: &Index) -> f64 {
    let (mut read, mut stored) = (0, 0);
    for file in files {
        let Ok(chunk) = first_chunk(root, file, repository) else { continue };
        read += chunk.len() as u64;
        stored += repository.foresee(index, &chunk).min(chunk.len() as u64);
    }
    if read == 0 { 0.0 } else { stored as f64 / read as f64 * SURE_PART }
}

/// The chunk that the backup will cut at the front: found again, if the repository has it.
fn first_chunk(root: &Root, file: &NewFile, repository: &Repository) -> io::Result<Vec<u8>> {
    let cutter = repository.cutter();
    let is_large = file.size >= u64::from(repository.parameters().large_file);
    let wanted = if is_large { (cutter.maximum() as u64).min(file.size) } else { file.size };
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
    open(root, file)?.read_exact_at(&mut bytes, 0)?;
    if is_large {
        let end = if wanted == file.size { EndOfFile::Yes } else { EndOfFile::No };
        bytes.truncate(cutter.next_cut(&bytes, end).unwrap_or(bytes.len()));
    }
    Ok(bytes)
}

/// What tells a copy from another file of the same size; nothing for a file that cannot be read.
pub(super) fn ends(root: &Root, file: &NewFile) -> Option<[u8; 32]> {
    let opened = open(root, file).ok()?;
    let mut bytes = [0; 2 * END_BYTES as usize];
    let (front, back) = bytes.split_at_mut(END_BYTES as usize);
    opened.read_exact_at(front, 0).ok()?;
    opened.read_exact_at(back, file.size.checked_sub(END_BYTES)?).ok()?;
    Some(*blake3::hash(&bytes).as_bytes())
}

/// A fifo that took the file's place does not block it, and a link is not followed.
fn open(root: &Root, file: &NewFile) -> io::Result<File> {
    let path: PathBuf = root.path().join(Path::new(OsStr::from_bytes(&file.path)));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}
