//! Moving what is needed out of packs that go. Frames stay sealed; each is opened on the way all the same, since what cannot be opened must not lose the pack that a repair may
//! still heal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::PutPayload;

use super::PruneProgress;
use super::mark;
use super::plan::Work;
use crate::error::{Error, ErrorKind, chain};
use crate::index::{FrameId, Index};
use crate::object::{self, ObjectType};
use crate::pack::{FinishedPack, MovedPack, PackContents, StoredChunk};
use crate::repository::{Repository, put_new};
use crate::session::put_parity;

/// Sealed bytes that are fetched and checked at once; beside them lies the pack that is being filled.
const BATCH_BYTES: u64 = 32 << 20;

/// What was moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// The new packs, durable.
    pub(super) packs: Vec<PackContents>,
    /// What is wrong with the frames that could not be moved. Their packs stay as long as anybody needs them.
    pub(super) faults: Vec<String>,
}

/// A frame on its way.
#[derive(Debug, Clone, Copy)]
struct Move {
    frame: FrameId,
    kind: ObjectType,
    rank: u32,
    sealed_bytes: u64,
}

/// Copies the frames into new packs: those that the newest snapshots need lie together.
pub(super) async fn move_frames(
    repository: &Arc<Repository>,
    work: &Work,
    progress: &PruneProgress,
) -> Result<Moved, Error> {
    let mut moved = Moved::default();
    let moves = in_order(repository, work).await?;
    progress.bytes_total.store(moves.iter().map(|step| step.sealed_bytes).sum(), Ordering::Relaxed);
    let chunks = chunks_of(&work.index, &work.moving);
    for moves in moves.chunk_by(|left, right| left.kind == right.kind) {
        let kind = moves[0].kind;
        let mut pack = MovedPack::new(repository.id(), kind);
        for batch in batches(moves) {
            let sealed = fetch(repository, &work.index, batch, &mut moved).await?;
            for step in batch {
                let Some(sealed) = sealed.get(&step.frame) else { continue };
                let Some(info) = work.index.frame(step.frame) else { continue };
                let chunks = chunks.get(&step.frame).map(Vec::as_slice).unwrap_or_default();
                pack.add(&info.segment, &info.row, chunks, sealed.clone());
                progress.bytes_done.fetch_add(step.sealed_bytes, Ordering::Relaxed);
                if pack.size() >= repository.config.parameters.pack_target as usize {
                    let full = std::mem::replace(&mut pack, MovedPack::new(repository.id(), kind));
                    moved.packs.push(store(repository, full).await?);
                }
            }
        }
        if !pack.is_empty() {
            moved.packs.push(store(repository, pack).await?);
        }
    }
    Ok(moved)
}

async fn in_order(repository: &Arc<Repository>, work: &Work) -> Result<Vec<Move>, Error> {
    let names = || work.moving.iter().filter_map(|frame| work.index.lasting_name(*frame));
    let ranks = mark::ranks(repository, &work.needed.snapshots, names()).await?;
    let step = |frame: &FrameId| {
        let info = work.index.frame(*frame)?;
        // What only an open session's parent needs comes last.
        let rank = ranks.get(&(info.segment.nonce, info.row.ordinal)).copied().unwrap_or(u32::MAX);
        let sealed_bytes = super::usage::sealed_bytes(&info);
        Some(Move { frame: *frame, kind: info.pack.kind, rank, sealed_bytes })
    };
    let mut moves: Vec<Move> = work.moving.iter().filter_map(step).collect();
    moves.sort_by_key(|step| (step.kind, step.rank, step.frame));
    Ok(moves)
}

/// The chunks of each frame, in their order.
fn chunks_of(index: &Index, frames: &[FrameId]) -> HashMap<FrameId, Vec<StoredChunk>> {
    let wanted: HashSet<FrameId> = frames.iter().copied().collect();
    let mut found: HashMap<FrameId, Vec<(u32, StoredChunk)>> = HashMap::with_capacity(frames.len());
    for (prefix, place) in index.entries().filter(|(_, place)| wanted.contains(&place.frame)) {
        found.entry(place.frame).or_default().push((place.offset, StoredChunk { prefix, length: place.length }));
    }
    let in_order = |(frame, mut chunks): (FrameId, Vec<(u32, StoredChunk)>)| {
        chunks.sort_by_key(|(offset, _)| *offset);
        (frame, chunks.into_iter().map(|(_, chunk)| chunk).collect())
    };
    found.into_iter().map(in_order).collect()
}

fn batches(mut moves: &[Move]) -> impl Iterator<Item = &[Move]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = moves.iter().take_while(|step| {
            bytes += step.sealed_bytes;
            bytes <= BATCH_BYTES
        });
        let count = fits.count().max(1).min(moves.len());
        let (batch, rest) = moves.split_at(count);
        moves = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

/// The sealed bytes of a batch's frames, as far as they are good.
async fn fetch(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    batch: &[Move],
    moved: &mut Moved,
) -> Result<HashMap<FrameId, Bytes>, Error> {
    let mut frames: Vec<FrameId> = batch.iter().map(|step| step.frame).collect();
    frames.sort_unstable();
    let fetched: Vec<(FrameId, Result<Bytes, Error>)> = match repository.fetch_frames_of(index, &frames).await {
        Ok(sealed) => frames.into_iter().zip(sealed.into_iter().map(Ok)).collect(),
        Err(error) if error.kind() == ErrorKind::Corrupt => one_by_one(repository, index, frames).await?,
        Err(error) => return Err(error),
    };
    let (opener, table) = (Arc::clone(repository), Arc::clone(index));
    #[expect(
        clippy::disallowed_methods,
        reason = "opening 32 MiB of frames is CPU work, and this is its one owner in a prune"
    )]
    let opened = tokio::task::spawn_blocking(move || {
        let open = |(frame, sealed): (FrameId, Result<Bytes, Error>)| {
            let checked = sealed.and_then(|sealed| opener.open_frame_of(&table, frame, &sealed).map(|_| sealed));
            (frame, checked)
        };
        fetched.into_iter().map(open).collect::<Vec<_>>()
    });
    let opened = opened.await.map_err(|lost| Error::Poisoned(lost.to_string().into()))?;
    let mut good = HashMap::with_capacity(opened.len());
    for (frame, checked) in opened {
        match checked {
            Ok(sealed) => drop(good.insert(frame, sealed)),
            Err(error) if error.kind() == ErrorKind::Corrupt => moved.faults.push(chain(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(good)
}

async fn one_by_one(
    repository: &Repository,
    index: &Index,
    frames: Vec<FrameId>,
) -> Result<Vec<(FrameId, Result<Bytes, Error>)>, Error> {
    let mut fetched = Vec::with_capacity(frames.len());
    for frame in frames {
        match repository.fetch_frames_of(index, &[frame]).await {
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            done => fetched.push((frame, done.map(|sealed| sealed.concat().into()))),
        }
    }
    Ok(fetched)
}

async fn store(repository: &Arc<Repository>, pack: MovedPack) -> Result<PackContents, Error> {
    let finisher = Arc::clone(repository);
    #[expect(clippy::disallowed_methods, reason = "hashing a pack is CPU work, and this is its one owner in a prune")]
    let finished = tokio::task::spawn_blocking(move || pack.finish(&finisher.key.shared.inventory));
    let FinishedPack { contents, parts } = finished.await.map_err(|lost| Error::Poisoned(lost.to_string().into()))?;
    let name = object::hashed_name(contents.kind, &contents.id);
    put_parity(repository, &contents, parts.clone()).await?;
    put_new(&*repository.store, &name, PutPayload::from_iter(parts)).await?;
    Ok(contents)
}
