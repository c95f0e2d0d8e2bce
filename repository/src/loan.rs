//! Loans: what a host that cannot read is given for one restore, and for no longer.
//!
//! A loan holds the manifest of one snapshot and the data keys of the segments in which the pages and chunks of that restore lie. Together with a writer's key it opens
//! those, and nothing else. It is made by whoever can read ([`crate::Repository::lend`]); what it is lent for, [`Lending`] says to whoever guards the store.
//!
//! A segment is what one session sealed into one pack, so a loan opens its neighbours in that pack too: up to 64 MiB around each thing that was asked for.
//!
//! Deliberately absent: any place on a disk. A loan lives in memory, is wiped when it is dropped, and is never printed.
//!
//! ```text
//! "SRLN" | u8 version, 1 | repository id (16) | snapshot id (32) | u32 length, manifest (JSON) | u32 count × { segment nonce (16) | data key (32) } | BLAKE3 of all before (32)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader};
use crate::ids::{ObjectId, RepositoryId, SegmentNonce};
use crate::keys::Secret;
use crate::live::Live;
use crate::snapshot::{Manifest, Snapshot};

const MAGIC: [u8; 4] = *b"SRLN";
const VERSION: u8 = 1;
/// Bytes of a segment's nonce and key.
const KEY_SIZE: usize = 16 + 32;
const HASH_SIZE: usize = 32;

/// The keys of one restore.
#[derive(Clone)]
pub struct Loan {
    pub(crate) repository: RepositoryId,
    pub(crate) snapshot: ObjectId,
    pub(crate) manifest: Manifest,
    pub(crate) keys: BTreeMap<SegmentNonce, Secret>,
}

/// A loan, and what it is lent for.
#[derive(Debug, Clone)]
pub struct Lending {
    /// What the borrower gets.
    pub loan: Loan,
    /// The frames that the restore may touch.
    pub frames: Live,
    /// The objects that hold them now. A prune may move them: [`crate::Repository::holds_any`] says whether another object holds some.
    pub objects: BTreeSet<String>,
}

/// The bytes are no loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLoan {
    /// Cut off, altered, or something else.
    #[error("the keys that were lent are cut off or altered on their way")]
    Altered,
    /// Of a newer release.
    #[error("the keys that were lent have version {0}, this release reads {VERSION}")]
    TooNew(u8),
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Loan({} keys, snapshot {})", self.keys.len(), self.snapshot)
    }
}

impl Loan {
    /// A loan of a snapshot's keys. What could not be backed up is left out of its manifest: no restore needs it.
    pub(crate) fn new(repository: RepositoryId, snapshot: &Snapshot, keys: BTreeMap<SegmentNonce, Secret>) -> Self {
        let manifest = Manifest { problems: Vec::new(), ..snapshot.manifest.clone() };
        Self { repository, snapshot: snapshot.id, manifest, keys }
    }

    /// The repository that it is for.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The snapshot that it opens.
    #[must_use]
    pub fn snapshot(&self) -> ObjectId {
        self.snapshot
    }

    /// How many segments it opens.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.keys.len()
    }

    /// The bytes that travel to the borrower.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // BUG if it fails: a manifest serialises.
        let manifest = serde_json::to_vec(&self.manifest).expect("a manifest serialises");
        // No byte more is ever needed, so that no copy is left behind by growing.
        let length = 5 + 16 + 32 + 4 + manifest.len() + 4 + self.keys.len() * KEY_SIZE + HASH_SIZE;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.repository.0);
        bytes.extend_from_slice(&self.snapshot.0);
        bytes.extend_from_slice(&(manifest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&manifest);
        bytes.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        for (segment, key) in &self.keys {
            bytes.extend_from_slice(&segment.0);
            bytes.extend_from_slice(&key.0);
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    /// Reads what [`Loan::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadLoan> {
        let (content, hash) = bytes.split_at_checked(bytes.len().wrapping_sub(HASH_SIZE)).ok_or(BadLoan::Altered)?;
        if content.get(..4) != Some(&MAGIC) {
            return Err(BadLoan::Altered);
        }
        match content.get(4) {
            Some(&VERSION) if blake3::hash(content).as_bytes() == hash => {}
            Some(&version) if version > VERSION => return Err(BadLoan::TooNew(version)),
            _ => return Err(BadLoan::Altered),
        }
        Self::decode(&content[5..]).map_err(|_| BadLoan::Altered)
    }

    /// What stands between the version and the hash.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(content);
        let repository = RepositoryId(from.array("repository")?);
        let snapshot = ObjectId(from.array("snapshot")?);
        let length = from.count32(1, "manifest")?;
        let manifest = from.take(length, "manifest")?;
        let manifest = serde_json::from_slice(manifest).map_err(|_| from.malformed("manifest"))?;
        let count = from.count32(KEY_SIZE, "keys")?;
        let key = |from: &mut Reader<'_>| Ok((SegmentNonce(from.array("segment")?), Secret(from.array("data key")?)));
        let keys = (0..count).map(|_| key(&mut from)).collect::<Result<_, Malformed>>()?;
        from.finish("loan")?;
        Ok(Self { repository, snapshot, manifest, keys })
    }
}
