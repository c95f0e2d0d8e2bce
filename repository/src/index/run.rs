//! One sorted run: id prefix to pack, frame, offset and length. Read in place from mapped memory: nothing of it is copied, so that it takes no memory but what the kernel
//! may take back.

use std::sync::Arc;

use crate::codec::{Malformed, Reader};
use crate::ids::{ChunkId, ObjectId, SegmentNonce};
use crate::object::ObjectType;
use crate::pack::{
    FrameRow, PackContents, SEGMENT_SIZE, SegmentRow, StoredChunk, put_frame, put_segments, take_frame, take_segment,
};

const PREFIX: usize = 16;
const FRAME_SIZE: usize = 28;
const PACK_SIZE: usize = 44;

/// A pack as a run names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// Its name.
    pub id: ObjectId,
    /// Data or pages.
    pub kind: ObjectType,
    /// Bytes.
    pub size: u64,
}

/// A run over bytes that somebody else holds.
pub(crate) struct Run {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    segments: Table,
    packs: Table,
    frames_at: usize,
    frame_count: usize,
    prefixes_at: usize,
    chunk_count: usize,
}

/// Rows of one size.
#[derive(Debug, Clone, Copy)]
struct Table {
    start: usize,
    count: usize,
    row_size: usize,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Run({} packs, {} frames, {} chunks)", self.packs.count, self.frame_count, self.chunk_count)
    }
}

/// Where a chunk lies: the frame's position in the run, and the place in the plain frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) frame: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// The content of an index run for these packs.
pub(crate) fn encode(packs: &[PackContents]) -> Vec<u8> {
    let chunk_count: usize = packs.iter().map(|pack| pack.chunks.len()).sum();
    let mut content = Vec::with_capacity(4096 + chunk_count * (PREFIX + 12));
    let segments: Vec<SegmentRow> = packs.iter().flat_map(|pack| pack.segments.iter().copied()).collect();
    put_segments(&mut content, &segments);
    put_packs(&mut content, packs);
    put_all_frames(&mut content, packs);
    put_entries(&mut content, sorted_entries(packs, chunk_count));
    content
}

fn put_packs(content: &mut Vec<u8>, packs: &[PackContents]) {
    content.extend_from_slice(&(packs.len() as u32).to_le_bytes());
    for pack in packs {
        content.extend_from_slice(&pack.id.0);
        content.extend_from_slice(&u32::from(pack.kind as u8).to_le_bytes());
        content.extend_from_slice(&pack.size.to_le_bytes());
    }
}

fn put_all_frames(content: &mut Vec<u8>, packs: &[PackContents]) {
    let count: usize = packs.iter().map(|pack| pack.frames.len()).sum();
    content.extend_from_slice(&(count as u32).to_le_bytes());
    let mut first_segment = 0;
    for (number, pack) in packs.iter().enumerate() {
        for (frame, _) in &pack.frames {
            content.extend_from_slice(&(number as u32).to_le_bytes());
            put_frame(content, &FrameRow { segment: first_segment + frame.segment, ..*frame });
        }
        first_segment += pack.segments.len() as u32;
    }
}

type Sorted = Vec<([u8; PREFIX], Hit)>;

fn sorted_entries(packs: &[PackContents], count: usize) -> Sorted {
    let mut entries = Vec::with_capacity(count);
    let mut frame_number = 0;
    for pack in packs {
        let mut chunks = pack.chunks.iter();
        for (_, chunk_count) in &pack.frames {
            let mut offset = 0;
            for chunk in chunks.by_ref().take(*chunk_count as usize) {
                entries.push((chunk.prefix, Hit { frame: frame_number, offset, length: chunk.length }));
                offset += chunk.length;
            }
            frame_number += 1;
        }
    }
    entries.sort_unstable_by_key(|(prefix, _)| *prefix);
    entries
}

fn put_entries(content: &mut Vec<u8>, entries: Sorted) {
    content.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    entries.iter().for_each(|(prefix, _)| content.extend_from_slice(prefix));
    let columns: [fn(&Hit) -> u32; 3] = [|hit| hit.frame, |hit| hit.offset, |hit| hit.length];
    for column in columns {
        entries.iter().for_each(|(_, hit)| content.extend_from_slice(&column(hit).to_le_bytes()));
    }
}

impl Run {
    /// Reads a run's tables and checks that everything they promise is there.
    pub(crate) fn open(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self, Malformed> {
        let all = (*bytes).as_ref();
        let mut from = Reader::new(all);
        let segments = Table::take(&mut from, SEGMENT_SIZE, "segments")?;
        let packs = Table::take(&mut from, PACK_SIZE, "packs")?;
        for row in packs.rows(all) {
            take_pack(row)?;
        }
        let frame_count = from.count32(FRAME_SIZE, "frames")?;
        let frames_at = from.position();
        let mut frames = Reader::new(from.take(frame_count * FRAME_SIZE, "frames")?);
        for _ in 0..frame_count {
            let (pack, frame) = (frames.u32("pack")?, take_frame(&mut frames)?);
            if pack as usize >= packs.count || frame.segment as usize >= segments.count {
                return Err(Malformed { what: "frame", at: frames_at + frames.position() });
            }
        }
        let chunk_count = from.count32(PREFIX + 12, "chunks")?;
        let prefixes_at = from.position();
        from.take(chunk_count * (PREFIX + 12), "chunks")?;
        from.finish("index run")?;
        Ok(Self { segments, packs, frames_at, frame_count, prefixes_at, chunk_count, bytes })
    }

    fn all(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// How large its object is, without what sealing adds; noise that ids are is not compressed.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.all().len() as u64
    }

    /// The run's packs, in the order of their numbers.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackRow> + '_ {
        // None is left out: they were all read when the run was opened.
        self.packs.rows(self.all()).filter_map(|row| take_pack(row).ok())
    }

    /// A pack by its number; none if that is out of range.
    pub(crate) fn pack(&self, number: usize) -> Option<PackRow> {
        take_pack(self.packs.row(self.all(), number)?).ok()
    }

    /// A segment by its number; none if that is out of range.
    pub(crate) fn segment(&self, number: u32) -> Option<SegmentRow> {
        take_segment(&mut Reader::new(self.segments.row(self.all(), number as usize)?)).ok()
    }

    /// Chunks and pages in the run.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunk_count
    }

    /// Frames in the run.
    pub(crate) fn frame_count(&self) -> usize {
        self.frame_count
    }

    /// The id prefix of entry `at`.
    pub(crate) fn prefix(&self, at: usize) -> [u8; PREFIX] {
        array(self.all(), self.prefixes_at + at * PREFIX)
    }

    fn column(&self, column: usize, at: usize) -> u32 {
        let start = self.prefixes_at + self.chunk_count * (PREFIX + 4 * column) + at * 4;
        u32::from_le_bytes(array(self.all(), start))
    }

    /// What entry `at` says.
    pub(crate) fn hit(&self, at: usize) -> Hit {
        Hit { frame: self.column(0, at), offset: self.column(1, at), length: self.column(2, at) }
    }

    /// A frame's pack (its number) and row; none if `frame` is out of range.
    pub(crate) fn frame(&self, frame: u32) -> Option<(usize, FrameRow)> {
        let start = (frame as usize) < self.frame_count;
        let start = start.then_some(self.frames_at + frame as usize * FRAME_SIZE)?;
        let mut from = Reader::new(&self.all()[start..start + FRAME_SIZE]);
        let pack = from.u32("pack").ok()?;
        Some((pack as usize, take_frame(&mut from).ok()?))
    }

    /// What the run says of each of its packs, as the packs' footers do.
    pub(crate) fn contents(&self) -> Vec<PackContents> {
        let mut places: Vec<(Hit, [u8; PREFIX])> =
            (0..self.chunk_count).map(|at| (self.hit(at), self.prefix(at))).collect();
        places.sort_by_key(|(hit, _)| (hit.frame, hit.offset));
        let mut places = places.into_iter().peekable();
        let mut contents: Vec<PackContents> = self.packs().map(empty_contents).collect();
        for number in 0..self.frame_count as u32 {
            let Some((pack, row)) = self.frame(number) else { continue };
            let chunks = std::iter::from_fn(|| places.next_if(|(hit, _)| hit.frame == number));
            let chunks = chunks.map(|(hit, prefix)| StoredChunk { prefix, length: hit.length }).collect();
            let (Some(segment), Some(contents)) = (self.segment(row.segment), contents.get_mut(pack)) else { continue };
            add_frame(contents, row, segment, chunks);
        }
        contents
    }

    /// The lasting name of every frame: segment and ordinal.
    pub(crate) fn frame_names(&self) -> impl Iterator<Item = (SegmentNonce, u32)> + '_ {
        (0..self.frame_count as u32).filter_map(|frame| {
            let (_, row) = self.frame(frame)?;
            Some((self.segment(row.segment)?.nonce, row.ordinal))
        })
    }

    /// Every place of a chunk in this run; nearly always one. Prefixes are uniform, so the search starts where the prefix should be and usually touches one page of memory.
    pub(crate) fn find(&self, id: &ChunkId) -> impl Iterator<Item = Hit> {
        let wanted = id.prefix();
        let first = self.first_from(wanted);
        (first..self.chunk_count).take_while(move |at| self.prefix(*at) == wanted).map(|at| self.hit(at))
    }

    /// The first entry from `at` on for which this holds, if it holds for all that follow, too; else the end.
    pub(crate) fn first_where(&self, at: usize, holds: impl Fn([u8; PREFIX]) -> bool) -> usize {
        let (mut low, mut high) = (at, self.chunk_count);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.prefix(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The first entry that is not below a prefix.
    fn first_from(&self, wanted: [u8; PREFIX]) -> usize {
        let leading = u64::from_be_bytes(array(&wanted, 0));
        let guess = ((u128::from(leading) * self.chunk_count as u128) >> 64) as usize;
        // Three standard deviations of where the guess is off: sqrt(n) / 2 each.
        let reach = 8 + 3 * self.chunk_count.isqrt() / 2;
        let (mut low, mut high) = (guess.saturating_sub(reach), (guess + reach).min(self.chunk_count));
        if low > 0 && self.prefix(low - 1) >= wanted {
            low = 0;
        }
        if high < self.chunk_count && self.prefix(high) < wanted {
            high = self.chunk_count;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.prefix(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl Table {
    fn take(from: &mut Reader<'_>, row_size: usize, what: &'static str) -> Result<Self, Malformed> {
        let count = from.count32(row_size, what)?;
        let start = from.position();
        from.take(count * row_size, what)?;
        Ok(Self { start, count, row_size })
    }

    fn row<'a>(&self, all: &'a [u8], number: usize) -> Option<&'a [u8]> {
        let start = (number < self.count).then_some(self.start + number * self.row_size)?;
        all.get(start..start + self.row_size)
    }

    fn rows<'a>(&self, all: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        all.get(self.start..self.start + self.count * self.row_size).unwrap_or_default().chunks_exact(self.row_size)
    }
}

fn empty_contents(pack: PackRow) -> PackContents {
    let PackRow { id, kind, size } = pack;
    PackContents { id, kind, size, segments: Vec::new(), frames: Vec::new(), chunks: Vec::new() }
}

fn add_frame(pack: &mut PackContents, row: FrameRow, segment: SegmentRow, chunks: Vec<StoredChunk>) {
    // Frames of one segment mostly follow each other.
    let known = pack.segments.iter().rposition(|known| known.nonce == segment.nonce);
    let number = known.unwrap_or_else(|| {
        pack.segments.push(segment);
        pack.segments.len() - 1
    });
    pack.frames.push((FrameRow { segment: number as u32, ..row }, chunks.len() as u32));
    pack.chunks.extend(chunks);
}

fn take_pack(row: &[u8]) -> Result<PackRow, Malformed> {
    let mut from = Reader::new(row);
    let id = ObjectId(from.array("pack id")?);
    let kind = match from.u32("pack type")? {
        3 => ObjectType::Pack,
        4 => ObjectType::PagePack,
        _ => return Err(from.malformed("pack type")),
    };
    Ok(PackRow { id, kind, size: from.u64("pack size")? })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// A pack of many chunks, as tests and measurements need them.
#[cfg(test)]
pub(crate) fn synthetic(seed: u8, chunks: u32) -> PackContents {
    tests::pack(seed, chunks)
}

#[cfg(test)]
#[path = "run/tests.rs"]
mod tests;
