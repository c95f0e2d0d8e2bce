//! What the controller means to do, does and has done: one append-only sequence of entries, each chained to the one before by its hash.
//!
//! An entry is written, durably, before what it announces is done; every state of a run is derived from entries ([`crate::runs`]), and the tables beside them are nothing but
//! their sum, written in the same transaction. A write that fails stops whoever wanted to act: nothing happens that the journal does not know.
//!
//! * [`event`]: what an entry says. * `chain`: how entries hang together, and the check of all of them. * `store`: the database.
//!
//! Deliberately absent: changing or removing an entry. The database refuses both, and the chain would show it.

mod chain;
mod event;
mod store;

pub use chain::{Broken, Entry, EntryHash};
pub use event::{Event, Origin, Who};
pub use store::{Journal, JournalError};
