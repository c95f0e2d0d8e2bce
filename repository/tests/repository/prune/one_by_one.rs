//! One thing after the other: each rule of a prune by itself.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::prune::{PruneOptions, When, Why};
use strongroom_repository::{Error, UnplacedTree, rebuild};

use super::gate::{Ending, Gate, Gated};
use super::scene::{assert_sound, back_up, begin, commit, files, names, options, prune, prune_with, read, write};
use crate::common::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_forgotten_snapshot_needed_goes_and_its_room_comes_back() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let first = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let before = names(&fixture, "packs").await;
    back_up(&repository, &files(100..130, 0)).await.unwrap();
    repository.forget(&[first.snapshot]).await.unwrap();
    let (plan, report) = prune(&repository).await;
    assert!(plan.packs.iter().any(|fate| fate.why == Why::Unused && fate.when == When::Now), "{plan:?}");
    assert_eq!((report.swept, report.waiting), (plan.packs.len() as u64, 0), "{report:?}");
    let after = names(&fixture, "packs").await;
    assert!(before.iter().all(|pack| !after.contains(pack)), "packs of the forgotten snapshot are still there");
    assert_sound(&fixture, 1).await;
    // The forgotten snapshot's own object and the runs that were replaced are strays now.
    prune(&repository).await;
    assert_eq!(names(&fixture, "snapshots").await.len(), 1);
    assert_eq!(names(&fixture, "index").await.len(), repository.history().index.len());
    assert!(names(&fixture, "sessions").await.is_empty());
    let (plan, _) = prune(&repository).await;
    assert!(plan.is_empty(), "a third prune finds {plan:?}");
    assert_sound(&fixture, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_needed_of_a_wasteful_pack_is_moved_sealed_as_it_is() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let all = back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files((0..60).step_by(9), 0)).await.unwrap();
    repository.forget(&[all.snapshot]).await.unwrap();
    let (plan, report) = prune(&repository).await;
    assert!(plan.packs.iter().any(|fate| fate.why == Why::Wasteful && fate.moved_bytes > 0), "{plan:?}");
    assert_eq!(plan.moved, report.moved);
    assert!(report.deleted_bytes > report.moved.bytes, "{report:?}");
    assert_sound(&fixture, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearable_waste_stays() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let all = back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files(10..60, 0)).await.unwrap();
    repository.forget(&[all.snapshot]).await.unwrap();
    let tolerant = PruneOptions { unused_percent_max: 100, ..options() };
    let (plan, _) = prune_with(&repository, &tolerant).await.unwrap();
    assert!(plan.packs.iter().all(|fate| fate.why == Why::Unused), "{plan:?}");
    assert!(plan.unused_bytes > 0);
}

/// An open session may have found chunks in a pack before it was condemned: the pack waits for it, and what it adds is moved afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_pack_waits_for_the_sessions_that_may_build_on_it() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let writer = fixture.open().await;
    let session = begin(&writer, None).await.unwrap();
    let wanted = files(0..20, 0);
    let tree = write(&session, &wanted).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    let (plan, report) = prune(&repository).await;
    assert_eq!(plan.packs[0].when, When::After(vec![session.id()]));
    assert_eq!((report.swept, report.condemned), (0, plan.packs.len() as u64));
    let added = commit(&session, tree, &wanted).await.unwrap();
    read(&fixture.open().await, added.snapshot).await.unwrap();
    let (_, report) = prune(&repository).await;
    assert!(report.moved.frames > 0 && report.swept > 0, "{report:?}");
    assert_sound(&fixture, 1).await;
}

/// Whoever begins after the condemnation stores the chunks anew.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_builds_on_what_is_condemned() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let sleeper = fixture.open().await;
    let _sleeping = begin(&sleeper, None).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    prune(&repository).await;
    let again = back_up(&fixture.open().await, &files(0..60, 0)).await.unwrap();
    assert!(again.manifest.totals.bytes_new > 50_000, "{:?}", again.manifest.totals);
    let once_more = back_up(&fixture.open().await, &files(0..60, 0)).await.unwrap();
    assert_eq!(once_more.manifest.totals.bytes_new, 0);
    assert_sound(&fixture, 2).await;
}

/// Its record came too late for the sweep, as that of a machine that slept in between: its own commit finds out.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_slept_through_a_sweep_does_not_commit() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let writer = fixture.open().await;
    let session = begin(&writer, None).await.unwrap();
    let wanted = files(0..20, 0);
    let tree = write(&session, &wanted).await.unwrap();
    for record in names(&fixture, "sessions").await {
        fixture.store.delete(&Path::from(record)).await.unwrap();
    }
    repository.forget(&[old.snapshot]).await.unwrap();
    assert!(prune(&repository).await.1.swept > 0);
    let refused = commit(&session, tree, &wanted).await.unwrap_err();
    assert!(matches!(&refused, Error::Fenced(why) if why.contains("were removed")), "{refused}");
    back_up(&writer, &wanted).await.unwrap();
    assert_sound(&fixture, 1).await;
}

/// The parent that a session builds on may have its frames in packs that were condemned before the session began, and may be forgotten meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_open_session_builds_on_stays_also_when_it_is_forgotten() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let writer = fixture.open().await;
    let session = begin(&writer, None).await.unwrap();
    let wanted = files(0..20, 0);
    let tree = write(&session, &wanted).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    assert!(prune(&repository).await.1.condemned > 0);
    let parent = commit(&session, tree, &wanted).await.unwrap();
    let next = begin(&writer, Some(parent.snapshot)).await.unwrap();
    repository.refresh().await.unwrap();
    repository.forget(&[parent.snapshot]).await.unwrap();
    prune(&repository).await;
    commit(&next, UnplacedTree::taken_over(parent.tree), &wanted).await.unwrap();
    assert_sound(&fixture, 1).await;
}

/// A backup becomes visible between a sweep's look at the snapshots and its commit, from a session of which nobody knew: the sweep looks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_was_overtaken_looks_again() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let writer = fixture.open().await;
    let session = begin(&writer, None).await.unwrap();
    let wanted = files(0..20, 0);
    let mut tree = Some(write(&session, &wanted).await.unwrap());
    for record in names(&fixture, "sessions").await {
        fixture.store.delete(&Path::from(record)).await.unwrap();
    }
    repository.forget(&[old.snapshot]).await.unwrap();
    let gate = Arc::new(Gate::default());
    let store = Arc::new(Gated { inner: fixture.store.clone(), gate: Arc::clone(&gate), actor: 0 });
    let (key, cache) = (fixture.key.clone(), tempfile::tempdir().unwrap());
    let ending = Ending(Arc::clone(&gate), 0);
    let pruner = tokio::spawn(async move {
        let _ending = ending;
        let repository = super::scene::open(store, &key, cache.path()).await.unwrap();
        prune(&repository).await.1
    });
    let mut commits = 0;
    while !gate.has_ended(0) {
        let changed = gate.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let Some(asked) = gate.asks(0) else {
            if !gate.has_ended(0) {
                changed.await;
            }
            continue;
        };
        commits += usize::from(asked.contains("put commits/"));
        if commits == 2
            && let Some(tree) = tree.take()
        {
            commit(&session, tree, &wanted).await.unwrap();
        }
        gate.let_through(0, 0);
    }
    pruner.await.unwrap();
    assert!(tree.is_none(), "there was no sweep to overtake");
    assert_sound(&fixture, 1).await;
    prune(&repository).await;
    assert_sound(&fixture, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_session_is_fenced_and_what_it_left_is_deleted() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let writer = fixture.open().await;
    let session = begin(&writer, None).await.unwrap();
    let wanted = files(200..260, 0);
    let tree = write(&session, &wanted).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    let (_, report) = prune(&repository).await;
    assert_eq!((report.fenced, report.swept), (0, 0), "{report:?}");
    let impatient = PruneOptions { fence_after: Duration::ZERO, ..options() };
    let (_, report) = prune_with(&repository, &impatient).await.unwrap();
    assert_eq!(report.fenced, 1);
    assert!(report.swept > 0 && report.strays > 0, "{report:?}");
    let refused = commit(&session, tree, &wanted).await.unwrap_err();
    assert!(matches!(&refused, Error::Fenced(why) if why.contains("fenced")), "{refused}");
    prune(&repository).await;
    assert!(names(&fixture, "packs").await.is_empty());
    assert!(names(&fixture, "sessions").await.is_empty());
}

/// A reader that opened its index before goes on: it finds what was moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_on_over_a_sweep() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let all = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let kept = back_up(&repository, &files((0..60).step_by(9), 0)).await.unwrap();
    let reader = fixture.open().await;
    reader.open_index().await.unwrap();
    repository.forget(&[all.snapshot]).await.unwrap();
    assert!(prune(&repository).await.1.moved.frames > 0);
    prune(&repository).await;
    read(&reader, kept.snapshot).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_snapshot_is_not_forgotten() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let held = back_up(&repository, &files(0..10, 0)).await.unwrap();
    let free = back_up(&repository, &files(0..10, 1)).await.unwrap();
    repository.hold(held.snapshot, "case-17", "court order", None).await.unwrap();
    let refused = repository.forget(&[held.snapshot, free.snapshot]).await.unwrap_err();
    assert!(refused.to_string().contains("case-17"), "{refused}");
    assert_eq!(repository.history().snapshots.len(), 2, "a refusal forgets nothing");
    repository.release(held.snapshot, "case-17", "closed").await.unwrap();
    repository.forget(&[held.snapshot]).await.unwrap();
    assert_sound(&fixture, 1).await;
}

/// What nobody needs may be deleted by a prune beside us: an index that named it would have backups build on nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_names_only_what_is_needed() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files(100..130, 0)).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    let report = rebuild::index(&repository, rebuild::Act::ForReal).await.unwrap();
    let stored = names(&fixture, "packs").await.len() + names(&fixture, "pages").await.len();
    assert!((report.packs as usize) < stored, "{report:?} of {stored}");
    assert_sound(&fixture, 1).await;
    let (_, pruned) = prune(&repository).await;
    let unneeded = stored - report.packs as usize;
    assert_eq!(pruned.strays as usize, 2 * unneeded + 3, "packs, their parity, the snapshot, two runs: {pruned:?}");
    assert_sound(&fixture, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_joined_when_there_are_many() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    for version in 0..20 {
        back_up(&repository, &files(0..5, version)).await.unwrap();
    }
    assert_eq!(repository.history().index.len(), 20);
    prune(&repository).await;
    assert!(repository.history().index.len() <= 2, "{:?}", repository.history().index);
    assert_sound(&fixture, 20).await;
    // Also where nothing is moved.
    for version in 20..40 {
        back_up(&repository, &files(0..5, version)).await.unwrap();
    }
    let still = PruneOptions { moved_bytes_max: Some(0), ..options() };
    let (plan, _) = prune_with(&repository, &still).await.unwrap();
    assert!(plan.packs.is_empty() && plan.index_runs > 16, "{plan:?}");
    assert_eq!(repository.history().index.len(), 1);
    assert_sound(&fixture, 40).await;
}
