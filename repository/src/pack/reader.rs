//! Reading a pack's footer, and finding frames in a pack whose footer is lost.

use super::builder::{PackContents, TRAILER_MAGIC};
use super::frame::{FRAME_HEADER_SIZE, FrameHeader};
use super::tables::{StoredChunk, take_frame, take_segments};
use crate::codec::{Malformed, Reader};
use crate::error::Error;
use crate::ids::{ObjectId, RepositoryId};
use crate::keys::Secret;
use crate::keys::inventory::{self, Binding};
use crate::object::ObjectType;

/// Bytes of the trailer.
pub const TRAILER_SIZE: usize = 32;

/// The last bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Bytes of the footer in front of the trailer.
    pub footer_length: u32,
    /// Frames in the pack.
    pub frames: u32,
    /// Truncated BLAKE3 of the footer.
    pub footer_hash: [u8; 16],
}

impl Trailer {
    /// Reads a trailer.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let (footer_length, frames) = (from.u32("footer length")?, from.u32("frame count")?);
        let footer_hash = from.array("footer hash")?;
        if from.array::<8>("trailer magic")? != TRAILER_MAGIC {
            return Err(Malformed { what: "trailer magic", at: 24 });
        }
        from.finish("trailer")?;
        Ok(Self { footer_length, frames, footer_hash })
    }
}

/// A pack's table of contents.
#[derive(Debug, Clone)]
pub struct PackFooter {
    pub(crate) contents: PackContents,
}

impl PackFooter {
    /// Opens the footer found in front of the trailer of pack `id`, which is `size` bytes long.
    pub(crate) fn open(
        inventory_key: &Secret,
        repository: &RepositoryId,
        kind: ObjectType,
        (id, size): (ObjectId, u64),
        footer: &[u8],
        name: &str,
    ) -> Result<Self, Error> {
        let binding = Binding { repository, kind, name: b"" };
        let content =
            inventory::open(inventory_key, binding, footer).map_err(|bad| Error::damaged(name, bad.to_string()))?;
        Self::decode(&content, kind, id, size).map_err(Error::malformed(name))
    }

    /// Reads an opened footer's content.
    pub(crate) fn decode(content: &[u8], kind: ObjectType, id: ObjectId, size: u64) -> Result<Self, Malformed> {
        decode_contents(content, kind, id, size).map(|contents| Self { contents })
    }

    /// Frames, each with its chunks.
    pub fn frames(&self) -> impl Iterator<Item = (&super::FrameRow, &[StoredChunk])> {
        let mut rest = self.contents.chunks.as_slice();
        self.contents.frames.iter().map(move |(frame, count)| {
            let (chunks, after) = rest.split_at(*count as usize);
            rest = after;
            (frame, chunks)
        })
    }
}

fn decode_contents(content: &[u8], kind: ObjectType, id: ObjectId, size: u64) -> Result<PackContents, Malformed> {
    let mut from = Reader::new(content);
    let segments = take_segments(&mut from)?;
    let count = from.count32(28, "frames")?;
    let frames: Vec<_> =
        (0..count).map(|_| Ok((take_frame(&mut from)?, from.u32("chunks")?))).collect::<Result<_, _>>()?;
    let count = from.count32(20, "chunks")?;
    let prefixes: Vec<[u8; 16]> = (0..count).map(|_| from.array("chunk id")).collect::<Result<_, _>>()?;
    let chunks: Vec<_> = prefixes
        .into_iter()
        .map(|prefix| Ok(StoredChunk { prefix, length: from.u32("chunk length")? }))
        .collect::<Result<_, _>>()?;
    from.finish("pack footer")?;
    let promised: u64 = frames.iter().map(|(_, chunks)| u64::from(*chunks)).sum();
    if promised != chunks.len() as u64 || frames.iter().any(|(frame, _)| frame.segment as usize >= segments.len()) {
        return Err(Malformed { what: "pack footer", at: 0 });
    }
    Ok(PackContents { id, kind, size, segments, frames, chunks })
}

/// Finds intact frame headers in a damaged pack; yields each header's offset.
pub fn scan_frames(pack: &[u8]) -> impl Iterator<Item = (usize, FrameHeader)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + FRAME_HEADER_SIZE <= pack.len() {
            let here = at;
            if let Ok(header) = FrameHeader::decode(&pack[here..here + FRAME_HEADER_SIZE]) {
                at += FRAME_HEADER_SIZE;
                return Some((here, header));
            }
            at += 1;
        }
        None
    })
}
