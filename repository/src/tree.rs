//! A snapshot's metadata: one path-sorted tree of pages (FORMAT.md, Pages).

mod browse;
pub mod entry;
pub mod inner;
pub mod leaf;
pub mod order;
mod owners;
mod writer;

pub use browse::{Tree, TreeWalk};
pub use leaf::Located;
pub use owners::{OwnerTables, OwnersInUse};
pub use writer::{LeafRef, Origin, TreeRoot, TreeWriter, UnplacedTree};
