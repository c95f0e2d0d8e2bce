//! Listings that were read lately: looking at the files of a directory one by one reads its pages once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_repository::{Entry, Error, ObjectId};

use super::shelf::Shown;

/// How many listings are kept: those of a path and of what is beside it.
const LISTINGS_MAX: usize = 16;

/// A longer listing is not kept: 16 of them at half a kilobyte an entry are 80 MiB at the very most.
const ENTRIES_MAX: usize = 10_000;

/// Entries of one directory, by name.
pub(super) type Listing = Arc<Vec<Arc<Entry>>>;

/// Which directory of which snapshot.
type Key = (ObjectId, Vec<u8>);

/// The listings, the one used last in front.
#[derive(Debug, Default)]
pub(super) struct Directories(Mutex<VecDeque<(Key, Listing)>>);

impl Directories {
    /// The entries of a directory.
    pub(super) async fn list(&self, shown: &Shown, path: &[u8]) -> Result<Listing, Error> {
        let key = (shown.snapshot.id, path.to_vec());
        if let Some(listing) = self.take(&key) {
            return Ok(listing);
        }
        let entries = shown.tree.list(path).await?;
        let listing: Listing = Arc::new(entries.into_iter().map(Arc::new).collect());
        self.put(key, &listing);
        Ok(listing)
    }

    /// One entry of a directory. A directory too long to be kept is not read for it.
    pub(super) async fn find(&self, shown: &Shown, directory: &[u8], name: &[u8]) -> Result<Option<Arc<Entry>>, Error> {
        let key = (shown.snapshot.id, directory.to_vec());
        if let Some(listing) = self.take(&key) {
            let at = listing.binary_search_by(|entry| entry.name.as_slice().cmp(name));
            return Ok(at.ok().map(|at| Arc::clone(&listing[at])));
        }
        let path = strongroom_repository::tree::order::join(directory, name);
        Ok(shown.tree.lookup(&path).await?.map(Arc::new))
    }

    fn take(&self, key: &Key) -> Option<Listing> {
        let mut listings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = listings.iter().position(|(at, _)| at == key)?;
        let found = listings.remove(at)?;
        let listing = Arc::clone(&found.1);
        listings.push_front(found);
        Some(listing)
    }

    fn put(&self, key: Key, listing: &Listing) {
        if listing.len() > ENTRIES_MAX {
            return;
        }
        let mut listings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listings.push_front((key, Arc::clone(listing)));
        listings.truncate(LISTINGS_MAX);
    }
}
