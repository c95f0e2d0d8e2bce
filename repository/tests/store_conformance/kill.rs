//! A writer is killed in the middle of its puts: nothing half-made is visible.

use std::fs;
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::store::LocalStore;

use crate::cases::{content, create, listed, pattern};

const FOLDER_VARIABLE: &str = "STORE_CONFORMANCE_KILLED_WRITER";
const ROUNDS: u32 = 25;

/// Sizes in turn: one transfer, a pack, and what goes through the page cache.
fn size(number: u32) -> usize {
    [3 << 20, 24 << 20, 300_000][number as usize % 3]
}

/// Not a test: what the killed process runs.
#[tokio::test]
#[ignore = "the process that the test below starts and kills"]
async fn killed_writer() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let store = LocalStore::open(folder.as_ref()).expect("open");
    let first = listed(&store, None).await.len() as u32;
    for number in first.. {
        create(&store, &format!("packs/{:02x}/{number}", number % 7), pattern(number, size(number)))
            .await
            .expect("put");
    }
}

fn start_writer(folder: &FilePath) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::killed_writer", "--ignored", "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("spawn")
}

fn leftovers(folder: &FilePath) -> usize {
    fs::read_dir(folder.join("tmp")).map_or(0, Iterator::count)
}

/// Waits until the writer has finished `objects` more objects and is at work on the next.
async fn wait_for_work(folder: &FilePath, store: &LocalStore, objects: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while listed(store, None).await.len() < objects || leftovers(folder) == 0 {
        assert!(Instant::now() < deadline, "the writer does not get on");
        tokio::task::yield_now().await;
    }
}

async fn check_all_whole(store: &LocalStore) {
    for (name, found_size) in listed(store, None).await {
        let number: u32 = name.rsplit('/').next().and_then(|text| text.parse().ok()).expect("a number");
        assert_eq!(found_size, size(number) as u64, "{name}");
        assert!(content(store, &name).await.expect("get") == pattern(number, size(number)), "{name}");
        if number.is_multiple_of(4) {
            store.delete(&Path::from(name)).await.expect("delete");
            create(store, &format!("again/{number}"), pattern(number, size(number))).await.expect("put");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_put_leaves_nothing_visible() {
    let mut interrupted = 0;
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("folder");
        let watch = LocalStore::open(folder.path()).expect("open");
        let mut child = start_writer(folder.path());
        wait_for_work(folder.path(), &watch, (round % 4) as usize).await;
        // Not at once in every round, but at some instant of the put.
        for _ in 0..round * round {
            tokio::task::yield_now().await;
            std::hint::black_box(leftovers(folder.path()));
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        interrupted += leftovers(folder.path());

        let store = LocalStore::open(folder.path()).expect("open anew");
        assert_eq!(leftovers(folder.path()), 0, "opening removes what the dead left");
        check_all_whole(&store).await;
    }
    assert!(interrupted > ROUNDS as usize / 4, "only {interrupted} kills hit a put: the test tests nothing");
}

/// Opening a store does not disturb who is writing to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_living_keep_their_temporary_files() {
    let folder = tempfile::tempdir().expect("folder");
    let watch = LocalStore::open(folder.path()).expect("open");
    let mut child = start_writer(folder.path());
    for objects in 1..=6 {
        wait_for_work(folder.path(), &watch, objects).await;
        for _ in 0..20 {
            LocalStore::open(folder.path()).expect("open");
        }
        assert!(child.try_wait().expect("wait").is_none(), "the writer has failed");
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
}
