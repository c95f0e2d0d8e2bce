//! How much room there is where a store lies, as far as the store can tell.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::blocking;

/// A part of a file system that backups leave free, in hundredths: a prune needs room to make room.
const RESERVE_PART: u64 = 100;
/// But never more: the commits and index runs of a prune are small.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What may still be written, by us: what is kept for the administrator is not free.
    pub free_bytes: u64,
}

impl Space {
    /// Of the file system that a folder lies on, or will when it is made.
    pub fn of_folder(folder: &Path) -> io::Result<Self> {
        for existing in folder.ancestors() {
            match rustix::fs::statvfs(existing) {
                Ok(found) => return Ok(Self::of_blocks(found.f_frsize, found.f_blocks, found.f_bavail)),
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// The same from a task. A share whose server is away may take long.
    pub async fn of(folder: PathBuf) -> object_store::Result<Self> {
        let failed = |source: io::Error| object_store::Error::Generic { store: "file system", source: source.into() };
        blocking::run(move || Self::of_folder(&folder).map_err(failed)).await
    }

    pub(super) fn of_blocks(block_bytes: u64, blocks: u64, free: u64) -> Self {
        Self { total_bytes: blocks.saturating_mul(block_bytes), free_bytes: free.saturating_mul(block_bytes) }
    }

    /// What backups leave free unless somebody says otherwise, in bytes: a hundredth, and not more than 1 GiB.
    #[must_use]
    pub fn usual_reserve_bytes(self) -> u64 {
        (self.total_bytes / RESERVE_PART).min(RESERVE_BYTES_MAX)
    }

    /// What is not free, in bytes.
    #[must_use]
    pub fn used_bytes(self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }
}
