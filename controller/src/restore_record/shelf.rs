//! Where all records are: `records` in the controller's state folder, with the public key beside them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};

use super::seal::{KeyError, PublicRecordKey, RECORD, RecordKey, SUMS};
use super::{CheckVerdict, RestoreRecord};
use crate::durable;
use crate::journal::Who;
use crate::requests::RequestNumber;
use crate::restores::RestoreEnding;

/// The folder of all records, in the state folder.
pub const RECORDS: &str = "records";
/// What records are signed with, in the state folder.
pub const RECORD_KEY: &str = "record-key.pem";
/// What they are checked with, beside the records.
pub const PUBLIC_KEY: &str = "key.pem";

/// The folder of all records, and the key that signs them.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    key: RecordKey,
}

/// A record in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// The restore's name.
    pub restore: String,
    /// The request for it, where others had to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestNumber>,
    /// When it was over.
    pub ended: Timestamp,
    /// What came of it.
    pub ending: RestoreEnding,
    /// Whether every check was passed.
    pub proven: bool,
    /// The host whose data they are.
    pub source: String,
    /// The host that has them now.
    pub host: String,
    /// Who wanted it.
    pub by: Who,
    /// Why.
    pub reason: String,
}

impl Shelf {
    /// Opens the records of a state folder; makes the folder and the key where there are none.
    pub async fn open(state: &Path) -> Result<Self, KeyError> {
        let folder = state.join(RECORDS);
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::File { doing, path, source }
        };
        let key_file = state.join(RECORD_KEY);
        if !fs::try_exists(&key_file).await.map_err(failed("read", &key_file))? {
            let (_, pem) = RecordKey::generate();
            durable::create(&key_file, pem.as_bytes(), 0o600).await.map_err(failed("write", &key_file))?;
        }
        let text = zeroize::Zeroizing::new(fs::read_to_string(&key_file).await.map_err(failed("read", &key_file))?);
        let key = RecordKey::parse(&text).ok_or(KeyError::Malformed(key_file))?;
        make_folder(&folder).await.map_err(failed("create", &folder))?;
        let public = folder.join(PUBLIC_KEY);
        durable::replace(&public, key.public().to_pem().as_bytes(), 0o644).await.map_err(failed("write", &public))?;
        Ok(Self { folder, key })
    }

    /// With which key records are signed.
    #[must_use]
    pub fn key(&self) -> PublicRecordKey {
        self.key.public()
    }

    /// Puts a record there, whole and durable, in the place of one that was begun; returns BLAKE3 of its list of hashes.
    pub async fn put(&self, record: &RestoreRecord) -> io::Result<String> {
        let place = self.folder.join(&record.restore);
        let new = self.folder.join(format!(".{}.new", record.restore));
        for unfinished in [&new, &place] {
            match fs::remove_dir_all(unfinished).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        make_folder(&new).await?;
        let mut sums = String::new();
        for (name, bytes) in self.key.seal(record) {
            if name == SUMS {
                sums = blake3::hash(&bytes).to_hex().to_string();
            }
            durable::create(&new.join(name), &bytes, 0o600).await?;
        }
        fs::rename(&new, &place).await?;
        File::open(&self.folder).await?.sync_all().await?;
        Ok(sums)
    }
}

/// All records of a folder that can be read, the newest first.
pub async fn list(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for name in names(folder).await? {
        let read = fs::read(folder.join(&name).join(RECORD)).await;
        match read.map_err(|error| error.to_string()).and_then(|json| understand(&json)) {
            Ok(record) => listed.push(Listed::of(record)),
            Err(error) => tracing::warn!(record = name, error, "a record cannot be read: `strongroom record verify`"),
        }
    }
    listed.sort_by_key(|listed| std::cmp::Reverse(listed.ended));
    Ok(listed)
}

/// The files of a record by name, in base64; with the public key, as it lies beside.
pub async fn files(record: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut entries = fs::read_dir(record).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, BASE64.encode(&fs::read(entry.path()).await?));
    }
    let public = record.parent().unwrap_or(record).join(PUBLIC_KEY);
    files.insert(PUBLIC_KEY.to_owned(), BASE64.encode(&fs::read(public).await?));
    Ok(files)
}

/// Reads the text of a file among [`files`].
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// The names of all records in a folder; none if there is no such folder.
pub async fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut entries = match fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What begins with a dot was not finished.
        if !name.starts_with('.') && entry.file_type().await?.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn understand(json: &[u8]) -> Result<RestoreRecord, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

async fn make_folder(path: &Path) -> io::Result<()> {
    // Others of this machine may read none of it: who did what stands in it.
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path).await
}

impl Listed {
    fn of(record: RestoreRecord) -> Self {
        Self {
            proven: record.is_proven(),
            restore: record.restore,
            request: record.request.map(|request| request.number),
            ended: record.times.ended,
            ending: record.ending,
            source: record.order.source,
            host: record.order.host,
            by: record.by,
            reason: record.reason,
        }
    }
}

impl RestoreRecord {
    /// Whether every check was made and passed. A check that was not made proves nothing.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.verdict == CheckVerdict::Passed)
    }
}
