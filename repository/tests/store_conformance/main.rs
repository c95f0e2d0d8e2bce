//! What every store and every wrapper must do, and what a local folder must survive.
//!
//! A new store joins by one line below: a name and a function that makes a [`Fixture`].

mod cases;
mod devices;
mod folder;
mod kill;
mod power_cut;
mod trouble;

use std::num::NonZeroU64;
use std::sync::Arc;

use object_store::ObjectStore;
use strongroom_repository::store::{self, Faulty, InMemory, Limited, LocalStore, Plan, Recording};

type Store = Arc<dyn ObjectStore>;

/// An empty store, and what must outlive it.
struct Fixture {
    store: Store,
    _folder: Option<tempfile::TempDir>,
}

impl Fixture {
    fn wrapped(self, wrap: impl FnOnce(Store) -> Store) -> Self {
        Self { store: wrap(self.store), ..self }
    }
}

fn memory() -> Fixture {
    Fixture { store: Arc::new(InMemory::new()), _folder: None }
}

fn local() -> Fixture {
    let folder = tempfile::tempdir().expect("folder");
    let store = LocalStore::open(folder.path()).expect("open");
    Fixture { store: Arc::new(store), _folder: Some(folder) }
}

/// A folder that is not there yet.
fn opened_by_url() -> Fixture {
    let folder = tempfile::tempdir().expect("folder");
    let url = format!("file://{}/a/new repository", folder.path().display());
    Fixture { store: store::open(&url).expect("open"), _folder: Some(folder) }
}

fn recording(inner: Store) -> Store {
    Arc::new(Recording::new(inner))
}

fn faulty(inner: Store) -> Store {
    Arc::new(Faulty::new(inner, Plan::NOTHING))
}

/// As fast as makes no difference.
fn limited(inner: Store) -> Store {
    Arc::new(Limited::new(inner, NonZeroU64::MAX))
}

macro_rules! conformance {
    ($($name:ident: $fixture:expr;)*) => { $(
        mod $name {
            use super::*;

            conformance!(@cases $fixture;
                racers_have_one_winner parallel_puts_all_arrive existing_objects_stay
                ranges_are_honoured several_ranges_at_once ranges_past_the_end empty_objects
                a_large_object heads_tell_the_size listings_keep_to_their_folder
                listings_one_level_deep listings_from_a_name_on absent_objects deletions
                what_is_not_offered_is_refused the_probe_is_content
                plain_threads_may_call plain_threads_may_delete);
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
    memory: memory();
    local: local();
    opened_by_url: opened_by_url();
    recording_memory: memory().wrapped(recording);
    recording_local: local().wrapped(recording);
    faulty_memory: memory().wrapped(faulty);
    faulty_local: local().wrapped(faulty);
    limited_memory: memory().wrapped(limited);
    limited_local: local().wrapped(limited);
    all_wrappers: local().wrapped(limited).wrapped(faulty).wrapped(recording);
}
