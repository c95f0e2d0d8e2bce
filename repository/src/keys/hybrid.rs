//! HPKE (RFC 9180), base mode, X25519-HKDF-SHA256 with AES-256-GCM: sealing to a public key.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};

use super::secrets::Secret;
use crate::ids::{PublicKey, RepositoryId};

/// Bytes that HPKE adds to a message: the encapsulated key and the tag.
pub(crate) const OVERHEAD: usize = 32 + 16;

/// What a sealed message is for; part of what is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The data key of a segment.
    Segment,
    /// A snapshot's manifest.
    Snapshot,
    /// The repository's secrets, for a holder.
    Key,
}

/// The message was not sealed to this key, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed to this key, or altered")]
pub struct CannotOpen;

fn info(purpose: Purpose, repository: &RepositoryId) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        Purpose::Segment => b"segment",
        Purpose::Snapshot => b"snapshot",
        Purpose::Key => b"key",
    };
    [b"strongroom v1 ", purpose, &repository.0].concat()
}

/// Seals `message`: encapsulated key, then ciphertext.
pub(crate) fn seal(
    purpose: Purpose,
    repository: &RepositoryId,
    to: &PublicKey,
    aad: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, CannotOpen> {
    let recipient = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&to.0).map_err(|_| CannotOpen)?;
    let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        &info(purpose, repository),
        message,
        aad,
    )
    .map_err(|_| CannotOpen)?;
    Ok([enc.to_bytes().as_slice(), &ciphertext].concat())
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    purpose: Purpose,
    repository: &RepositoryId,
    private: &Secret,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, CannotOpen> {
    let (enc, ciphertext) = sealed.split_at_checked(32).ok_or(CannotOpen)?;
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).map_err(|_| CannotOpen)?;
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&private.0).map_err(|_| CannotOpen)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &enc,
        &info(purpose, repository),
        ciphertext,
        aad,
    )
    .map_err(|_| CannotOpen)
}

/// The public key that belongs to a private one.
pub fn public_key(private: &Secret) -> Result<PublicKey, CannotOpen> {
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&private.0).map_err(|_| CannotOpen)?;
    let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes();
    public.as_slice().try_into().map(PublicKey).map_err(|_| CannotOpen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_the_purpose_and_the_repository_open_it() {
        let (key, repository) = (Secret::random(), RepositoryId([7; 16]));
        let public = public_key(&key).unwrap();
        let sealed = seal(Purpose::Segment, &repository, &public, b"aad", b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + OVERHEAD);
        assert_eq!(open(Purpose::Segment, &repository, &key, b"aad", &sealed).unwrap(), b"secret");
        assert!(open(Purpose::Snapshot, &repository, &key, b"aad", &sealed).is_err());
        assert!(open(Purpose::Segment, &RepositoryId([8; 16]), &key, b"aad", &sealed).is_err());
        assert!(open(Purpose::Segment, &repository, &Secret::random(), b"aad", &sealed).is_err());
        assert!(open(Purpose::Segment, &repository, &key, b"aad", &sealed[..20]).is_err());
    }
}
