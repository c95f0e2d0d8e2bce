//! Rotten packs: what can still be read is moved, what cannot keeps its pack, and what a later backup stored again is what restores read.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use strongroom_repository::{ObjectId, check};

use super::scene::{back_up, begin, commit, files, prune, read, read_all, write};
use crate::common::Fixture;

/// Flips a byte in the first frame of every data pack; returns the packs.
async fn rot_data(fixture: &Fixture) -> Vec<ObjectId> {
    let packs: Vec<_> = fixture.store.list(Some(&Path::from("packs"))).try_collect().await.unwrap();
    let mut rotten = Vec::new();
    for meta in packs {
        rot(fixture, &meta.location).await;
        rotten.push(meta.location.filename().unwrap().parse().unwrap());
    }
    rotten
}

async fn rot(fixture: &Fixture, name: &Path) {
    let mut bytes = fixture.store.get(name).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[100] ^= 1;
    fixture.store.put_opts(name, bytes.into(), PutOptions::from(PutMode::Overwrite)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_pack_that_would_be_rewritten_stays_and_is_condemned() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let all = back_up(&repository, &files(0..60, 0)).await.unwrap();
    // The first frame holds the first files.
    let wanted = files((0..60).step_by(11), 0);
    let kept = back_up(&repository, &wanted).await.unwrap();
    let rotten = rot_data(&fixture).await;
    repository.forget(&[all.snapshot]).await.unwrap();
    let (_, report) = prune(&repository).await;
    assert!(!report.faults.is_empty(), "{report:?}");
    assert!(report.waiting > 0, "{report:?}");
    let condemned = &repository.history().condemned;
    assert!(rotten.iter().any(|pack| condemned.contains_key(pack)), "{condemned:?}");
    let reader = fixture.open().await;
    read(&reader, kept.snapshot).await.unwrap_err();

    // The source still has the files: the next backup stores them again, and with that the old snapshot is whole.
    let healed = back_up(&fixture.open().await, &wanted).await.unwrap();
    assert!(healed.manifest.totals.bytes_new > 0);
    let reader = fixture.open().await;
    read(&reader, kept.snapshot).await.unwrap();

    // It stays so when the backup that healed it is forgotten: what it brought is needed as long as the rotten frames are.
    let repository = fixture.open().await;
    repository.forget(&[healed.snapshot]).await.unwrap();
    for _ in 0..3 {
        prune(&repository).await;
    }
    assert_eq!(read_all(fixture.store.clone(), &fixture.key).await, 1);
    let report = check::run(&fixture.open().await, check::Depth::ReadData, Arc::default()).await.unwrap();
    assert!(report.affected.is_empty(), "{:?}", report.affected);

    // With the last snapshot that needs it, the rotten pack goes, too.
    let last = back_up(&repository, &files(90..91, 0)).await.unwrap();
    repository.refresh().await.unwrap();
    repository.forget(&[kept.snapshot]).await.unwrap();
    for _ in 0..3 {
        prune(&repository).await;
    }
    assert!(repository.history().condemned.is_empty());
    read(&repository, last.snapshot).await.unwrap();
}

/// Two writers stored the same files at the same time: whichever copy rots, both snapshots come back.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_twice_is_read_where_it_is_whole() {
    for rotten in [0, 1] {
        let fixture = Fixture::new().await;
        let (one, other) = (fixture.open().await, fixture.open().await);
        let wanted = files(0..20, 0);
        let sessions = [begin(&one, None).await.unwrap(), begin(&other, None).await.unwrap()];
        let mut packs = Vec::new();
        for session in &sessions {
            let tree = write(session, &wanted).await.unwrap();
            commit(session, tree, &wanted).await.unwrap();
            let listed: Vec<_> = fixture.store.list(Some(&Path::from("packs"))).try_collect().await.unwrap();
            packs.extend(
                listed.into_iter().map(|meta| meta.location).filter(|name| !packs.contains(name)).collect::<Vec<_>>(),
            );
        }
        rot(&fixture, &packs[rotten]).await;
        assert_eq!(read_all(fixture.store.clone(), &fixture.key).await, 2);
        let report = check::run(&fixture.open().await, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(!report.faults.is_empty() && report.affected.is_empty(), "{report:?}");
    }
}

/// Nobody knows what it needs, so nothing goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_read_stops_a_prune() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let first = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let second = back_up(&repository, &files(0..20, 0)).await.unwrap();
    repository.forget(&[first.snapshot]).await.unwrap();
    fixture.store.delete(&Path::from(format!("snapshots/{}", second.snapshot))).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let fresh = super::scene::open(fixture.store.clone(), &fixture.key, cache.path()).await.unwrap();
    let refused = strongroom_repository::prune::plan(&fresh, &super::scene::options()).await.unwrap_err();
    assert!(refused.to_string().contains(&second.snapshot.hex()), "{refused}");
}

/// The record of a session that nobody can read is waited for, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_holds_everything_back_until_it_is_old() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let old = back_up(&repository, &files(0..60, 0)).await.unwrap();
    let session = begin(&repository, None).await.unwrap();
    write(&session, &files(500..590, 0)).await.unwrap();
    let record = Path::from(format!("sessions/{}", session.id()));
    fixture.store.put(&record, b"not a record".to_vec().into()).await.unwrap();
    repository.forget(&[old.snapshot]).await.unwrap();
    let (plan, report) = prune(&repository).await;
    assert_eq!((report.swept, plan.sessions.len(), plan.sessions[0].base), (0, 1, 0), "{report:?}");
}
