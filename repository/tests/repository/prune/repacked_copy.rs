//! A damaged repository heals frame by frame from a copy that was pruned by itself and has no pack of the same name; what neither has is listed.

use std::collections::BTreeSet;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::io::Errno;
use strongroom_repository::copy::{self, CopyProgress};
use strongroom_repository::repair::{self, Copy, How, RepairPlan, RepairReport, Suspects};
use strongroom_repository::store::{Fault, Faulty, InMemory, Plan, When};
use strongroom_repository::{Error, ObjectId, Parameters, Repository, check};

use super::scene::{Files, back_up, files, open, prune, read_all};
use crate::common::Fixture;

/// Snapshots in both stores; then the copy forgets the first, and its prune packs anew what the others need of its data, and joins their small packs of pages.
struct Scene {
    fixture: Fixture,
    copy: Arc<InMemory>,
    first: ObjectId,
}

/// So many beside the first that their packs of pages are joined.
const OTHERS: u32 = 18;

fn few(other: u32) -> Files {
    files((0..60).step_by(7).chain([100 + other]), 0)
}

impl Scene {
    async fn new() -> Self {
        let parameters =
            Parameters { frame_target: 8 << 10, pack_target: 24 << 10, parity_percent: 3, ..Parameters::small() };
        let fixture = Fixture::with(parameters).await;
        let from = fixture.open().await;
        let first = back_up(&from, &files(0..60, 0)).await.unwrap().snapshot;
        for other in 0..OTHERS {
            back_up(&from, &few(other)).await.unwrap();
        }
        let store = Arc::new(InMemory::new());
        copy::make(&from, &(store.clone() as Arc<dyn ObjectStore>)).await.unwrap();
        let cache = tempfile::tempdir().unwrap();
        let to = from.open_copy(store.clone(), cache.path()).await.unwrap();
        let plan = copy::plan(&from, &to, None).await.unwrap();
        copy::execute(&plan, &from, &to, jiff::Timestamp::UNIX_EPOCH, &CopyProgress::default()).await.unwrap();
        to.forget(&[first]).await.unwrap();
        let (_, report) = prune(&to).await;
        assert!(report.moved.frames > 0 && report.swept > 0, "{report:?}");
        Self { fixture, copy: store, first }
    }

    /// A handle of its own, whose caches know nothing.
    async fn open(&self, store: Arc<dyn ObjectStore>) -> (Arc<Repository>, tempfile::TempDir) {
        let cache = tempfile::tempdir().unwrap();
        (open(store, &self.fixture.key, cache.path()).await.unwrap(), cache)
    }

    fn copies(&self) -> [Copy; 1] {
        [Copy { location: "copy".into(), store: self.copy.clone() }]
    }

    async fn packs(&self, folder: &str) -> BTreeSet<String> {
        let listed = self.fixture.store.list(Some(&Path::from(folder)));
        futures::TryStreamExt::try_collect::<Vec<_>>(listed)
            .await
            .unwrap()
            .into_iter()
            .map(|meta| meta.location.to_string())
            .collect()
    }

    /// Harms a pack, and takes its parity away, which would heal a small one whatever rots in it.
    async fn harm(&self, name: &str, how: Harm) {
        let path = Path::from(name);
        let id = name.rsplit('/').next().unwrap();
        self.fixture.store.delete(&Path::from(format!("parity/{id}"))).await.unwrap();
        let mut bytes = self.fixture.store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
        match how {
            Harm::Missing => return self.fixture.store.delete(&path).await.unwrap(),
            Harm::AllBits => bytes.iter_mut().for_each(|byte| *byte ^= 0x5a),
            // But for some frames at the end.
            Harm::FirstHalf => bytes.iter_mut().take(12 << 10).for_each(|byte| *byte ^= 0x5a),
        }
        self.fixture.store.put(&path, bytes.into()).await.unwrap();
    }

    /// As if every session that is open had ended.
    async fn end_sessions(&self) {
        for session in self.packs("sessions").await {
            self.fixture.store.delete(&Path::from(session)).await.unwrap();
        }
    }

    async fn assert_whole(&self, snapshots: u32, what: &str) {
        assert_eq!(read_all(self.fixture.store.clone(), &self.fixture.key).await, snapshots as usize, "{what}");
        let (alone, _cache) = self.open(self.fixture.store.clone()).await;
        let report = check::run(&alone, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(report.is_sound(), "{what}: {:?} {:?}", report.faults, report.affected);
        assert!(alone.history().condemned.is_empty(), "{what}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Missing,
    AllBits,
    FirstHalf,
}

async fn heal(repository: &Arc<Repository>, copies: &[Copy]) -> Result<(RepairPlan, RepairReport), Error> {
    let plan = repair::plan(repository, copies, Suspects::Everything).await?;
    let report = repair::run(repository, repository.store(), copies, &plan).await?;
    Ok((plan, report))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pruned_copy_has_in_other_packs_heals() {
    for folders in [["packs"].as_slice(), &["pages"], &["packs", "pages"]] {
        for harm in [Harm::Missing, Harm::AllBits, Harm::FirstHalf] {
            let what = format!("{folders:?} {harm:?}");
            let scene = Scene::new().await;
            let (damaged, _cache) = scene.open(scene.fixture.store.clone()).await;
            damaged.forget(&[scene.first]).await.unwrap();
            let mut harmed = BTreeSet::new();
            for folder in folders {
                harmed.extend(scene.packs(folder).await);
            }
            for name in &harmed {
                scene.harm(name, harm).await;
            }
            let (plan, report) = heal(&damaged, &scene.copies()).await.unwrap();
            assert!(plan.heals_all() && plan.lost.is_empty(), "{what}: {plan:?}");
            let from_copy = plan.items.iter().filter(|item| match &item.how {
                How::Repacked { from, .. } => from.iter().any(|source| source.location == "copy" && source.bytes > 0),
                _ => false,
            });
            assert!(from_copy.count() > 0, "{what}: {plan:?}");
            assert!(report.new_packs > 0 && report.waiting.is_empty(), "{what}: {report:?}");
            let mut left = scene.packs("packs").await;
            left.extend(scene.packs("pages").await);
            assert!(left.is_disjoint(&report.repacked.iter().cloned().collect()), "{what}: a damaged pack is left");
            scene.assert_whole(OTHERS, &what).await;
            assert!(heal(&damaged, &scene.copies()).await.unwrap().0.is_empty(), "{what}: there is more to do");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_has_is_listed_and_nothing_is_built_upon_it() {
    let scene = Scene::new().await;
    let (damaged, _cache) = scene.open(scene.fixture.store.clone()).await;
    for name in scene.packs("packs").await {
        scene.harm(&name, Harm::AllBits).await;
    }
    let (plan, _) = heal(&damaged, &scene.copies()).await.unwrap();
    assert!(!plan.heals_all() && !plan.lost.is_empty() && !plan.condemn.is_empty(), "{plan:?}");
    assert!(plan.lost.iter().all(|lost| lost.snapshot == scene.first), "the other one heals: {plan:?}");
    let again = repair::plan(&damaged, &scene.copies(), Suspects::Everything).await.unwrap();
    assert!(again.items.iter().all(|item| item.how == How::Cannot) && again.condemn.is_empty(), "{again:?}");
    assert_eq!(again.lost, plan.lost, "the plan knew what would be lost");
    // The source still has all of it.
    back_up(&damaged, &files(0..60, 0)).await.unwrap();
    assert_eq!(repair::plan(&damaged, &[], Suspects::Everything).await.unwrap().lost, [], "stored anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_is_waited_for_and_the_next_repair_or_prune_goes_on() {
    let scene = Scene::new().await;
    let (damaged, _cache) = scene.open(scene.fixture.store.clone()).await;
    damaged.forget(&[scene.first]).await.unwrap();
    for name in scene.packs("packs").await {
        scene.harm(&name, Harm::AllBits).await;
    }
    let session = super::scene::begin(&damaged, None).await.unwrap();
    let (_, report) = heal(&damaged, &scene.copies()).await.unwrap();
    assert!(!report.waiting.is_empty(), "{report:?}");
    assert_eq!(read_all(scene.fixture.store.clone(), &scene.fixture.key).await, OTHERS as usize);
    drop(session);
    scene.end_sessions().await;
    heal(&damaged, &scene.copies()).await.unwrap();
    scene.assert_whole(OTHERS, "after the session").await;
}

/// Every request of a repair fails from some point on: what was readable stays so, and the next repair completes it.
#[tokio::test(flavor = "multi_thread")]
async fn cut_off_anywhere_it_is_completed_by_the_next() {
    for fault in [Fault::ErrorBefore(Errno::IO), Fault::ErrorAfter(Errno::IO), Fault::NoSpace] {
        for nth in (1..).step_by(5) {
            let what = format!("{fault:?} {nth}");
            let scene = Scene::new().await;
            let (damaged, _cache) = scene.open(scene.fixture.store.clone()).await;
            damaged.forget(&[scene.first]).await.unwrap();
            let victim = scene.packs("packs").await.into_iter().next().unwrap();
            scene.harm(&victim, Harm::AllBits).await;
            let faulty = Faulty::new(scene.fixture.store.clone(), Plan::NOTHING);
            let (repository, _cache) = scene.open(Arc::new(faulty.clone())).await;
            let plan = repair::plan(&repository, &scene.copies(), Suspects::Everything).await.unwrap();
            faulty.arm(Plan { fault, when: When::FromNth(nth), only: None });
            let cut = repair::run(&repository, repository.store(), &scene.copies(), &plan).await;
            let is_over = faulty.injected().is_empty();
            assert!(!is_over || cut.is_ok(), "{what}: {cut:?}");
            faulty.arm(Plan::NOTHING);
            let (again, _cache) = scene.open(scene.fixture.store.clone()).await;
            let affected = repair::plan(&again, &scene.copies(), Suspects::Everything).await.unwrap().lost;
            assert!(affected.is_empty(), "{what}: something was lost: {affected:?}");
            // A record of the repair that died is waited for.
            scene.end_sessions().await;
            heal(&again, &scene.copies()).await.unwrap();
            scene.assert_whole(OTHERS, &what).await;
            if is_over {
                break;
            }
        }
    }
}
