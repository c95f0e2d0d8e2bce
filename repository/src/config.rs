//! The repository's configuration: its identity, its public keys and its parameters. Written once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{PublicKey, RepositoryId};

/// Sizes that were measured once and are fixed for the life of a repository; all in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Parameters {
    /// No chunk of a large file is shorter, but for its last.
    pub chunk_min: u32,
    /// Around which chunk lengths gather.
    pub chunk_average: u32,
    /// No chunk is longer.
    pub chunk_max: u32,
    /// Files of this size or more are cut by content; smaller ones are one chunk.
    pub large_file: u32,
    /// The fixed chunk of disk images.
    pub image_chunk: u32,
    /// Small chunks share a frame until it holds so much.
    pub frame_target: u32,
    /// A pack is closed when it holds so much.
    pub pack_target: u32,
    /// How much parity each pack gets, in percent of it; none if 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub parity_percent: u32,
}

/// More parity than data is a copy, and a copy is better kept elsewhere.
const PARITY_PERCENT_MAX: u32 = 100;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(percent: &u32) -> bool {
    *percent == 0
}

impl Default for Parameters {
    /// Measured on the Linux source tree (benches/RESULTS.md, constants).
    fn default() -> Self {
        Self {
            chunk_min: 512 << 10,
            chunk_average: 2 << 20,
            chunk_max: 8 << 20,
            large_file: 1 << 20,
            image_chunk: 1 << 20,
            // 2 MiB frames take 195 MB for the tree and 3.5 s of CPU, 1 MiB 200 MB and 3.6 s, 512 KiB 207, 256 KiB 213; beyond it little is gained
            // (4 MiB: 193). One small file back costs one frame, about 2 ms.
            frame_target: 2 << 20,
            // One building and one on its way are 128 MiB, half of the memory that a backup may take.
            pack_target: 64 << 20,
            // Up to 2 MiB of rot heal in a pack of 64 MiB. Making it takes 90 ms of CPU a pack: 5 % of a backup of sources, half as much again where nothing compresses.
            parity_percent: 3,
        }
    }
}

impl Parameters {
    /// A thousandth of the default sizes, so that a test with little data meets every boundary.
    #[must_use]
    pub fn small() -> Self {
        Self {
            chunk_min: 4 << 10,
            chunk_average: 16 << 10,
            chunk_max: 64 << 10,
            large_file: 8 << 10,
            image_chunk: 16 << 10,
            frame_target: 16 << 10,
            pack_target: 256 << 10,
            parity_percent: 3,
        }
    }

    /// Why these parameters cannot be used, if so.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let ordered =
            64 <= self.chunk_min && self.chunk_min <= self.chunk_average && self.chunk_average <= self.chunk_max;
        if !ordered || self.chunk_max > 64 << 20 {
            return Some("chunk sizes are out of order or too large");
        }
        if self.large_file > 64 << 20 || self.image_chunk == 0 || self.image_chunk > 64 << 20 {
            return Some("file sizes are too large");
        }
        if self.parity_percent > PARITY_PERCENT_MAX {
            return Some("parity is more than the data");
        }
        let frames = self.frame_target == 0 || self.frame_target > 16 << 20;
        (frames || self.pack_target > 1 << 30).then_some("frame or pack size is too large")
    }
}

/// The body of the `config` object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Version of the format.
    pub format: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// When it was made.
    pub created: Timestamp,
    /// Whose signature counts for everything that removes or grants.
    pub admin_key: PublicKey,
    /// The first epoch, 1.
    pub epoch: u32,
    /// The public key that the first epoch's data keys are sealed to.
    pub public_key: PublicKey,
    /// Sizes.
    pub parameters: Parameters,
}
