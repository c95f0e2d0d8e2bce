//! A pack that is being filled.

use bytes::Bytes;

use super::frame::{FRAME_HEADER_SIZE, SegmentKey, fresh_segment, open_frame};
use super::tables::{FrameRow, SegmentRow, StoredChunk, put_frame, put_segments, put_u32};
use crate::ids::{ObjectId, PublicKey, RepositoryId};
use crate::keys::inventory::{self, Binding};
use crate::keys::{CannotOpen, Secret};
use crate::object::{ObjectType, header};

/// Ends every pack.
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"SRPKEND1";

/// Takes frames until it is large enough.
#[derive(Debug)]
pub(crate) struct PackBuilder {
    pack: Unsealed,
    key: SegmentKey,
    size: usize,
}

/// A pack without its footer.
#[derive(Debug)]
pub(super) struct Unsealed {
    repository: RepositoryId,
    kind: ObjectType,
    pub(super) segments: Vec<SegmentRow>,
    pub(super) frames: Vec<(FrameRow, u32)>,
    pub(super) chunks: Vec<StoredChunk>,
    pub(super) parts: Vec<Bytes>,
}

/// A complete pack: its bytes, and what the index must know of it.
#[derive(Debug)]
pub(crate) struct FinishedPack {
    pub(crate) contents: PackContents,
    pub(crate) parts: Vec<Bytes>,
}

/// What the index must know of a pack.
#[derive(Debug, Clone)]
pub struct PackContents {
    /// Its name.
    pub id: ObjectId,
    /// Data or pages.
    pub kind: ObjectType,
    /// Bytes.
    pub size: u64,
    /// Its segments.
    pub segments: Vec<SegmentRow>,
    /// Each frame with the number of its chunks.
    pub frames: Vec<(FrameRow, u32)>,
    /// The chunks of all frames, one after the other.
    pub chunks: Vec<StoredChunk>,
}

impl PackBuilder {
    /// An empty pack with a fresh segment.
    pub(crate) fn new(
        repository: RepositoryId,
        kind: ObjectType,
        (epoch, public): (u32, &PublicKey),
    ) -> Result<Self, CannotOpen> {
        let (key, segment) = fresh_segment(&repository, epoch, public)?;
        let mut pack = Unsealed::new(repository, kind);
        pack.segments.push(segment);
        let size = pack.parts.iter().map(Bytes::len).sum();
        Ok(Self { pack, key, size })
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether it holds no frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.pack.frames.is_empty()
    }

    /// Seals a compressed frame into the pack; returns the sealed bytes that it added.
    pub(crate) fn append(&mut self, compression: u8, payload: &[u8], chunks: &[StoredChunk]) -> usize {
        let ordinal = self.pack.frames.len() as u32;
        let plain_length = chunks.iter().map(|chunk| chunk.length).sum();
        let frame = self.key.seal(&self.pack.repository, self.pack.kind, ordinal, compression, plain_length, payload);
        let row = FrameRow {
            segment: 0,
            ordinal,
            offset: self.size as u32,
            sealed_length: (frame.len() - FRAME_HEADER_SIZE) as u32,
            plain_length,
            compression: u32::from(compression),
        };
        self.pack.frames.push((row, chunks.len() as u32));
        self.pack.chunks.extend_from_slice(chunks);
        let added = frame.len();
        self.size += added;
        self.pack.parts.push(Bytes::from(frame));
        added
    }

    /// Opens the newest frame again and compares it with what went in.
    pub(crate) fn last_frame_holds(&self, plain: &[u8]) -> bool {
        let (Some(frame), Some((row, _))) = (self.pack.parts.last(), self.pack.frames.last()) else { return false };
        open_frame(&self.key, &self.pack.repository, self.pack.kind, row, frame).is_ok_and(|opened| opened == plain)
    }

    /// Seals the footer and names the pack.
    pub(crate) fn finish(self, inventory_key: &Secret) -> FinishedPack {
        self.pack.finish(inventory_key)
    }

    /// The content of the footer as things stand.
    pub(crate) fn footer_content(&self) -> Vec<u8> {
        footer_content(&self.pack.segments, &self.pack.frames, &self.pack.chunks)
    }
}

impl Unsealed {
    /// A header and nothing else.
    pub(super) fn new(repository: RepositoryId, kind: ObjectType) -> Self {
        let parts = vec![Bytes::copy_from_slice(&header(kind, &repository))];
        Self { repository, kind, segments: Vec::new(), frames: Vec::new(), chunks: Vec::new(), parts }
    }

    pub(super) fn finish(mut self, inventory_key: &Secret) -> FinishedPack {
        let binding = Binding { repository: &self.repository, kind: self.kind, name: b"" };
        let content = footer_content(&self.segments, &self.frames, &self.chunks);
        let footer = inventory::seal(inventory_key, binding, &content);
        let mut trailer = Vec::with_capacity(32);
        put_u32(&mut trailer, footer.len() as u32);
        put_u32(&mut trailer, self.frames.len() as u32);
        trailer.extend_from_slice(&blake3::hash(&footer).as_bytes()[..16]);
        trailer.extend_from_slice(&TRAILER_MAGIC);
        self.parts.extend([Bytes::from(footer), Bytes::from(trailer)]);
        let mut hasher = blake3::Hasher::new();
        self.parts.iter().for_each(|part| {
            hasher.update(part);
        });
        let contents = PackContents {
            id: ObjectId(*hasher.finalize().as_bytes()),
            kind: self.kind,
            size: self.parts.iter().map(|part| part.len() as u64).sum(),
            segments: self.segments,
            frames: self.frames,
            chunks: self.chunks,
        };
        FinishedPack { contents, parts: self.parts }
    }
}

impl PackContents {
    /// The content of the pack's footer.
    pub(crate) fn footer_content(&self) -> Vec<u8> {
        footer_content(&self.segments, &self.frames, &self.chunks)
    }
}

fn footer_content(segments: &[SegmentRow], frames: &[(FrameRow, u32)], chunks: &[StoredChunk]) -> Vec<u8> {
    let mut content = Vec::with_capacity(256 + frames.len() * 28 + chunks.len() * 20);
    put_segments(&mut content, segments);
    put_u32(&mut content, frames.len() as u32);
    for (frame, chunks) in frames {
        put_frame(&mut content, frame);
        put_u32(&mut content, *chunks);
    }
    put_u32(&mut content, chunks.len() as u32);
    chunks.iter().for_each(|chunk| content.extend_from_slice(&chunk.prefix));
    chunks.iter().for_each(|chunk| put_u32(&mut content, chunk.length));
    content
}
