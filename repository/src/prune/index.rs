//! The index after a sweep: runs without the swept packs, and small runs joined, so that a look-up asks few.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::Error;
use crate::ids::ObjectId;
use crate::index::{self, Index};
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

/// Chooses the runs that name swept packs; and, where there are too many, the small ones.
pub(super) fn choose(index: &Index, swept: &HashSet<ObjectId>) -> Rewrite {
    let count = index.runs().count();
    let is_small = |chunks: usize| count > RUNS_MAX && chunks < RUN_CHUNKS_MAX / 2;
    let replaced =
        index.runs().filter(|(_, run)| is_small(run.chunk_count()) || run.packs().any(|pack| swept.contains(&pack.id)));
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
