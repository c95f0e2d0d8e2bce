//! Names of packs and snapshots that are never used again: whoever deletes them may do so late, however long it slept in between. Only copies ask, since only they bring names
//! that may have been here before; and a prune, about snapshots that were never part of the history.

use std::collections::HashSet;

use futures::future::try_join_all;

use super::{FETCHES_AT_ONCE, Repository, get};
use crate::cache;
use crate::codec::{Malformed, Reader};
use crate::error::Error;
use crate::history::{Commit, Operation};
use crate::ids::ObjectId;
use crate::object;

/// Enough of an id that no two meet.
type Prefix = [u8; 16];

/// What the history took away up to a commit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The newest commit that was looked at.
    pub(crate) newest: u64,
    names: HashSet<Prefix>,
}

impl Gone {
    /// Whether an object of this name was deleted, or may be at any moment.
    pub(crate) fn has(&self, id: &ObjectId) -> bool {
        self.names.contains(&prefix(id))
    }

    fn add(&mut self, commit: &Commit) {
        for operation in &commit.operations {
            match operation {
                Operation::DropSnapshot { snapshot } => drop(self.names.insert(prefix(snapshot))),
                Operation::Sweep { packs: ids } | Operation::Discard { objects: ids } => {
                    self.names.extend(ids.iter().map(prefix));
                }
                _ => {}
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let names = self.names.iter().flatten().copied();
        self.newest.to_le_bytes().into_iter().chain(names).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let newest = from.u64("commit")?;
        let mut names = HashSet::with_capacity(from.remaining() / 16);
        while from.remaining() > 0 {
            names.insert(from.array("name")?);
        }
        Ok(Self { newest, names })
    }
}

fn prefix(id: &ObjectId) -> Prefix {
    let mut prefix = [0; 16];
    prefix.copy_from_slice(&id.0[..16]);
    prefix
}

impl Repository {
    /// What the history took away until now: what the cache remembers, and the commits since.
    pub(crate) async fn gone(&self) -> Result<Gone, Error> {
        let (history, path) = (self.history(), self.file_of_copy("gone"));
        let known = cache::read(&path).ok().and_then(|bytes| Gone::decode(&bytes).ok());
        let mut gone = known.filter(|known| known.newest <= history.newest).unwrap_or_default();
        if gone.newest >= history.names_gone {
            return Ok(gone);
        }
        let numbers: Vec<u64> = (gone.newest + 1..=history.newest).collect();
        for numbers in numbers.chunks(FETCHES_AT_ONCE) {
            let names: Vec<String> = numbers.iter().map(|number| object::commit_name(*number)).collect();
            let fetched = try_join_all(names.iter().map(|name| get(&*self.store, name))).await?;
            for (number, bytes) in numbers.iter().zip(fetched) {
                let (commit, signer) = self.open_commit(*number, &bytes)?;
                // Whoever else says so changes nothing.
                if signer == self.config.admin_key {
                    gone.add(&commit);
                }
            }
        }
        gone.newest = history.newest;
        if let Err(error) = cache::write(&path, &gone.encode()) {
            tracing::debug!(%error, "names that are gone are not cached");
        }
        Ok(gone)
    }
}
