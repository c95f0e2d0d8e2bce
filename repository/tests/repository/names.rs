//! A search of the names finds what a walk of every tree finds, whatever became of the cache and of the snapshots.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::common::{Fixture, manifest};
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use strongroom_repository::names::Names;
use strongroom_repository::{
    Begin, ChunkId, Entry, Kind, Manifest, ObjectId, Origin, Repository, Snapshot, Tree, TreeWriter,
};

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
const ALL: usize = usize::MAX;

/// A snapshot of `directories`, each with these names in it.
async fn store(repository: &Arc<Repository>, host: &str, directories: &[(&str, std::ops::Range<usize>)]) -> ObjectId {
    let begin = Begin { parent: None, started: Timestamp::UNIX_EPOCH, notes: None, uploads: NonZeroUsize::MIN };
    let session = repository.begin(begin).await.unwrap();
    let directories: Vec<_> = directories.iter().map(|(name, files)| ((*name).to_owned(), files.clone())).collect();
    let writing = Arc::clone(&session);
    #[expect(clippy::disallowed_methods, reason = "lanes block, and a test has no other thread for them")]
    let tree = tokio::task::spawn_blocking(move || {
        let mut tree = TreeWriter::new(writing, HashSet::new(), |_, _| {});
        for (name, _) in directories.iter().filter(|(name, _)| !name.contains('/')) {
            tree.push(b"", &Entry::new(name.clone().into_bytes(), Kind::Directory), Origin::Fresh).unwrap();
        }
        for (name, files) in directories.clone() {
            let inside = directories.iter().filter_map(|(other, _)| other.strip_prefix(&format!("{name}/")));
            for directory in inside {
                let entry = Entry::new(directory.as_bytes().to_vec(), Kind::Directory);
                tree.push(name.as_bytes(), &entry, Origin::Fresh).unwrap();
            }
            for number in files {
                let mut entry = Entry::new(format!("file {number:06}").into_bytes(), Kind::File);
                entry.size = number as u64;
                tree.push(name.as_bytes(), &entry, Origin::Fresh).unwrap();
            }
        }
        tree.finish().unwrap()
    });
    let made = session.commit(tree.await.unwrap(), Manifest { host: host.into(), ..manifest() }).await.unwrap();
    made.snapshot
}

async fn names(repository: &Arc<Repository>) -> (Names, Vec<Snapshot>) {
    repository.refresh().await.unwrap();
    let snapshots = repository.snapshots().await.unwrap().readable;
    (repository.names(&snapshots, |_| {}).await.unwrap(), snapshots)
}

/// (Snapshot, path) of everything that ends so, as a walk sees it; each is also read from the page that the search names.
async fn walked(repository: &Arc<Repository>, snapshots: &[Snapshot], end: &str) -> BTreeSet<(ObjectId, Vec<u8>)> {
    let mut all = BTreeSet::new();
    for snapshot in snapshots {
        let tree: Tree = repository.tree(snapshot);
        let mut walk = tree.walk(b"");
        while let Some((directory, entry)) = walk.next().await.unwrap() {
            if entry.name.ends_with(end.as_bytes()) {
                all.insert((snapshot.id, [&directory, &b"/"[..], &entry.name].concat()));
            }
        }
    }
    all
}

async fn searched(
    repository: &Arc<Repository>,
    names: &Names,
    snapshots: &[Snapshot],
    end: &str,
) -> BTreeSet<(ObjectId, Vec<u8>)> {
    let roots: Vec<ChunkId> = snapshots.iter().filter_map(|snapshot| snapshot.manifest.root).collect();
    let found = names.find(&roots, ALL, TWO, &|_: &[u8], name: &[u8]| name.ends_with(end.as_bytes())).unwrap();
    let mut all = BTreeSet::new();
    for path in found.paths {
        for (tree, page) in path.at {
            let entries = repository.leaf(&page).await.unwrap();
            assert!(entries.iter().any(|(at, entry)| **at == *path.directory && entry.name == path.name));
            all.insert((snapshots[tree].id, [&path.directory, &b"/"[..], &path.name].concat()));
        }
    }
    all
}

async fn is_the_same(repository: &Arc<Repository>) {
    let (names, snapshots) = names(repository).await;
    assert!(names.unreadable().is_empty());
    for end in ["7", "00", "a", "nothing"] {
        let expected = walked(repository, &snapshots, end).await;
        assert_eq!(searched(repository, &names, &snapshots, end).await, expected, "{end}");
        // Those of one snapshot alone.
        let one = &snapshots[..1];
        let expected = expected.into_iter().filter(|(id, _)| *id == one[0].id).collect();
        assert_eq!(searched(repository, &names, one, end).await, expected, "{end} in one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_walks_find() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    store(&repository, "one", &[("a", 0..3000), ("b", 100..200)]).await;
    is_the_same(&repository).await;
    // The next ones are added to what the cache knows: the same names again, some fewer, some more, another host.
    store(&repository, "one", &[("a", 0..3000), ("b", 100..200)]).await;
    store(&repository, "one", &[("a", 1..2990), ("b", 100..250), ("c", 0..1)]).await;
    is_the_same(&fixture.open().await).await;
    store(&repository, "two", &[("z", 0..5000)]).await;
    is_the_same(&fixture.open().await).await;
    // A cache that is lost, or somebody else's, is made again.
    for file in find_files(&fixture) {
        std::fs::write(file, b"something else").unwrap();
    }
    is_the_same(&fixture.open().await).await;
}

fn find_files(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(fixture.cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = folders.map(|folder| folder.join("names")).filter(|file| file.exists()).collect();
    assert!(!files.is_empty(), "there is no cache of names");
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_takes_no_room_for_long() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let large = store(&repository, "one", &[("a", 0..30_000)]).await;
    store(&repository, "one", &[("b", 0..3000)]).await;
    drop(names(&repository).await);
    let size = || std::fs::metadata(&find_files(&fixture)[0]).unwrap().len();
    let before = size();
    repository.forget(&[large]).await.unwrap();
    store(&repository, "one", &[("b", 0..3001)]).await;
    is_the_same(&repository).await;
    assert!(size() * 2 < before, "{} bytes before, {} after", before, size());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_ones_come_where_there_are_many() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    store(&repository, "one", &[("a", 0..3000), ("b", 0..3000)]).await;
    let (names, snapshots) = names(&repository).await;
    let roots: Vec<ChunkId> = snapshots.iter().filter_map(|snapshot| snapshot.manifest.root).collect();
    let found = names.find(&roots, 5, TWO, &|_: &[u8], name: &[u8]| name.ends_with(b"9")).unwrap();
    let paths: Vec<_> = found.paths.iter().map(|path| String::from_utf8_lossy(&path.name).into_owned()).collect();
    assert_eq!(paths, ["file 000009", "file 000019", "file 000029", "file 000039", "file 000049"]);
    assert!(found.is_cut && found.paths.iter().all(|path| path.directory == b"a"));
    assert!(!names.find(&roots, 600, TWO, &|_: &[u8], name: &[u8]| name.ends_with(b"9")).unwrap().is_cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_page_names_is_told_and_looked_for_again() {
    let fixture = Fixture::new().await;
    store(&fixture.open().await, "one", &[("a", 0..3000)]).await;
    let sound = fixture.open().await;
    let pages: Vec<ObjectMeta> = fixture.store.list(Some(&"pages".into())).try_collect().await.unwrap();
    let pack = &pages[0].location;
    let bytes = fixture.store.get(pack).await.unwrap().bytes().await.unwrap();
    let mut damaged = bytes.to_vec();
    damaged[200..220].fill(0);
    fixture.store.put(pack, damaged.into()).await.unwrap();
    let (torn, _) = names(&fixture.open().await).await;
    assert!(!torn.unreadable().is_empty());
    fixture.store.put(pack, bytes.into()).await.unwrap();
    is_the_same(&sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_below_directories_are_those_of_walks() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let directories = [("a", 0..10), ("b", 0..9_000), ("b/c", 5..20), ("b0", 0..3_000), ("e", 7..8)];
    store(&repository, "one", &directories).await;
    let (_, snapshots) = names(&repository).await;
    let tree = repository.tree(&snapshots[0]);
    for top in ["", "a", "b", "b/c", "b0", "e", "f"] {
        let mut walk = tree.walk(top.as_bytes());
        let mut sum = 0;
        while let Some((_, entry)) = walk.next().await.unwrap() {
            sum += entry.size;
        }
        assert_eq!(tree.bytes_below(top.as_bytes()).await.unwrap(), sum, "below '{top}'");
    }
}
