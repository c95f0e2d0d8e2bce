//! Commits that are lost: what they refer to looks like what nobody needs, and is not deleted.

use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path as Name;
use strongroom_repository::Error;
use strongroom_repository::prune::PruneOptions;

use super::scene::{back_up, files, open, options, prune_with, read_all};
use crate::common::Fixture;

fn commit(number: u64) -> Name {
    Name::from(format!("commits/{number:016x}"))
}

/// Takes these commits away, has a machine with this memory prune, and puts them back: nothing else is gone.
async fn check(lost: &[u64], remembers: bool, expect: &str) {
    let fixture = Fixture::new().await;
    let store = fixture.store.clone();
    let repository = open(store.clone(), &fixture.key, fixture.cache.path()).await.unwrap();
    back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files(0..60, 1)).await.unwrap();
    assert_eq!(repository.history().newest, 2);
    let mut taken = Vec::new();
    for number in lost {
        taken.push((commit(*number), store.get(&commit(*number)).await.unwrap().bytes().await.unwrap()));
        store.delete(&commit(*number)).await.unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let cache = if remembers { fixture.cache.path() } else { elsewhere.path() };
    // However often it is tried: what tells of the loss is not forgotten with the first try.
    for _ in 0..2 {
        let repository = open(store.clone(), &fixture.key, cache).await.unwrap();
        let refused = prune_with(&repository, &options()).await.unwrap_err();
        assert!(matches!(refused, Error::WentBack { .. }) && refused.to_string().contains(expect), "{refused}");
    }
    for (name, bytes) in taken {
        store.put(&name, bytes.into()).await.unwrap();
    }
    assert_eq!(read_all(store, &fixture.key).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_where_commits_are_lost() {
    check(&[2], true, "this machine saw commit 2").await;
    check(&[2], false, "the object 'hint' tells of commit 2").await;
    check(&[1, 2], false, "the object 'hint' tells of commit 2").await;
}

/// It would begin another history, and the next prune would take the lost one's packs for strays.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_backed_up_where_all_commits_are_lost() {
    let fixture = Fixture::new().await;
    let repository = open(fixture.store.clone(), &fixture.key, fixture.cache.path()).await.unwrap();
    back_up(&repository, &files(0..60, 0)).await.unwrap();
    let bytes = fixture.store.get(&commit(1)).await.unwrap().bytes().await.unwrap();
    fixture.store.delete(&commit(1)).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let repository = open(fixture.store.clone(), &fixture.key, elsewhere.path()).await.unwrap();
    let refused = back_up(&repository, &files(0..60, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::WentBack { newest: 0, .. }), "{refused}");
    fixture.store.put(&commit(1), bytes.into()).await.unwrap();
    assert_eq!(read_all(fixture.store.clone(), &fixture.key).await, 1);
}

/// Nobody knows any better, and without a commit nothing says what is needed.
#[tokio::test(flavor = "multi_thread")]
async fn without_any_commit_nothing_is_deleted() {
    let fixture = Fixture::new().await;
    let repository = open(fixture.store.clone(), &fixture.key, fixture.cache.path()).await.unwrap();
    back_up(&repository, &files(0..60, 0)).await.unwrap();
    let bytes = fixture.store.get(&commit(1)).await.unwrap().bytes().await.unwrap();
    for name in [commit(1), Name::from("hint")] {
        fixture.store.delete(&name).await.unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let repository = open(fixture.store.clone(), &fixture.key, elsewhere.path()).await.unwrap();
        let now = PruneOptions { fence_after: Duration::ZERO, ..options() };
        let (plan, report) = prune_with(&repository, &now).await.unwrap();
        assert!(plan.strays.is_empty() && report.deleted_bytes == 0, "{report:?}");
        fixture.store.delete(&commit(1)).await.ok();
        fixture.store.delete(&Name::from("hint")).await.ok();
    }
    fixture.store.put(&commit(1), bytes.into()).await.unwrap();
    assert_eq!(read_all(fixture.store.clone(), &fixture.key).await, 1);
}
