//! A store that is full: the reserve makes the room, whichever write it is that meets the end.

use std::sync::Arc;

use object_store::ObjectStore;
use strongroom_repository::prune::{PruneOptions, PruneReport};
use strongroom_repository::reserve::{self, RESERVE_BYTES, Upkeep};
use strongroom_repository::store::{Fault, Faulty, InMemory, Plan, When};
use strongroom_repository::{Error, ErrorKind, ObjectId, check};

use super::scene::{back_up, files, open, options, prune_with, read_all};
use crate::common::Fixture;

/// A repository with a reserve, a pack that nobody needs, and packs of which a part is needed.
struct Scene {
    fixture: Fixture,
    going: ObjectId,
}

impl Scene {
    async fn set() -> Self {
        let fixture = Fixture::new().await;
        let repository = fixture.open().await;
        back_up(&repository, &files((0..60).step_by(11), 0)).await.unwrap();
        let going = back_up(&repository, &files(0..60, 0)).await.unwrap().snapshot;
        back_up(&repository, &files((0..60).step_by(7), 0)).await.unwrap();
        assert!(reserve::make(&*fixture.store, repository.id()).await.unwrap());
        Self { fixture, going }
    }

    /// A copy of the store whose puts fail as `when` says once it is open, and what `act` made of it.
    async fn act<T>(&self, when: When, act: impl AsyncFn(&Arc<Faulty>) -> T) -> (Arc<InMemory>, Arc<Faulty>, T) {
        let store = Arc::new(self.fixture.store.fork());
        let faulty = Arc::new(Faulty::new(store.clone(), Plan { fault: Fault::NoSpace, when, only: None }));
        let made = act(&faulty).await;
        (store, faulty, made)
    }

    async fn forget(&self, store: Arc<dyn ObjectStore>) -> Result<u64, Error> {
        let cache = tempfile::tempdir().unwrap();
        let repository = open(store, &self.fixture.key, cache.path()).await?;
        Ok(repository.forget(&[self.going]).await?.reserve_used_bytes)
    }

    async fn prune(&self, store: Arc<dyn ObjectStore>) -> Result<PruneReport, Error> {
        let cache = tempfile::tempdir().unwrap();
        let repository = open(store, &self.fixture.key, cache.path()).await?;
        let kept = PruneOptions { reserve: Upkeep::Kept, ..options() };
        prune_with(&repository, &kept).await.map(|(_, report)| report)
    }

    /// Both other snapshots are whole, and nothing is wrong with what lies there.
    async fn judge(&self, store: Arc<InMemory>, context: &str) {
        assert_eq!(read_all(store.clone(), &self.fixture.key).await, 2, "{context}");
        let cache = tempfile::tempdir().unwrap();
        let repository = open(store, &self.fixture.key, cache.path()).await.unwrap();
        let report = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(report.is_sound(), "{context}: {report:?}");
    }
}

/// Only the hint may be lost without the reserve being used.
fn told(faulty: &Faulty, used_bytes: u64, context: &str) {
    let met = faulty.injected();
    let expect = if met.iter().all(|met| met.name == "hint") { 0 } else { RESERVE_BYTES };
    assert_eq!(used_bytes, expect, "{context}: {met:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_finds_the_store_full_at_any_write_uses_the_reserve() {
    let scene = Scene::set().await;
    scene.forget(scene.fixture.store.clone()).await.unwrap();
    let mut rescued = 0;
    for number in 1.. {
        let (store, faulty, done) =
            scene.act(When::Nth(number), async |faulty| scene.prune(Arc::clone(faulty) as _).await).await;
        let context = format!("full at put {number}");
        let report = done.unwrap();
        if faulty.injected().is_empty() {
            break;
        }
        told(&faulty, report.reserve_used_bytes, &context);
        rescued += u32::from(report.reserve_used_bytes > 0);
        assert_eq!(reserve::bytes(&*store).await.unwrap(), RESERVE_BYTES, "{context}");
        assert!(report.swept > 0 && report.deleted_bytes > 0, "{context}: {report:?}");
        scene.judge(store.clone(), &context).await;
        scene.prune(store.clone()).await.unwrap();
        scene.judge(store, &context).await;
    }
    // Its record, packs and page packs, index runs, commits.
    assert!(rescued >= 6, "only {rescued} writes could find the store full");
}

/// Somebody else takes the room as soon as it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_full_fails_the_prune_and_stays_whole() {
    let scene = Scene::set().await;
    scene.forget(scene.fixture.store.clone()).await.unwrap();
    for number in 1..=4 {
        let (store, _, done) =
            scene.act(When::FromNth(number), async |faulty| scene.prune(Arc::clone(faulty) as _).await).await;
        let context = format!("full from put {number} on");
        assert_eq!(done.unwrap_err().kind(), ErrorKind::NoSpace, "{context}");
        scene.judge(store.clone(), &context).await;
        let report = scene.prune(store.clone()).await.unwrap();
        assert_eq!((report.reserve_used_bytes, report.reserve_bytes), (0, RESERVE_BYTES), "{context}");
        scene.judge(store, &context).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_in_a_full_store_uses_the_reserve() {
    let scene = Scene::set().await;
    for number in 1..=2 {
        let (store, faulty, done) =
            scene.act(When::Nth(number), async |faulty| scene.forget(Arc::clone(faulty) as _).await).await;
        let context = format!("full at put {number}");
        told(&faulty, done.unwrap(), &context);
        scene.judge(store.clone(), &context).await;
        // The prune that follows makes it anew.
        let report = scene.prune(store.clone()).await.unwrap();
        assert_eq!((report.reserve_used_bytes, report.reserve_bytes), (0, RESERVE_BYTES), "{context}");
        assert_eq!(reserve::bytes(&*store).await.unwrap(), RESERVE_BYTES, "{context}");
    }
}

/// What lies in reserve is nobody's backup: it fills no quota.
#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_counts_towards_no_quota() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    back_up(&repository, &files(0..5, 0)).await.unwrap();
    let measure = async || {
        let gathered = strongroom_repository::stats::gather(&repository).await.unwrap().stored;
        (strongroom_repository::stats::stored_bytes(&repository).await.unwrap(), gathered)
    };
    let before = measure().await;
    assert!(reserve::make(&*fixture.store, repository.id()).await.unwrap());
    assert_eq!(measure().await, before);
}
