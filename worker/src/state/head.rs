//! The small file that says what the body is about.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strongroom_repository::{ObjectId, RepositoryId};

use crate::exclude::Excludes;

/// Why there is no usable state. Never a reason to fail a run.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There was no earlier run of this kind.
    #[error("there is no state of an earlier run")]
    Absent,
    /// A file of the state could not be read or written.
    #[error("cannot {doing} the state file {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("the state of the earlier run is damaged: {0}")]
    Damaged(&'static str),
    /// The repository no longer has the snapshot that it describes.
    #[error("the repository no longer has the snapshot of the earlier run")]
    SnapshotGone,
    /// It is about something else.
    #[error("the state is of another repository, host or set of sources")]
    Foreign,
}

impl StateError {
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound if doing == "read" => Self::Absent,
            _ => Self::File { doing, path, source },
        }
    }
}

/// What a state belongs to. Any difference means another state.
#[derive(Debug, Clone, Serialize)]
pub struct StateKey {
    /// The repository.
    pub repository: RepositoryId,
    /// The host that the snapshot is of.
    pub host: String,
    /// The sources as they were asked for, sorted.
    pub sources: Vec<String>,
    /// The rules.
    pub excludes: Excludes,
}

impl StateKey {
    /// The file in `folder` where a run over these sources notes what it has stored, for the one that goes on in its place.
    #[must_use]
    pub fn session_notes(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.session", &self.digest()[..32]))
    }

    pub(super) fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::Hasher::new_derive_key("strongroom v1 local state").update(&text).finalize().to_hex().to_string()
    }
}

/// The content of the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The digest of the key.
    pub(super) key: String,
    /// Which snapshot the body describes.
    pub(super) snapshot: ObjectId,
    /// When the scan began, in nanoseconds since 1970.
    pub(super) scan_began_ns: i64,
    /// Where the tables are in the body.
    pub(super) tables_offset: u64,
    /// Their length in bytes.
    pub(super) tables_length: u64,
    /// Their BLAKE3.
    pub(super) tables_hash: ObjectId,
}

/// Where the files of a state are.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) folder: PathBuf,
    pub(super) head: PathBuf,
    pub(super) body: PathBuf,
}

impl Places {
    pub(super) fn new(folder: &Path, key: &StateKey) -> Self {
        let name = &key.digest()[..32];
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        Self { folder: folder.to_owned(), head: file("head"), body: file("body") }
    }

    /// Creates the folder, if need be, readable by its owner alone.
    pub(super) fn create_folder(&self) -> Result<(), StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(StateError::file("create", &self.folder))
    }
}

/// A new file beside `path`, to be renamed to it when it is complete.
pub(super) fn create_temporary(path: &Path) -> Result<(File, PathBuf), StateError> {
    let temporary = path.with_extension(format!(
        "{}-{}",
        path.extension().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    // One that a killed run left under this process id is not worth keeping.
    let _ = std::fs::remove_file(&temporary);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    Ok((file.map_err(StateError::file("create", &temporary))?, temporary))
}

impl Head {
    /// The file is the BLAKE3 of the rest in hex, a line feed, and JSON.
    pub(super) fn read(path: &Path) -> Result<Self, StateError> {
        let bytes = std::fs::read(path).map_err(StateError::file("read", path))?;
        let (hash, json) = bytes.split_at_checked(65).ok_or(StateError::Damaged("the head is too short"))?;
        if blake3::hash(json).to_hex().as_bytes() != &hash[..64] {
            return Err(StateError::Damaged("the head's hash is wrong"));
        }
        serde_json::from_slice(json).map_err(|_| StateError::Damaged("the head cannot be parsed"))
    }

    /// Replaces the head. Not flushed to disk: a head or body that a power cut tears is found by its hash and left aside.
    pub(super) fn write(&self, path: &Path) -> Result<(), StateError> {
        let json = serde_json::to_vec(self).map_err(|_| StateError::Damaged("the head cannot be written"))?;
        let (mut file, temporary) = create_temporary(path)?;
        let text = [blake3::hash(&json).to_hex().as_bytes(), b"\n", &json].concat();
        file.write_all(&text).map_err(StateError::file("write", &temporary))?;
        std::fs::rename(&temporary, path).map_err(StateError::file("rename", &temporary))
    }
}
