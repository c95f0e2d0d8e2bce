//! Metadata on its way into page packs. Every page's frame is opened again before it leaves.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::Session;
use super::lane::compressor;
use crate::error::Error;
use crate::ids::ChunkId;
use crate::object::ObjectType;
use crate::pack::{StoredChunk, compress};
use crate::tree::entry::ChunkRef;

/// What a session remembers of the pages that it wrote.
#[derive(Default)]
pub(crate) struct Pages {
    compressor: Mutex<Option<zstd::bulk::Compressor<'static>>>,
    chunks: Mutex<HashMap<ChunkId, Vec<ChunkId>>>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pages")
    }
}

impl Session {
    /// Stores a page unless the parent snapshot or the repository has it.
    pub(crate) fn store_page(&self, page: &[u8], known: &HashSet<ChunkId>) -> Result<ChunkId, Error> {
        let id = self.repository.key.shared.page_name(blake3::hash(page).as_bytes());
        // While something is condemned, a page of the parent snapshot may be lost: then the index is asked.
        let is_known = known.contains(&id) && self.repository.history().condemned.is_empty();
        if is_known || !self.claim(&id)? {
            return Ok(id);
        }
        let mut slot = self.pages.compressor.lock().unwrap_or_else(PoisonError::into_inner);
        let compressor = match &mut *slot {
            Some(compressor) => compressor,
            empty => empty.insert(compressor()?),
        };
        let mut payload = Vec::new();
        let compression = compress(compressor, page, &mut payload);
        let stored = StoredChunk { prefix: id.prefix(), length: page.len() as u32 };
        let sealed = self.packer.append(ObjectType::PagePack, compression, &payload, &[stored], Some(page))?;
        self.count(0, sealed);
        Ok(id)
    }

    pub(crate) fn note_chunk_page(&self, page: ChunkId, chunks: &[ChunkRef]) {
        let ids = chunks.iter().map(|chunk| chunk.id).collect();
        self.pages.chunks.lock().unwrap_or_else(PoisonError::into_inner).insert(page, ids);
    }

    /// The chunks of a chunk list page of this session.
    pub(crate) fn chunks_of_page(&self, page: &ChunkId) -> Vec<ChunkId> {
        self.pages.chunks.lock().unwrap_or_else(PoisonError::into_inner).get(page).cloned().unwrap_or_default()
    }
}
