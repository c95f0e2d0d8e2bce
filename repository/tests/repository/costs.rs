//! What an operation costs in requests: the figures that a bill and a slow link are made of.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Fixture, back_up, manifest, open_fresh};
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use strongroom_repository::prune::{self, PruneOptions, PruneProgress};
use strongroom_repository::reserve::Upkeep;
use strongroom_repository::store::Recording;
use strongroom_repository::{Begin, Committed, Credential, Repository, UnplacedTree};

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted() {
    let fixture = Fixture::new().await;
    // More entries than one leaf ever holds, so that the tree has two levels whatever the keys are.
    let first = back_up(&fixture.open().await, 2500).await;
    let recording = Arc::new(Recording::new(fixture.store.clone() as Arc<dyn ObjectStore>));
    let counts = || {
        let record = recording.snapshot();
        [&record.get, &record.put, &record.list, &record.delete].map(|tally| tally.calls)
    };

    // A cold cache: configuration, key, hint, one commit, and the question whether there is another.
    let (repository, cache) = open_fresh(recording.clone(), &fixture.key).await.unwrap();
    assert_eq!(counts(), [5, 0, 0, 0], "gets, puts, lists, deletes of a cold open");

    // A warm one: configuration, key, the newest commit known, and the question.
    recording.reset();
    drop(repository);
    let repository =
        Repository::open(recording.clone(), &Credential::File(fixture.key.clone()), cache.path()).await.unwrap();
    assert_eq!(counts(), [4, 0, 0, 0], "of a warm open");

    // Nothing changed: session, snapshot, commit, and the hint; no index, no page.
    recording.reset();
    back_up_unchanged(&repository, &first).await;
    assert_eq!(counts(), [0, 4, 0, 0], "of an unchanged run");

    // A look-up: the snapshots, the index, one page a level. The second one of a neighbour costs nothing.
    recording.reset();
    let snapshots = repository.snapshots().await.unwrap().readable;
    let tree = repository.tree(&snapshots[0]);
    assert!(tree.lookup(b"d/f000100").await.unwrap().is_some());
    assert_eq!(counts(), [2 + 1 + 2, 0, 0, 0], "of listing two snapshots and looking one path up");
    recording.reset();
    assert!(tree.lookup(b"d/f000101").await.unwrap().is_some());
    assert_eq!(counts(), [0, 0, 0, 0], "of its neighbour");
}

async fn back_up_unchanged(repository: &Arc<Repository>, parent: &Committed) {
    let (parent, tree) = (Some(parent.snapshot), parent.tree.clone());
    let begin = Begin { parent, started: Timestamp::UNIX_EPOCH, notes: None, uploads: NonZeroUsize::MIN };
    let session = repository.begin(begin).await.unwrap();
    session.commit(UnplacedTree::taken_over(tree), manifest()).await.unwrap();
}

/// The owner's own backups leave checkpoints on their way, and a prune leaves the newest two.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_open_after_hundreds_of_commits_reads_few_of_them() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let first = back_up(&repository, 10).await;
    while repository.history().newest < 400 {
        back_up_unchanged(&repository, &first).await;
    }
    assert_eq!(stored(&fixture, "checkpoints").await, ["0000000000000080", "0000000000000100", "0000000000000180"]);
    let recording = Arc::new(Recording::new(fixture.store.clone() as Arc<dyn ObjectStore>));
    let (cold, _cache) = open_fresh(recording.clone(), &fixture.key).await.unwrap();
    assert_eq!(*cold.history(), *repository.history());
    // Configuration, key, hint; the checkpoint, perhaps the one before, the commit of it; 16 commits, and the question.
    let asked = recording.snapshot();
    assert!(asked.get.calls <= 3 + 3 + 16 + 1, "{:?}", asked.get.names);
    assert_eq!((asked.head.calls, asked.list.calls), (1, 0), "whether the hint is right");

    let options = PruneOptions {
        now: Timestamp::now(),
        unused_percent_max: 0,
        moved_bytes_max: None,
        fence_after: Duration::from_secs(3600),
        reserve: Upkeep::Left,
    };
    let plan = prune::plan(&repository, &options).await.unwrap();
    prune::execute(&repository, &plan, &options, &PruneProgress::default()).await.unwrap();
    assert_eq!(stored(&fixture, "checkpoints").await, ["0000000000000100", "0000000000000180"]);

    // Whoever forgets makes up for one that nobody could write.
    fixture.store.delete(&Path::from("checkpoints/0000000000000180")).await.unwrap();
    repository.forget(&[first.snapshot]).await.unwrap();
    assert_eq!(stored(&fixture, "checkpoints").await, ["0000000000000100", "0000000000000180"]);
    assert_eq!(stored(&fixture, "commits").await.len() as u64, repository.history().newest);
}

/// The last names of what lies in a folder, sorted.
async fn stored(fixture: &Fixture, folder: &str) -> Vec<String> {
    let listed: Vec<ObjectMeta> = fixture.store.list(Some(&Path::from(folder))).try_collect().await.unwrap();
    let mut names: Vec<String> = listed.iter().filter_map(|meta| meta.location.filename().map(str::to_owned)).collect();
    names.sort();
    names
}
