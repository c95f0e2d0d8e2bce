//! The power goes: what was confirmed is there, what was not is not there by halves.
//!
//! A loop device's image, copied while the file system above it is in use, is what a disk would
//! hold if the power went at that instant: only what was flushed has reached it.

use std::fs;
use std::path::Path as FilePath;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::store::{HINT, LocalStore};

use crate::cases::{content, create, listed, pattern};
use crate::devices::{can_mount, ext4_image, mounted, run};

/// What the store holds on a disk whose power goes now.
async fn after_a_power_cut(image: &FilePath, check: impl AsyncFnOnce(&LocalStore)) {
    let copy = image.with_extension("copy");
    let (from, to) = (image.display().to_string(), copy.display().to_string());
    run("cp", &["--sparse=always", &from, &to]).expect("copy");
    let disk = mounted(&copy).expect("the journal is replayed");
    let store = LocalStore::open(&disk.path().join("repository/deep")).expect("open");
    check(&store).await;
    drop(disk);
    fs::remove_file(copy).expect("remove");
}

#[tokio::test]
async fn what_was_confirmed_survives() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let image = ext4_image(folder.path(), 64 << 20);
    let disk = mounted(&image).expect("ext4");
    let store = LocalStore::open(&disk.path().join("repository/deep")).expect("open");
    // Each in a new folder, so that the folders' own entries are at stake, large and small.
    let name = |number: u32| format!("packs/{number:02x}/{number}");
    let size = |number: u32| if number.is_multiple_of(2) { 1000 } else { (1 << 20) + 17 };
    for number in 0..8 {
        create(&store, &name(number), pattern(number, size(number))).await.expect("put");
        after_a_power_cut(&image, async |survivor| {
            assert_eq!(listed(survivor, None).await.len(), number as usize + 1);
            for number in 0..=number {
                let found = content(survivor, &name(number)).await.expect("it was confirmed");
                assert!(found == pattern(number, size(number)), "{number}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn deletions_and_hints_survive() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let image = ext4_image(folder.path(), 64 << 20);
    let disk = mounted(&image).expect("ext4");
    let store = LocalStore::open(&disk.path().join("repository/deep")).expect("open");
    create(&store, "packs/aa/one", "x").await.expect("put");
    store.put(&Path::from(HINT), "1".into()).await.expect("put");
    store.put(&Path::from(HINT), "2".into()).await.expect("put");
    store.delete(&Path::from("packs/aa/one")).await.expect("delete");
    after_a_power_cut(&image, async |survivor| {
        assert_eq!(listed(survivor, None).await, [(HINT.to_owned(), 1)]);
        assert_eq!(content(survivor, HINT).await.expect("get"), "2");
    })
    .await;
}
