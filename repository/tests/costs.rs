//! What an operation costs in requests: the figures that a bill and a slow link are made of.

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;

use common::{Fixture, back_up, manifest, open_fresh};
use jiff::Timestamp;
use object_store::ObjectStore;
use strongroom_repository::store::Recording;
use strongroom_repository::{Begin, Credential, Repository, UnplacedTree};

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
    let session = repository
        .begin(Begin {
            parent: Some(first.snapshot),
            started: Timestamp::UNIX_EPOCH,
            notes: None,
            uploads: NonZeroUsize::MIN,
        })
        .await
        .unwrap();
    session.commit(UnplacedTree::taken_over(first.tree), manifest()).await.unwrap();
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
