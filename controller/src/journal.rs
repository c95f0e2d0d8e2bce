//! What the controller means to do, does and has done: one append-only sequence of entries, each chained to the one before by its hash.
//!
//! An entry is written, durably, before what it announces is done; every state of a run is derived from entries ([`crate::runs`]), and the tables beside them are nothing but
//! their sum, written in the same transaction. A write that fails stops whoever wanted to act: nothing happens that the journal does not know.
//!
//! * [`event`]: what an entry says. * `chain`: how entries hang together, and the check of all of them. * `store`: the database. * `outbox`:
//!   what is to be told of it, and was not yet. * `own_state`: copies of it, and what is known of those in repositories. * `hosts`: what is known of hosts, which nothing hangs on. * `upkeep`: what is known of repositories' maintenance.
//!   `drills`: what is known of drills, and what they have proven. `lapses`: what of that holds no more. `requests`: restores that need agreement. `past`: what restores of all kinds proved, and how long they took.
//!
//! Deliberately absent: changing or removing an entry. The database refuses both, and the chain would show it.

mod chain;
mod drills;
mod event;
mod hosts;
mod lapses;
mod outbox;
mod own_state;
mod past;
mod requests;
mod restores;
mod store;
mod upkeep;

pub use chain::{Broken, Entry, EntryHash};
pub use drills::KnownDrills;
pub use event::{Event, Origin, OverdueEnd, Who};
pub use hosts::{Gathered, KnownHost};
pub(crate) use lapses::Noted as NotedLapse;
pub use outbox::Waiting;
pub use own_state::KnownState;
pub use past::Proven;
pub use store::{Journal, JournalError};
pub use upkeep::KnownMaintenance;
