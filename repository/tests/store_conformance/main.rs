//! What every store and every wrapper must do, and what a local folder must survive.
//!
//! A new store joins by one line below: a name and a function that makes a [`Fixture`]. Those that need a server join in the suite `stores` of the folder
//! `tests`, which takes the cases from here.

mod cases;
#[macro_use]
mod conformance;
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
