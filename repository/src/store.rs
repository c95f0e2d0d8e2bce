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
mod guarded;
mod limited;
mod local;
mod location;
mod payload;
mod probe;
mod recording;
mod s3;
mod sftp;
mod space;

use std::sync::Arc;

use object_store::ObjectStore;
/// The store of tests: as it comes, since it passes the conformance suite.
pub use object_store::memory::InMemory;

pub use error::{ErrorKind, StoreError, kind, refused, remedy};
pub use faulty::{Fault, Faulty, Injected, Operation, Plan, When};
pub use guarded::{GuardError, Guarded};
pub use limited::Limited;
pub use local::LocalStore;
pub use local::names::is_object_name;
pub use location::{Location, S3Place, ServedBy, SftpPlace};
pub use probe::{Check, Commits, Outcome, ProbeReport, Property, probe};
pub use recording::{Record, Recording, Tally};
pub use s3::{
    AccessKey, Addressing, CredentialSource, LockMode, Meaning, ObjectLock, S3Error, S3Options, S3Said, S3Store,
};
pub use sftp::{SftpConnector, SftpError, SftpStore, SftpStream};
pub use space::Space;

pub use crate::object::HINT;

/// Opens the local store at `url`: `file:///absolute/path`, or a plain path. Other stores take more than a URL: [`S3Store::open`].
///
/// Nothing is created and nothing need be there yet; a local store makes its folder at the first put.
pub fn open(url: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    match Location::parse(url)? {
        Location::Folder(path) => Ok(Arc::new(LocalStore::open(&path)?)),
        location => Err(StoreError::NotLocal { location }),
    }
}
