//! Folders whose entries survive a power cut.
//!
//! A file is only as durable as the chain of folders that leads to it. Each folder is made, if
//! need be, and its parent flushed, once in the life of a store: also where the folder was there
//! already, for another process may have made it a moment ago and not have flushed it yet.
//! Flushing a folder without changes costs about 0.1 ms.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::LocalError;

/// Only the owner reads a repository.
const MODE: u32 = 0o700;

/// The folders known to be durable.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: Mutex::default() }
    }

    /// Makes `folder` and all above it exist durably.
    pub(super) fn ensure(&self, folder: &Path) -> Result<(), LocalError> {
        if self.is_known(folder) {
            return Ok(());
        }
        // The root, if it is there, and what lies above it are the business of who made them.
        let is_ours = folder.starts_with(&self.root) && folder != self.root;
        if !is_ours && folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.ensure(parent)?;
            make(folder)?;
            flush(parent)?;
        }
        self.lock().insert(folder.into());
        Ok(())
    }

    fn is_known(&self, folder: &Path) -> bool {
        self.lock().contains(folder)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one folder; it may be there.
pub(super) fn make(folder: &Path) -> Result<(), LocalError> {
    match DirBuilder::new().mode(MODE).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(LocalError::io("create the folder", folder)),
    }
}

/// Writes a folder's entries to the medium.
pub(super) fn flush(folder: &Path) -> Result<(), LocalError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| LocalError::FlushFolder { path: folder.into(), source })
}
