//! The names in all snapshots of a repository, in the local cache: a search asks the store for nothing but what came since the last one.
//!
//! The names in one leaf page are a *list*. Where a leaf is cut depends on names alone, so pages that differ in sizes and times share one list, and snapshots share pages:
//! years of nightly snapshots have hardly more lists than one of them. Lists lie in compressed blocks, which several threads search at once.
//!
//! * `list`: the names of a page as bytes. * `block`: many lists, compressed. * `fill`: from the pages that are new. * `file`: in the cache. * `search`: who has what.
//!
//! Deliberately absent: everything else about an entry. Its page has that, and few pages are read for what was found.

mod block;
mod file;
mod fill;
mod list;
mod search;

use std::collections::{HashMap, HashSet};

pub(crate) use file::{sample, use_up};
pub use search::{Found, FoundPath, Sought};

use self::block::Block;
use crate::ids::ChunkId;

/// The names in the snapshots that were asked for, and in others that the cache knew already.
#[derive(Debug, Default)]
pub struct Names {
    blocks: Vec<Block>,
    /// The hash of each list, by its number.
    lists: Vec<[u8; 32]>,
    /// The leaves, by their numbers.
    leaves: Vec<Leaf>,
    /// The leaves of each tree, in order, by the page at its top.
    trees: HashMap<ChunkId, Vec<u32>>,
    /// Trees of which a leaf is missing: they are looked at again the next time.
    torn: HashSet<ChunkId>,
    /// Pages that could not be read, and why: what they hold is not found.
    unreadable: Vec<(ChunkId, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaf {
    page: ChunkId,
    /// The number of its list.
    list: u32,
}

impl Names {
    /// Pages that could not be read, and why.
    #[must_use]
    pub fn unreadable(&self) -> &[(ChunkId, String)] {
        &self.unreadable
    }
}
