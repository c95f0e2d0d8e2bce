//! Removing what no snapshot needs, while backups, restores and checks go on.
//!
//! 1. *Condemn*: a commit says which packs are to go. What of them is needed is copied into new packs first, sealed as it is. Sessions that begin later treat the chunks
//!    of condemned packs as absent.
//! 2. *Sweep*: once no session is open that began before the condemnation, a commit takes the packs out of the index, and then their objects are deleted.
//!
//! What is safe does not rest on clocks, nor on who is thought to be alive. Commits are linear, and each is looked at against the very history that it follows: a sweep stands
//! only if every snapshot in force finds its frames elsewhere, and a snapshot is added only if the index still has every frame that it needs
//! (`session/commit.rs`). Open sessions are waited for so that their work is not in vain, and time decides only when one is no longer waited for.
//!
//! A plan comes first and says everything that will be done; it can be shown and thrown away. A crash anywhere leaves packs condemned or unnamed, which the next prune
//! finishes.
//!
//! Where the store is full, the reserve is given up, and what needs no room comes first ([`rescue`]).
//!
//! Deliberately absent: deciding which snapshots are forgotten. What may run beside what:
//!
//! | beside a prune | |
//! |---|---|
//! | backups | go on; one that slept through a sweep is refused at its commit and is run again |
//! | restores, mounts, checks | go on; frames that have moved are found at their new place |
//! | another prune | the second to commit is told so and changes nothing |

mod choose;
mod execute;
mod index;
mod mark;
mod moving;
mod plan;
mod rescue;
mod sessions;
mod strays;
pub(crate) mod usage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::Error;
use crate::ids::ObjectId;
use crate::repository::Repository;

pub use execute::PruneReport;
use execute::Room;
pub(crate) use index::put_run;
pub use plan::{MovedTally, PackFate, PrunePlan, Requests, When, Why, plan};
pub use rescue::execute;
pub use sessions::{OpenSession, SessionFate};
pub use strays::Stray;

use crate::reserve::Upkeep;

/// How a prune decides.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Now: by it the age of open sessions is told.
    pub now: Timestamp,
    /// How much of what is kept may be bytes that nobody needs, in percent, before packs are rewritten for them.
    pub unused_percent_max: u32,
    /// No more sealed bytes than these are moved in one prune.
    pub moved_bytes_max: Option<u64>,
    /// A session that has been open for longer is fenced if something waits for it.
    pub fence_after: Duration,
    /// Whether a reserve is made anew at its end.
    pub reserve: Upkeep,
}

/// Sweeps some condemned packs, and does nothing else: for whoever has found another home for what is needed of them. Those that an open session may build on stay.
pub(crate) async fn sweep(
    repository: &Arc<Repository>,
    packs: &BTreeSet<ObjectId>,
    now: Timestamp,
) -> Result<PruneReport, Error> {
    let (fence_after, reserve) = (Duration::MAX, Upkeep::Left);
    let options = PruneOptions { now, unused_percent_max: 100, moved_bytes_max: Some(0), fence_after, reserve };
    let mut plan = plan(repository, &options).await?;
    plan.confine_to(packs);
    let mut report = PruneReport::default();
    execute::run((repository, &plan), &options, Room::Enough, &PruneProgress::default(), &mut report).await?;
    Ok(report)
}

/// How far a prune has come; for a progress bar.
#[derive(Debug, Default)]
pub struct PruneProgress {
    /// Sealed bytes moved so far.
    pub bytes_done: AtomicU64,
    /// Sealed bytes to move.
    pub bytes_total: AtomicU64,
}
