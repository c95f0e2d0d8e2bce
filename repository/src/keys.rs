//! Who may do what: holders open the repository's secrets, writers only add.
//!
//! Every holder is a public key. A passphrase holder's private key is argon2id of the passphrase, so that a new epoch's secrets can be
//! sealed to all remaining holders without asking any of them. A writer's key file holds what names, cuts and signs, and nothing that opens.

mod file;
mod gf256;
mod holder;
pub(crate) mod hybrid;
pub(crate) mod inventory;
mod lines;
mod secrets;
mod share;
mod sheet;

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

pub use file::{KeyFile, ReaderFile, WriterFile};
pub use holder::{HolderRecord, Kdf, KeyRecord, WriterRecord, key_name};
pub use hybrid::{CannotOpen, Purpose, public_key};
pub use inventory::BadBlob;
pub use secrets::{BaseSecret, Secret, SharedKeys, random};
pub use share::{BadShares, KeyShare, SHARES_MAX};
pub use sheet::{BadSheet, Sheet, read_sheet, to_share_sheet, to_sheet};

use crate::error::Error;
use crate::ids::{PublicKey, RepositoryId, SegmentNonce};
use crate::loan::Loan;
use crate::pack::{SegmentRow, segment_secret};

/// What the caller brings.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The content of a key file.
    File(KeyFile),
    /// A passphrase; every passphrase holder of the repository is tried.
    Passphrase(zeroize::Zeroizing<String>),
    /// A writer's key file, and what was lent beside it for one restore.
    Lent(WriterFile, Box<Loan>),
}

/// What only readers hold.
#[derive(Debug, Clone)]
pub struct ReaderSecrets {
    pub(crate) base: BaseSecret,
    /// The X25519 private key of each epoch.
    pub(crate) epochs: BTreeMap<u32, Secret>,
    /// The holder's own private key, to open later epochs.
    pub(crate) holder: Secret,
}

/// An unlocked key: what its holder can do with one repository.
#[derive(Debug)]
pub struct Key {
    pub(crate) repository: RepositoryId,
    pub(crate) holder: String,
    pub(crate) shared: SharedKeys,
    pub(crate) signer: Ed25519KeyPair,
    pub(crate) admin: PublicKey,
    pub(crate) reader: Option<ReaderSecrets>,
    /// What a writer may read, for one restore.
    pub(crate) loan: Option<Loan>,
}

impl Key {
    /// A writer's key from its file.
    pub fn writer(file: &WriterFile) -> Result<Self, Error> {
        Ok(Self {
            repository: file.repository,
            holder: file.holder.clone(),
            shared: SharedKeys::new(&file.writer_secret),
            signer: signing_key(&file.signing_key)?,
            admin: file.admin_key,
            reader: None,
            loan: None,
        })
    }

    /// A reader's key from the opened secrets; readers sign as the admin.
    pub(crate) fn reader(repository: RepositoryId, holder: &str, secrets: ReaderSecrets) -> Result<Self, Error> {
        let signer = signing_key(&secrets.base.admin_seed())?;
        Ok(Self {
            repository,
            holder: holder.to_owned(),
            shared: SharedKeys::new(&secrets.base.writer_secret()),
            admin: public_of(&signer),
            signer,
            reader: Some(secrets),
            loan: None,
        })
    }

    /// A writer's key that opens what was lent to its holder.
    pub(crate) fn borrower(file: &WriterFile, loan: &Loan) -> Result<Self, Error> {
        if loan.repository() != file.repository {
            return Err(Error::Foreign { key: loan.repository(), here: file.repository });
        }
        Ok(Self { loan: Some(loan.clone()), ..Self::writer(file)? })
    }

    /// Whether this key opens all data.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.reader.is_some()
    }

    /// The name of its holder.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The public half of the key that signs.
    #[must_use]
    pub fn signer(&self) -> PublicKey {
        public_of(&self.signer)
    }

    /// Opens a segment's data key; the error says whether it may not, or cannot.
    pub(crate) fn data_key(&self, segment: &SegmentRow) -> Result<Result<Secret, CannotOpen>, Error> {
        if let Some(loan) = &self.loan {
            let lent = loan.keys.get(&segment.nonce).cloned();
            return lent.map(Ok).ok_or_else(|| Error::NotLent(format!("segment {}", segment.nonce)));
        }
        let private = self.secrets("read them")?.epochs.get(&segment.epoch);
        let private = private.ok_or_else(|| Error::Key(format!("this key does not open epoch {}", segment.epoch)))?;
        Ok(segment_secret(&self.repository, segment, private))
    }

    /// Whether a segment is among those that it may open; whether it can, shows when it does.
    pub(crate) fn may_open(&self, segment: &SegmentNonce) -> bool {
        self.loan.as_ref().is_none_or(|loan| loan.keys.contains_key(segment))
    }

    /// Fails for a key that opens nothing at all.
    pub(crate) fn check_opens(&self) -> Result<(), Error> {
        if self.loan.is_some() { Ok(()) } else { self.secrets("read them").map(drop) }
    }

    /// The reader's secrets, or why not; `what` completes "a writer's key can add backups, not …".
    pub(crate) fn secrets(&self, what: &'static str) -> Result<&ReaderSecrets, Error> {
        self.reader.as_ref().ok_or(Error::WriterOnly(what))
    }
}

/// An Ed25519 key pair from its seed.
pub(crate) fn signing_key(seed: &Secret) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(&seed.0).map_err(|_| Error::Key("the signing key is unusable".into()))
}

/// The public half of a signing key.
pub(crate) fn public_of(pair: &Ed25519KeyPair) -> PublicKey {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(pair.public_key().as_ref());
    PublicKey(bytes)
}
