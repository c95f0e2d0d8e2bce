//! The promises of every store, kept by the gateway's: over a link that holds, and over links that do not.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use strongroom_repository::RepositoryId;
use strongroom_repository::store::{ErrorKind, InMemory, kind};
use strongroom_worker_daemon::gateway::{GatewayStore, GiveUp, Links};
use tokio::task::JoinHandle;

use crate::cut::Cut;
use crate::gateway::{Gateway, connection};
use crate::{Store, cases};

/// A store behind a gateway, and what must outlive it.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) gateway: Gateway,
    pub(crate) written: Arc<AtomicU64>,
    pub(crate) links_made: Arc<AtomicU64>,
    _give_up: GiveUp,
    controller: JoinHandle<()>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

/// One link that holds.
pub(crate) fn whole() -> Fixture {
    fixture(|| u64::MAX / 2)
}

/// Links that break at any byte: some at once, some after a large part of a pack.
fn broken() -> Fixture {
    let mut random = StdRng::seed_from_u64(7);
    fixture(move || {
        let most = 1 << random.random_range(12..24);
        random.random_range(1..most)
    })
}

/// A controller that makes a new link as soon as the one before is gone, each good for so many bytes.
pub(crate) fn fixture(mut next_bytes: impl FnMut() -> u64 + Send + 'static) -> Fixture {
    let gateway = Gateway::new(Arc::new(InMemory::new()));
    let (links, written, links_made) = (Links::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (store, give_up) = GatewayStore::new(links.clone(), RepositoryId([1; 16]));
    let controller = {
        let (gateway, written, links_made) = (gateway.clone(), Arc::clone(&written), Arc::clone(&links_made));
        tokio::spawn(async move {
            loop {
                let (gone, is_gone) = tokio::sync::oneshot::channel();
                let io = Ending { io: connection(&gateway), _gone: gone };
                let cut = Cut { io, left: next_bytes(), written: Arc::clone(&written) };
                links_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // A link that breaks while it is made is one more that broke.
                drop(links.attach(cut).await);
                drop(is_gone.await);
            }
        })
    };
    Fixture { store: Arc::new(store), gateway, written, links_made, _give_up: give_up, controller }
}

/// A stream whose end is told.
struct Ending<S> {
    io: S,
    _gone: tokio::sync::oneshot::Sender<()>,
}

crate::cut::pass_on!(Ending);

macro_rules! conformance {
    ($($name:ident: $fixture:expr;)*) => { $(
        mod $name {
            use super::*;

            conformance!(@cases $fixture;
                racers_have_one_winner parallel_puts_all_arrive existing_objects_stay
                ranges_are_honoured several_ranges_at_once ranges_past_the_end empty_objects
                a_large_object heads_tell_the_size listings_keep_to_their_folder
                listings_one_level_deep listings_from_a_name_on absent_objects
                what_is_not_offered_is_refused plain_threads_may_call);
        }
    )* };
    (@cases $fixture:expr; $($case:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let fixture = $fixture;
            cases::$case(&fixture.store).await;
        }
    )* };
}

conformance! {
    one_link: whole();
    broken_links: broken();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_or_overwritten() {
    let fixture = whole();
    cases::create(&fixture.store, "packs/aa", "content").await.unwrap();
    let name = Path::from("packs/aa");
    let refused = [
        fixture.store.delete(&name).await,
        fixture.store.put(&name, "other".into()).await.map(drop),
        fixture.store.put(&Path::from("packs/bb"), "other".into()).await.map(drop),
    ];
    for result in refused {
        assert!(matches!(result, Err(object_store::Error::NotSupported { .. })), "{result:?}");
    }
    assert_eq!(cases::listed(&fixture.gateway.store, None).await, [("packs/aa".to_owned(), 7)]);
}

/// The gateway leaves it, so the engine's own attempt costs nothing and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hint_is_not_sent() {
    let fixture = whole();
    let hint = Path::from("hint");
    fixture.store.put_opts(&hint, "7".into(), PutMode::Overwrite.into()).await.unwrap();
    let error = fixture.store.get(&hint).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
}
