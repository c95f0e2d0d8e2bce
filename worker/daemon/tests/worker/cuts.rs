//! What a cut costs, and how long it is borne.

use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::RepositoryId;
use strongroom_repository::store::{ErrorKind, kind};
use strongroom_worker_daemon::gateway::{GatewayStore, Links};

use crate::cases::{self, pattern};
use crate::conformance::{fixture, whole};
use crate::gateway::connection;

const MIB: u64 = 1 << 20;

/// With a link that is good for a sixth of a pack, a put that began anew each time would never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_goes_on_where_it_was_cut() {
    let fixture = fixture(|| 11 * MIB);
    let pack = pattern(1, 64 << 20);
    cases::create(&fixture.store, "packs/aa/one", pack.clone()).await.unwrap();
    assert!(cases::content(&fixture.gateway.store, "packs/aa/one").await.unwrap() == pack);
    let (written, links) = (fixture.written.load(Ordering::Relaxed), fixture.links_made.load(Ordering::Relaxed));
    assert!(links > 5, "{links} links");
    // A cut costs what the gateway had not taken yet: its window, a part that was not whole, and what the buffers on the way hold.
    let bound = 64 * MIB + links * (8 + 1 + 1) * MIB;
    assert!(written <= bound, "{written} bytes over {links} links, more than {bound}");
    let received = fixture.gateway.received_bytes();
    assert!(received <= 64 * MIB + links * MIB, "{received} bytes arrived over {links} links");
}

/// Reading too: what came is not asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_goes_on_where_it_was_cut() {
    let fixture = fixture(|| 11 * MIB);
    let run = pattern(2, 64 << 20);
    cases::create(&fixture.gateway.store, "index/one", run.clone()).await.unwrap();
    assert!(cases::content(&fixture.store, "index/one").await.unwrap() == run);
    assert!(fixture.links_made.load(Ordering::Relaxed) > 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_link_a_call_waits_and_then_fails_as_one_to_try_again() {
    let links = Links::default();
    let (store, _give_up) =
        GatewayStore::with_patience(links.clone(), RepositoryId([1; 16]), Duration::from_millis(100));
    let error = store.head(&Path::from("config")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Transient, "{error:?}");
    let error = cases::create(&store, "packs/aa", "x").await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Transient, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_goes_on_with_the_next_link() {
    let fixture = whole();
    let links = Links::default();
    let (store, _give_up) = GatewayStore::new(links.clone(), RepositoryId([1; 16]));
    let waiting = tokio::spawn(async move { cases::create(&store, "packs/aa", "content").await });
    links.attach(connection(&fixture.gateway)).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(cases::content(&fixture.gateway.store, "packs/aa").await.unwrap(), "content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_fails_at_once() {
    let (store, give_up) = GatewayStore::new(Links::default(), RepositoryId([1; 16]));
    let waiting = tokio::spawn(async move { store.head(&Path::from("config")).await });
    give_up.now();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("given up"), "{error}");
    let dead = GatewayStore::new(Links::default(), RepositoryId([1; 16]));
    dead.1.now();
    assert!(dead.0.head(&Path::from("config")).await.is_err());
}
