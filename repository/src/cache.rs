//! Files in the local cache: complete before they have their name, never needed, and begun with the BLAKE3 of what follows, so that a disk that lies costs
//! a fetch and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Bytes of the hash in front.
pub(crate) const HASH: usize = 32;

/// Opens a file whose content is what was written, at the first byte of that.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut file = File::open(path)?;
    let mut hash = [0; HASH];
    file.read_exact(&mut hash)?;
    let mut found = blake3::Hasher::new();
    found.update_reader(&mut file)?;
    if *found.finalize().as_bytes() != hash {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its content is not what was written"));
    }
    io::Seek::seek(&mut file, io::SeekFrom::Start(HASH as u64))?;
    Ok(file)
}

/// The content of a file that is what was written.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Writes a file under a temporary name and renames it. Not flushed: a torn file after a power cut is found by its reader and made again.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder(folder)?;
    let temporary = temporary_name(folder);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(blake3::hash(content).as_bytes())?;
            file.write_all(content)
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: the error that matters is the one being returned.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A file that has no name any more: what is written to it is gone with it.
pub(crate) fn scratch(folder: &Path) -> io::Result<File> {
    create_folder(folder)?;
    let path = temporary_name(folder);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn temporary_name(folder: &Path) -> PathBuf {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".tmp-{}-{number}", std::process::id()))
}

/// Creates a folder, and those above it, for its owner only.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
