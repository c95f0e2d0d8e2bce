//! Moving what is needed out of packs that go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::PruneProgress;
use super::mark;
use super::plan::Work;
use crate::carry;
use crate::error::Error;
use crate::index::FrameId;
use crate::object::ObjectType;
use crate::pack::{MovedPack, PackContents};
use crate::repository::Repository;

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
    let chunks = carry::chunks_of(&work.index, &work.moving);
    for moves in moves.chunk_by(|left, right| left.kind == right.kind) {
        let kind = moves[0].kind;
        let mut pack = MovedPack::new(repository.id(), kind);
        for batch in batches(moves) {
            let frames = batch.iter().map(|step| step.frame).collect();
            let sealed = carry::good_frames(repository, &work.index, frames, &mut moved.faults).await?;
            for step in batch {
                let Some(sealed) = sealed.get(&step.frame) else { continue };
                let Some(info) = work.index.frame(step.frame) else { continue };
                let chunks = chunks.get(&step.frame).map(Vec::as_slice).unwrap_or_default();
                pack.add(&info.segment, &info.row, chunks, sealed.clone());
                progress.bytes_done.fetch_add(step.sealed_bytes, Ordering::Relaxed);
                if pack.size() >= repository.config.parameters.pack_target as usize {
                    let full = std::mem::replace(&mut pack, MovedPack::new(repository.id(), kind));
                    moved.packs.push(carry::store(repository, full).await?);
                }
            }
        }
        if !pack.is_empty() {
            moved.packs.push(carry::store(repository, pack).await?);
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
