//! Key objects: the secrets wrapped for one holder, or the registration of one writer.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::hybrid::{self, Purpose};
use super::secrets::{BaseSecret, Secret, random};
use crate::error::Error;
use crate::ids::{PublicKey, RepositoryId};

/// The body of a key object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum KeyRecord {
    /// Wrapped secrets.
    Holder(HolderRecord),
    /// A registered writer.
    Writer(WriterRecord),
}

impl KeyRecord {
    /// Whose it is.
    #[must_use]
    pub fn holder(&self) -> &str {
        match self {
            Self::Holder(record) => &record.holder,
            Self::Writer(record) => &record.holder,
        }
    }
}

/// The secrets of one epoch, wrapped for one holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HolderRecord {
    /// Whose it is.
    pub holder: String,
    /// Which epoch's private key it holds.
    pub epoch: u32,
    /// The holder's X25519 public key.
    pub public_key: PublicKey,
    /// How a passphrase becomes the private key; none for a key file.
    pub kdf: Option<Kdf>,
    /// Base secret and the epoch's private key, sealed; hex.
    pub sealed: String,
}

/// A writer whose signature counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WriterRecord {
    /// Whose it is.
    pub holder: String,
    /// Its Ed25519 public key.
    pub public_key: PublicKey,
}

/// How a passphrase becomes a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Kdf {
    /// RFC 9106.
    Argon2id {
        /// Random.
        salt: RepositoryId,
        /// Memory in KiB.
        memory_kib: u32,
        /// Iterations.
        passes: u32,
        /// Parallel lanes.
        lanes: u32,
    },
}

impl Kdf {
    /// RFC 9106's second recommended setting (64 MiB, 3 passes, 4 lanes) with a fresh salt: a quarter of a second of one core, and it fits the
    /// 256 MiB that everything else keeps to.
    #[must_use]
    pub fn fresh() -> Self {
        Self::Argon2id { salt: RepositoryId(random()), memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }

    /// The private key of a passphrase.
    pub fn private_key(&self, passphrase: &str) -> Result<Secret, Error> {
        let Self::Argon2id { salt, memory_kib, passes, lanes } = *self;
        // A key object is signed, but it is read before anything can check who signed: bound what it may cost.
        if memory_kib > 4 << 20 || passes > 64 || lanes > 64 {
            return Err(Error::Key("the key object asks for too much work".into()));
        }
        let unusable = |_| Error::Key("the key object's argon2id parameters are unusable".into());
        let parameters = Params::new(memory_kib, passes, lanes, Some(32)).map_err(unusable)?;
        let mut private = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase.as_bytes(), &salt.0, &mut private)
            .map_err(unusable)?;
        Ok(Secret::new(private))
    }
}

impl HolderRecord {
    /// Wraps the secrets of `epoch` for a holder.
    pub fn wrap(
        repository: &RepositoryId,
        holder: &str,
        to: (PublicKey, Option<Kdf>),
        base: &BaseSecret,
        (epoch, private): (u32, &Secret),
    ) -> Result<Self, Error> {
        let message = zeroize::Zeroizing::new([base.0.0, private.0].concat());
        let sealed = hybrid::seal(Purpose::Key, repository, &to.0, &epoch.to_le_bytes(), &message)
            .map_err(|_| Error::Key(format!("the public key of '{holder}' is unusable")))?;
        let sealed = data_encoding::HEXLOWER.encode(&sealed);
        Ok(Self { holder: holder.into(), epoch, public_key: to.0, kdf: to.1, sealed })
    }

    /// Opens the base secret and the epoch's private key.
    pub fn unwrap_with(&self, repository: &RepositoryId, private: &Secret) -> Result<(BaseSecret, Secret), Error> {
        let wrong = || Error::Key(format!("this key does not open what was sealed for '{}'", self.holder));
        let sealed = data_encoding::HEXLOWER.decode(self.sealed.as_bytes()).map_err(|_| wrong())?;
        let message = hybrid::open(Purpose::Key, repository, private, &self.epoch.to_le_bytes(), &sealed);
        let message = zeroize::Zeroizing::new(message.map_err(|_| wrong())?);
        let (base, epoch_key) = message.split_at_checked(32).ok_or_else(wrong)?;
        let secret = |bytes: &[u8]| bytes.try_into().map(Secret::new).map_err(|_| wrong());
        Ok((BaseSecret(secret(base)?), secret(epoch_key)?))
    }
}

/// The name of a key object: `epoch` is 0 for a writer. Deterministic, so that a key file finds its object without a listing.
#[must_use]
pub fn key_name(public_key: &PublicKey, epoch: u32) -> (String, [u8; 16]) {
    let mut hasher = blake3::Hasher::new_derive_key("strongroom v1 key name");
    hasher.update(&public_key.0).update(&epoch.to_le_bytes());
    let mut raw = [0; 16];
    raw.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    (format!("keys/{}", data_encoding::HEXLOWER.encode(&raw)), raw)
}
