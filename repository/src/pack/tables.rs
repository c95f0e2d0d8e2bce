//! The tables that footers and index runs share.

use crate::codec::{Malformed, Reader};
use crate::ids::SegmentNonce;
use crate::keys::hybrid;

/// A segment: the frames that one session sealed into one pack, wherever they lie now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRow {
    /// Its name.
    pub nonce: SegmentNonce,
    /// Which epoch's public key its data key is sealed to.
    pub epoch: u32,
    /// The data key, sealed.
    pub sealed_key: [u8; SEALED_KEY_SIZE],
}

/// Bytes of a sealed data key.
pub(crate) const SEALED_KEY_SIZE: usize = 32 + hybrid::OVERHEAD;
/// Bytes of a segment's row.
pub(crate) const SEGMENT_SIZE: usize = 16 + 4 + SEALED_KEY_SIZE;

/// Where a frame lies and how to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRow {
    /// Position of its segment in the table before.
    pub segment: u32,
    /// Its number in the segment.
    pub ordinal: u32,
    /// Where its header begins in the pack, in bytes.
    pub offset: u32,
    /// Bytes of ciphertext with tag.
    pub sealed_length: u32,
    /// Bytes of plain content, before compression.
    pub plain_length: u32,
    /// 0 none, 1 zstd.
    pub compression: u32,
}

/// A chunk or page in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// The first half of its name, which is all that footers and the index keep.
    pub prefix: [u8; 16],
    /// Plain bytes.
    pub length: u32,
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_segments(out: &mut Vec<u8>, segments: &[SegmentRow]) {
    put_u32(out, segments.len() as u32);
    for segment in segments {
        out.extend_from_slice(&segment.nonce.0);
        put_u32(out, segment.epoch);
        out.extend_from_slice(&segment.sealed_key);
    }
}

pub(crate) fn take_segments(from: &mut Reader<'_>) -> Result<Vec<SegmentRow>, Malformed> {
    let count = from.count32(SEGMENT_SIZE, "segments")?;
    (0..count).map(|_| take_segment(from)).collect()
}

/// Reads a segment's row.
pub(crate) fn take_segment(from: &mut Reader<'_>) -> Result<SegmentRow, Malformed> {
    Ok(SegmentRow {
        nonce: SegmentNonce(from.array("segment nonce")?),
        epoch: from.u32("epoch")?,
        sealed_key: from.array("sealed key")?,
    })
}

/// Appends a frame's six numbers.
pub(crate) fn put_frame(out: &mut Vec<u8>, frame: &FrameRow) {
    for number in
        [frame.segment, frame.ordinal, frame.offset, frame.sealed_length, frame.plain_length, frame.compression]
    {
        put_u32(out, number);
    }
}

/// Reads a frame's six numbers.
pub(crate) fn take_frame(from: &mut Reader<'_>) -> Result<FrameRow, Malformed> {
    Ok(FrameRow {
        segment: from.u32("segment")?,
        ordinal: from.u32("ordinal")?,
        offset: from.u32("offset")?,
        sealed_length: from.u32("sealed length")?,
        plain_length: from.u32("plain length")?,
        compression: from.u32("compression")?,
    })
}
