//! The controller: what is done about a plan, in which order, and what the record says.
//!
//! One run, on one machine or in a fleet:
//!
//! 1. [`run`]: the steps of the plan, one after another; what fails leaves the rest undone.
//! 2. [`executor`]: the hands that do them, behind a small trait: in this process, or a worker's over the wire.
//! 3. [`preview`], [`retention`]: what the rules keep, from the snapshots that there are.
//! 4. [`record`]: what was done, what it showed, and what may be claimed.
//!
//! A fleet, unattended:
//!
//! 1. [`site`]: the directory of plans and hosts that is in force.
//! 2. [`scheduler`]: what is due, what waits, what is missed: pure, with the time handed in.
//! 3. [`journal`], [`runs`]: what is written down before it is done, and what follows from it.
//!    [`upkeep`], [`maintenance`]: when repositories are maintained, and what came of it. [`own_state`], [`state_proofs`]: when the controller's own state is stored in them, and proven to be enough.
//!    [`drills`], [`sampling`], [`drill_report`], [`proofs`]: when restore points are drilled, how much of each, what came of it, and what is proven. [`requests`]: restores that need agreement.
//! 4. [`daemon`]: the loop that owns it all. [`operator`]: its socket. [`gate`], [`permissions`]: who may ask what. [`status`]: what is protected. [`notify`]: who is told.
//! 5. [`links`], [`remote`]: hosts' workers, and jobs on them. [`hosts`]: what they are and have. [`gateway`]: the store of hosts that have no credentials.
//!
//! [`restore_job`]: a restore on a host. [`restores`]: who asked for it, and what came of it. [`restore_plans`]: several of them, in their order. `going`: who watches one. [`restore_record`]: what is kept of it for years. [`pace`]: how long the next one takes.
//! [`finds`]: searches in all restore points.
//!
//! [`capacity`] says whether a store has room, and for how long.
//!
//! Deliberately absent: the worker (it stands behind the trait, or at the other end of the wire), terminals, and any clock but the one that is handed in.

pub mod capacity;
pub mod daemon;
pub mod dialer;
pub mod drill_report;
pub mod drills;
mod durable;
pub mod finds;
pub mod gate;
pub mod gateway;
mod going;
pub mod hosts;
pub mod install;
pub mod journal;
mod link;
pub mod links;
pub mod maintenance;
pub mod notify;
pub mod operator;
pub mod own_state;
pub mod pace;
pub mod permissions;
pub mod proofs;
pub mod redundancy;
pub mod remote;
pub mod requests;
pub mod restore_job;
pub mod restore_plans;
pub mod restore_record;
pub mod restores;
pub mod runs;
pub mod sampling;
pub mod scheduler;
pub mod site;
pub mod site_commit;
pub mod ssh;
pub mod state_proofs;
pub mod status;
pub mod upkeep;

pub mod executor;
pub mod preview;
pub mod record;
pub mod retention;
mod run;

pub use executor::{
    BackupDone, BackupOrder, CheckResult, CheckVerdict, CopyDone, CopyOrder, Executor, RestoreDone, StepPlace,
    Verification,
};
pub use preview::{PLAN_TAG, preview};
pub use record::{Outcome, RunRecord, StepRecord, Verdict};
pub use retention::{Kept, Known, SourceRetention, by_source, last_proven};
pub use run::{Clock, Ended, RunRequest, drill, run};
