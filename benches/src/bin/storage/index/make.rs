//! The cache files of a large index, a few runs at once, so that no more are in memory.

use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow};
use strongroom_benches::dice::Dice;
use strongroom_repository::object::ObjectType;
use strongroom_repository::pack::{FrameRow, PackContents, SegmentRow, StoredChunk};
use strongroom_repository::{ChunkId, ObjectId, SegmentNonce, cache_run};

/// What a joined run holds at most, as `prune` joins them.
const RUN_CHUNKS: u64 = 4 << 20;
/// Frames of 2 MiB of sources, compressed to a sixth, that fill a pack of 64 MiB; of large files that do not compress it would be 32.
const FRAMES_PER_PACK: u32 = 192;
const CHUNK_BYTES: u32 = 16 << 10;

/// The id of chunk `number`: as evenly spread as a hash.
pub(crate) fn chunk_id(number: u64) -> ChunkId {
    let mut dice = Dice::seeded(&[number]);
    let mut id = [0; 32];
    id.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&dice.roll().to_le_bytes()));
    ChunkId(id)
}

/// Writes the runs, as many at once as there are cores; their names.
pub(crate) fn runs(cache: &Path, entries: u64, chunks_per_frame: u32) -> Result<Vec<ObjectId>> {
    let starts: Vec<u64> = (0..entries).step_by(RUN_CHUNKS as usize).collect();
    let mut names = Vec::with_capacity(starts.len());
    for some in starts.chunks(thread::available_parallelism()?.get()) {
        let make = |start: u64| run(cache, start..entries.min(start + RUN_CHUNKS), chunks_per_frame);
        let made: Vec<thread::Result<Result<ObjectId>>> = thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|start| scope.spawn(move || make(*start))).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for name in made {
            names.push(name.map_err(|_| anyhow!("a thread was lost"))??);
        }
    }
    Ok(names)
}

fn run(cache: &Path, numbers: std::ops::Range<u64>, chunks_per_frame: u32) -> Result<ObjectId> {
    let step = u64::from(chunks_per_frame * FRAMES_PER_PACK);
    let packs = numbers.clone().step_by(step as usize);
    let packs: Vec<PackContents> =
        packs.map(|start| pack(start..numbers.end.min(start + step), chunks_per_frame)).collect();
    Ok(cache_run(cache, &packs)?)
}

fn pack(numbers: std::ops::Range<u64>, chunks_per_frame: u32) -> PackContents {
    let name = chunk_id(!numbers.start).0;
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&name[..16]);
    let chunks: Vec<StoredChunk> =
        numbers.map(|number| StoredChunk { prefix: chunk_id(number).prefix(), length: CHUNK_BYTES }).collect();
    let frames =
        chunks.chunks(chunks_per_frame as usize).zip(0..).map(|(some, ordinal)| (frame(ordinal), some.len() as u32));
    PackContents {
        id: ObjectId(name),
        kind: ObjectType::Pack,
        size: 64 << 20,
        segments: vec![SegmentRow { nonce: SegmentNonce(nonce), epoch: 1, sealed_key: [0; 80] }],
        frames: frames.collect(),
        chunks,
    }
}

fn frame(ordinal: u32) -> FrameRow {
    let sealed_length = (64 << 20) / FRAMES_PER_PACK - 24;
    FrameRow {
        segment: 0,
        ordinal,
        offset: ordinal * sealed_length,
        sealed_length,
        plain_length: 2 << 20,
        compression: 1,
    }
}
