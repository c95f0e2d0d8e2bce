//! Writing a snapshot back, and proving it.
//!
//! A restore is planned first ([`plan()`]): one walk through the snapshot's tree and a look at the target decide what is created, replaced and left
//! alone, and say how much is to be fetched; nothing is changed. [`run()`] then carries the plan out:
//!
//! 1. Everything is built in a *staging directory* inside the target (`staging`). The walk is cut into windows (`windows`); a window's chunks are
//!    sorted by the frames they lie in (`work`), frames are fetched a few requests ahead (`fetch`), and threads open them, compare chunks with their
//!    names, and write (`writer`).
//! 2. A written window is flushed, and read back past the cache while the next one is written (`verify`, `readback`, `aio`): content against the BLAKE3
//!    taken at the source, metadata against the snapshot.
//! 3. When all windows are verified, and only then, the staged tree is moved into place (`place`), and what cannot be done before is done
//!    (`settle`).
//!
//! What holds:
//! * `verified` is said only of bytes that were read back from the target after a flush.
//! * A target never looks finished when it is not: before step 3 nothing but the staging directory is there, and it is there until step 3 is over.
//! * After an interruption at any moment the same request continues: good files are kept, and what is being moved is moved on.
//! * A file that cannot be restored costs itself, is named, and is not there in part. What comes back different from the disk costs the restore:
//!   nothing is put in place.
//! * Names come from whoever wrote the snapshot, and the target may have been prepared by somebody: no name leads out of the target, and no
//!   symbolic link is followed in it.
//!
//! Deliberately absent: choosing the snapshot, asking for approval, talking to a terminal. Sockets, access times and birth times are not restored.

mod aio;
mod around;
mod aspect;
mod blame;
mod bypass;
mod content;
mod crew;
mod draft;
mod error;
mod events;
mod fetch;
mod findings;
mod finish;
mod flags;
mod ground;
mod jobs;
mod make;
mod names;
mod node;
mod options;
mod owners;
mod part;
mod place;
mod places;
mod plan;
mod planning;
mod prepare;
mod readback;
mod report;
mod run;
mod selection;
mod settle;
mod staging;
mod survey;
mod surveyor;
mod takeover;
pub(crate) mod threads;
mod verify;
mod window;
mod windows;
mod work;
mod writer;

pub use around::{HookDone, HookTime, ProbeDone};
pub use aspect::Aspect;
pub use error::RestoreError;
pub use events::{Gate, Listener, RestoreEvent};
pub use options::{Overwrite, Owners, Replaced, RestoreOptions};
pub use plan::{PathNote, PlanSummary, RestorePlan, Resumes, Warning};
pub use planning::plan;
pub use report::{
    Counts, Deviation, DeviationKind, Medium, Outcome, PhaseTime, ProblemKind, RestoreProblem, RestoreReport,
    Verification,
};
pub use run::run;
pub use settle::settle_directories;
