//! What one snapshot lacks in the destination, brought there: packs as they are, and frames in new packs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::CopyProgress;
use super::plan::{Work, by_pack};
use crate::carry;
use crate::check::read_footer;
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::{FrameId, PackRow};
use crate::live::Live;
use crate::object::{self, ObjectType};
use crate::pack::{FRAME_HEADER_SIZE, FinishedPack, MovedPack, StoredChunk, TRAILER_SIZE, Trailer};
use crate::prune::usage;
use crate::repository::{Repository, Written, get, size};
use crate::scrub::examine::blocking;
use crate::session::Session;

/// Packs on their way at once: one is read while another is made durable. Each takes a pack's memory (64 MiB).
const PACKS_AT_ONCE: usize = 2;
/// Sealed bytes that are read at once for new packs; beside them lies the pack that is being filled.
const BATCH_BYTES: u64 = 32 << 20;

/// Brings frames into a session.
pub(super) struct Carrier<'a> {
    pub(super) from: &'a Arc<Repository>,
    pub(super) to: &'a Arc<Repository>,
    pub(super) work: &'a Work,
    pub(super) session: &'a Session,
    pub(super) progress: &'a CopyProgress,
}

/// What came of a pack that was to be brought whole.
enum Whole {
    Brought(u64),
    /// Its frames must go into a new pack: its name is taken, or it is damaged.
    Not(Vec<FrameId>),
}

/// Why a snapshot cannot be brought.
pub(super) enum Trouble {
    /// The source lacks something that it needs.
    Source(String),
    /// Anything else: nothing further is tried.
    Stop(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

/// Sealed bytes that were sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    pub(super) packs: u64,
    pub(super) new_packs: u64,
    pub(super) bytes: u64,
}

impl Carrier<'_> {
    /// Brings every frame of `missing`, durable when this returns.
    pub(super) async fn bring(&self, missing: &Live) -> Result<Sent, Trouble> {
        let index = &self.work.index;
        let homes = usage::needed_in(index, &self.from.history().condemned, missing, |_| true);
        if (homes.len() as u64) < missing.frames() {
            let lost = missing.frames() - homes.len() as u64;
            return Err(Trouble::Source(format!("{lost} frames that it needs are in no pack of the source")));
        }
        let (whole, parts): (Vec<_>, Vec<_>) =
            by_pack(index, &homes).into_iter().partition(|(pack, _)| self.work.whole.contains(pack));
        let mut parts: Vec<FrameId> = parts.into_iter().flat_map(|(_, frames)| frames).collect();
        let mut sent = Sent::default();
        let brought = stream::iter(whole).map(|(_, frames)| self.whole(frames)).buffer_unordered(PACKS_AT_ONCE);
        for outcome in brought.try_collect::<Vec<_>>().await? {
            match outcome {
                Whole::Brought(bytes) => {
                    sent.packs += 1;
                    sent.bytes += bytes;
                }
                Whole::Not(frames) => parts.extend(frames),
            }
        }
        self.in_new_packs(parts, &mut sent).await?;
        Ok(sent)
    }

    /// Brings the pack of these frames.
    async fn whole(&self, frames: Vec<FrameId>) -> Result<Whole, Trouble> {
        let Some(pack) = frames.first().and_then(|frame| self.work.index.frame(*frame)).map(|info| info.pack) else {
            return Ok(Whole::Not(frames));
        };
        let name = object::hashed_name(pack.kind, &pack.id);
        if size(&*self.to.store, &name).await?.is_some() {
            return Ok(Whole::Not(frames));
        }
        let finished = match self.read_pack(pack, &name).await {
            Ok(finished) => finished,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!("{}: what is good in it is brought", chain(&error));
                return Ok(Whole::Not(frames));
            }
            Err(error) => return Err(error.into()),
        };
        match self.session.put_sealed(finished).await? {
            Written::Created => {
                self.progress.bytes_done.fetch_add(pack.size, Ordering::Relaxed);
                Ok(Whole::Brought(pack.size))
            }
            Written::Existed => Ok(Whole::Not(frames)),
        }
    }

    /// A pack of the source that is what its name says.
    async fn read_pack(&self, pack: PackRow, name: &str) -> Result<FinishedPack, Error> {
        let bytes = get(&*self.from.store, name).await?;
        let (reader, name) = (Arc::clone(self.from), name.to_owned());
        blocking(move || {
            if ObjectId::of(&bytes) != pack.id {
                return Err(Error::damaged(name, "its bytes do not match its name"));
            }
            let short = || Error::damaged(&name, "it is too short");
            let trailer = bytes.len().checked_sub(TRAILER_SIZE).and_then(|at| bytes.get(at..)).ok_or_else(short)?;
            let footer = Trailer::decode(trailer).map_err(Error::malformed(&name))?.footer_length as usize;
            let tail = bytes.len().checked_sub(TRAILER_SIZE + footer).ok_or_else(short)?;
            let contents = read_footer(&reader, pack, &bytes[tail..], &name)?.contents;
            Ok(FinishedPack { contents, parts: vec![bytes] })
        })
        .await?
    }

    /// Brings frames in packs that are made of them here.
    async fn in_new_packs(&self, mut frames: Vec<FrameId>, sent: &mut Sent) -> Result<(), Trouble> {
        if frames.is_empty() {
            return Ok(());
        }
        let index = &self.work.index;
        let kind = |frame: &FrameId| index.frame(*frame).map_or(ObjectType::Pack, |info| info.pack.kind);
        frames.sort_by_key(|frame| (kind(frame), *frame));
        let chunks = carry::chunks_of(index, &frames);
        for frames in frames.chunk_by(|left, right| kind(left) == kind(right)) {
            let mut pack = MovedPack::new(self.to.id(), kind(&frames[0]));
            for batch in self.batches(frames) {
                let sealed = self.good_frames(batch).await?;
                for frame in batch {
                    let (Some(sealed), Some(info)) = (sealed.get(frame), index.frame(*frame)) else { continue };
                    let chunks: &[StoredChunk] = chunks.get(frame).map(Vec::as_slice).unwrap_or_default();
                    pack.add(&info.segment, &info.row, chunks, sealed.clone());
                    self.progress.bytes_done.fetch_add(sealed.len() as u64, Ordering::Relaxed);
                    if pack.size() >= self.to.config.parameters.pack_target as usize {
                        let full = std::mem::replace(&mut pack, MovedPack::new(self.to.id(), info.pack.kind));
                        self.store(full, sent).await?;
                    }
                }
            }
            if !pack.is_empty() {
                self.store(pack, sent).await?;
            }
        }
        Ok(())
    }

    async fn store(&self, pack: MovedPack, sent: &mut Sent) -> Result<(), Error> {
        let finished = carry::finish(self.to, pack).await?;
        sent.new_packs += 1;
        sent.bytes += finished.contents.size;
        self.session.put_sealed(finished).await.map(drop)
    }

    fn batches<'a>(&self, mut frames: &'a [FrameId]) -> impl Iterator<Item = &'a [FrameId]> {
        let index = &self.work.index;
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = frames.iter().take_while(|frame| {
                bytes += index.frame(**frame).map_or(0, |info| usage::sealed_bytes(&info));
                bytes <= BATCH_BYTES
            });
            let count = fits.count().max(1).min(frames.len());
            let (batch, rest) = frames.split_at(count);
            frames = rest;
            (!batch.is_empty()).then_some(batch)
        })
    }

    /// The sealed bytes of frames, all of them good. Whoever cannot open them compares their packs with their names.
    async fn good_frames(&self, frames: &[FrameId]) -> Result<HashMap<FrameId, Bytes>, Trouble> {
        let mut faults = Vec::new();
        let good = if self.from.key.can_read() {
            carry::good_frames(self.from, &self.work.index, frames.to_vec(), &mut faults).await?
        } else {
            self.frames_of_good_packs(frames, &mut faults).await?
        };
        match faults.first() {
            None => Ok(good),
            Some(fault) => Err(Trouble::Source(fault.clone())),
        }
    }

    async fn frames_of_good_packs(
        &self,
        frames: &[FrameId],
        faults: &mut Vec<String>,
    ) -> Result<HashMap<FrameId, Bytes>, Error> {
        let index = &self.work.index;
        let mut good = HashMap::with_capacity(frames.len());
        for frames in by_pack(index, frames).into_values() {
            let Some(pack) = frames.first().and_then(|frame| index.frame(*frame)).map(|info| info.pack) else {
                continue;
            };
            match self.read_pack(pack, &object::hashed_name(pack.kind, &pack.id)).await {
                Ok(FinishedPack { parts, .. }) => {
                    let bytes = parts.into_iter().next().unwrap_or_default();
                    good.extend(
                        frames.iter().filter_map(|frame| Some((*frame, cut(&bytes, index.frame(*frame)?.row)?))),
                    );
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => faults.push(chain(&error)),
                Err(error) => return Err(error),
            }
        }
        Ok(good)
    }
}

fn cut(pack: &Bytes, row: crate::pack::FrameRow) -> Option<Bytes> {
    let start = row.offset as usize;
    let end = start.checked_add(FRAME_HEADER_SIZE + row.sealed_length as usize)?;
    (end <= pack.len()).then(|| pack.slice(start..end))
}
