//! What a backup is to do.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
pub use strongroom_repository::SnapshotKind as BackupKind;

use super::room::Room;
use crate::exclude::Excludes;
use crate::pace::Pace;

/// Where the data come from.
pub enum Input {
    /// Files and directories, by absolute paths.
    Files {
        /// Where paths begin: `/`, or where a copy of the host's root is mounted.
        root: PathBuf,
        /// What to back up.
        sources: Vec<PathBuf>,
        /// What to leave out.
        excludes: Excludes,
    },
    /// A stream, kept as one file.
    Stream {
        /// The path that it gets in the snapshot.
        name: PathBuf,
        /// The bytes.
        reader: Box<dyn Read + Send>,
    },
}

impl std::fmt::Debug for Input {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files { sources, .. } => write!(out, "Files({sources:?})"),
            Self::Stream { name, .. } => write!(out, "Stream({name:?})"),
        }
    }
}

/// Everything that a run needs to know.
#[derive(Debug)]
pub struct BackupOptions {
    /// What to back up.
    pub input: Input,
    /// Whether every byte is read again.
    pub kind: BackupKind,
    /// Whose data they are.
    pub host: String,
    /// Free labels of the snapshot.
    pub tags: BTreeMap<String, String>,
    /// Where the local state is kept.
    pub state_folder: PathBuf,
    /// How many threads list directories, and how many read, compress and seal.
    pub threads: NonZeroUsize,
    /// How many full packs are on their way to the store at once, at 64 MiB of memory each.
    pub uploads: NonZeroUsize,
    /// How fast the source is read.
    pub pace: Arc<Pace>,
    /// The time now. It must be of the clock that stamps the files: a file is taken for unchanged only if it is older than this.
    pub now: Timestamp,
    /// How much it may store; what surely needs more is refused before anything is written.
    pub room: Room,
    /// Program and version, for the record.
    pub program: String,
}
