//! One sorted run: id prefix to pack, frame, offset and length. Read in place from mapped memory; nothing but its two small tables is copied.

use std::sync::Arc;

use crate::codec::{Malformed, Reader};
use crate::ids::{ChunkId, ObjectId, SegmentNonce};
use crate::object::ObjectType;
use crate::pack::{
    FrameRow, PackContents, SegmentRow, StoredChunk, put_frame, put_segments, take_frame, take_segments,
};

const PREFIX: usize = 16;
const FRAME_SIZE: usize = 28;

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
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) packs: Vec<PackRow>,
    frames_at: usize,
    frame_count: usize,
    prefixes_at: usize,
    chunk_count: usize,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Run({} packs, {} frames, {} chunks)", self.packs.len(), self.frame_count, self.chunk_count)
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
        let segments = take_segments(&mut from)?;
        let packs = take_packs(&mut from)?;
        let frame_count = from.count32(FRAME_SIZE, "frames")?;
        let frames_at = from.position();
        let mut frames = Reader::new(from.take(frame_count * FRAME_SIZE, "frames")?);
        for _ in 0..frame_count {
            let (pack, frame) = (frames.u32("pack")?, take_frame(&mut frames)?);
            if pack as usize >= packs.len() || frame.segment as usize >= segments.len() {
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

    /// A frame's pack (position in `packs`) and row; none if `frame` is out of range.
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
        let mut contents: Vec<PackContents> = self.packs.iter().map(empty_contents).collect();
        for number in 0..self.frame_count as u32 {
            let Some((pack, row)) = self.frame(number) else { continue };
            let chunks = std::iter::from_fn(|| places.next_if(|(hit, _)| hit.frame == number));
            let chunks = chunks.map(|(hit, prefix)| StoredChunk { prefix, length: hit.length }).collect();
            add_frame(&mut contents[pack], row, self.segments[row.segment as usize], chunks);
        }
        contents
    }

    /// The lasting name of every frame: segment and ordinal.
    pub(crate) fn frame_names(&self) -> impl Iterator<Item = (SegmentNonce, u32)> + '_ {
        (0..self.frame_count as u32).filter_map(|frame| {
            let (_, row) = self.frame(frame)?;
            Some((self.segments.get(row.segment as usize)?.nonce, row.ordinal))
        })
    }

    /// Every place of a chunk in this run; nearly always one. Prefixes are uniform, so the search starts where the prefix should be and usually touches one page of memory.
    pub(crate) fn find(&self, id: &ChunkId) -> impl Iterator<Item = Hit> {
        let wanted = id.prefix();
        let first = self.first_from(wanted);
        (first..self.chunk_count).take_while(move |at| self.prefix(*at) == wanted).map(|at| self.hit(at))
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

fn empty_contents(pack: &PackRow) -> PackContents {
    let PackRow { id, kind, size } = *pack;
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

fn take_packs(from: &mut Reader<'_>) -> Result<Vec<PackRow>, Malformed> {
    let count = from.count32(44, "packs")?;
    (0..count)
        .map(|_| {
            let id = ObjectId(from.array("pack id")?);
            let kind = match from.u32("pack type")? {
                3 => ObjectType::Pack,
                4 => ObjectType::PagePack,
                _ => return Err(from.malformed("pack type")),
            };
            Ok(PackRow { id, kind, size: from.u64("pack size")? })
        })
        .collect()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(seed: u8, chunks: u32) -> PackContents {
        let id = |n: u32| ChunkId(*blake3::hash(&[&[seed][..], &n.to_le_bytes()].concat()).as_bytes());
        let frame = |ordinal, offset| FrameRow {
            segment: 0,
            ordinal,
            offset,
            sealed_length: 50,
            plain_length: 0,
            compression: 1,
        };
        PackContents {
            id: ObjectId([seed; 32]),
            kind: ObjectType::Pack,
            size: 1000,
            segments: vec![SegmentRow { nonce: SegmentNonce([seed; 16]), epoch: 1, sealed_key: [0; 80] }],
            frames: vec![(frame(0, 24), chunks - 1), (frame(1, 100), 1)],
            chunks: (0..chunks).map(|n| StoredChunk { prefix: id(n).prefix(), length: 10 + n }).collect(),
        }
    }

    /// An id that begins as a stored one: look-ups go by the prefix.
    fn full(chunk: &StoredChunk) -> ChunkId {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&chunk.prefix);
        ChunkId(id)
    }

    #[test]
    fn every_chunk_is_found_where_it_lies_and_no_other() {
        let packs = [pack(1, 5000), pack(2, 3)];
        let run = Run::open(Arc::new(encode(&packs))).unwrap();
        for (number, pack) in packs.iter().enumerate() {
            let last = pack.chunks.last().unwrap();
            let hit = run.find(&full(last)).next().unwrap();
            assert_eq!((hit.offset, hit.length), (0, last.length));
            let (found, row) = run.frame(hit.frame).unwrap();
            assert_eq!((found, row.ordinal, row.segment as usize), (number, 1, number));
            assert!(pack.chunks.iter().all(|chunk| run.find(&full(chunk)).any(|hit| hit.length == chunk.length)));
        }
        assert_eq!(run.find(&ChunkId([0; 32])).next(), None);
        assert_eq!(run.find(&ChunkId([0xff; 32])).next(), None);
    }

    #[test]
    fn a_chunk_that_lies_twice_is_found_twice() {
        let mut packs = [pack(1, 2000), pack(2, 2000)];
        packs[1].chunks[7].prefix = packs[0].chunks[1999].prefix;
        let run = Run::open(Arc::new(encode(&packs))).unwrap();
        let mut found: Vec<Hit> = run.find(&full(&packs[1].chunks[7])).collect();
        found.sort_by_key(|hit| hit.frame);
        assert_eq!(found.iter().map(|hit| (hit.frame, hit.length)).collect::<Vec<_>>(), [(1, 2009), (2, 17)]);
        assert_eq!(run.find(&full(&packs[0].chunks[3])).count(), 1);
    }

    #[test]
    fn a_run_says_again_what_it_was_made_of() {
        let packs = [pack(1, 500), pack(2, 3)];
        let run = Run::open(Arc::new(encode(&packs))).unwrap();
        let again = run.contents();
        for (before, after) in packs.iter().zip(&again) {
            assert_eq!((before.id, before.kind, before.size), (after.id, after.kind, after.size));
            assert_eq!(
                (&before.segments, &before.frames, &before.chunks),
                (&after.segments, &after.frames, &after.chunks)
            );
        }
        assert_eq!(encode(&again), encode(&packs));
    }

    #[test]
    fn a_run_that_promises_too_much_is_refused() {
        let bytes = encode(&[pack(1, 50)]);
        for cut in 0..bytes.len() {
            assert!(Run::open(Arc::new(bytes[..cut].to_vec())).is_err(), "cut at {cut}");
        }
    }
}
