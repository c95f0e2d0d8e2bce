//! The secrets of a repository and what is derived from them (FORMAT.md, Keys).

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ids::{ChunkId, FileHash};

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct Secret(pub(crate) [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl Secret {
    /// Wraps secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Fresh random bytes.
    #[must_use]
    pub fn random() -> Self {
        Self(random())
    }

    /// The bytes, for writing a key file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, context: &str) -> Self {
        Self(blake3::derive_key(context, &self.0))
    }
}

/// Random bytes from the operating system.
///
/// # Panics
/// When the system has no randomness to give: nothing may be sealed then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// From which everything else of a repository is derived; readers hold it.
#[derive(Clone, Debug)]
pub struct BaseSecret(pub(crate) Secret);

impl BaseSecret {
    /// What writers hold.
    #[must_use]
    pub fn writer_secret(&self) -> Secret {
        self.0.derive("strongroom v1 writer secret")
    }

    /// Seed of the key that signs configuration, keys and every commit that removes something.
    #[must_use]
    pub fn admin_seed(&self) -> Secret {
        self.0.derive("strongroom v1 admin signing key")
    }
}

/// The keys that writers and readers share.
#[derive(Clone, Debug)]
pub struct SharedKeys {
    /// Seals ids, sizes and positions.
    pub(crate) inventory: Secret,
    /// Names chunks.
    pub(crate) chunk_id: Secret,
    /// Names pages and cuts them.
    pub(crate) page_id: Secret,
    /// Cuts files.
    pub(crate) cut: Secret,
}

impl SharedKeys {
    /// Derives the keys.
    #[must_use]
    pub fn new(writer_secret: &Secret) -> Self {
        Self {
            inventory: writer_secret.derive("strongroom v1 inventory key"),
            chunk_id: writer_secret.derive("strongroom v1 chunk id key"),
            page_id: writer_secret.derive("strongroom v1 page id key"),
            cut: writer_secret.derive("strongroom v1 cut key"),
        }
    }

    /// The name of a chunk whose plain BLAKE3 is `hash`. Keyed over the hash rather than over the bytes, so that a file that is one chunk is hashed once for
    /// both its names, and its entry need not keep the second.
    #[must_use]
    pub(crate) fn chunk_name(&self, hash: &FileHash) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.chunk_id.0, hash).as_bytes())
    }

    /// The name of a page whose plain BLAKE3 is `hash`.
    #[must_use]
    pub(crate) fn page_name(&self, hash: &FileHash) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.page_id.0, hash).as_bytes())
    }
}
