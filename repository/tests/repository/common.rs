//! A small repository in memory, and backups of made-up trees into it.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use object_store::ObjectStore;
use strongroom_repository::store::InMemory;
use strongroom_repository::{
    Begin, Committed, Consistency, Content, Credential, Entry, Error, InitOptions, KeyFile, Kind, Manifest, NewHolder,
    Origin, Parameters, Repository, Session, SnapshotKind, Time, Totals, TreeWriter, UnplacedTree,
};

pub(crate) struct Fixture {
    pub store: Arc<InMemory>,
    pub key: KeyFile,
    pub cache: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Parameters::small()).await
    }

    pub(crate) async fn with(parameters: Parameters) -> Self {
        let store = Arc::new(InMemory::new());
        let options =
            InitOptions { parameters, created: Timestamp::UNIX_EPOCH, holder: "owner".into(), how: NewHolder::KeyFile };
        let created = Repository::init(store.clone(), options).await.unwrap();
        Self { store, key: created.key_file.unwrap(), cache: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<Repository> {
        self.open_as(&self.key).await
    }

    pub(crate) async fn open_as(&self, key: &KeyFile) -> Arc<Repository> {
        Repository::open(self.store.clone(), &Credential::File(key.clone()), self.cache.path()).await.unwrap()
    }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        host: "h".into(),
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        kind: SnapshotKind::Full,
        sources: vec!["/d".into()],
        tags: BTreeMap::new(),
        root: None,
        parent: None,
        program: "test".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    }
}

pub(crate) fn file_content(number: usize) -> Vec<u8> {
    let mut bytes = vec![0; number * 37 % 5000 + 1];
    blake3::Hasher::new_keyed(&[9; 32]).update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Backs up `count` files in directory `d`, and a large one in front of them.
pub(crate) async fn back_up(repository: &Arc<Repository>, count: usize) -> Committed {
    try_back_up(repository, count).await.unwrap()
}

/// The same, where it may fail.
pub(crate) async fn try_back_up(repository: &Arc<Repository>, count: usize) -> Result<Committed, Error> {
    let (session, tree) = write_only(repository, count, None).await?;
    session.commit(tree, manifest()).await
}

/// Everything but the commit, with notes of what is stored.
pub(crate) async fn write_only(
    repository: &Arc<Repository>,
    count: usize,
    notes: Option<&Path>,
) -> Result<(Arc<Session>, UnplacedTree), Error> {
    let session = repository
        .begin(Begin { parent: None, started: Timestamp::UNIX_EPOCH, notes, uploads: NonZeroUsize::MIN })
        .await?;
    let writing = Arc::clone(&session);
    #[expect(clippy::disallowed_methods, reason = "lanes block, and a test has no other thread for them")]
    let tree = tokio::task::spawn_blocking(move || write_tree(&writing, count)).await.unwrap()?;
    Ok((session, tree))
}

fn write_tree(session: &Arc<Session>, count: usize) -> Result<UnplacedTree, Error> {
    let mut lane = session.lane()?;
    let mut tree = TreeWriter::new(Arc::clone(session), HashSet::new(), |_, _| {});
    tree.push(b"", &Entry::new(b"d".to_vec(), Kind::Directory), Origin::Fresh)?;
    let large = (0..300).map(|piece| lane.add(&file_content(piece + 1_000_000))).collect::<Result<Vec<_>, _>>()?;
    let mut entry = Entry::new(b"a-large".to_vec(), Kind::File);
    entry.content = session.chunk_list(&large)?;
    entry.size = large.iter().map(|chunk| u64::from(chunk.length)).sum();
    tree.push(b"d", &entry, Origin::Fresh)?;
    for number in 0..count {
        let content = file_content(number);
        let mut entry = Entry::new(format!("f{number:06}").into_bytes(), Kind::File);
        entry.size = content.len() as u64;
        entry.mtime = Time { seconds: -5, nanoseconds: 999_999_999 };
        entry.hash = Some(lane.add_whole(&content)?);
        entry.content = Content::Whole;
        entry.consistency = Consistency { torn: number == 3, ..Consistency::default() };
        tree.push(b"d", &entry, Origin::Fresh)?;
    }
    lane.flush()?;
    tree.finish()
}

/// Opens the repository that lies in `store` with the fixture's key and an empty cache.
pub(crate) async fn open_fresh(
    store: Arc<dyn ObjectStore>,
    key: &KeyFile,
) -> Result<(Arc<Repository>, tempfile::TempDir), Error> {
    let cache = tempfile::tempdir().unwrap();
    let repository = Repository::open(store, &Credential::File(key.clone()), cache.path()).await?;
    Ok((repository, cache))
}

/// Reads every file of every snapshot and compares it with what [`back_up`] wrote; returns how many snapshots there were.
pub(crate) async fn read_everything(repository: &Arc<Repository>) -> Result<usize, Error> {
    let snapshots = repository.snapshots().await?.readable;
    for snapshot in &snapshots {
        let tree = repository.tree(snapshot);
        let mut walk = tree.walk(b"");
        while let Some((_, entry)) = walk.next().await? {
            let number =
                entry.name.strip_prefix(b"f").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let mut content = Vec::new();
            for chunk in tree.chunks(&entry).await? {
                content.extend_from_slice(&repository.read_chunk(&chunk).await?);
            }
            if let Some(number) = number {
                assert!(content == file_content(number), "wrong bytes for file {number}");
            }
            if entry.name == b"a-large" {
                let expect: Vec<u8> = (0..300).flat_map(|piece| file_content(piece + 1_000_000)).collect();
                assert!(content == expect, "wrong bytes for the large file");
            }
        }
    }
    Ok(snapshots.len())
}
