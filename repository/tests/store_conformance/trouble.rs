//! Full, read-only, immutable and failing media.

use std::fs;
use std::path::Path as FilePath;

use object_store::path::Path;
use object_store::{ObjectStoreExt, Result};
use strongroom_repository::store::{ErrorKind, LocalStore, kind};

use crate::cases::{content, create, listed, pattern};
use crate::devices::{Mount, can_mount, ext4_image, mounted, ramfs, run, shut_down, tmpfs};

fn leftovers(folder: &FilePath) -> usize {
    fs::read_dir(folder.join("tmp")).map_or(0, Iterator::count)
}

fn check_kind<T: std::fmt::Debug>(result: Result<T>, expect: ErrorKind) {
    let error = result.expect_err("must fail");
    assert_eq!(kind(&error), expect, "{error:?}");
}

/// Fills a store with objects of `size` bytes until it refuses; then all the others must be whole,
/// nothing of the refused one visible, and there must be space again after a deletion.
async fn fill(root: &FilePath, size: usize) {
    let store = LocalStore::open(root).expect("open");
    let mut number = 0;
    let refusal = loop {
        match create(&store, &format!("packs/{number}"), pattern(number, size)).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 100_000, "it never fills");
    };
    assert_eq!(kind(&refusal), ErrorKind::NoSpace, "{refusal:?}");
    assert!(number > 2, "too small a test");
    assert_eq!(leftovers(root), 0, "what did not fit is gone");
    assert_eq!(listed(&store, None).await.len(), number as usize);
    for number in 0..number {
        assert!(content(&store, &format!("packs/{number}")).await.expect("get") == pattern(number, size));
    }
    check_kind(content(&store, &format!("packs/{number}")).await, ErrorKind::NotFound);

    for number in 0..number.min(3) {
        store.delete(&Path::from(format!("packs/{number}"))).await.expect("delete");
    }
    create(&store, "packs/after", pattern(9, size)).await.expect("there is space again, and the store not closed");
}

#[tokio::test]
async fn a_full_store_says_so_and_shows_nothing_half_made() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    for size in [3 << 20, 40_000] {
        let memory = tmpfs("20m").expect("tmpfs");
        fill(memory.path(), size).await;
        let ext4 = mounted(&ext4_image(folder.path(), 32 << 20)).expect("ext4");
        fill(ext4.path(), size).await;
    }
}

fn remount(mount: &Mount, how: &str) {
    run("mount", &["-o", &format!("remount,{how}"), &mount.path().display().to_string()]).expect("remount");
}

#[tokio::test]
async fn a_read_only_store_can_be_read() {
    if !can_mount() {
        return;
    }
    let mount = tmpfs("8m").expect("tmpfs");
    let store = LocalStore::open(mount.path()).expect("open");
    create(&store, "packs/one", "content").await.expect("put");
    fs::write(mount.path().join("tmp/dead"), "left by a kill").expect("write");
    remount(&mount, "ro");

    let store = LocalStore::open(mount.path()).expect("open");
    assert_eq!(content(&store, "packs/one").await.expect("get"), "content");
    assert_eq!(listed(&store, None).await.len(), 1);
    check_kind(create(&store, "packs/two", "x").await, ErrorKind::ReadOnly);
    check_kind(create(&store, "new/folder", "x").await, ErrorKind::ReadOnly);
    check_kind(store.delete(&Path::from("packs/one")).await, ErrorKind::ReadOnly);
    remount(&mount, "rw");
    create(&store, "packs/two", "x").await.expect("put");
}

/// Even root may not create files in an immutable folder.
#[tokio::test]
async fn a_forbidden_folder_says_so() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let ext4 = mounted(&ext4_image(folder.path(), 8 << 20)).expect("ext4");
    let store = LocalStore::open(ext4.path()).expect("open");
    create(&store, "packs/one", "x").await.expect("put");
    let packs = ext4.path().join("packs").display().to_string();
    run("chattr", &["+i", &packs]).expect("chattr");
    check_kind(create(&store, "packs/two", "x").await, ErrorKind::PermissionDenied);
    check_kind(store.delete(&Path::from("packs/one")).await, ErrorKind::PermissionDenied);
    run("chattr", &["-i", &packs]).expect("chattr");
    assert_eq!(leftovers(ext4.path()), 0);
    create(&store, "packs/two", "x").await.expect("put");
}

/// The medium fails while the store is in use: that is no full store, nothing more is confirmed,
/// and when the medium is back everything confirmed is on it.
#[tokio::test]
async fn a_failing_medium_is_no_full_store_and_confirms_nothing() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let image = ext4_image(folder.path(), 32 << 20);
    let ext4 = mounted(&image).expect("ext4");
    let store = LocalStore::open(ext4.path()).expect("open");
    let size = |number: u32| [3 << 20, 1000][number as usize % 2];
    for number in 0..4 {
        create(&store, &format!("packs/{number}"), pattern(number, size(number))).await.expect("put");
    }
    shut_down(&ext4).expect("shut down");
    for number in 4..6 {
        let put = create(&store, &format!("packs/{number}"), pattern(number, size(number))).await;
        check_kind(put, ErrorKind::Other);
    }
    check_kind(store.delete(&Path::from("packs/1")).await, ErrorKind::Other);

    drop((store, ext4));
    let ext4 = mounted(&image).expect("ext4");
    let store = LocalStore::open(ext4.path()).expect("open");
    assert_eq!(listed(&store, None).await.len(), 4);
    for number in 0..4 {
        let found = content(&store, &format!("packs/{number}")).await.expect("it was confirmed");
        assert!(found == pattern(number, size(number)), "{number}");
    }
}

/// ramfs knows no transfers past the page cache, and cannot reserve space.
#[tokio::test]
async fn a_file_system_without_direct_transfers_serves_as_well() {
    if !can_mount() {
        return;
    }
    let memory = ramfs().expect("ramfs");
    let store = LocalStore::open(memory.path()).expect("open");
    for size in [(1 << 20) - 1, 1 << 20, (5 << 20) + 77] {
        let name = format!("packs/{size}");
        let all = pattern(1, size);
        create(&store, &name, all.clone()).await.expect("put");
        assert!(content(&store, &name).await.expect("get") == all);
        let range = store.get_range(&Path::from(name), 100..size as u64).await.expect("range");
        assert!(range == all[100..]);
    }
}
