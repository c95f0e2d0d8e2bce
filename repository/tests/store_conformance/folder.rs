//! What only a folder can get wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use strongroom_repository::store::{ErrorKind, HINT, LocalStore, StoreError, kind};
use tempfile::TempDir;

use crate::cases::{content, create, listed, pattern};

fn folder() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().expect("folder");
    let store = LocalStore::open(folder.path()).expect("open");
    (folder, store)
}

#[tokio::test]
async fn only_the_hint_is_overwritten() {
    let (folder, store) = folder();
    let hint = Path::from(HINT);
    for text in ["1", "22", "3"] {
        store.put(&hint, text.into()).await.expect("overwrite");
        assert_eq!(content(&store, HINT).await.expect("get"), text);
    }
    create(&store, "config", "old").await.expect("put");
    for name in ["config", "new", "commits/hint"] {
        let error = store.put(&Path::from(name), "x".into()).await.expect_err(name);
        assert!(matches!(error, object_store::Error::NotSupported { .. }), "{error}");
    }
    let update = PutOptions {
        mode: PutMode::Update(
            store
                .head(&hint)
                .await
                .map(|head| object_store::UpdateVersion { e_tag: head.e_tag, version: None })
                .expect("head"),
        ),
        ..PutOptions::default()
    };
    store.put_opts(&hint, "x".into(), update).await.expect_err("no updates");
    assert_eq!(listed(&store, None).await, [("config".to_owned(), 3), (HINT.to_owned(), 1)]);
    assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("tmp").count(), 0);
}

/// Whoever reads the hint while it is replaced sees the old or the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hint_is_never_absent() {
    let (folder, store) = folder();
    let hint = Path::from(HINT);
    store.put(&hint, "0".into()).await.expect("put");
    let reader = LocalStore::open(folder.path()).expect("open");
    let write = tokio::spawn(async move {
        for number in 1..=300 {
            store.put(&hint, number.to_string().into()).await.expect("overwrite");
        }
    });
    let (mut last, mut is_done) = (0, false);
    while !is_done {
        is_done = write.is_finished();
        let found = content(&reader, HINT).await.expect("there is always one");
        let number = std::str::from_utf8(&found).ok().and_then(|text| text.parse().ok()).expect("a number");
        assert!(number >= last, "{number} after {last}");
        last = number;
    }
    assert_eq!(last, 300);
    write.await.expect("writer");
}

/// Of a folder that several machines write to, the locks may not be seen here.
#[tokio::test]
async fn a_folder_that_is_joined_must_be_there_and_is_left_alone() {
    let (folder, store) = folder();
    create(&store, "config", "x").await.expect("put");
    let unfinished = folder.path().join("tmp/of-a-writer-elsewhere");
    fs::write(&unfinished, "half").expect("write");
    let joined = LocalStore::join(folder.path().into()).await.expect("join");
    assert_eq!(content(&joined, "config").await.expect("get"), "x");
    create(&joined, "packs/aa/one", "x").await.expect("put");
    assert!(unfinished.exists());
    LocalStore::open(folder.path()).expect("open");
    assert!(!unfinished.exists(), "whoever has it alone sweeps it");

    let absent = folder.path().join("absent");
    let refused = LocalStore::join(absent.clone()).await.expect_err("absent");
    assert!(matches!(&refused, StoreError::Inspect { path, .. } if *path == absent), "{refused}");
    assert!(!absent.exists());
    let refused = LocalStore::join(folder.path().join("config")).await.expect_err("a file");
    assert!(matches!(refused, StoreError::NotAFolder { .. }), "{refused}");
}

#[tokio::test]
async fn only_the_owner_may_read() {
    let (folder, store) = folder();
    create(&store, "packs/aa/small", "x").await.expect("put");
    create(&store, "packs/aa/large", pattern(1, 3 << 20)).await.expect("put");
    store.put(&Path::from(HINT), "1".into()).await.expect("put");
    let mode = |path: &str| fs::metadata(folder.path().join(path)).expect(path).permissions().mode() & 0o7777;
    assert_eq!(["packs", "packs/aa", "tmp"].map(mode), [0o700; 3]);
    assert_eq!(["packs/aa/small", "packs/aa/large", HINT].map(mode), [0o600; 3]);
}

#[tokio::test]
async fn an_absent_folder_is_empty_and_made_by_the_first_put() {
    let (folder, _) = folder();
    let root = folder.path().join("a/b");
    let store = LocalStore::open(&root).expect("open");
    assert_eq!(listed(&store, None).await, []);
    assert!(store.list_with_delimiter(None).await.expect("list").objects.is_empty());
    let error = content(&store, "config").await.expect_err("nothing is there");
    assert_eq!(kind(&error), ErrorKind::NotFound);
    store.delete(&Path::from("config")).await.expect("delete");
    assert!(!root.exists() && !folder.path().join("a").exists(), "reading makes nothing");

    create(&store, "config", "x").await.expect("put");
    assert_eq!(content(&LocalStore::open(&root).expect("open"), "config").await.expect("get"), "x");
}

#[tokio::test]
async fn a_file_is_not_a_store() {
    let (folder, _) = folder();
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("write");
    assert!(matches!(LocalStore::open(&file), Err(StoreError::NotAFolder { .. })));
    assert!(matches!(LocalStore::open(&file.join("below")), Err(StoreError::Inspect { .. })));
}

#[tokio::test]
async fn what_is_not_ours_is_neither_shown_nor_reached() {
    let (folder, store) = folder();
    create(&store, "packs/aa/one", "x").await.expect("put");
    for path in ["tmp/unfinished", "packs/aa/.nfs0001", "packs/aa/one#1", "packs/aa/one~", ".DS_Store"] {
        fs::write(folder.path().join(path), "not ours").expect("write");
    }
    fs::create_dir(folder.path().join("lost+found")).expect("folder");
    std::os::unix::fs::symlink("nowhere", folder.path().join("packs/aa/dangling")).expect("link");

    assert_eq!(listed(&store, None).await, [("packs/aa/one".to_owned(), 1)]);
    assert_eq!(listed(&store, Some("tmp")).await, []);
    let top = store.list_with_delimiter(None).await.expect("list");
    assert_eq!((top.common_prefixes, top.objects.len()), (vec![Path::from("packs")], 0));
    for name in ["tmp/unfinished", "packs/aa/one~", ".DS_Store"] {
        content(&store, name).await.expect_err(name);
        create(&store, name, "x").await.expect_err(name);
        store.delete(&Path::from(name)).await.expect_err(name);
    }
    assert!(folder.path().join("tmp/unfinished").exists());
}

#[tokio::test]
async fn no_runtime_is_needed_to_be_opened_or_read() {
    let (folder, store) = folder();
    create(&store, "config", "x").await.expect("put");
    let path = folder.path().to_owned();
    let thread = std::thread::spawn(move || {
        let store = LocalStore::open(&path).expect("open");
        futures::executor::block_on(content(&store, "config")).expect("get")
    });
    assert_eq!(thread.join().expect("thread"), "x");
}

/// A page-cache read and one that bypasses it see the same, whichever way the file was written.
#[tokio::test]
async fn both_ways_of_reading_see_both_ways_of_writing() {
    let (folder, store) = folder();
    let all = pattern(9, (2 << 20) + 100);
    create(&store, "ours", all.clone()).await.expect("put");
    fs::write(folder.path().join("copied"), &all).expect("write");
    for name in ["ours", "copied"] {
        let name = Path::from(name);
        for _ in 0..2 {
            let large = store.get_range(&name, 5..all.len() as u64).await.expect("large");
            let small = store.get_range(&name, 5..5000).await.expect("small");
            assert!(large == all[5..] && small == all[5..5000], "{name}");
        }
    }
    assert_eq!(fs::metadata(folder.path().join("ours")).expect("file").len(), all.len() as u64);
}

/// A file cut behind our back is an error, not a shorter object.
#[tokio::test]
async fn a_shrunk_file_is_noticed() {
    let (folder, store) = folder();
    create(&store, "one", pattern(1, 20 << 20)).await.expect("put");
    let result = store.get(&Path::from("one")).await.expect("get");
    fs::File::options().write(true).open(folder.path().join("one")).expect("open").set_len(9 << 20).expect("cut");
    let error = result.bytes().await.expect_err("the end is missing");
    assert!(error.to_string().contains("ends at byte 9437184"), "{error}");
}
