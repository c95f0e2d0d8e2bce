//! A job as the controller sees it.

use bytes::Bytes;
use strongroom_worker::progress::Position;

use crate::job_id::JobId;
use crate::ledger::FailureKind;

/// A job's state at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its name.
    pub job: JobId,
    /// The attempt.
    pub generation: u64,
    /// Grows with each change that is not mere progress.
    pub number: u64,
    /// How far it is.
    pub phase: Phase,
    /// It was halted, and reads nothing.
    pub is_paused: bool,
    /// It is a restore that waits for its keys.
    pub wants_loan: bool,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// It waits or works.
    Running {
        /// At what, for people.
        doing: String,
        /// How much of it is done.
        position: Position,
    },
    /// Its snapshot is visible.
    BackedUp {
        /// JSON: the engine's report, with `hooks` and `adopted` beside.
        report: Bytes,
    },
    /// It was restored, or the target was looked at.
    Restored {
        /// JSON: the engine's report, or its plan.
        report: Bytes,
    },
    /// It failed.
    Failed {
        /// Whose fault it was.
        kind: FailureKind,
        /// What happened.
        reason: String,
    },
    /// It was given up when asked to.
    Cancelled,
}

impl View {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !matches!(self.phase, Phase::Running { .. })
    }
}
