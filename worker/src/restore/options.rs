//! What a restore is asked to do.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::pace::Pace;

/// What to do about files that exist in the target. Directories that exist are merged, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    /// What exists stays as it is, the metadata of existing directories too.
    #[default]
    Never,
    /// What differs from the snapshot, in content or metadata, is replaced.
    Changed,
    /// Everything is replaced.
    Always,
}

/// What becomes of a file that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replaced {
    /// It is gone. A directory that is not empty is never removed for a file to take its place.
    #[default]
    Remove,
    /// It is moved into a directory beside the restored files, which the report names.
    SetAside,
}

/// How the owners of the snapshot become owners in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owners {
    /// By number, as they were: what a restore of a whole host needs.
    #[default]
    ByNumber,
    /// By name, where this host knows the name, else by number.
    ByName,
}

/// A request for a restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Paths in the snapshot, with or without a leading slash. None means everything.
    pub paths: Vec<Vec<u8>>,
    /// The directory to restore into. It need not exist.
    pub target: PathBuf,
    /// What to do about existing files.
    pub overwrite: Overwrite,
    /// What becomes of replaced files.
    pub replaced: Replaced,
    /// How owners are set.
    pub owners: Owners,
    /// How many threads open frames and write files.
    pub writers: NonZeroUsize,
    /// Halts it: nothing more is fetched.
    pub pace: Arc<Pace>,
}

/// Opening frames is the dearest part of a restore and takes a core to the full; more threads than a small host has cores do not help.
const WRITERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

impl RestoreOptions {
    /// Everything, into `target`, overwriting nothing.
    #[must_use]
    pub fn into_target(target: impl Into<PathBuf>) -> Self {
        Self {
            paths: Vec::new(),
            target: target.into(),
            overwrite: Overwrite::default(),
            replaced: Replaced::default(),
            owners: Owners::default(),
            writers: WRITERS,
            pace: Arc::default(),
        }
    }
}
