//! Snapshots: the root of one backup, signed by its writer, readable by holders of the repository's private key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ids::{ChunkId, ObjectId, PublicKey, RepositoryId, SessionId};
use crate::keys::hybrid::{self, Purpose};
use crate::keys::inventory::{self, Binding, decompress};
use crate::keys::{Key, Secret};
use crate::live::Live;
use crate::object::{self, ObjectType};

/// No manifest is larger: a thousand problems of a few hundred bytes, with room.
const MANIFEST_MAX: usize = 64 << 20;

/// Whether every byte was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// Every byte of the source was read and hashed; no cache was trusted.
    Full,
    /// What was unchanged by its metadata was not read again.
    Incremental,
}

/// Counts of one backup; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Everything else.
    pub others: u64,
    /// Files that were new or changed, and so were read.
    pub files_changed: u64,
    /// Sum of the file sizes.
    pub bytes: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Plain bytes that the repository did not have.
    pub bytes_new: u64,
    /// What they take in the repository, metadata included.
    pub bytes_stored: u64,
    /// Files and directories that could not be backed up.
    pub problems: u64,
}

/// Something that could not be backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where, escaped (see [`crate::text`]).
    pub path: String,
    /// Why.
    pub error: String,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Where the data come from.
    pub host: String,
    /// When the scan began, by the host's clock.
    pub time: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Full or incremental.
    pub kind: SnapshotKind,
    /// What was asked for, escaped.
    pub sources: Vec<String>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// The page at the top of the tree.
    pub root: Option<ChunkId>,
    /// The snapshot whose unchanged parts were taken over.
    pub parent: Option<ObjectId>,
    /// Program and version.
    pub program: String,
    /// Counts.
    pub totals: Totals,
    /// What could not be backed up, the first thousand.
    pub problems: Vec<Problem>,
}

/// What garbage collection needs of a snapshot, and writers may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The session that wrote it.
    pub session: SessionId,
    /// When the scan began.
    pub time: Timestamp,
    /// Every frame that it needs.
    pub live: Live,
}

/// A snapshot that was opened.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its name.
    pub id: ObjectId,
    /// What it says.
    pub manifest: Manifest,
    /// Whose key signed it.
    pub signer: String,
}

/// The bytes of a snapshot object.
pub(crate) fn encode(
    key: &Key,
    (epoch, public): (u32, &PublicKey),
    manifest: &Manifest,
    inventory: &Inventory,
) -> Result<Vec<u8>, Error> {
    let repository = &key.repository;
    // BUG if these fail: the types serialise, and compression into memory succeeds.
    let inventory = serde_json::to_vec(inventory).expect("an inventory serialises");
    let manifest = serde_json::to_vec(manifest).expect("a manifest serialises");
    let compressed = zstd::bulk::compress(&manifest, 3).expect("compression into memory succeeds");
    let binding = Binding { repository, kind: ObjectType::Snapshot, name: b"" };
    let blob = inventory::seal(&key.shared.inventory, binding, &inventory);
    let sealed = hybrid::seal(Purpose::Snapshot, repository, public, &epoch.to_le_bytes(), &compressed)
        .map_err(|_| Error::Key(format!("the public key of epoch {epoch} is unusable")))?;
    let body = [&epoch.to_le_bytes()[..], &(blob.len() as u32).to_le_bytes(), &blob, &sealed].concat();
    Ok(object::sign(ObjectType::Snapshot, repository, &key.signer, b"", &body))
}

/// A snapshot object whose hash and signature were checked.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) id: ObjectId,
    pub(crate) signer: PublicKey,
    epoch: u32,
    blob: &'a [u8],
    message: &'a [u8],
    name: String,
}

impl<'a> Sealed<'a> {
    /// Checks name, header and signature; whether the signer is known is the caller's question.
    pub(crate) fn check(bytes: &'a [u8], id: ObjectId, repository: &RepositoryId) -> Result<Self, Error> {
        let name = object::hashed_name(ObjectType::Snapshot, &id);
        if ObjectId::of(bytes) != id {
            return Err(Error::damaged(name, "its bytes do not match its name"));
        }
        let signed = object::verify(bytes, ObjectType::Snapshot, repository, b"", &name)?;
        let mut from = crate::codec::Reader::new(signed.body);
        let parts = (|| Ok((from.u32("epoch")?, from.count32(1, "inventory")?)))();
        let (epoch, length) = parts.map_err(Error::malformed(name.as_str()))?;
        let blob = from.take(length, "inventory").map_err(Error::malformed(name.as_str()))?;
        let message = from.take(from.remaining(), "manifest").map_err(Error::malformed(name.as_str()))?;
        Ok(Self { id, signer: signed.signer, epoch, blob, message, name })
    }

    /// The part for garbage collection.
    pub(crate) fn inventory(&self, repository: &RepositoryId, inventory_key: &Secret) -> Result<Inventory, Error> {
        let binding = Binding { repository, kind: ObjectType::Snapshot, name: b"" };
        let json = inventory::open(inventory_key, binding, self.blob)
            .map_err(|bad| Error::damaged(&self.name, bad.to_string()))?;
        serde_json::from_slice(&json).map_err(|bad| Error::damaged(&self.name, bad.to_string()))
    }

    /// The part for readers.
    pub(crate) fn manifest(
        &self,
        repository: &RepositoryId,
        epochs: &BTreeMap<u32, Secret>,
    ) -> Result<Manifest, Error> {
        let private = epochs.get(&self.epoch);
        let private = private.ok_or_else(|| Error::Key(format!("this key does not open epoch {}", self.epoch)))?;
        let compressed = hybrid::open(Purpose::Snapshot, repository, private, &self.epoch.to_le_bytes(), self.message)
            .map_err(|bad| Error::damaged(&self.name, format!("its manifest is {bad}")))?;
        let json = decompress(&compressed, MANIFEST_MAX);
        let json = json.ok_or_else(|| Error::damaged(&self.name, "its manifest does not decompress"))?;
        serde_json::from_slice(&json).map_err(|bad| Error::damaged(&self.name, bad.to_string()))
    }
}
