//! The storage engine of Strongroom: bytes to sealed packs in an object store, and back.
//!
//! It never overwrites an object, never deletes outside prune, repair, key removal and the regrouping of parity (but for the reserve, and the word of a session that rests), and knows no hosts,
//! plans or terminals. Any prefix of a backup is harmless: packs, then index, then snapshot, and only then the commit that makes them visible. The format is in `FORMAT.md`.
//!
//! A byte out meets, in this order, [`cut`], [`session`] (hash, known?, compress), [`pack`], [`store`], [`index`], [`snapshot`], [`history`]; a byte back meets
//! [`history`], [`snapshot`], [`tree`], [`index`], [`read`].

mod cache;
mod carry;
pub mod check;
pub mod codec;
mod condemned;
mod config;
pub mod copy;
mod cut;
mod error;
mod file_lock;
mod foresee;
pub mod group;
mod history;
pub mod ids;
mod index;
pub mod inspect;
pub mod keys;
mod live;
mod loan;
pub mod lock;
mod mapped;
pub mod names;
pub mod object;
pub mod pack;
pub mod parity;
pub mod parsers;
pub mod prune;
mod read;
pub mod rebuild;
pub mod repair;
mod repository;
pub mod reserve;
pub mod scrub;
pub mod select;
mod session;
pub mod shares;
mod snapshot;
pub mod stats;
pub mod store;
pub mod text;
pub mod tree;

pub use condemned::CondemnedFrames;
pub use config::{Config, Parameters};
pub use cut::{Cutter, EndOfFile};
pub use error::{Error, ErrorKind, Failure, chain};
pub use file_lock::FileLock;
pub use history::{Added, Authority, BadCommit, Commit, Effect, History, Operation};
pub use ids::{ChunkId, FileHash, ObjectId, PublicKey, RepositoryId, SegmentNonce, SessionId};
#[doc(hidden)]
pub use index::cache_run;
pub use index::{FrameId, Index, PackRow, Place};
pub use keys::{Credential, Key, KeyFile};
pub use live::Live;
pub use loan::{BadLoan, Lending, Loan};
pub use read::Served;
pub use repository::{Created, Forgotten, InitOptions, NewHolder, Repository, Snapshots, Unreadable, WriterIdentity};
pub use session::{AboutToCommit, Begin, Committed, Lane, Session, SessionRecord, StoredBytes};
pub use snapshot::{Inventory, Manifest, Problem, Snapshot, SnapshotKind, Totals};
pub use tree::entry::{ChunkPageRef, ChunkRef, Consistency, Content, Entry, Extent, Kind, Stillness, Time};
pub use tree::{LeafRef, Located, Origin, Tree, TreeRoot, TreeWalk, TreeWriter, UnplacedTree};
