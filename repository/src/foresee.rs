//! What a chunk would take if it were stored now, without storing it.

use crate::index::Index;
use crate::pack::FRAME_HEADER_SIZE;
use crate::repository::Repository;

impl Repository {
    /// Bytes that a chunk would add to the repository; nothing if it may be built upon already. By itself: small chunks share a frame and take less together.
    #[must_use]
    pub fn foresee(&self, index: &Index, chunk: &[u8]) -> u64 {
        let hash = *blake3::hash(chunk).as_bytes();
        if index.usable(&self.key.shared.chunk_name(&hash)).is_some() {
            return 0;
        }
        // Level 1 is within a few hundredths of the level that stores it, and takes a third of the time. What cannot be compressed is stored as it is.
        let compressed = zstd::bulk::compress(chunk, 1).map_or(chunk.len(), |compressed| compressed.len());
        compressed.min(chunk.len()) as u64 + FRAME_HEADER_SIZE as u64
    }
}
