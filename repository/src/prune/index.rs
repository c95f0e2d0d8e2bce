//! The index after a sweep: runs without the swept packs, and small runs joined, so that a look-up asks few.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::Error;
use crate::ids::ObjectId;
use crate::index::{self, Index, Run};
use crate::object::{self, ObjectType};
use crate::pack::PackContents;
use crate::repository::{Repository, put_new};

/// So many runs are borne; each costs a look-up a question to its filter.
const RUNS_MAX: usize = 16;
/// A run is not joined beyond so many chunks: writing one takes 40 bytes of memory a chunk, 160 MiB in all.
const RUN_CHUNKS_MAX: usize = 4 << 20;

/// The runs that are replaced.
#[derive(Debug, Default)]
pub(super) struct Rewrite {
    pub(super) runs: Vec<ObjectId>,
    /// How many take their place, at most.
    pub(super) outputs: usize,
}

/// Of packs that are to be swept, those that cost no more than about `room` bytes of index runs that are written anew: the cheapest runs first, which are those that only
/// name what goes. What is freed with them pays for the others; so one is among them in any case.
pub(super) fn affordable(index: &Index, swept: &HashSet<ObjectId>, room: u64) -> HashSet<ObjectId> {
    let touched = index.runs().map(|(_, run)| run).filter(|run| names(run, swept));
    let mut costs: Vec<(u64, &Run)> = touched.map(|run| (cost_bytes(run, swept), run)).collect();
    costs.sort_by_key(|(cost, _)| *cost);
    let mut sum = 0;
    let fits = costs.iter().enumerate().take_while(|(number, (cost, _))| {
        sum += cost;
        sum <= room || *number == 0
    });
    let dear = &costs[fits.count()..];
    // A pack goes only with all the runs that name it.
    let staying: HashSet<ObjectId> = dear.iter().flat_map(|(_, run)| run.packs()).map(|pack| pack.id).collect();
    let going: HashSet<ObjectId> = swept.difference(&staying).copied().collect();
    if going.is_empty() { swept.clone() } else { going }
}

/// About what it takes to write runs anew without the swept packs.
pub(super) fn bytes_to_write(index: &Index, rewrite: &Rewrite, swept: &HashSet<ObjectId>) -> u64 {
    let replaced = index.runs().filter(|(id, _)| rewrite.runs.contains(id));
    replaced.map(|(_, run)| cost_bytes(run, swept)).sum()
}

fn cost_bytes(run: &Run, swept: &HashSet<ObjectId>) -> u64 {
    let goes_whole = run.packs().all(|pack| swept.contains(&pack.id));
    if goes_whole { 0 } else { run.stored_bytes() }
}

fn names(run: &Run, swept: &HashSet<ObjectId>) -> bool {
    run.packs().any(|pack| swept.contains(&pack.id))
}

/// Chooses the runs that name swept packs, and no others.
pub(super) fn choose_naming(index: &Index, swept: &HashSet<ObjectId>) -> Rewrite {
    choose_where(index, |run| names(run, swept))
}

/// Chooses the runs that name swept packs; and, where there are too many, the small ones.
pub(super) fn choose(index: &Index, swept: &HashSet<ObjectId>) -> Rewrite {
    let count = index.runs().count();
    let is_small = |chunks: usize| count > RUNS_MAX && chunks < RUN_CHUNKS_MAX / 2;
    choose_where(index, |run| is_small(run.chunk_count()) || names(run, swept))
}

fn choose_where(index: &Index, is_replaced: impl Fn(&Run) -> bool) -> Rewrite {
    let replaced = index.runs().filter(|(_, run)| is_replaced(run));
    let mut rewrite = Rewrite::default();
    let mut chunks = 0;
    for (id, run) in replaced {
        rewrite.runs.push(*id);
        chunks += run.chunk_count();
    }
    rewrite.outputs = chunks.div_ceil(RUN_CHUNKS_MAX);
    rewrite
}

/// Writes what takes the place of the runs, durable when this returns; the names of the new ones.
pub(super) async fn write(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    rewrite: &Rewrite,
    swept: &HashSet<ObjectId>,
) -> Result<Vec<ObjectId>, Error> {
    let mut written = Vec::new();
    let mut waiting: Vec<PackContents> = Vec::new();
    let mut seen = HashSet::new();
    for (_, run) in index.runs().filter(|(id, _)| rewrite.runs.contains(id)) {
        for pack in run.contents() {
            if swept.contains(&pack.id) || !seen.insert(pack.id) {
                continue;
            }
            let chunks: usize = waiting.iter().map(|pack| pack.chunks.len()).sum();
            if !waiting.is_empty() && chunks + pack.chunks.len() > RUN_CHUNKS_MAX {
                written.push(put_run(repository, std::mem::take(&mut waiting)).await?);
            }
            waiting.push(pack);
        }
    }
    if !waiting.is_empty() {
        written.push(put_run(repository, waiting).await?);
    }
    Ok(written)
}

/// Writes a run of these packs, and keeps it in the cache.
pub(crate) async fn put_run(repository: &Arc<Repository>, packs: Vec<PackContents>) -> Result<ObjectId, Error> {
    let sealer = Arc::clone(repository);
    #[expect(
        clippy::disallowed_methods,
        reason = "sorting and sealing a run is CPU work, and this is its one owner in a prune"
    )]
    let sealed =
        tokio::task::spawn_blocking(move || index::seal_run(&sealer.key.shared.inventory, &sealer.id(), &packs));
    let sealed = sealed.await.map_err(|lost| Error::Poisoned(lost.to_string().into()))?;
    put_new(&*repository.store, &object::hashed_name(ObjectType::Index, &sealed.id), sealed.object).await?;
    if let Err(error) = crate::cache::write(&index::cache_path(&repository.cache, &sealed.id), &sealed.content) {
        tracing::debug!(%error, "index run not cached");
    }
    Ok(sealed.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{cache_run, synthetic};

    /// Packs 1 to 6 in runs (1), (2, 3) and (4, 5, 6), of which the last is the largest.
    fn check(swept: &[u8], room: u64, expect: &[u8], expect_bytes: u64) {
        let folder = tempfile::tempdir().unwrap();
        let packs = [(1, 5000), (2, 500), (3, 500), (4, 2000), (5, 2000), (6, 2000)];
        let packs = packs.map(|(seed, chunks)| synthetic(seed, chunks));
        let runs = [&packs[..1], &packs[1..3], &packs[3..]].map(|run| cache_run(folder.path(), run).unwrap());
        let index = Index::of_cache(folder.path(), &runs).unwrap();
        let ids = |seeds: &[u8]| seeds.iter().map(|seed| ObjectId([*seed; 32])).collect::<HashSet<_>>();
        let going = affordable(&index, &ids(swept), room);
        assert_eq!(going, ids(expect), "of {swept:?} for {room} bytes");
        let bytes = bytes_to_write(&index, &choose_naming(&index, &going), &going);
        assert_eq!(bytes / 10_000, expect_bytes / 10_000, "{bytes} bytes of runs for {expect:?}");
    }

    #[test]
    fn what_costs_least_is_swept_first() {
        // A run that goes whole costs nothing, and one more is always taken: else nothing would ever come free.
        check(&[1, 2, 4], 0, &[1], 0);
        check(&[2, 4], 0, &[2], 28_000);
        check(&[4], 0, &[4], 168_000);
        check(&[1, 2, 4], 50_000, &[1, 2], 28_000);
        check(&[1, 2, 4], 1 << 20, &[1, 2, 4], 196_000);
        check(&[], 1 << 20, &[], 0);
    }
}
