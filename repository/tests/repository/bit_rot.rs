//! Bit rot: one scrub finds whatever rotted, parity and copies make it what it was, and a repair that is cut off anywhere is completed by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Fixture, back_up};
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::io::Errno;
use strongroom_repository::rebuild::Act;
use strongroom_repository::repair::{self, Copy, How, RepairPlan, Suspects};
use strongroom_repository::scrub::{Ledger, Scrub, ScrubOptions, ScrubReport, Step};
use strongroom_repository::store::{Fault, Faulty, InMemory, Plan, When};
use strongroom_repository::{Credential, Error, Repository, WriterIdentity, chain, check};

type Objects = BTreeMap<String, Vec<u8>>;

/// Backups with several objects of every kind, and all their bytes.
async fn scene() -> (Fixture, Objects) {
    let fixture = Fixture::new().await;
    let owner = fixture.open().await;
    for number in 0..6 {
        owner.add_writer(&WriterIdentity { holder: format!("writer {number}") }).await.unwrap();
    }
    for round in 0..6 {
        back_up(&fixture.open().await, 60 + round * 40).await;
    }
    let objects = objects(&*fixture.store).await;
    (fixture, objects)
}

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

async fn open(store: Arc<dyn ObjectStore>, fixture: &Fixture, cache: &Path) -> Result<Arc<Repository>, Error> {
    Repository::open(store, &Credential::File(fixture.key.clone()), cache).await
}

fn options(act: Act) -> ScrubOptions {
    let every = Duration::from_secs(30 * 24 * 60 * 60);
    ScrubOptions { bytes: None, time: None, every, now: Timestamp::now(), by: "test".into(), act }
}

async fn scrub(repository: &Arc<Repository>, ledger: Ledger, act: Act) -> (ScrubReport, Ledger) {
    let mut scrub = Scrub::begin(Arc::clone(repository), ledger, options(act)).await.unwrap();
    while scrub.go_on(Duration::from_secs(1)).await.unwrap() == Step::More {}
    scrub.finish().await.unwrap()
}

fn kind(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// Random enough, and the same every time.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % sides
    }
}

/// What may be harmed of a kind so that the repository still opens where its history is remembered: all but the key that opens it, and the newest commit.
fn victims(objects: &Objects, of: &str, own_key: &str) -> Vec<String> {
    let newest = newest_commit(objects);
    objects.keys().filter(|name| kind(name) == of && name.as_str() != own_key && **name != newest).cloned().collect()
}

fn newest_commit(objects: &Objects) -> String {
    objects.keys().filter(|name| kind(name) == "commits").max().unwrap().clone()
}

/// Up to 100 bits flipped, 5 objects cut off and 5 pairs swapped, of one kind; returns which objects are not what they were.
fn harm(objects: &mut Objects, of: &str, own_key: &str, seed: u64) -> BTreeSet<String> {
    let mut dice = dice(seed);
    let before = objects.clone();
    let names = victims(objects, of, own_key);
    assert!(!names.is_empty(), "there are no {of}");
    for _ in 0..100 {
        let bytes = objects.get_mut(&names[dice(names.len())]).unwrap();
        let at = dice(bytes.len());
        bytes[at] ^= 1 << dice(8);
    }
    for _ in 0..5 {
        let bytes = objects.get_mut(&names[dice(names.len())]).unwrap();
        bytes.truncate(dice(bytes.len().max(1)));
        let (one, other) = (&names[dice(names.len())], &names[dice(names.len())]);
        let (ours, theirs) = (objects[one].clone(), objects[other].clone());
        objects.insert(one.clone(), theirs);
        objects.insert(other.clone(), ours);
    }
    names.into_iter().filter(|name| objects[name] != before[name]).collect()
}

/// The key object that a fixture's key file opens: without it nothing opens.
async fn own_key(fixture: &Fixture, objects: &Objects) -> String {
    for name in objects.keys().filter(|name| kind(name) == "keys") {
        let mut without = objects.clone();
        without.remove(name);
        let cache = tempfile::tempdir().unwrap();
        if open(store_of(&without).await, fixture, cache.path()).await.is_err() {
            return name.clone();
        }
    }
    panic!("no key is needed");
}

const KINDS: [&str; 8] = ["keys", "packs", "pages", "parity", "index", "snapshots", "sessions", "commits"];

/// All at once, one kind after the other: a single scrub names exactly what was harmed. Then a copy of the repository makes every byte what it was.
#[tokio::test(flavor = "multi_thread")]
async fn one_scrub_finds_all_and_a_copy_heals_all() {
    let (fixture, original) = scene().await;
    let own_key = own_key(&fixture, &original).await;
    for (seed, of) in KINDS.into_iter().enumerate() {
        let mut harmed = original.clone();
        let bad = harm(&mut harmed, of, &own_key, seed as u64 + 1);
        assert!(bad.len() >= victims(&original, of, &own_key).len().min(5), "{of}: {bad:?}");
        let store = store_of(&harmed).await;
        let repository = open(store.clone(), &fixture, fixture.cache.path()).await.unwrap();
        let (report, ledger) = scrub(&repository, Ledger::default(), Act::ForReal).await;
        let found: BTreeSet<String> = report.findings.iter().map(|finding| finding.object.clone()).collect();
        assert_eq!(found, bad, "{of}");
        assert!(!report.promise.kept && !report.is_sound(), "{of}");
        assert_eq!(report.condemned.len(), if ["packs", "pages"].contains(&of) { bad.len() } else { 0 }, "{of}");
        let copies = [Copy { location: "copy".into(), store: store_of(&original).await }];
        let plan = repair::plan(&repository, &copies, Suspects::Known(&ledger)).await.unwrap();
        assert!(plan.heals_all() && plan.lost.is_empty(), "{of}: {plan:?}");
        assert_eq!(plan.items.iter().map(|item| item.object.clone()).collect::<BTreeSet<_>>(), bad, "{of}");
        let done = repair::run(&repository, repository.store(), &copies, &plan).await.unwrap();
        assert_eq!(done.reprieved.len(), report.condemned.len(), "{of}");
        is_as_before(&*store, &original, of).await;
        assert!(repository.history().condemned.is_empty());
        let (again, _) = scrub(&repository, ledger, Act::ForReal).await;
        assert!(again.is_sound() && again.promise.kept, "{of}: {again:?}");
    }
}

/// What the history of a copy judges: the newest commit is damaged, so that nothing opens.
async fn open_by_copy(fixture: &Fixture, original: &Objects, store: Arc<InMemory>) {
    let cache = tempfile::tempdir().unwrap();
    let copy: Arc<dyn ObjectStore> = store_of(original).await;
    let judge = open(copy.clone(), fixture, cache.path()).await.unwrap();
    let copies = [Copy { location: "copy".into(), store: copy }];
    let damaged: Arc<dyn ObjectStore> = store.clone();
    let plan = repair::plan_to_open(&judge, &damaged, &copies).await.unwrap();
    assert!(plan.heals_all() && !plan.items.is_empty(), "{plan:?}");
    repair::run(&judge, &damaged, &copies, &plan).await.unwrap();
    is_as_before(&*store, original, "what opens the repository").await;
    open(store, fixture, tempfile::tempdir().unwrap().path()).await.unwrap();
}

/// Every object of then is there with its bytes, and nothing is left of the repair. The hint is nobody's promise.
async fn is_as_before(store: &dyn ObjectStore, original: &Objects, what: &str) {
    let now = objects(store).await;
    for (name, bytes) in original.iter().filter(|(name, _)| name.as_str() != "hint") {
        assert!(now.get(name) == Some(bytes), "{what}: {name} is not what it was");
    }
    assert!(now.keys().all(|name| kind(name) != "repair"), "{what}: {:?}", now.keys().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_repository_from_being_opened_is_healed_by_a_copy() {
    let (fixture, original) = scene().await;
    let own_key = own_key(&fixture, &original).await;
    let newest = newest_commit(&original);
    for victim in ["config", own_key.as_str(), newest.as_str()] {
        let mut harmed = original.clone();
        harmed.get_mut(victim).unwrap()[40] ^= 1;
        let store = store_of(&harmed).await;
        let cache = tempfile::tempdir().unwrap();
        let error = open(store.clone(), &fixture, cache.path()).await.err().map(|error| chain(&error));
        assert!(error.as_ref().is_some_and(|error| error.contains(victim)), "{victim}: {error:?}");
        open_by_copy(&fixture, &original, store).await;
    }
}

/// A copy whose history went its own way has no commit of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_history_is_not_taken() {
    let (fixture, before) = scene().await;
    back_up(&fixture.open().await, 30).await;
    let ours = objects(&*fixture.store).await;
    let newest = newest_commit(&ours);
    let theirs = store_of(&before).await;
    let cache = tempfile::tempdir().unwrap();
    let judge = open(theirs.clone(), &fixture, cache.path()).await.unwrap();
    for _ in 0..2 {
        back_up(&judge, 35).await;
    }
    let mut harmed = ours.clone();
    let second_newest = newest_commit(&before);
    // Of the last two of ours, the one that theirs shares, and the one that it has of its own, before one that is whole.
    back_up(&fixture.open().await, 31).await;
    let longer = objects(&*fixture.store).await;
    harmed.extend(longer.clone());
    for victim in [&newest, &second_newest] {
        harmed.get_mut(victim).unwrap()[150] ^= 1;
    }
    let store: Arc<dyn ObjectStore> = store_of(&harmed).await;
    let copies = [Copy { location: "copy".into(), store: theirs }];
    let plan = repair::plan_to_open(&judge, &store, &copies).await.unwrap();
    let how: BTreeMap<&str, &How> = plan.items.iter().map(|item| (item.object.as_str(), &item.how)).collect();
    assert_eq!(how.len(), 2, "{plan:?}");
    assert!(
        matches!(how[second_newest.as_str()], How::Copy { .. }) && *how[newest.as_str()] == How::Cannot,
        "{plan:?}"
    );
}

/// One rotten range in each of them, bit flips and bursts and cut ends, heals without any copy; so does what hangs on them.
#[tokio::test(flavor = "multi_thread")]
async fn parity_heals_a_range_in_every_pack_at_once() {
    let (fixture, original) = scene().await;
    let mut dice = dice(77);
    for round in 0..4 {
        let mut harmed = original.clone();
        for (name, bytes) in harmed.iter_mut().filter(|(name, _)| ["packs", "pages"].contains(&kind(name))) {
            let burst = (bytes.len() * 3 / 100).max(1);
            let start = dice(bytes.len() - burst);
            match (round, name.len() % 2) {
                (0, _) => bytes[start] ^= 1,
                (1, _) => bytes[start..start + burst].fill(0),
                (2, _) => bytes.truncate(bytes.len() - burst),
                _ => bytes[start..start + burst].iter_mut().for_each(|byte| *byte ^= 0x5a),
            }
        }
        let store = store_of(&harmed).await;
        let cache = tempfile::tempdir().unwrap();
        let repository = open(store.clone(), &fixture, cache.path()).await.unwrap();
        let (report, ledger) = scrub(&repository, Ledger::default(), Act::ForReal).await;
        assert!(report.findings.iter().all(|finding| finding.heals && !finding.ranges.is_empty()), "{report:?}");
        let plan = repair::plan(&repository, &[], Suspects::Known(&ledger)).await.unwrap();
        assert!(plan.items.iter().all(|item| item.how == How::Parity), "{plan:?}");
        repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
        is_as_before(&*store, &original, "by parity").await;
        let checked = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(checked.is_sound() && repository.history().condemned.is_empty(), "{checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_made_anew_needs_no_copy() {
    let (fixture, original) = scene().await;
    let of = |kind_of: &str| original.keys().find(|name| kind(name) == kind_of).unwrap().clone();
    let mut harmed = original.clone();
    for victim in [of("parity"), of("index"), of("sessions")] {
        harmed.get_mut(&victim).unwrap()[60] ^= 1;
    }
    let lost_parity = original.keys().filter(|name| kind(name) == "parity").max().unwrap();
    harmed.remove(lost_parity);
    let store = store_of(&harmed).await;
    let cache = tempfile::tempdir().unwrap();
    let repository = open(store.clone(), &fixture, cache.path()).await.unwrap();
    let plan = repair::plan(&repository, &[], Suspects::Everything).await.unwrap();
    assert!(plan.heals_all(), "{plan:?}");
    repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
    // What only the lost part of the index knew comes in a second round.
    plan_and_run(&repository, &[]).await.unwrap();
    let now = objects(&*store).await;
    assert!(now.get(lost_parity) == original.get(lost_parity) && now.get(&of("parity")) == original.get(&of("parity")));
    assert!(!now.contains_key(&of("sessions")) && !now.contains_key(&of("index")));
    let (again, _) = scrub(&repository, Ledger::default(), Act::ForReal).await;
    assert!(again.is_sound(), "{again:?}");
    let checked = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
    assert!(checked.is_sound() && checked.without_parity.is_empty(), "{checked:?}");
}

/// The plan knows what will be lost when it is carried out, though some of what names the files is itself rotten, and heals.
#[tokio::test(flavor = "multi_thread")]
async fn the_plan_lists_what_stays_lost_and_no_more() {
    let (fixture, original) = scene().await;
    let mut harmed = original.clone();
    harmed.iter_mut().filter(|(name, _)| kind(name) == "pages").for_each(|(_, bytes)| bytes[99] ^= 1);
    let hopeless = original.keys().find(|name| kind(name) == "packs").unwrap();
    harmed.get_mut(hopeless).unwrap().iter_mut().for_each(|byte| *byte ^= 1);
    let store = store_of(&harmed).await;
    let cache = tempfile::tempdir().unwrap();
    let repository = open(store, &fixture, cache.path()).await.unwrap();
    let (before, ledger) = scrub(&repository, Ledger::default(), Act::ForReal).await;
    let plan = repair::plan(&repository, &[], Suspects::Known(&ledger)).await.unwrap();
    let cannot: Vec<&str> =
        plan.items.iter().filter(|item| item.how == How::Cannot).map(|item| item.object.as_str()).collect();
    assert_eq!(cannot, [hopeless.as_str()], "{plan:?}");
    repair::run(&repository, repository.store(), &[], &plan).await.unwrap();
    let (after, _) = scrub(&repository, ledger, Act::ForReal).await;
    assert!(!plan.lost.is_empty() && plan.lost != before.affected);
    assert_eq!(plan.lost, after.affected);
    assert_eq!(repository.history().condemned.len(), 1, "what could not be repaired stays condemned");
}

async fn plan_and_run(repository: &Arc<Repository>, copies: &[Copy]) -> Result<RepairPlan, Error> {
    let plan = repair::plan(repository, copies, Suspects::Everything).await?;
    repair::run(repository, repository.store(), copies, &plan).await?;
    Ok(plan)
}

/// Every request of a repair fails once, before and after it took effect, is lost, or brings wrong bytes: what was whole stays whole, what was rotten is rotten or healed, and the
/// next repair completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_cut_off_anywhere_is_completed_by_the_next() {
    let (fixture, original) = scene().await;
    let own_key = own_key(&fixture, &original).await;
    let of = |kind_of: &str| original.keys().find(|name| kind(name) == kind_of && **name != own_key).unwrap().clone();
    // One by its parity, and one of each other kind from a copy; nothing that is needed to open it.
    let victims = [of("packs"), of("snapshots"), of("keys"), of("index")];
    let mut harmed = original.clone();
    for victim in &victims {
        harmed.get_mut(victim).unwrap()[100] ^= 1;
    }
    for fault in [
        Fault::ErrorBefore(Errno::IO),
        Fault::ErrorAfter(Errno::IO),
        Fault::NoSpace,
        Fault::LostPut,
        Fault::ShortRead,
        Fault::FlippedBit,
    ] {
        for nth in 1.. {
            let store = store_of(&harmed).await;
            let faulty = Faulty::new(store.clone(), Plan::NOTHING);
            let cache = tempfile::tempdir().unwrap();
            let repository = open(Arc::new(faulty.clone()), &fixture, cache.path()).await.unwrap();
            let copies = [Copy { location: "copy".into(), store: store_of(&original).await }];
            // A dead line stays dead; a put gets lost, or a bit turns over, once.
            let is_lasting = matches!(fault, Fault::ErrorBefore(_) | Fault::ErrorAfter(_) | Fault::NoSpace);
            let when = if is_lasting { When::FromNth(nth) } else { When::Nth(nth) };
            faulty.arm(Plan { fault, when, only: None });
            let cut = plan_and_run(&repository, &copies).await;
            if faulty.injected().is_empty() {
                assert!(cut.is_ok(), "{cut:?}");
                break;
            }
            faulty.arm(Plan::NOTHING);
            let what = format!("{fault:?}, {when:?}: {cut:?}");
            let now = objects(&*store).await;
            for (name, bytes) in &original {
                let staged = now.get(&format!("repair/{}", name.replace('/', ".")));
                let is_safe = now.get(name) == Some(bytes) || staged == Some(bytes) || victims.contains(name);
                assert!(is_safe || name == "hint", "{what}: {name}");
                let is_there = now.contains_key(name) || staged == Some(bytes);
                assert!(is_there, "{what}: {name} is gone, and nothing in its place");
            }
            let repository = open(Arc::new(faulty.clone()), &fixture, cache.path()).await.unwrap();
            plan_and_run(&repository, &copies).await.unwrap();
            is_as_before(&*store, &original, &what).await;
        }
    }
}
