//! The way back: places to ranged reads, sealed frames to plain bytes, and every byte compared with its name before anybody sees it.

mod frames;
mod standby;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

pub(crate) use frames::{FrameCache, FrameName};
pub use standby::Served;
pub(crate) use standby::Standbys;

use crate::error::{Error, ErrorKind};
use crate::ids::{ChunkId, FileHash};
use crate::index::{FrameId, FrameInfo, Index, PackRow, Place};
use crate::keys::Secret;
use crate::object;
use crate::pack::{FRAME_HEADER_SIZE, SegmentKey, open_frame};
use crate::repository::{Repository, get_range};
use crate::tree::entry::{ChunkRef, Entry};

/// Frames this close are read in one range: what lies between costs less than another request.
const GAP_MAX: u64 = 64 << 10;
/// No ranged read is longer: eight of them are a pack, and one is a bearable piece of memory.
const RANGE_MAX: u64 = 8 << 20;

/// Which of the two keyed hashes names a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameOf {
    Chunk,
    Page,
}

impl Repository {
    /// Where a chunk lies. [`Repository::open_index`] must have been called.
    pub fn locate(&self, id: &ChunkId) -> Result<Place, Error> {
        let index = self.current_index();
        let best = index.find(id).ok_or(Error::Unindexed { id: *id })?;
        if self.may_open(&index, &best) {
            return Ok(best);
        }
        // Stored once more since the keys were lent: what was lent is still there.
        let lent = index.places(id).into_iter().find(|place| self.may_open(&index, place));
        Ok(lent.unwrap_or(best))
    }

    /// Bytes of a frame in its pack, header included.
    #[must_use]
    pub fn frame_sealed_length(&self, frame: FrameId) -> u32 {
        let index = self.current_index();
        index.frame(frame).map_or(0, |frame| frame.row.sealed_length + FRAME_HEADER_SIZE as u32)
    }

    /// Plain bytes of a frame.
    #[must_use]
    pub fn frame_plain_length(&self, frame: FrameId) -> u32 {
        self.current_index().frame(frame).map_or(0, |frame| frame.row.plain_length)
    }

    /// The name of the pack that holds a frame.
    #[must_use]
    pub fn frame_pack(&self, frame: FrameId) -> Option<String> {
        self.current_index().frame(frame).map(|frame| object::hashed_name(frame.pack.kind, &frame.pack.id))
    }

    /// Fetches sealed frames, given in ascending order; frames that lie near each other come in one ranged read.
    pub async fn fetch_frames(&self, frames: &[FrameId]) -> Result<Vec<Bytes>, Error> {
        self.fetch_frames_of(&self.current_index(), frames).await
    }

    pub(crate) async fn fetch_frames_of(&self, index: &Index, frames: &[FrameId]) -> Result<Vec<Bytes>, Error> {
        let mut fetched = Vec::with_capacity(frames.len());
        for read in ranged_reads(index, frames)? {
            let of_read = &frames[fetched.len()..fetched.len() + read.frames.len()];
            fetched.extend(self.fetch_read(index, read, of_read).await?);
        }
        Ok(fetched)
    }

    /// The frames of one read, from wherever they can be had.
    async fn fetch_read(&self, index: &Index, read: RangedRead, frames: &[FrameId]) -> Result<Vec<Bytes>, Error> {
        let has_standbys = !self.standbys.all().is_empty();
        let names: Vec<FrameName> = frames.iter().filter_map(|frame| index.lasting_name(*frame)).collect();
        if has_standbys && let Some(sealed) = whole(self.ask_standbys(&names, true).await) {
            return Ok(sealed);
        }
        let own = match self.standbys.own_is_out() {
            false => self.fetch_own(index, read, frames).await,
            true => Err(Error::Missing { name: object::hashed_name(read.pack.kind, &read.pack.id) }),
        };
        match own {
            Ok(sealed) => {
                self.standbys.count_own(&sealed);
                Ok(sealed)
            }
            Err(error) if !has_standbys => Err(error),
            Err(error) => {
                self.standbys.note_own(&error);
                whole(self.ask_standbys(&names, false).await).ok_or(error)
            }
        }
    }

    async fn fetch_own(&self, index: &Index, read: RangedRead, frames: &[FrameId]) -> Result<Vec<Bytes>, Error> {
        match self.fetch_range(read).await {
            Err(gone @ Error::Missing { .. }) => self.fetch_moved(index, frames, gone).await,
            done => done,
        }
    }

    async fn fetch_range(&self, read: RangedRead) -> Result<Vec<Bytes>, Error> {
        let name = object::hashed_name(read.pack.kind, &read.pack.id);
        let bytes = get_range(&*self.store, &name, read.range).await?;
        Ok(read.frames.into_iter().map(|frame| bytes.slice(frame)).collect())
    }

    /// Fetches frames of one pack that is gone since the index was opened: a prune has moved them, as they are. Where it has not, the pack is lost.
    async fn fetch_moved(&self, index: &Index, frames: &[FrameId], gone: Error) -> Result<Vec<Bytes>, Error> {
        let newer = self.index_of_now().await?;
        let names: Vec<_> = frames.iter().filter_map(|frame| index.lasting_name(*frame)).collect();
        let lost = frames.first().and_then(|frame| index.frame(*frame)).map(|frame| frame.pack.id);
        let mut moved: HashMap<FrameName, FrameId> = HashMap::new();
        for (frame, info) in newer.frames(|pack| Some(pack.id) != lost) {
            moved.insert((info.segment.nonce, info.row.ordinal), frame);
        }
        let mut places: Vec<(FrameId, usize)> =
            (0..).zip(&names).filter_map(|(at, name)| Some((*moved.get(name)?, at))).collect();
        if places.len() < frames.len() {
            return Err(gone);
        }
        places.sort_unstable();
        let ids: Vec<FrameId> = places.iter().map(|(frame, _)| *frame).collect();
        let mut fetched = vec![Bytes::new(); frames.len()];
        let mut next = places.iter();
        for read in ranged_reads(&newer, &ids)? {
            for (sealed, (_, at)) in self.fetch_range(read).await?.into_iter().zip(next.by_ref()) {
                fetched[*at] = sealed;
            }
        }
        Ok(fetched)
    }

    /// Authenticates, decrypts and decompresses a frame. CPU work: not for async threads.
    pub fn open_frame(&self, frame: FrameId, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.open_frame_of(&self.current_index(), frame, sealed)
    }

    pub(crate) fn open_frame_of(&self, index: &Index, frame: FrameId, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let info = index.frame(frame).ok_or_else(|| Error::damaged("the index", "it changed while it was used"))?;
        let key = self.segment_key(&info)?;
        open_frame(&key, &self.id(), info.pack.kind, &info.row, sealed).map_err(|bad| {
            let name = object::hashed_name(info.pack.kind, &info.pack.id);
            Error::damaged(name, format!("frame {} at byte {}: {bad}", info.row.ordinal, info.row.offset))
        })
    }

    fn segment_key(&self, info: &FrameInfo) -> Result<Arc<SegmentKey>, Error> {
        let mut keys = self.segment_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&info.segment.nonce) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(SegmentKey::new(info.segment.nonce, &self.data_key(info)?));
        keys.insert(info.segment.nonce, Arc::clone(&key));
        Ok(key)
    }

    /// The data key of a frame's segment.
    pub(crate) fn data_key(&self, info: &FrameInfo) -> Result<Secret, Error> {
        self.key.data_key(&info.segment)?.map_err(|bad| {
            let name = object::hashed_name(info.pack.kind, &info.pack.id);
            Error::damaged(name, format!("the sealed data key in the index is {bad}"))
        })
    }

    /// Whether the key that opened the repository may open what lies at a place.
    fn may_open(&self, index: &Index, place: &Place) -> bool {
        index.lasting_name(place.frame).is_some_and(|(segment, _)| self.key.may_open(&segment))
    }

    pub(crate) fn name(&self, of: NameOf, hash: &FileHash) -> ChunkId {
        match of {
            NameOf::Chunk => self.key.shared.chunk_name(hash),
            NameOf::Page => self.key.shared.page_name(hash),
        }
    }

    /// The one chunk of a file that says [`Content::Whole`](crate::Content::Whole).
    #[must_use]
    pub fn whole_chunk(&self, file: &Entry) -> Option<ChunkRef> {
        let id = self.key.shared.chunk_name(file.hash.as_ref()?);
        Some(ChunkRef { id, length: u32::try_from(file.size).ok()? })
    }

    pub(crate) fn verify_name(&self, of: NameOf, id: &ChunkId, bytes: &[u8]) -> Result<(), Error> {
        if self.name(of, blake3::hash(bytes).as_bytes()) == *id {
            return Ok(());
        }
        let what = if of == NameOf::Page { "page" } else { "chunk" };
        Err(Error::damaged(format!("{what} {id}"), "its bytes do not match its name"))
    }

    /// Compares plain bytes with the name and length of their chunk.
    pub fn verify_chunk(&self, chunk: &ChunkRef, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() != chunk.length as usize {
            return Err(Error::damaged(format!("chunk {}", chunk.id), "its length is not the one recorded"));
        }
        self.verify_name(NameOf::Chunk, &chunk.id, bytes)
    }

    /// The plain bytes of a chunk, for readers that jump around: recently opened frames are kept.
    pub async fn read_chunk(&self, chunk: &ChunkRef) -> Result<Bytes, Error> {
        let index = self.open_index().await?;
        let bytes = self.read_named(&index, NameOf::Chunk, &chunk.id).await?;
        if bytes.len() != chunk.length as usize {
            return Err(Error::damaged(format!("chunk {}", chunk.id), "its length is not the one recorded"));
        }
        Ok(bytes)
    }

    /// The plain bytes of a page.
    pub(crate) async fn read_page(&self, id: &ChunkId) -> Result<Bytes, Error> {
        let index = self.open_index().await?;
        self.read_named(&index, NameOf::Page, id).await
    }

    pub(crate) async fn read_page_of(&self, index: &Index, id: &ChunkId) -> Result<Bytes, Error> {
        self.read_named(index, NameOf::Page, id).await
    }

    /// From the first place where its bytes are good; what is wrong with the best one is told if none is.
    async fn read_named(&self, index: &Index, of: NameOf, id: &ChunkId) -> Result<Bytes, Error> {
        self.key.check_opens()?;
        let standbys = self.standbys.all();
        let mut first_fault = None;
        let mut places = index.places(id);
        places.sort_by_key(|place| !self.may_open(index, place));
        for place in places {
            match self.read_place(index, of, id, place).await {
                Err(error) if error.kind() == ErrorKind::Corrupt || !standbys.is_empty() => {
                    first_fault.get_or_insert(error);
                }
                done => return done,
            }
        }
        for standby in standbys {
            let Ok(index) = standby.repository.open_index().await else { continue };
            if let Ok(bytes) = Box::pin(standby.repository.read_named(&index, of, id)).await {
                standby.count(&bytes);
                return Ok(bytes);
            }
        }
        Err(first_fault.unwrap_or(Error::Unindexed { id: *id }))
    }

    /// One frame; and those behind it for later, if the reader has come from the one before.
    async fn fetch_with_those_behind(&self, index: &Index, frame: FrameId) -> Result<Bytes, Error> {
        let frames = self.frames.to_fetch(index, frame);
        let fetched = match self.fetch_frames_of(index, &frames).await {
            // What is wrong with those behind it is told when they are needed.
            Err(_) if frames.len() > 1 => self.fetch_frames_of(index, &[frame]).await?,
            fetched => fetched?,
        };
        let mut fetched = fetched.into_iter();
        let sealed = fetched.next().ok_or_else(|| Error::damaged("the index", "it changed while it was used"))?;
        let behind = frames[1..].iter().zip(fetched);
        self.frames.keep_ahead(behind.filter_map(|(frame, sealed)| Some((index.lasting_name(*frame)?, sealed))));
        Ok(sealed)
    }

    async fn read_place(&self, index: &Index, of: NameOf, id: &ChunkId, place: Place) -> Result<Bytes, Error> {
        let name = index.lasting_name(place.frame).ok_or(Error::Unindexed { id: *id })?;
        if let Some(trace) = &mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner) {
            trace.insert(name.0, name.1);
        }
        let plain = match self.frames.get(name) {
            Some(plain) => plain,
            None => {
                let sealed = match self.frames.take_ahead(name, place.frame) {
                    Some(sealed) => sealed,
                    None => self.fetch_with_those_behind(index, place.frame).await?,
                };
                let plain = Bytes::from(self.open_frame_of(index, place.frame, &sealed)?);
                self.frames.insert(name, plain.clone());
                plain
            }
        };
        let bytes = cut_out(&plain, place, id)?;
        self.verify_name(of, id, &bytes)?;
        Ok(bytes)
    }
}

/// All of them, if none is missing.
fn whole(found: Vec<Option<Bytes>>) -> Option<Vec<Bytes>> {
    found.into_iter().collect()
}

/// A chunk's bytes in its plain frame.
pub(crate) fn cut_out(plain: &Bytes, place: Place, id: &ChunkId) -> Result<Bytes, Error> {
    let (start, end) = (place.offset as usize, place.offset as usize + place.length as usize);
    if end > plain.len() {
        return Err(Error::damaged(format!("chunk {id}"), "the index points beyond its frame"));
    }
    Ok(plain.slice(start..end))
}

/// How many requests it takes to read these frames, given in ascending order.
pub(crate) fn reads_for(index: &Index, frames: &[FrameId]) -> Result<u64, Error> {
    ranged_reads(index, frames).map(|reads| reads.len() as u64)
}

struct RangedRead {
    pack: PackRow,
    range: Range<u64>,
    /// Where each frame lies in what the range gives.
    frames: Vec<Range<usize>>,
}

fn ranged_reads(index: &Index, frames: &[FrameId]) -> Result<Vec<RangedRead>, Error> {
    let mut reads: Vec<RangedRead> = Vec::new();
    for id in frames {
        let info = index.frame(*id).ok_or_else(|| Error::damaged("the index", "it changed while it was used"))?;
        let start = u64::from(info.row.offset);
        let end = start + FRAME_HEADER_SIZE as u64 + u64::from(info.row.sealed_length);
        if let Some(read) = reads.last_mut()
            && read.pack.id == info.pack.id
            && (read.range.end..=read.range.end + GAP_MAX).contains(&start)
            && end - read.range.start <= RANGE_MAX
        {
            read.frames.push((start - read.range.start) as usize..(end - read.range.start) as usize);
            read.range.end = end;
        } else {
            let whole = 0..(end - start) as usize;
            reads.push(RangedRead { pack: info.pack, range: start..end, frames: Vec::from([whole]) });
        }
    }
    Ok(reads)
}
