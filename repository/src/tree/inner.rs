//! Inner pages: the first key below each child, so that look-ups take O(log n) pages. And pages of chunk references.

use super::entry::{ChunkRef, decode_chunks, encode_chunks};
use crate::codec::{Malformed, Reader, put_bytes, put_varint};
use crate::ids::ChunkId;

/// The kind byte of an inner page.
pub const KIND: u8 = 1;
/// The kind byte of a chunk list.
pub const CHUNK_LIST_KIND: u8 = 2;

/// A page as its parent knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Directory of the first entry below.
    pub first_directory: Vec<u8>,
    /// Name of the first entry below.
    pub first_name: Vec<u8>,
    /// The page.
    pub id: ChunkId,
    /// Entries below.
    pub entries: u64,
    /// Sum of the file sizes below, in bytes.
    pub bytes: u64,
}

/// An inner page's bytes; `level` is 1 above the leaves.
#[must_use]
pub fn encode(level: u64, children: &[Child]) -> Vec<u8> {
    let mut page = vec![KIND];
    put_varint(&mut page, level);
    put_varint(&mut page, children.len() as u64);
    for child in children {
        put_bytes(&mut page, &child.first_directory);
        put_bytes(&mut page, &child.first_name);
        page.extend_from_slice(&child.id.0);
        put_varint(&mut page, child.entries);
        put_varint(&mut page, child.bytes);
    }
    page
}

/// Reads an inner page: its level and children.
pub fn decode(page: &[u8]) -> Result<(u64, Vec<Child>), Malformed> {
    let mut from = Reader::new(page);
    if from.u8("page kind")? != KIND {
        return Err(Malformed { what: "page kind", at: 0 });
    }
    let level = from.varint("level")?;
    let count = from.count(ChunkId::SIZE + 4, "children")?;
    let children = (0..count).map(|_| decode_child(&mut from)).collect::<Result<Vec<_>, _>>()?;
    from.finish("inner page")?;
    // A level bounds the recursion of every reader: 2^48 entries need fewer than 8 levels at 64 children a page.
    if level == 0 || level > 8 || children.is_empty() {
        return Err(Malformed { what: "level", at: 1 });
    }
    Ok((level, children))
}

fn decode_child(from: &mut Reader<'_>) -> Result<Child, Malformed> {
    Ok(Child {
        first_directory: from.bytes("first directory")?.to_vec(),
        first_name: from.bytes("first name")?.to_vec(),
        id: ChunkId(from.array("page id")?),
        entries: from.varint("entries")?,
        bytes: from.varint("bytes")?,
    })
}

/// A chunk list page's bytes.
#[must_use]
pub fn encode_chunk_list(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut page = vec![CHUNK_LIST_KIND];
    encode_chunks(chunks, &mut page);
    page
}

/// Reads a chunk list page.
pub fn decode_chunk_list(page: &[u8]) -> Result<Vec<ChunkRef>, Malformed> {
    let mut from = Reader::new(page);
    if from.u8("page kind")? != CHUNK_LIST_KIND {
        return Err(Malformed { what: "page kind", at: 0 });
    }
    let chunks = decode_chunks(&mut from)?;
    from.finish("chunk list")?;
    Ok(chunks)
}
