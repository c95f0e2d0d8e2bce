//! Copies, one thing after the other. What runs beside them is the simulation's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::io::Errno;
use strongroom_repository::copy::{self, CopyPlan, CopyProgress, CopyReport};
use strongroom_repository::prune::PruneOptions;
use strongroom_repository::store::{Fault, Faulty, InMemory, Operation, Plan, When};
use strongroom_repository::{Error, KeyFile, Parameters, Repository, WriterIdentity, check};

use super::scene::{back_up, files, open, options, prune, prune_with, read, read_all};
use crate::common::Fixture;

struct Pair {
    fixture: Fixture,
    from: Arc<Repository>,
    store: Arc<InMemory>,
}

impl Pair {
    async fn new() -> Self {
        let parameters =
            Parameters { frame_target: 8 << 10, pack_target: 24 << 10, parity_percent: 3, ..Parameters::small() };
        let fixture = Fixture::with(parameters).await;
        let from = fixture.open().await;
        let store = Arc::new(InMemory::new());
        let made = copy::make(&from, &(store.clone() as Arc<dyn ObjectStore>)).await.unwrap();
        assert!(made.is_new && made.keys == 1, "{made:?}");
        Self { fixture, from, store }
    }

    async fn to(&self) -> Arc<Repository> {
        self.from.open_copy(self.store.clone(), self.fixture.cache.path()).await.unwrap()
    }

    async fn copy(&self) -> (CopyPlan, CopyReport) {
        copy_between(&self.from, &self.to().await).await.unwrap()
    }

    async fn assert_sound(&self, snapshots: usize) {
        assert_eq!(read_all(self.store.clone(), &self.fixture.key).await, snapshots);
        let cache = tempfile::tempdir().unwrap();
        let alone = open(self.store.clone(), &self.fixture.key, cache.path()).await.unwrap();
        let report = check::run(&alone, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(report.is_sound(), "{:?} {:?}", report.faults, report.affected);
    }
}

async fn copy_between(from: &Arc<Repository>, to: &Arc<Repository>) -> Result<(CopyPlan, CopyReport), Error> {
    let plan = copy::plan(from, to, None).await?;
    let report = copy::execute(&plan, from, to, Timestamp::UNIX_EPOCH, &CopyProgress::default()).await?;
    Ok((plan, report))
}

fn no_puts_from(number: u64) -> Plan {
    Plan { fault: Fault::ErrorBefore(Errno::IO), when: When::FromNth(number), only: Some(Operation::Put) }
}

async fn packs(store: &InMemory) -> HashSet<String> {
    let folders = [Path::from("packs"), Path::from("pages")];
    let mut names = HashSet::new();
    for folder in &folders {
        let listed: Vec<_> = store.list(Some(folder)).try_collect().await.unwrap();
        names.extend(listed.into_iter().map(|meta| meta.location.to_string()));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_enough_alone_and_is_brought_up_to_date_by_what_is_new() {
    let pair = Pair::new().await;
    back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    back_up(&pair.from, &files(0..60, 1)).await.unwrap();
    let (plan, report) = pair.copy().await;
    assert_eq!((plan.snapshots.len(), plan.there, plan.frames), (2, 0, 0), "{plan:?}");
    assert_eq!((report.snapshots.len(), report.packs, report.bytes), (2, plan.packs, plan.pack_bytes), "{report:?}");
    assert_eq!(packs(&pair.store).await, packs(&pair.fixture.store).await, "sealed packs keep their names");
    pair.assert_sound(2).await;
    back_up(&pair.from, &files(0..61, 1)).await.unwrap();
    let (plan, report) = pair.copy().await;
    assert_eq!((plan.snapshots.len(), plan.there), (1, 2));
    assert!(report.packs <= 2 && report.new_packs == 0, "{report:?}");
    let (plan, report) = pair.copy().await;
    assert!(plan.snapshots.is_empty() && report.bytes == 0 && report.commit.is_none(), "{plan:?} {report:?}");
    pair.assert_sound(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prune_of_the_source_moved_is_not_sent_again() {
    let pair = Pair::new().await;
    let all = back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    back_up(&pair.from, &files((0..60).step_by(7), 0)).await.unwrap();
    pair.copy().await;
    pair.from.forget(&[all.snapshot]).await.unwrap();
    let (_, pruned) = prune(&pair.from).await;
    assert!(pruned.moved.frames > 0, "{pruned:?}");
    back_up(&pair.from, &files((0..60).step_by(7), 0)).await.unwrap();
    let (plan, _) = pair.copy().await;
    assert_eq!(
        (plan.snapshots.len(), plan.frames),
        (1, 0),
        "its data frames are there, in the packs they were in: {plan:?}"
    );
    pair.assert_sound(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_in_a_copy_stays_forgotten_there_and_no_name_is_used_twice() {
    let pair = Pair::new().await;
    let first = back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    pair.copy().await;
    let had = packs(&pair.store).await;
    let to = pair.to().await;
    to.forget(&[first.snapshot]).await.unwrap();
    prune(&to).await;
    prune(&to).await;
    assert!(packs(&pair.store).await.is_empty());
    // It needs nothing but what was swept there.
    let second = back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    let (plan, report) = pair.copy().await;
    assert_eq!((plan.forgotten, &report.snapshots), (1, &vec![second.snapshot]), "{plan:?}");
    assert!(report.new_packs > 0, "{report:?}");
    let has = packs(&pair.store).await;
    assert!(has.is_disjoint(&had), "a swept name is used again: {:?}", has.intersection(&had));
    pair.assert_sound(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_after_any_write_it_goes_on_and_sends_little_twice() {
    let pair = Pair::new().await;
    for version in 0..3 {
        back_up(&pair.from, &files(0..60, version)).await.unwrap();
    }
    let mut sent_at_once = None;
    for at in 1.. {
        let store = Arc::new(InMemory::new());
        copy::make(&pair.from, &(store.clone() as Arc<dyn ObjectStore>)).await.unwrap();
        let cache = tempfile::tempdir().unwrap();
        let broken = Arc::new(Faulty::new(store.clone(), no_puts_from(at)));
        let to = pair.from.open_copy(broken, cache.path()).await.unwrap();
        let stopped = copy_between(&pair.from, &to).await;
        drop(to);
        let before = read_all(store.clone(), &pair.fixture.key).await;
        let to = pair.from.open_copy(store.clone(), cache.path()).await.unwrap();
        let (_, report) = copy_between(&pair.from, &to).await.unwrap();
        assert_eq!(read_all(store.clone(), &pair.fixture.key).await, 3, "after write {at}");
        assert_eq!(before + report.snapshots.len(), 3);
        let stored = packs(&store).await;
        assert_eq!(stored.len(), packs(&pair.fixture.store).await.len() + usize::try_from(report.new_packs).unwrap());
        // Two are on their way at once; one that was durable before its parity is not noted, and its frames are packed anew.
        assert!(report.new_packs <= 2, "what was durable and noted is not sent again: {report:?} after write {at}");
        if stopped.is_ok() {
            sent_at_once = Some(at);
            break;
        }
    }
    assert!(sent_at_once.is_some_and(|writes| writes > 15), "{sent_at_once:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_left_that_was_fenced_is_never_built_upon() {
    let pair = Pair::new().await;
    // A copy without any commit is not pruned.
    back_up(&pair.from, &files(100..110, 0)).await.unwrap();
    pair.copy().await;
    let whole = packs(&pair.store).await;
    back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    let broken = Arc::new(Faulty::new(pair.store.clone(), no_puts_from(6)));
    let to = pair.from.open_copy(broken, pair.fixture.cache.path()).await.unwrap();
    copy_between(&pair.from, &to).await.unwrap_err();
    let left: HashSet<_> = packs(&pair.store).await.difference(&whole).cloned().collect();
    assert!(!left.is_empty());
    let impatient = PruneOptions { fence_after: Duration::ZERO, ..options() };
    prune_with(&pair.to().await, &impatient).await.unwrap();
    pair.copy().await;
    assert!(packs(&pair.store).await.is_disjoint(&left), "names of what was discarded are used again");
    pair.assert_sound(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writers_key_is_enough_to_copy_and_opens_nothing() {
    let pair = Pair::new().await;
    let key: KeyFile = pair.from.add_writer(&WriterIdentity { holder: "carrier".into() }).await.unwrap();
    let all = back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    back_up(&pair.from, &files((0..60).step_by(7), 0)).await.unwrap();
    copy::make(&pair.from, &(pair.store.clone() as Arc<dyn ObjectStore>)).await.unwrap();
    pair.from.forget(&[all.snapshot]).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let from = open(pair.fixture.store.clone(), &key, cache.path()).await.unwrap();
    let to = open(pair.store.clone(), &key, cache.path()).await.unwrap();
    let (plan, report) = copy_between(&from, &to).await.unwrap();
    assert!(plan.frames > 0 && report.new_packs > 0, "only a part of each data pack is wanted: {plan:?}");
    assert!(!to.key().can_read());
    pair.assert_sound(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_source_costs_what_needs_it_and_never_reaches_the_copy() {
    let pair = Pair::new().await;
    back_up(&pair.from, &files(0..60, 0)).await.unwrap();
    let hurt = packs(&pair.fixture.store).await;
    let good = back_up(&pair.from, &files(100..160, 0)).await.unwrap();
    for name in hurt.iter().filter(|name| name.starts_with("packs/")) {
        let path = Path::from(name.as_str());
        let mut bytes = pair.fixture.store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        pair.fixture.store.put(&path, bytes.into()).await.unwrap();
    }
    let (_, report) = pair.copy().await;
    assert_eq!(report.snapshots, [good.snapshot]);
    assert_eq!(report.faults.len(), 1, "{report:?}");
    pair.assert_sound(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_and_the_same_one_are_refused() {
    let pair = Pair::new().await;
    back_up(&pair.from, &files(0..10, 0)).await.unwrap();
    let stranger = Fixture::new().await;
    let made = copy::make(&pair.from, &(stranger.store.clone() as Arc<dyn ObjectStore>)).await;
    assert!(matches!(made, Err(Error::NotACopy { .. })), "{made:?}");
    let opened = pair.from.open_copy(stranger.store.clone(), stranger.cache.path()).await;
    assert!(matches!(opened, Err(Error::NotACopy { .. })));
    let again = pair.fixture.open().await;
    assert!(matches!(copy::plan(&pair.from, &again, None).await, Err(Error::SameCopy)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_turns_to_the_copies_for_what_is_lost_and_tells_who_served() {
    let pair = Pair::new().await;
    let snapshot = back_up(&pair.from, &files(0..60, 0)).await.unwrap().snapshot;
    pair.copy().await;
    for (number, name) in packs(&pair.fixture.store).await.into_iter().enumerate() {
        match number % 3 {
            0 => pair.fixture.store.delete(&Path::from(name)).await.unwrap(),
            1 => drop(pair.fixture.store.put(&Path::from(name), vec![0; 40_000].into()).await.unwrap()),
            _ => {}
        }
    }
    let reader = open_alone(&pair.fixture.store, &pair.fixture.key).await;
    assert!(read(&reader, snapshot).await.is_err());
    let reader = open_alone(&pair.fixture.store, &pair.fixture.key).await;
    reader.stand_by("the copy".into(), pair.to().await, (Duration::ZERO, Duration::from_secs(1)));
    read(&reader, snapshot).await.unwrap();
    let served = reader.served("the first");
    assert!(served.iter().all(|copy| copy.bytes > 0), "{served:?}");
    // With the whole store gone, everything comes from the copy; a nearer one is asked first.
    let reader = open_alone(&pair.fixture.store, &pair.fixture.key).await;
    reader.open_index().await.unwrap();
    reader.stand_by("the copy".into(), pair.to().await, (Duration::from_secs(1), Duration::ZERO));
    read(&reader, snapshot).await.unwrap();
    assert_eq!(reader.served("the first")[0].bytes, 0);
}

async fn open_alone(store: &Arc<InMemory>, key: &KeyFile) -> Arc<Repository> {
    let cache = tempfile::tempdir().unwrap();
    open(store.clone(), key, cache.path()).await.unwrap()
}
