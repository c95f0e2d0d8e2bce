//! The controller: what is done about a plan, in which order, and what the record says.
//!
//! A plan's way through this crate, which is also the order of the modules:
//!
//! 1. [`run`]: the steps of the plan, one after another; what fails leaves the rest undone.
//! 2. [`executor`]: the hands that do them, behind a small trait: in this process today, over the wire to a worker later.
//! 3. [`preview`]: what retention would keep, from the snapshots that there are.
//! 4. [`record`]: what was done, what it showed, and what may be claimed.
//!
//! And the way to hosts:
//!
//! 5. [`ssh`]: connections to their sshd, strict about host keys.
//! 6. [`install`]: how a host gets its worker and a key that can start nothing else.
//!
//! Deliberately absent: the worker (it stands behind the trait, or behind a stream), terminals, and any clock but the one that is handed in.

pub mod executor;
pub mod install;
pub mod preview;
pub mod record;
mod run;
pub mod ssh;

pub use executor::{
    BackupDone, BackupOrder, CheckResult, CheckVerdict, Executor, RestoreDone, StepPlace, Verification,
};
pub use preview::{Kept, preview};
pub use record::{Outcome, RunRecord, StepRecord, Verdict};
pub use run::{Clock, Ended, RunRequest, run};
