//! A repository in memory, and snapshots of one file in it.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use object_store::ObjectStore;
use strongroom_repository::store::InMemory;
use strongroom_repository::{
    Begin, Credential, Entry, InitOptions, Kind, Manifest, NewHolder, Origin, Parameters, Repository, Snapshot,
    SnapshotKind, Totals, TreeWriter,
};

/// A new repository, opened by its owner.
pub(crate) async fn repository(cache: &std::path::Path) -> Result<Arc<Repository>> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let options = InitOptions {
        parameters: Parameters::default(),
        created: Timestamp::UNIX_EPOCH,
        holder: "owner".into(),
        how: NewHolder::KeyFile,
    };
    let created = Repository::init(Arc::clone(&store), options).await?;
    let key = Credential::File(created.key_file.context("a key file")?);
    Ok(Repository::open(store, &key, cache).await?)
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u8, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A snapshot that holds the file `f` with this content.
pub(crate) async fn back_up(repository: &Arc<Repository>, content: Vec<u8>) -> Result<Snapshot> {
    let time = Timestamp::UNIX_EPOCH;
    let begin = Begin { parent: None, started: time, notes: None, uploads: NonZeroUsize::MIN };
    let session = repository.begin(begin).await?;
    let writing = Arc::clone(&session);
    let write = move || {
        let mut lane = writing.lane()?;
        let chunks = content.chunks(1 << 20).map(|piece| lane.add(piece)).collect::<Result<Vec<_>, _>>()?;
        let mut entry = Entry::new(b"f".to_vec(), Kind::File);
        entry.content = writing.chunk_list(&chunks)?;
        entry.size = content.len() as u64;
        let mut tree = TreeWriter::new(Arc::clone(&writing), HashSet::new(), |_, _| {});
        tree.push(b"", &entry, Origin::Fresh)?;
        lane.flush()?;
        tree.finish()
    };
    #[expect(clippy::disallowed_methods, reason = "lanes block, and a test has no other thread for them")]
    let tree = tokio::task::spawn_blocking(write).await??;
    let manifest = Manifest {
        host: "web1".into(),
        time,
        finished: time,
        kind: SnapshotKind::Full,
        sources: vec!["/f".into()],
        tags: BTreeMap::new(),
        root: None,
        parent: None,
        program: "test".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    };
    let made = session.commit(tree, manifest).await?;
    repository.refresh().await?;
    Ok(repository.snapshot(made.snapshot).await?)
}
