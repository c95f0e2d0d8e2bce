//! Small backups whose content is told by numbers, so that any reader can say whether it came back.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use strongroom_repository::prune::{self, PruneOptions, PrunePlan, PruneProgress, PruneReport};
use strongroom_repository::reserve::Upkeep;
use strongroom_repository::{
    Begin, Committed, Content, Credential, Entry, Error, KeyFile, Kind, Manifest, ObjectId, Origin, Repository,
    Session, TreeWriter, UnplacedTree, check,
};

use crate::common::{Fixture, manifest};

/// The files of a backup: number and version, of which the content follows.
pub(crate) type Files = BTreeMap<u32, u32>;

pub(crate) fn content(number: u32, version: u32) -> Vec<u8> {
    let mut bytes = vec![0; 300 + (number * 7919 + version * 104_729) as usize % 4000];
    let seed = [number.to_le_bytes(), version.to_le_bytes()].concat();
    blake3::Hasher::new_keyed(&[3; 32]).update(&seed).finalize_xof().fill(&mut bytes);
    bytes
}

/// Files `numbers`, all of one version.
pub(crate) fn files(numbers: impl IntoIterator<Item = u32>, version: u32) -> Files {
    numbers.into_iter().map(|number| (number, version)).collect()
}

/// What a snapshot of these files says: its tag tells them.
fn manifest_of(files: &Files) -> Manifest {
    let text = files.iter().map(|(number, version)| format!("{number}:{version}")).collect::<Vec<_>>().join(" ");
    Manifest { tags: [("files".to_owned(), text)].into(), ..manifest() }
}

pub(crate) async fn open(store: Arc<dyn ObjectStore>, key: &KeyFile, cache: &Path) -> Result<Arc<Repository>, Error> {
    Repository::open(store, &Credential::File(key.clone()), cache).await
}

pub(crate) async fn begin(repository: &Arc<Repository>, parent: Option<ObjectId>) -> Result<Arc<Session>, Error> {
    let started = Timestamp::UNIX_EPOCH;
    repository.begin(Begin { parent, started, notes: None, uploads: NonZeroUsize::MIN }).await
}

/// Everything but the commit.
pub(crate) async fn write(session: &Arc<Session>, files: &Files) -> Result<UnplacedTree, Error> {
    let (writing, files) = (Arc::clone(session), files.clone());
    #[expect(clippy::disallowed_methods, reason = "lanes block, and a test has no other thread for them")]
    let written = tokio::task::spawn_blocking(move || write_tree(&writing, &files));
    written.await.unwrap()
}

fn write_tree(session: &Arc<Session>, files: &Files) -> Result<UnplacedTree, Error> {
    let mut lane = session.lane()?;
    let mut tree = TreeWriter::new(Arc::clone(session), HashSet::new(), |_, _| {});
    tree.push(b"", &Entry::new(b"d".to_vec(), Kind::Directory), Origin::Fresh)?;
    for (number, version) in files {
        let content = content(*number, *version);
        let mut entry = Entry::new(format!("{number:06}").into_bytes(), Kind::File);
        entry.size = content.len() as u64;
        entry.hash = Some(match lane.add_whole(&content) {
            Ok(hash) => hash,
            Err(error) => return give_up(lane, error),
        });
        entry.content = Content::Whole;
        tree.push(b"d", &entry, Origin::Fresh)?;
    }
    lane.flush()?;
    tree.finish()
}

fn give_up<T>(lane: strongroom_repository::Lane, error: Error) -> Result<T, Error> {
    drop(lane);
    Err(error)
}

pub(crate) async fn commit(session: &Session, tree: UnplacedTree, files: &Files) -> Result<Committed, Error> {
    session.commit(tree, manifest_of(files)).await
}

pub(crate) async fn back_up(repository: &Arc<Repository>, files: &Files) -> Result<Committed, Error> {
    repository.refresh().await?;
    let session = begin(repository, None).await?;
    let tree = write(&session, files).await?;
    commit(&session, tree, files).await
}

pub(crate) fn options() -> PruneOptions {
    PruneOptions {
        now: Timestamp::now(),
        unused_percent_max: 0,
        moved_bytes_max: None,
        fence_after: Duration::from_secs(3600),
        reserve: Upkeep::Left,
    }
}

pub(crate) async fn prune_with(
    repository: &Arc<Repository>,
    options: &PruneOptions,
) -> Result<(PrunePlan, PruneReport), Error> {
    repository.refresh().await?;
    let plan = prune::plan(repository, options).await?;
    let report = prune::execute(repository, &plan, options, &PruneProgress::default()).await?;
    Ok((plan, report))
}

pub(crate) async fn prune(repository: &Arc<Repository>) -> (PrunePlan, PruneReport) {
    prune_with(repository, &options()).await.unwrap()
}

/// Reads a snapshot whole and compares it with what its tag says.
pub(crate) async fn read(repository: &Arc<Repository>, id: ObjectId) -> Result<(), Error> {
    let snapshot = repository.snapshot(id).await?;
    let mut expect: Files = BTreeMap::new();
    for file in snapshot.manifest.tags["files"].split_whitespace() {
        let (number, version) = file.split_once(':').unwrap();
        expect.insert(number.parse().unwrap(), version.parse().unwrap());
    }
    let tree = repository.tree(&snapshot);
    let mut walk = tree.walk(b"");
    let mut found = 0;
    while let Some((_, entry)) = walk.next().await? {
        let Ok(number) = std::str::from_utf8(&entry.name).unwrap().parse::<u32>() else { continue };
        let mut bytes = Vec::new();
        for chunk in tree.chunks(&entry).await? {
            bytes.extend_from_slice(&repository.read_chunk(&chunk).await?);
        }
        assert!(bytes == content(number, expect[&number]), "file {number} of {id} came back as something else");
        found += 1;
    }
    assert_eq!(found, expect.len(), "files of {id}");
    Ok(())
}

/// Reads every snapshot in force with a handle that knows nothing yet; returns how many there are.
pub(crate) async fn read_all(store: Arc<dyn ObjectStore>, key: &KeyFile) -> usize {
    let cache = tempfile::tempdir().unwrap();
    let repository = open(store, key, cache.path()).await.unwrap();
    let snapshots = repository.history().snapshots.clone();
    for added in &snapshots {
        read(&repository, added.snapshot).await.unwrap();
    }
    snapshots.len()
}

/// The names of the objects in a folder.
pub(crate) async fn names(fixture: &Fixture, folder: &str) -> Vec<String> {
    let listed: Vec<_> = fixture.store.list(Some(&folder.into())).try_collect().await.unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    names.sort();
    names
}

/// So many snapshots come back, and nothing is wrong with what is stored.
pub(crate) async fn assert_sound(fixture: &Fixture, snapshots: usize) {
    assert_eq!(read_all(fixture.store.clone(), &fixture.key).await, snapshots);
    let repository = fixture.open().await;
    let report = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
    assert!(report.is_sound(), "{:?} {:?}", report.faults, report.affected);
}
