//! Inventory blobs: what writers may read of each other, namely ids, sizes and positions; never names or content.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::secrets::{Secret, random};
use crate::ids::RepositoryId;
use crate::object::ObjectType;

/// Plain bytes of one sealed block: small enough to stream, large enough that 16 bytes of tag do not count.
const BLOCK: usize = 1 << 20;
const TAG: usize = 16;
const SALT: usize = 32;
/// The largest content that a blob may claim: an index run of 100 million chunks is about 3 GiB.
const CONTENT_MAX: usize = 8 << 30;

/// Why a blob could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlob {
    /// Cut off, altered, or of another object.
    #[error("its sealed inventory is altered or cut off")]
    Altered,
    /// Opened, but not a zstd frame of the stated size.
    #[error("its inventory does not decompress")]
    NotCompressed,
}

/// To what a blob is bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The repository.
    pub(crate) repository: &'a RepositoryId,
    /// Type of the object that carries it.
    pub(crate) kind: ObjectType,
    /// Raw name, empty for objects named by their hash.
    pub(crate) name: &'a [u8],
}

impl Binding<'_> {
    fn aad(&self) -> Vec<u8> {
        [&self.repository.0[..], &[self.kind as u8], self.name].concat()
    }

    fn key(&self, inventory: &Secret, salt: &[u8]) -> LessSafeKey {
        let mut hasher = blake3::Hasher::new_keyed(&inventory.0);
        hasher.update(b"blob").update(&[self.kind as u8]).update(salt);
        aes_key(hasher.finalize().as_bytes())
    }
}

/// An AES-256-GCM key from 32 bytes.
pub(crate) fn aes_key(bytes: &[u8; 32]) -> LessSafeKey {
    // BUG if it fails: the only failure is a wrong key length, and the type fixes it.
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes make an AES-256 key"))
}

fn block_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Seals `content`. The salt makes the key fresh, so the block counter never repeats under one key.
pub(crate) fn seal(inventory: &Secret, binding: Binding<'_>, content: &[u8]) -> Vec<u8> {
    // BUG if it fails: compressing memory into memory has no failure but exhaustion.
    let payload = zstd::bulk::compress(content, 3).expect("compression into memory succeeds");
    let salt: [u8; SALT] = random();
    let (key, aad) = (binding.key(inventory, &salt), binding.aad());
    let mut blob = Vec::with_capacity(SALT + payload.len() + (payload.len() / BLOCK + 1) * TAG);
    blob.extend_from_slice(&salt);
    let blocks = payload.len().div_ceil(BLOCK).max(1);
    for number in 0..blocks {
        let start = blob.len();
        blob.extend_from_slice(&payload[number * BLOCK..payload.len().min((number + 1) * BLOCK)]);
        let nonce = block_nonce(number as u64, number + 1 == blocks);
        // BUG if it fails: sealing fails only beyond 64 GiB a message.
        let tag =
            key.seal_in_place_separate_tag(nonce, Aad::from(&aad), &mut blob[start..]).expect("a block can be sealed");
        blob.extend_from_slice(tag.as_ref());
    }
    blob
}

/// Opens a blob and returns its content.
pub(crate) fn open(inventory: &Secret, binding: Binding<'_>, blob: &[u8]) -> Result<Vec<u8>, BadBlob> {
    let (salt, sealed) = blob.split_at_checked(SALT).ok_or(BadBlob::Altered)?;
    let (key, aad) = (binding.key(inventory, salt), binding.aad());
    let mut payload = Vec::with_capacity(sealed.len());
    let blocks = sealed.chunks(BLOCK + TAG);
    let count = blocks.len();
    for (number, block) in blocks.enumerate() {
        let start = payload.len();
        payload.extend_from_slice(block);
        let nonce = block_nonce(number as u64, number + 1 == count);
        let plain = key.open_in_place(nonce, Aad::from(&aad), &mut payload[start..]).map_err(|_| BadBlob::Altered)?;
        let length = plain.len();
        payload.truncate(start + length);
    }
    if count == 0 {
        return Err(BadBlob::Altered);
    }
    decompress(&payload, CONTENT_MAX).ok_or(BadBlob::NotCompressed)
}

/// Decompresses one zstd frame whose stated content size is at most `limit` bytes.
pub(crate) fn decompress(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
    let stated = zstd::zstd_safe::get_frame_content_size(frame).ok()??;
    let stated = usize::try_from(stated).ok().filter(|size| *size <= limit)?;
    let content = zstd::bulk::decompress(frame, stated).ok()?;
    (content.len() == stated).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_of_every_size_come_back_and_no_part_can_change() {
        let (key, repository) = (Secret::random(), RepositoryId([1; 16]));
        let binding = Binding { repository: &repository, kind: ObjectType::Commit, name: b"n" };
        for size in [0usize, 1, 5000, 3 << 20] {
            let content: Vec<u8> = (0..size as u64 / 8 + 1)
                .flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..8].to_vec())
                .collect();
            let blob = seal(&key, binding, &content[..size]);
            assert_eq!(open(&key, binding, &blob).unwrap(), &content[..size]);
            let other = Binding { name: b"m", ..binding };
            assert_eq!(open(&key, other, &blob), Err(BadBlob::Altered));
            for cut in [0, 31, 32, blob.len() - 1, blob.len().saturating_sub((1 << 20) + 16)] {
                assert!(
                    cut >= blob.len() || open(&key, binding, &blob[..cut]).is_err(),
                    "cut at {cut} of {}",
                    blob.len()
                );
            }
            let mut flipped = blob.clone();
            flipped[blob.len() / 2] ^= 1;
            assert!(open(&key, binding, &flipped).is_err());
        }
    }
}
