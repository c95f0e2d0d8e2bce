//! Copies: the same repository in another store, with a history of its own. Each is enough alone.
//!
//! A copy has the same id, configuration and keys. Snapshots come across as they were signed, packs as they were sealed; no data key is needed. What is forgotten or pruned in one
//! copy stays in the others, and what was forgotten in a copy is not brought there again.
//!
//! Each snapshot is brought by a session of its own in the destination: packs, index, snapshot, commit, in this order, so that whatever stops a copy leaves whole snapshots behind,
//! and prunes of either side may run beside it. What was sent of an unfinished one is not sent again.
//!
//! A pack keeps its name where most of it is wanted. Otherwise, or where that name was in the destination before (whoever deletes it may do so late), its frames go into a new
//! pack. Only what was compared with its name, or opened, is passed on: a damaged source never spoils a copy.
//!
//! Deliberately absent: bringing the destination's losses back (see [`crate::repair`]), and deciding what is kept there.

mod execute;
mod frames;
mod make;
mod plan;

use std::sync::atomic::AtomicU64;

pub use execute::{CopyReport, execute};
pub use make::{Made, make};
pub use plan::{CopyPlan, plan};

/// How far a copy has come; for a progress bar.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// Sealed bytes brought so far.
    pub bytes_done: AtomicU64,
    /// Sealed bytes to bring.
    pub bytes_total: AtomicU64,
    /// Snapshots that are part of the copy by now.
    pub snapshots_done: AtomicU64,
    /// Snapshots to bring.
    pub snapshots_total: AtomicU64,
}
