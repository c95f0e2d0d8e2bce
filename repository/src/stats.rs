//! How large a repository is, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use crate::error::Error;
use crate::object::ObjectType;
use crate::repository::{Repository, list, store_error};

/// Number and size of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Together, in bytes.
    pub bytes: u64,
}

/// A repository's figures. Sizes in bytes.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// Snapshots in force; their bytes are the sum of what each would restore. Without a reader's key the bytes are 0.
    pub snapshots: Tally,
    /// Distinct chunks and pages; their bytes are plain.
    pub chunks: Tally,
    /// Stored objects by folder.
    pub objects: BTreeMap<String, Tally>,
    /// All stored objects but the reserve.
    pub stored: Tally,
}

impl Stats {
    /// How many times smaller the distinct chunks are than everything that the snapshots would restore.
    #[must_use]
    pub fn deduplication(&self) -> Option<f64> {
        ratio(self.snapshots.bytes, self.chunks.bytes)
    }

    /// How many times smaller the stored objects are than the distinct chunks.
    #[must_use]
    pub fn compression(&self) -> Option<f64> {
        ratio(self.chunks.bytes, self.stored.bytes)
    }
}

fn ratio(large: u64, small: u64) -> Option<f64> {
    (small > 0 && large > 0).then(|| large as f64 / small as f64)
}

/// Bytes of everything that the store holds but the reserve: one listing. What lies in reserve is of no backup, so that no quota is filled by it.
pub async fn stored_bytes(repository: &Repository) -> Result<u64, Error> {
    let is_reserve = |meta: &ObjectMeta| meta.location.prefix_matches(&Path::from(ObjectType::Reserve.folder()));
    let sizes = repository.store.list(None).map_ok(|meta| if is_reserve(&meta) { 0 } else { meta.size });
    sizes
        .try_fold(0, |sum, size| std::future::ready(Ok(sum + size)))
        .await
        .map_err(store_error("list", "the repository"))
}

/// Gathers the figures: one listing a folder, the index, and the snapshots.
pub async fn gather(repository: &Arc<Repository>) -> Result<Stats, Error> {
    let mut stats = Stats::default();
    for kind in [
        ObjectType::Key,
        ObjectType::Pack,
        ObjectType::PagePack,
        ObjectType::Parity,
        ObjectType::Group,
        ObjectType::Index,
        ObjectType::Snapshot,
        ObjectType::Session,
        ObjectType::Rest,
        ObjectType::Commit,
        ObjectType::Checkpoint,
        ObjectType::Reserve,
    ] {
        let tally = stats.objects.entry(kind.folder().to_owned()).or_default();
        for (_, size) in list(&*repository.store, kind.folder()).await? {
            tally.count += 1;
            tally.bytes += size;
        }
        if kind != ObjectType::Reserve {
            stats.stored.count += tally.count;
            stats.stored.bytes += tally.bytes;
        }
    }
    let index = repository.open_index().await?;
    for (_, place) in index.entries() {
        stats.chunks.count += 1;
        stats.chunks.bytes += u64::from(place.length);
    }
    stats.snapshots.count = repository.history().snapshots.len() as u64;
    if repository.key.can_read() {
        stats.snapshots.bytes =
            repository.snapshots().await?.readable.iter().map(|snapshot| snapshot.manifest.totals.bytes).sum();
    }
    Ok(stats)
}
