//! Checkpoints that are right save reading; those that are not change nothing.

use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::super::scene::{Cold, Store, made, open};
use super::super::{Repository, WriterIdentity};
use super::{COMMITS_A_CHECKPOINT as N, bound};
use crate::check::{self, CheckReport, Depth};
use crate::copy;
use crate::history::{History, Operation};
use crate::ids::{ObjectId, SessionId};
use crate::keys::{KeyFile, random};
use crate::object;
use crate::repair::{self, How, Suspects};
use crate::store::{InMemory, Recording};

/// What opening costs there.
async fn open_recorded(store: &Store, key: &KeyFile) -> (Cold, Arc<Recording>) {
    let recording = Arc::new(Recording::new(Arc::clone(store)));
    (open(&(recording.clone() as Store), key).await, recording)
}

async fn commit(repository: &Repository, count: u64) {
    for _ in 0..count {
        repository.commit_operations(vec![Operation::Fence { session: SessionId(random()) }]).await.unwrap();
    }
}

async fn put(store: &Store, number: u64, bytes: Vec<u8>) {
    store.put(&Path::from(object::checkpoint_name(number)), bytes.into()).await.unwrap();
}

async fn checked(repository: &Arc<Repository>) -> CheckReport {
    check::run(repository, Depth::Structure, Arc::default()).await.unwrap()
}

/// What the history would be if something had never happened.
fn lacking(history: &History) -> History {
    let mut other = history.clone();
    other.fenced.pop_first();
    other
}

#[tokio::test]
async fn a_cold_open_reads_the_commits_since_the_newest_checkpoint_and_lists_nothing() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    commit(&owner, 700).await;
    owner.keep_checkpoint().await;
    commit(&owner, 70).await;
    // Two multiples have passed since, without a checkpoint.
    let (cold, recording) = open_recorded(&store, &key).await;
    assert_eq!(*cold.history(), *owner.history());
    let asked = recording.snapshot();
    // Configuration, key, hint; the tries of 768 and 640, one beyond, the commit of 640; 130 commits, and whether there is another.
    let expected = 3 + (3 + 1) + 130 + 1;
    assert!((expected - 1..=expected).contains(&asked.get.calls), "{:?}", asked.get.names);
    assert_eq!((asked.head.calls, asked.list.calls), (1, 0));
    owner.keep_checkpoint().await;
    let (cold, recording) = open_recorded(&store, &key).await;
    assert_eq!(*cold.history(), *owner.history());
    assert!(recording.snapshot().get.calls <= 3 + (2 + 1) + 2 + 1, "{:?}", recording.snapshot().get.names);
}

#[tokio::test]
async fn a_short_history_is_not_asked_for_checkpoints() {
    let (store, key) = made().await;
    commit(&*open(&store, &key).await, N - 1).await;
    let (cold, recording) = open_recorded(&store, &key).await;
    cold.keep_checkpoint().await;
    let asked = recording.snapshot();
    assert_eq!((asked.get.calls, asked.head.calls, asked.put.calls), (3 + (N - 1) + 1, 0, 0));
}

/// A hint is trusted with nothing: neither one that went wild nor one that is lost costs more than reading.
#[tokio::test]
async fn a_hint_that_is_wrong_changes_nothing() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    commit(&owner, N + 2).await;
    owner.keep_checkpoint().await;
    for hint in [u64::MAX.to_string(), "0".into(), "1000".into(), "x".into()] {
        store.put(&Path::from(object::HINT), hint.clone().into_bytes().into()).await.unwrap();
        let (cold, recording) = open_recorded(&store, &key).await;
        assert_eq!(*cold.history(), *owner.history(), "{hint}");
        assert!(recording.snapshot().get.calls < 2 * N, "{hint}");
    }
}

#[tokio::test]
async fn the_newest_two_stay_and_the_older_serves_where_the_newest_is_damaged() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    for _ in 0..4 {
        commit(&owner, N).await;
        owner.keep_checkpoint().await;
    }
    assert_eq!(owner.checkpoints().await.unwrap(), [4 * N, 3 * N, 2 * N, N]);
    // One of a time to come is not counted: it may be another machine's, which knows more.
    put(&store, 9 * N, b"torn".to_vec()).await;
    owner.drop_old_checkpoints().await;
    assert_eq!(owner.checkpoints().await.unwrap(), [9 * N, 4 * N, 3 * N]);
    put(&store, 4 * N, b"torn".to_vec()).await;
    let (cold, recording) = open_recorded(&store, &key).await;
    assert_eq!(*cold.history(), *owner.history());
    assert!(recording.snapshot().get.calls < N + 10, "{:?}", recording.snapshot().get.names);
}

#[tokio::test]
async fn one_that_is_not_right_changes_nothing_and_is_named() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    let writer = owner.add_writer(&WriterIdentity { holder: "host".into() }).await.unwrap();
    let writer = open(&store, &writer).await;
    let copied: Store = Arc::new(InMemory::new());
    copy::make(&owner, &copied).await.unwrap();
    let copy = open(&copied, &key).await;
    let (elsewhere, foreign_key) = made().await;
    let foreign = open(&elsewhere, &foreign_key).await;
    for repository in [&owner, &copy, &foreign] {
        commit(repository, N).await;
    }
    let (first, others) = (owner.history(), copy.history());
    commit(&owner, N).await;
    let second = owner.history();
    commit(&owner, 3).await;
    let truth = owner.history();
    let sealed = owner.seal_checkpoint(&second);
    let mut flipped = sealed.clone();
    flipped[200] ^= 1;
    let ahead = History { newest: 3 * N, ..lacking(&truth) };
    let forged = [
        ("a writer's", 2 * N, writer.seal_checkpoint(&lacking(&second))),
        ("another repository's", 2 * N, foreign.seal_checkpoint(&lacking(&second))),
        ("another copy's", N, copy.seal_checkpoint(&others)),
        ("an older one under a newer name", 2 * N, owner.seal_checkpoint(&first)),
        ("one of commits that are lost", 3 * N, owner.seal_checkpoint(&ahead)),
        ("a torn one", 2 * N, sealed[..sealed.len() / 2].to_vec()),
        ("one with a bit flipped", 2 * N, flipped),
        ("none of bytes", 2 * N, Vec::new()),
    ];
    for (what, number, bytes) in forged {
        put(&store, number, bytes).await;
        let cold = open(&store, &key).await;
        assert_eq!(*cold.history(), *truth, "{what}");
        let (report, name) = (checked(&cold).await, object::checkpoint_name(number));
        assert!(report.faults.iter().any(|fault| fault.object == name), "{what} is not named: {report:?}");
        store.delete(&Path::from(name)).await.unwrap();
    }
    // One that is only old is right, as far as it goes.
    put(&store, N, owner.seal_checkpoint(&first)).await;
    let (cold, recording) = open_recorded(&store, &key).await;
    assert_eq!(*cold.history(), *truth);
    assert!(recording.snapshot().get.calls < 2 * N, "it is not used");
    assert!(checked(&cold).await.is_sound());
}

/// A later release may fold more of a commit than this one knows: then the commits themselves have the word.
#[tokio::test]
async fn one_of_a_later_release_is_ignored_and_is_no_damage() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    commit(&owner, N).await;
    let mut more = serde_json::to_value(lacking(&owner.history())).unwrap();
    more["pardons"] = 7.into();
    put(&store, N, owner.seal_record(bound(&N.to_le_bytes()), &more)).await;
    let cold = open(&store, &key).await;
    assert_eq!(*cold.history(), *owner.history());
    assert!(checked(&cold).await.is_sound());
}

/// Only who holds the admin key can do this, and then the check tells.
#[tokio::test]
async fn one_that_says_something_else_than_the_commits_is_named() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    commit(&owner, N).await;
    put(&store, N, owner.seal_checkpoint(&lacking(&owner.history()))).await;
    let report = checked(&owner).await;
    let faults: Vec<&str> = report.faults.iter().map(|fault| fault.object.as_str()).collect();
    assert_eq!(faults, [object::checkpoint_name(N)]);
}

#[tokio::test]
async fn what_is_remembered_wrongly_is_not_written() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    commit(&owner, N).await;
    let truth = owner.history();
    owner.set_history(lacking(&truth));
    owner.keep_checkpoint().await;
    let written = store.get(&Path::from(object::checkpoint_name(N))).await.unwrap().bytes().await.unwrap();
    assert_eq!(owner.open_checkpoint(N, &written).unwrap().as_ref(), Some(&*truth));
}

#[tokio::test]
async fn a_writer_makes_none() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    let writer = owner.add_writer(&WriterIdentity { holder: "host".into() }).await.unwrap();
    commit(&owner, N).await;
    let (writer, recording) = open_recorded(&store, &writer).await;
    recording.reset();
    writer.keep_checkpoint().await;
    assert_eq!(recording.snapshot(), Recording::new(Arc::clone(&store)).snapshot());
}

#[tokio::test]
async fn repair_deletes_a_damaged_one_and_takes_none_from_a_copy() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    let copied: Store = Arc::new(InMemory::new());
    copy::make(&owner, &copied).await.unwrap();
    let copy = open(&copied, &key).await;
    for repository in [&owner, &copy] {
        commit(repository, N).await;
        repository.keep_checkpoint().await;
    }
    let mut bytes = store.get(&Path::from(object::checkpoint_name(N))).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[200] ^= 1;
    put(&store, N, bytes).await;
    let copies = [repair::Copy { location: "copy".into(), store: copied }];
    let plan = repair::plan(&owner, &copies, Suspects::Everything).await.unwrap();
    let found: Vec<(&str, &How)> = plan.items.iter().map(|item| (item.object.as_str(), &item.how)).collect();
    assert_eq!(found, [(object::checkpoint_name(N).as_str(), &How::Deleted)]);
    repair::run(&owner, &store, &copies, &plan).await.unwrap();
    assert!(owner.checkpoints().await.unwrap().is_empty());
    assert!(checked(&owner).await.is_sound());
}

/// What went before the checkpoint is read in the commits by whoever must know it.
#[tokio::test]
async fn names_that_were_taken_away_stay_taken() {
    let (store, key) = made().await;
    let owner = open(&store, &key).await;
    let swept = ObjectId([7; 32]);
    owner.commit_operations(vec![Operation::Sweep { packs: vec![swept] }]).await.unwrap();
    commit(&owner, N).await;
    owner.keep_checkpoint().await;
    let (cold, recording) = open_recorded(&store, &key).await;
    assert!(!recording.snapshot().get.names.contains(&object::commit_name(1)));
    assert!(cold.gone().await.unwrap().has(&swept));
}
