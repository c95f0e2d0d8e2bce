//! Parity across packs: as many whole packs come back as a group has parity, whatever was pruned, lost or rotten besides, and a run that is cut off anywhere does no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::common::{Fixture, back_up, read_everything};
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::io::Errno;
use strongroom_repository::group::{self, GroupSize, ProtectOptions, ProtectPlan, ProtectReport};
use strongroom_repository::prune::{self, PruneOptions, PrunePlan, PruneProgress};
use strongroom_repository::rebuild::Act;
use strongroom_repository::repair::{self, How, RepairPlan, Suspects};
use strongroom_repository::reserve::Upkeep;
use strongroom_repository::scrub::{Ledger, Scrub, ScrubOptions, ScrubReport, Step};
use strongroom_repository::store::{Fault, Faulty, InMemory, Plan, Recording, When};
use strongroom_repository::{Credential, Error, Parameters, Repository, check};

type Objects = BTreeMap<String, Vec<u8>>;

async fn objects(store: &dyn ObjectStore) -> Objects {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut objects = Objects::new();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        objects.insert(meta.location.to_string(), bytes.to_vec());
    }
    objects
}

async fn store_of(objects: &Objects) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    for (name, bytes) in objects {
        store.put(&name.as_str().into(), bytes.clone().into()).await.unwrap();
    }
    store
}

async fn open(store: Arc<dyn ObjectStore>, fixture: &Fixture, cache: &Path) -> Arc<Repository> {
    Repository::open(store, &Credential::File(fixture.key.clone()), cache).await.unwrap()
}

/// Backups whose packs are small and large, of data and of metadata.
async fn backups(parameters: Parameters) -> Fixture {
    let fixture = Fixture::with(parameters).await;
    for round in 0..5 {
        back_up(&fixture.open().await, 60 + round * 40).await;
    }
    fixture
}

fn wanted(members: u32, parity: u32) -> ProtectOptions {
    ProtectOptions { size: Some(GroupSize::new(members, parity).unwrap()), ..ProtectOptions::default() }
}

async fn protect(repository: &Arc<Repository>, options: &ProtectOptions) -> (ProtectPlan, ProtectReport) {
    try_protect(repository, options).await.unwrap()
}

async fn try_protect(
    repository: &Arc<Repository>,
    options: &ProtectOptions,
) -> Result<(ProtectPlan, ProtectReport), Error> {
    let plan = group::plan(repository, options).await?;
    let report = group::run(repository, &plan, &AtomicU64::new(0)).await?;
    Ok((plan, report))
}

fn of_kind(objects: &Objects, kinds: &[&str]) -> Vec<String> {
    let is = |name: &&String| kinds.contains(&name.split('/').next().unwrap_or_default());
    objects.keys().filter(is).cloned().collect()
}

fn parity_of(pack: &str) -> String {
    format!("parity/{}", pack.rsplit('/').next().unwrap())
}

async fn scrub(repository: &Arc<Repository>, ledger: Ledger) -> (ScrubReport, Ledger) {
    let every = Duration::from_secs(30 * 24 * 60 * 60);
    let (now, act) = (Timestamp::now(), Act::ForReal);
    let options = ScrubOptions { bytes: None, time: None, every, now, by: "test".into(), act };
    let mut scrub = Scrub::begin(Arc::clone(repository), ledger, options).await.unwrap();
    while scrub.go_on(Duration::from_secs(1)).await.unwrap() == Step::More {}
    scrub.finish().await.unwrap()
}

async fn plan_repair(repository: &Arc<Repository>) -> RepairPlan {
    repair::plan(repository, &[], Suspects::Everything).await.unwrap()
}

/// Everything is as it was, but for what only a repair writes.
async fn is_as_before(store: &dyn ObjectStore, original: &Objects, what: &str) {
    let now = objects(store).await;
    for (name, bytes) in original.iter().filter(|(name, _)| name.as_str() != "hint") {
        assert!(now.get(name) == Some(bytes), "{what}: {name} is not what it was");
    }
    assert!(of_kind(&now, &["repair"]).is_empty(), "{what}");
}

/// Any two of a group, each with its parity: the plan says so beforehand, and then they and their parity are what they were.
#[tokio::test(flavor = "multi_thread")]
async fn two_lost_packs_of_a_group_come_back() {
    let fixture = backups(Parameters::small()).await;
    let (plan, report) = protect(&fixture.open().await, &wanted(64, 2)).await;
    assert_eq!((plan.groups, report.groups, report.made.len()), (1, 1, 2), "{plan:?}");
    assert_eq!(report.after.by_losses, BTreeMap::from([(2, plan.packs)]));
    assert_eq!((&plan.after, &report.after.packs), (&report.after, &plan.packs));
    let original = objects(&*fixture.store).await;
    let packs = of_kind(&original, &["packs", "pages"]);
    for (at, one) in packs.iter().enumerate() {
        let lost = [one, &packs[(at + 1 + at % 3) % packs.len()]];
        let mut harmed = original.clone();
        for pack in lost {
            harmed.remove(pack);
            harmed.remove(&parity_of(pack));
        }
        let (store, cache) = (store_of(&harmed).await, tempfile::tempdir().unwrap());
        let repository = open(store.clone(), &fixture, cache.path()).await;
        let plan = plan_repair(&repository).await;
        assert!(plan.heals_all() && plan.lost.is_empty(), "{plan:?}");
        let how: BTreeMap<&str, &How> = plan.items.iter().map(|item| (item.object.as_str(), &item.how)).collect();
        for pack in lost {
            assert_eq!((how[pack.as_str()], how[parity_of(pack).as_str()]), (&How::Group, &How::Recoded), "{plan:?}");
        }
        repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
        is_as_before(&*store, &original, &format!("{lost:?}")).await;
        let checked = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(checked.is_sound() && checked.without_parity.is_empty(), "{checked:?}");
        assert_eq!(checked.protection, Some(report.after.clone()));
    }
}

/// Three of a group with two shards, or two with one of them: what is lost is what would be lost without it.
#[tokio::test(flavor = "multi_thread")]
async fn one_more_does_not_and_the_list_of_lost_files_is_exact() {
    let fixture = backups(Parameters::small()).await;
    let bare = objects(&*fixture.store).await;
    protect(&fixture.open().await, &wanted(64, 2)).await;
    let original = objects(&*fixture.store).await;
    let packs = of_kind(&original, &["packs"]);
    let shards = of_kind(&original, &["groups"]);
    for (packs, shard) in [(&packs[..3], None), (&packs[1..3], Some(&shards[0])), (&packs[2..4], Some(&shards[1]))] {
        let lose = |from: &Objects| {
            let mut harmed = from.clone();
            harmed.retain(|name, _| !packs.contains(name) && Some(name) != shard);
            harmed
        };
        let mut lost = Vec::new();
        for harmed in [lose(&bare), lose(&original)] {
            let cache = tempfile::tempdir().unwrap();
            let repository = open(store_of(&harmed).await, &fixture, cache.path()).await;
            let plan = plan_repair(&repository).await;
            assert!(!plan.heals_all() && plan.items.iter().all(|item| item.how != How::Group), "{plan:?}");
            repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
            let (after, _) = scrub(&repository, Ledger::default()).await;
            assert_eq!(plan.lost, after.affected);
            lost.push(plan.lost);
        }
        assert!(!lost[0].is_empty() && lost[0] == lost[1]);
    }
}

/// A pack that is rotten beyond its own parity, or cut short, comes back like a lost one. Until the first is repaired it is a loss, too, where it rotted.
#[tokio::test(flavor = "multi_thread")]
async fn parity_comes_first_and_then_the_group() {
    let fixture = backups(Parameters::small()).await;
    protect(&fixture.open().await, &wanted(64, 3)).await;
    let original = objects(&*fixture.store).await;
    let packs = of_kind(&original, &["packs"]);
    let mut harmed = original.clone();
    harmed.get_mut(&packs[0]).unwrap()[77] ^= 1;
    harmed.get_mut(&packs[1]).unwrap().iter_mut().for_each(|byte| *byte ^= 1);
    harmed.get_mut(&packs[2]).unwrap().truncate(99);
    harmed.get_mut(&parity_of(&packs[2])).unwrap()[3] ^= 1;
    let (store, cache) = (store_of(&harmed).await, tempfile::tempdir().unwrap());
    let repository = open(store.clone(), &fixture, cache.path()).await;
    let (found, ledger) = scrub(&repository, Ledger::default()).await;
    assert_eq!(found.condemned.len(), 3, "{found:?}");
    let plan = repair::plan(&repository, &[], Suspects::Known(&ledger)).await.unwrap();
    let how: Vec<(&str, &How)> = plan.items.iter().map(|item| (item.object.as_str(), &item.how)).collect();
    let again = parity_of(&packs[2]);
    let expect =
        [(&packs[0], &How::Parity), (&packs[1], &How::Group), (&packs[2], &How::Group), (&again, &How::Recoded)];
    assert_eq!(how, expect.map(|(name, how)| (name.as_str(), how)));
    let done = repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
    assert_eq!(done.reprieved.len(), 3);
    is_as_before(&*store, &original, "one by its parity, two by their group").await;
}

/// Nobody makes a shard good in its place: the scrub names it, the files are safe, and the next run makes it anew, byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_shard_is_found_and_made_anew() {
    let fixture = backups(Parameters::small()).await;
    protect(&fixture.open().await, &wanted(64, 2)).await;
    let original = objects(&*fixture.store).await;
    let shards = of_kind(&original, &["groups"]);
    for place in [20, 60, 5000] {
        let mut harmed = original.clone();
        harmed.get_mut(&shards[1]).unwrap()[place] ^= 1;
        let (store, cache) = (store_of(&harmed).await, tempfile::tempdir().unwrap());
        let repository = open(store.clone(), &fixture, cache.path()).await;
        let (found, ledger) = scrub(&repository, Ledger::default()).await;
        assert_eq!(found.findings.iter().map(|finding| &finding.object).collect::<Vec<_>>(), [&shards[1]]);
        assert!(found.affected.is_empty() && found.condemned.is_empty(), "{found:?}");
        let plan = repair::plan(&repository, &[], Suspects::Known(&ledger)).await.unwrap();
        assert!(plan.is_empty(), "{plan:?}");
        let checked = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert_eq!(checked.faults.iter().map(|fault| &fault.object).collect::<Vec<_>>(), [&shards[1]]);
        let damaged = ledger.bad().map(str::to_owned).collect();
        let (plan, report) = protect(&repository, &ProtectOptions { damaged, ..wanted(64, 2) }).await;
        assert_eq!(plan.before.by_losses, BTreeMap::from([(1, plan.packs)]), "what is damaged protects nothing");
        assert_eq!(report.made, [shards[1].clone()]);
        is_as_before(&*store, &original, &format!("byte {place}")).await;
    }
}

/// Everything that the repository holds is protected against two losses, and nothing is left to do.
async fn is_protected(repository: &Arc<Repository>, members: u32) -> ProtectPlan {
    let again = group::plan(repository, &wanted(members, 2)).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(again.before.by_losses, BTreeMap::from([(2, again.before.packs)]));
    again
}

/// Each run makes the groups that its bytes allow, each pack is read once, and new packs join small groups.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_leads_through_all_groups() {
    let fixture = backups(Parameters::small()).await;
    let recording = Arc::new(Recording::new(fixture.store.clone() as Arc<dyn ObjectStore>));
    let repository = open(recording.clone(), &fixture, fixture.cache.path()).await;
    let whole = group::plan(&repository, &wanted(4, 2)).await.unwrap();
    assert!(whole.groups > 2, "{whole:?}");
    let bare = group::plan(&repository, &ProtectOptions { bytes: Some(1), ..wanted(4, 2) }).await.unwrap();
    assert_eq!((bare.groups, bare.groups_later), (1, whole.groups - 1));
    recording.reset();
    let mut runs = 0;
    loop {
        let (plan, report) = protect(&repository, &ProtectOptions { bytes: Some(1), ..wanted(4, 2) }).await;
        assert_eq!(plan.after, report.after);
        runs += 1;
        if plan.groups_later == 0 {
            break;
        }
    }
    assert_eq!(runs, whole.groups);
    is_protected(&repository, 4).await;
    let record = recording.snapshot();
    let packs = of_kind(&objects(&*fixture.store).await, &["packs", "pages"]);
    let reads = |pack: &String| record.get.names.iter().filter(|name| *name == pack).count();
    // In windows of 4 MiB each, none of these packs takes more than one.
    assert!(packs.iter().all(|pack| reads(pack) == 1), "{:?}", packs.iter().map(reads).collect::<Vec<_>>());
    back_up(&fixture.open().await, 30).await;
    let (plan, _) = protect(&repository, &wanted(4, 2)).await;
    assert!(plan.groups >= 1 && plan.packs < whole.packs, "{plan:?}");
    is_protected(&repository, 4).await;
    let (_, report) = protect(&repository, &ProtectOptions::default()).await;
    assert!(!report.deleted.is_empty() && of_kind(&objects(&*fixture.store).await, &["groups"]).is_empty());
}

async fn prune(repository: &Arc<Repository>) -> PrunePlan {
    let (fence_after, reserve) = (Duration::from_secs(3600), Upkeep::Left);
    let options =
        PruneOptions { now: Timestamp::now(), unused_percent_max: 0, moved_bytes_max: None, fence_after, reserve };
    repository.refresh().await.unwrap();
    let plan = prune::plan(repository, &options).await.unwrap();
    prune::execute(repository, &plan, &options, &PruneProgress::default()).await.unwrap();
    plan
}

/// A prune says whom it leaves less protected, and sweeps no group that is of use; the next run groups anew, and the old shards go after the new ones are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_prune_takes_members_and_the_next_run_groups_anew() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let mut snapshots = Vec::new();
    for round in 0..8 {
        snapshots.push(back_up(&fixture.open().await, 40 + round * 60).await.snapshot);
    }
    protect(&repository, &wanted(4, 2)).await;
    for forgotten in [&snapshots[..3], &snapshots[3..7]] {
        repository.refresh().await.unwrap();
        repository.forget(forgotten).await.unwrap();
        let before = of_kind(&objects(&*fixture.store).await, &["groups"]);
        let pruned = prune(&repository).await;
        assert!(pruned.less_protected > 0, "{pruned:?}");
        let after = of_kind(&objects(&*fixture.store).await, &["groups"]);
        assert!(after.iter().all(|shard| before.contains(shard)));
        read_everything(&repository).await.unwrap();
        let told = group::plan(&repository, &wanted(4, 2)).await.unwrap().before;
        assert!(told.by_losses.keys().any(|losses| *losses < 2), "{told:?}");
        // What was moved into new packs is not protected yet, and some groups can heal nothing any more: the next prune finds them.
        prune(&repository).await;
        assert!(of_kind(&objects(&*fixture.store).await, &["groups"]).len() <= after.len());
        let (_, report) = protect(&repository, &wanted(4, 2)).await;
        let least = report.after.by_losses.keys().next();
        assert!(least >= Some(&1), "{report:?}");
        let again = group::plan(&repository, &wanted(4, 2)).await.unwrap();
        assert!(again.is_empty(), "{again:?}");
        each_lost_pack_comes_back(&fixture).await;
    }
    let protection = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
    assert!(protection.is_sound(), "{protection:?}");
}

async fn each_lost_pack_comes_back(fixture: &Fixture) {
    let original = objects(&*fixture.store).await;
    for pack in of_kind(&original, &["packs", "pages"]) {
        let mut harmed = original.clone();
        harmed.remove(&pack);
        let (store, cache) = (store_of(&harmed).await, tempfile::tempdir().unwrap());
        let repository = open(store.clone(), fixture, cache.path()).await;
        let plan = plan_repair(&repository).await;
        assert!(plan.heals_all(), "{pack}: {plan:?}");
        repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
        is_as_before(&*store, &original, &pack).await;
    }
}

/// A group of which nothing is needed any more is swept with the next strays.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_packs_that_are_gone_are_strays() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let first = back_up(&repository, 50).await.snapshot;
    protect(&repository, &wanted(64, 2)).await;
    assert_eq!(of_kind(&objects(&*fixture.store).await, &["groups"]).len(), 2);
    prune(&repository).await;
    assert_eq!(of_kind(&objects(&*fixture.store).await, &["groups"]).len(), 2, "what is of use stays");
    let strange = format!("groups/{}", "ab".repeat(32));
    fixture.store.put(&strange.as_str().into(), "nobody knows".into()).await.unwrap();
    repository.refresh().await.unwrap();
    repository.forget(&[first]).await.unwrap();
    prune(&repository).await;
    prune(&repository).await;
    assert_eq!(of_kind(&objects(&*fixture.store).await, &["packs", "pages", "groups"]), [strange]);
}

/// A pack that is lost comes back from an old group, so that one stays however its other packs are grouped meanwhile; and what is found damaged is left out and named.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_pack_comes_back_from_is_never_given_up() {
    let fixture = backups(Parameters::small()).await;
    protect(&fixture.open().await, &wanted(64, 2)).await;
    let original = objects(&*fixture.store).await;
    let packs = of_kind(&original, &["packs"]);
    let mut harmed = original.clone();
    harmed.remove(&packs[0]);
    harmed.get_mut(&packs[1]).unwrap().iter_mut().for_each(|byte| *byte ^= 1);
    let (store, cache) = (store_of(&harmed).await, tempfile::tempdir().unwrap());
    let repository = open(store.clone(), &fixture, cache.path()).await;
    // Groups of another size, so that everything is grouped anew.
    let (_, report) = protect(&repository, &wanted(4, 3)).await;
    assert_eq!(report.damaged_packs, [packs[1].clone()]);
    assert!(report.deleted.is_empty(), "{report:?}");
    let plan = plan_repair(&repository).await;
    assert!(plan.heals_all(), "{plan:?}");
    repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
    is_as_before(&*store, &original, "both").await;
    let (_, report) = protect(&repository, &wanted(4, 3)).await;
    assert_eq!(report.after.by_losses.keys().collect::<Vec<_>>(), [&3]);
    let left: BTreeSet<String> = of_kind(&objects(&*store).await, &["groups"]).into_iter().collect();
    assert!(of_kind(&original, &["groups"]).iter().all(|old| !left.contains(old)));
}

/// Every request of a run fails once and from then on: nothing but groups was touched, what was protected still is, and the next run completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_anywhere_is_completed_by_the_next() {
    let fixture = backups(Parameters::small()).await;
    protect(&fixture.open().await, &wanted(64, 1)).await;
    let original = objects(&*fixture.store).await;
    for fault in [Fault::ErrorBefore(Errno::IO), Fault::ErrorAfter(Errno::IO), Fault::NoSpace, Fault::LostPut] {
        for nth in 1.. {
            let store = store_of(&original).await;
            let faulty = Faulty::new(store.clone(), Plan::NOTHING);
            let cache = tempfile::tempdir().unwrap();
            let repository = open(Arc::new(faulty.clone()), &fixture, cache.path()).await;
            let when = if matches!(fault, Fault::LostPut) { When::Nth(nth) } else { When::FromNth(nth) };
            faulty.arm(Plan { fault, when, only: None });
            let cut = try_protect(&repository, &wanted(8, 2)).await.map(drop);
            let was_hit = !faulty.injected().is_empty();
            faulty.arm(Plan::NOTHING);
            let now = objects(&*store).await;
            let is_same = |name: &String| name.starts_with("groups/") || now.get(name) == original.get(name);
            assert!(original.keys().all(is_same), "{fault:?}, {when:?}");
            let repository = open(Arc::new(faulty.clone()), &fixture, cache.path()).await;
            let standing = group::plan(&repository, &wanted(8, 2)).await.unwrap();
            assert!(standing.before.by_losses.keys().all(|losses| *losses > 0), "{fault:?}, {when:?}: {standing:?}");
            protect(&repository, &wanted(8, 2)).await;
            is_protected(&repository, 8).await;
            if !was_hit {
                assert!(cut.is_ok(), "{cut:?}");
                break;
            }
        }
    }
}
