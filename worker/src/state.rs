//! What a worker remembers of its last run over the same sources: the pages of the snapshot's tree, and what each node looked like.
//!
//! It is a cache. Lost, damaged, foreign, or about a snapshot that the repository no longer has, it is left aside and the run is merely slower. It
//! never yields a wrong snapshot: every part is checked against its BLAKE3 before it is believed, and the two files belong together by hash.
//!
//! Two files, mode 0600, named by a hash of the repository, host, sources and rules: `NAME.body`, written once and mapped, and `NAME.head`, small,
//! replaced whole, which names the snapshot and the moment the scan began. An unchanged run replaces the head alone. They hold the names of this
//! host's own last run and no others.
//!
//! The body: 16 bytes of magic; then, as they came, leaf pages and *blocks*; then the tables; their place and hash are in the head. A block is one
//! directory: a record of 48 bytes for each node (see `layout`), then the names. Directories are numbered in the order of the tree, from 0, and so
//! are entries.

mod head;
mod layout;
mod map;
mod open;
mod write;

pub use head::{StateError, StateKey};
pub use layout::{Fingerprint, Record, Tallies};
pub use open::{OldDirectory, State};
pub use write::StateWriter;

/// The number of a directory in the state, in the order of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryIndex(pub u32);

impl DirectoryIndex {
    /// The first directory below this one, if there is one.
    #[must_use]
    pub fn first_child(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The number of an entry in the state, in the order of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ordinal(pub u32);
