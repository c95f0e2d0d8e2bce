//! A session that ended early is taken up: what it had stored is not sent again, and whatever its notes say, what is committed is whole.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::common::{Fixture, back_up, manifest, open_fresh, read_everything, write_only};
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_repository::{Begin, Repository};

/// Bytes of packs by name.
async fn packs(fixture: &Fixture) -> BTreeMap<String, u64> {
    use futures::TryStreamExt;
    let listed: Vec<_> = fixture.store.list(None).try_collect().await.unwrap();
    let packs = listed.into_iter().filter(|object| object.location.as_ref().starts_with("packs/"));
    packs.map(|pack| (pack.location.to_string(), pack.size)).collect()
}

/// Files of which most packs are full and away before the end.
const FILES: usize = 2000;

/// A session that stored everything and committed nothing, and where its notes are.
async fn interrupted(fixture: &Fixture) -> PathBuf {
    let notes = fixture.cache.path().join("notes");
    drop(write_only(&fixture.open().await, FILES, Some(&notes)).await.unwrap());
    notes
}

async fn finish(fixture: &Fixture, notes: &Path) {
    let (session, tree) = write_only(&fixture.open().await, FILES, Some(notes)).await.unwrap();
    session.commit(tree, manifest()).await.unwrap();
    assert!(!notes.exists(), "the notes of a session that is committed are still there");
    let (fresh, _cache) = open_fresh(fixture.store.clone(), &fixture.key).await.unwrap();
    assert_eq!(read_everything(&fresh).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_not_sent_again() {
    let whole = Fixture::new().await;
    back_up(&whole.open().await, FILES).await;
    let whole = packs(&whole).await;

    let fixture = Fixture::new().await;
    let notes = interrupted(&fixture).await;
    let before = packs(&fixture).await;
    assert!(before.len() >= 8 && notes.exists(), "{} packs", before.len());
    finish(&fixture, &notes).await;
    let after = packs(&fixture).await;
    let (sent, once): (u64, u64) = (after.values().sum(), whole.values().sum());
    // What was being filled or was on its way: two packs.
    assert!(sent <= once + 2 * (256 << 10) + (64 << 10), "{sent} bytes for {once}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_are_not_what_was_written_cost_time_and_nothing_else() {
    for damage in 0..40 {
        let fixture = Fixture::new().await;
        let notes = interrupted(&fixture).await;
        let mut bytes = std::fs::read(&notes).unwrap();
        let at = damage * bytes.len() / 40;
        match damage % 3 {
            0 => bytes[at] ^= 0x10,
            1 => bytes.truncate(at),
            _ => bytes[at..].fill(0),
        }
        std::fs::write(&notes, bytes).unwrap();
        finish(&fixture, &notes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_one_sessions_and_one_repositorys() {
    let fixture = Fixture::new().await;
    let notes = interrupted(&fixture).await;
    let noted = std::fs::read(&notes).unwrap();
    let begin = async |repository: &std::sync::Arc<Repository>| {
        let begin = Begin {
            parent: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            notes: Some(&notes),
            uploads: NonZeroUsize::MIN,
        };
        repository.begin(begin).await.unwrap()
    };
    // Two at once: the second does without.
    let repository = fixture.open().await;
    let (first, second) = (begin(&repository).await, begin(&repository).await);
    assert_ne!(first.id(), second.id());
    drop((first, second));
    // Once it is committed, nothing is taken up, also where its notes stayed.
    finish(&fixture, &notes).await;
    std::fs::write(&notes, &noted).unwrap();
    let committed = fixture.open().await;
    let again = begin(&committed).await;
    assert!(committed.history().snapshots.iter().all(|added| added.session != again.id()));
    assert_eq!(again.stored_bytes().plain, 0);
    drop(again);
    // Another repository has none of it.
    std::fs::write(&notes, &noted).unwrap();
    let other = Fixture::new().await;
    finish(&other, &notes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_lost_meanwhile_is_sent_again() {
    let fixture = Fixture::new().await;
    let notes = interrupted(&fixture).await;
    for lost in packs(&fixture).await.into_keys().step_by(2) {
        fixture.store.delete(&lost.as_str().into()).await.unwrap();
    }
    finish(&fixture, &notes).await;
}
