//! A pack of frames that other packs held: moved as they are, each with its segment's sealed key and its old number there, so that whatever names them finds them.

use std::collections::HashMap;

use bytes::Bytes;

use super::builder::{FinishedPack, Unsealed};
use super::tables::{FrameRow, SegmentRow, StoredChunk};
use crate::ids::{RepositoryId, SegmentNonce};
use crate::keys::Secret;
use crate::object::ObjectType;

/// Takes sealed frames until it is large enough.
#[derive(Debug)]
pub(crate) struct MovedPack {
    pack: Unsealed,
    /// Where each segment stands in the pack's table.
    segments: HashMap<SegmentNonce, u32>,
    size: usize,
}

impl MovedPack {
    /// An empty pack.
    pub(crate) fn new(repository: RepositoryId, kind: ObjectType) -> Self {
        let pack = Unsealed::new(repository, kind);
        let size = pack.parts.iter().map(Bytes::len).sum();
        Self { pack, segments: HashMap::new(), size }
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether it holds no frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.pack.frames.is_empty()
    }

    /// Adds a frame; `sealed` begins with its header.
    pub(crate) fn add(&mut self, segment: &SegmentRow, row: &FrameRow, chunks: &[StoredChunk], sealed: Bytes) {
        let next = self.segments.len() as u32;
        let number = *self.segments.entry(segment.nonce).or_insert(next);
        if number == next {
            self.pack.segments.push(*segment);
        }
        let row = FrameRow { segment: number, offset: self.size as u32, ..*row };
        self.pack.frames.push((row, chunks.len() as u32));
        self.pack.chunks.extend_from_slice(chunks);
        self.size += sealed.len();
        self.pack.parts.push(sealed);
    }

    /// Seals the footer and names the pack.
    pub(crate) fn finish(self, inventory_key: &Secret) -> FinishedPack {
        self.pack.finish(inventory_key)
    }
}
