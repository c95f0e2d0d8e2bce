//! A backup run: the walk, the local state and the lanes, joined into a snapshot.
//!
//! One thread, the *merger*, receives the directories in the order of the tree, hands out what has to be read, and writes entries as their turn
//! comes. Around it work the threads of the walk and the lanes. Everything that waits is bounded: the walk's lead, the jobs ahead, the pieces of
//! large files.
//!
//! Nothing is visible before the commit. The local state is replaced after it.

mod error;
mod event;
mod hardlinks;
mod kept;
mod lanes;
mod merge;
mod options;
mod report;
mod room;
mod run;
mod stream;
mod tally;

pub use error::BackupError;
pub use event::{BackupEvent, CommitGate, EventSink};
pub use options::{BackupKind, BackupOptions, Input};
pub use report::{BackupReport, Outcome};
pub use room::{NoRoom, Quota, Room};
pub use run::{run, run_if, run_until};
