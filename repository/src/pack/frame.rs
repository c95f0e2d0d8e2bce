//! Frames: the unit of compression and sealing.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::tables::{FrameRow, SegmentRow};
use crate::codec::{Malformed, Reader};
use crate::ids::{RepositoryId, SegmentNonce};
use crate::keys::hybrid::{self, CannotOpen, Purpose};
use crate::keys::inventory::{aes_key, decompress};
use crate::keys::{Secret, random};
use crate::object::{ObjectType, SUITE};

/// Bytes of a frame's header.
pub const FRAME_HEADER_SIZE: usize = 32;
const FRAME_MAGIC: [u8; 4] = *b"\xf5SRF";
pub(crate) const TAG_SIZE: usize = 16;
/// No frame holds more plain bytes: one chunk of at most 64 MiB, or small chunks up to the frame target and one more.
const PLAIN_MAX: u32 = 128 << 20;

/// What stands in front of a frame, so that a scanner can find frames in a damaged pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Number in its segment.
    pub ordinal: u32,
    /// Bytes of ciphertext with tag.
    pub sealed_length: u32,
    /// Bytes of plain content.
    pub plain_length: u32,
    /// 0 none, 1 zstd.
    pub compression: u8,
    /// First half of the segment's nonce.
    pub segment_start: [u8; 8],
}

impl FrameHeader {
    pub(crate) fn encode(&self) -> [u8; FRAME_HEADER_SIZE] {
        let mut header = [0; FRAME_HEADER_SIZE];
        header[..4].copy_from_slice(&FRAME_MAGIC);
        header[4..8].copy_from_slice(&self.ordinal.to_le_bytes());
        header[8..12].copy_from_slice(&self.sealed_length.to_le_bytes());
        header[12..16].copy_from_slice(&self.plain_length.to_le_bytes());
        header[16] = self.compression;
        header[17] = SUITE;
        header[20..28].copy_from_slice(&self.segment_start);
        let check = blake3::hash(&header[..28]);
        header[28..].copy_from_slice(&check.as_bytes()[..4]);
        header
    }

    /// Reads and checks a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let header: [u8; FRAME_HEADER_SIZE] = from.array("frame header")?;
        if header[..4] != FRAME_MAGIC
            || header[28..] != blake3::hash(&header[..28]).as_bytes()[..4]
            || header[17] != SUITE
        {
            return Err(Malformed { what: "frame header", at: 0 });
        }
        let mut from = Reader::new(&header[4..]);
        let (ordinal, sealed_length, plain_length) = (from.u32("ordinal")?, from.u32("length")?, from.u32("length")?);
        let mut segment_start = [0; 8];
        segment_start.copy_from_slice(&header[20..28]);
        Ok(Self { ordinal, sealed_length, plain_length, compression: header[16], segment_start })
    }
}

/// A segment's data key, in use.
pub(crate) struct SegmentKey {
    key: LessSafeKey,
    nonce: SegmentNonce,
}

impl std::fmt::Debug for SegmentKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SegmentKey({})", self.nonce)
    }
}

/// A fresh segment, its key sealed to the epoch's public key.
pub(crate) fn fresh_segment(
    repository: &RepositoryId,
    epoch: u32,
    public: &crate::ids::PublicKey,
) -> Result<(SegmentKey, SegmentRow), CannotOpen> {
    let (secret, nonce) = (Secret::random(), SegmentNonce(random()));
    let sealed = hybrid::seal(Purpose::Segment, repository, public, &nonce.0, secret.expose())?;
    let sealed_key = sealed.try_into().map_err(|_| CannotOpen)?;
    Ok((SegmentKey { key: aes_key(secret.expose()), nonce }, SegmentRow { nonce, epoch, sealed_key }))
}

/// Opens a segment's data key with the epoch's private key.
pub(crate) fn segment_secret(
    repository: &RepositoryId,
    row: &SegmentRow,
    private: &Secret,
) -> Result<Secret, CannotOpen> {
    let plain = hybrid::open(Purpose::Segment, repository, private, &row.nonce.0, &row.sealed_key)?;
    let plain = zeroize::Zeroizing::new(plain);
    plain.as_slice().try_into().map(Secret).map_err(|_| CannotOpen)
}

impl SegmentKey {
    /// An opened data key, for use.
    pub(crate) fn new(nonce: SegmentNonce, secret: &Secret) -> Self {
        Self { key: aes_key(secret.expose()), nonce }
    }

    fn aad(&self, repository: &RepositoryId, kind: ObjectType, header: &[u8; FRAME_HEADER_SIZE]) -> Vec<u8> {
        [&repository.0[..], &[kind as u8], &self.nonce.0, &header[4..18]].concat()
    }

    fn frame_nonce(ordinal: u32) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&u64::from(ordinal).to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `payload` as frame `ordinal`: header, ciphertext, tag. Each ordinal may be used once.
    pub(crate) fn seal(
        &self,
        repository: &RepositoryId,
        kind: ObjectType,
        ordinal: u32,
        compression: u8,
        plain_length: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut segment_start = [0; 8];
        segment_start.copy_from_slice(&self.nonce.0[..8]);
        let sealed_length = (payload.len() + TAG_SIZE) as u32;
        let header = FrameHeader { ordinal, sealed_length, plain_length, compression, segment_start }.encode();
        let mut frame = Vec::with_capacity(FRAME_HEADER_SIZE + payload.len() + TAG_SIZE);
        frame.extend_from_slice(&header);
        frame.extend_from_slice(payload);
        let aad = Aad::from(self.aad(repository, kind, &header));
        // BUG if it fails: sealing fails only beyond 64 GiB a message.
        let tag = self
            .key
            .seal_in_place_separate_tag(Self::frame_nonce(ordinal), aad, &mut frame[FRAME_HEADER_SIZE..])
            .expect("a frame can be sealed");
        frame.extend_from_slice(tag.as_ref());
        frame
    }
}

/// Why a frame could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    /// Its header is not the one that the index or footer describes.
    #[error("the frame header is not the one recorded")]
    Header,
    /// The ciphertext does not authenticate.
    #[error("the frame is altered")]
    Altered,
    /// It authenticates but does not decompress to the stated length.
    #[error("the frame does not decompress")]
    NotCompressed,
}

/// Authenticates, decrypts and decompresses a frame; `bytes` begins with its header.
pub(crate) fn open_frame(
    segment: &SegmentKey,
    repository: &RepositoryId,
    kind: ObjectType,
    row: &FrameRow,
    bytes: &[u8],
) -> Result<Vec<u8>, BadFrame> {
    let (header_bytes, sealed) = bytes.split_at_checked(FRAME_HEADER_SIZE).ok_or(BadFrame::Header)?;
    let header = FrameHeader::decode(header_bytes).map_err(|_| BadFrame::Header)?;
    let expected = (row.ordinal, row.sealed_length, row.plain_length, row.compression);
    let found = (header.ordinal, header.sealed_length, header.plain_length, u32::from(header.compression));
    if expected != found || sealed.len() != row.sealed_length as usize || header.plain_length > PLAIN_MAX {
        return Err(BadFrame::Header);
    }
    let header_bytes = header_bytes.try_into().map_err(|_| BadFrame::Header)?;
    let aad = Aad::from(segment.aad(repository, kind, header_bytes));
    let (ciphertext, tag) = sealed.split_at_checked(sealed.len().wrapping_sub(TAG_SIZE)).ok_or(BadFrame::Header)?;
    let mut payload = vec![0; ciphertext.len()];
    let nonce = SegmentKey::frame_nonce(header.ordinal);
    segment.key.open_separate_gather(nonce, aad, ciphertext, tag, &mut payload).map_err(|_| BadFrame::Altered)?;
    let plain = match header.compression {
        0 => payload,
        1 => decompress(&payload, PLAIN_MAX as usize).ok_or(BadFrame::NotCompressed)?,
        _ => return Err(BadFrame::Header),
    };
    if plain.len() == header.plain_length as usize { Ok(plain) } else { Err(BadFrame::NotCompressed) }
}

/// Compresses a frame's content unless that gains less than a 64th. No probe goes before it: at level 3 zstd itself gives up on incompressible data at
/// 2.8 GiB/s a core, faster than a probe that would have to touch the data as well.
pub fn compress(compressor: &mut zstd::bulk::Compressor<'_>, plain: &[u8], out: &mut Vec<u8>) -> u8 {
    out.clear();
    out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
    match compressor.compress_to_buffer(plain, out) {
        Ok(length) if length + plain.len() / 64 < plain.len() => 1,
        _ => {
            out.clear();
            out.extend_from_slice(plain);
            0
        }
    }
}
