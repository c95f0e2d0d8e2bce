//! Names of things: newtypes over raw bytes, printed and parsed as lower-case hex.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text was not the expected number of hex digits.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not {digits} lower-case hex digits")]
pub struct BadId {
    text: String,
    digits: usize,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;

            /// The id as lower-case hex.
            #[must_use]
            pub fn hex(&self) -> String {
                HEXLOWER.encode(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self.hex())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId { text: text.chars().take(80).collect(), digits: 2 * $size };
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| bad())?;
                Ok(Self(bytes.try_into().map_err(|_| bad())?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

id_type!(
    /// Which repository an object belongs to; random, chosen at `init`.
    RepositoryId,
    16
);
id_type!(
    /// Keyed BLAKE3 of a chunk's plain bytes, or of a page's; the two use different keys.
    ChunkId,
    32
);
id_type!(
    /// BLAKE3 of an object's bytes: the name of packs, index runs and snapshots.
    ObjectId,
    32
);
id_type!(
    /// One open writer; random.
    SessionId,
    16
);
id_type!(
    /// The random nonce that names a segment, through every repacking.
    SegmentNonce,
    16
);
id_type!(
    /// A 32-byte public key: X25519 of a holder, or Ed25519 of a signer.
    PublicKey,
    32
);

/// Plain BLAKE3 of a whole file, as `b3sum` prints it.
pub type FileHash = [u8; 32];

impl ObjectId {
    /// The name of an object with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl ChunkId {
    /// The part of the id that index runs keep: 128 bits of a keyed hash, so that two chunks meet once in 2^64.
    #[must_use]
    pub fn prefix(&self) -> [u8; 16] {
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&self.0[..16]);
        prefix
    }
}
