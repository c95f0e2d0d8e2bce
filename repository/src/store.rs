//! Where objects are kept: opening a store, probing what it promises, and wrapping it.
//!
//! Everything is an [`ObjectStore`]. What the engine asks of one, and what the conformance suite
//! (`tests/store_conformance`) checks of every store and every wrapper:
//!
//! * `put_opts` with [`PutMode::Create`](object_store::PutMode::Create): the object becomes
//!   visible whole or not at all, exactly one of several racers wins, the others get
//!   `AlreadyExists`, and what was there stays as it was. `Ok` means durable.
//! * `get_opts` with and without a range (a range that passes the end is cut at the end), head
//!   requests, `get_ranges`, listings below a folder, recursive or one level deep, in any order.
//! * Deleting what is not there succeeds.
//!
//! Deliberately absent: overwriting (but for the one name [`HINT`]), copying, renaming and
//! multipart uploads. The engine never does them, so our stores and wrappers refuse them aloud
//! rather than pass on something that no test covers.

mod blocking;
mod error;
mod faulty;
mod limited;
mod local;
mod location;
mod payload;
mod probe;
mod recording;

use std::sync::Arc;

use object_store::ObjectStore;
/// The store of tests: as it comes, since it passes the conformance suite.
pub use object_store::memory::InMemory;

pub use error::{ErrorKind, StoreError, kind, refused};
pub use faulty::{Fault, Faulty, Injected, Operation, Plan, When};
pub use limited::Limited;
pub use local::LocalStore;
pub use location::Location;
pub use probe::{Check, Commits, Outcome, ProbeReport, Property, probe};
pub use recording::{Record, Recording, Tally};

pub use crate::object::HINT;

/// Opens the store at `url`: `file:///absolute/path`, or a plain path.
///
/// Nothing is created and nothing need be there yet; a local store makes its folder at the first put.
pub fn open(url: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let location = Location::parse(url)?;
    Ok(Arc::new(LocalStore::open(location.path())?))
}
