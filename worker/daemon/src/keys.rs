//! The keys with which this host adds to repositories: one file for each, readable by their owner only.
//!
//! A key that can read is refused. A host must not be able to read what it backed up, so that whoever takes the host over cannot either. The keys of a restore are lent, and are not kept here.

use std::io;
use std::path::{Path, PathBuf};

use strongroom_repository::{Credential, KeyFile, RepositoryId};

use crate::durable;

/// A key file is less than a kilobyte.
const KEY_FILE_BYTES_MAX: usize = 64 << 10;

/// What can go wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is no key file.
    #[error("this is no key file of a writer")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is a reader's.
    #[error("this key can read the repository; a host only gets keys that add to it")]
    CanRead,
    /// There is none.
    #[error("this worker has no key for repository {0}: enrol it first")]
    Missing(RepositoryId),
    /// The file cannot be used.
    #[error("cannot {doing} '{path}'")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder of keys.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// The keys in a folder, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::File { doing: "create", path: folder.into(), source };
        durable::create_folder(folder).map_err(failed)?;
        Ok(Self { folder: folder.into() })
    }

    /// Keeps a writer's key; a later one replaces an earlier one. Durable when this returns.
    pub fn enroll(&self, text: &[u8]) -> Result<RepositoryId, KeysError> {
        if text.len() > KEY_FILE_BYTES_MAX {
            return Err(KeysError::Malformed("it is too large".into()));
        }
        let text = std::str::from_utf8(text).map_err(|_| KeysError::Malformed("it is not text".into()))?;
        let key = KeyFile::parse(text).map_err(|bad| KeysError::Malformed(bad.into()))?;
        let KeyFile::Writer(_) = &key else { return Err(KeysError::CanRead) };
        let repository = key.repository();
        let name = file_name(repository);
        let failed = |source| KeysError::File { doing: "write", path: self.folder.join(&name), source };
        durable::replace(&self.folder, &name, key.to_text().as_bytes()).map_err(failed)?;
        tracing::info!(%repository, "enrolled");
        Ok(repository)
    }

    /// Whether there is a key for a repository.
    #[must_use]
    pub fn has(&self, repository: RepositoryId) -> bool {
        self.folder.join(file_name(repository)).is_file()
    }

    /// The key for a repository.
    pub fn credential(&self, repository: RepositoryId) -> Result<Credential, KeysError> {
        let path = self.folder.join(file_name(repository));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeysError::Missing(repository)),
            Err(source) => return Err(KeysError::File { doing: "read", path, source }),
        };
        match KeyFile::parse(&text).map_err(|bad| KeysError::Malformed(bad.into()))? {
            key @ KeyFile::Writer(_) if key.repository() == repository => Ok(Credential::File(key)),
            KeyFile::Writer(_) => Err(KeysError::Malformed("it is for another repository".into())),
            KeyFile::Reader(_) => Err(KeysError::CanRead),
        }
    }

    /// The repositories that there are keys for, in order.
    #[must_use]
    pub fn enrolled(&self) -> Vec<RepositoryId> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found: Vec<RepositoryId> =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok()).collect();
        found.sort_unstable();
        found
    }
}

fn file_name(repository: RepositoryId) -> String {
    format!("{repository}.json")
}
