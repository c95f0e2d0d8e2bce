//! The shape of a ledger file.
//!
//! Unknown fields are passed over: a release that was rolled back still reads what the newer one wrote.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_worker::backup::BackupReport;

use crate::job_id::JobId;
use crate::task::Task;

/// What this release writes and reads.
pub(super) const VERSION: u32 = 1;

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Which shape this is.
    #[serde(rename = "strongroom-job")]
    pub version: u32,
    /// Its name.
    pub job: JobId,
    /// The attempt.
    pub generation: u64,
    /// BLAKE3 of the request.
    pub fingerprint: String,
    /// What to do.
    pub request: Task,
    /// How far it is.
    pub state: Recorded,
    /// Grows with each change of the state.
    pub number: u64,
    /// When it changed.
    pub changed: Timestamp,
    /// It was asked to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// It was asked to halt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The reports of snapshots that may be visible: each was written here before the first try to make it so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub committing: Vec<BackupReport>,
    /// The report of a restore that is in place: written here before the last trace of it in the target went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Value>,
}

/// A state that survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Recorded {
    /// It runs, or will again.
    Running,
    /// Its snapshot is visible.
    BackedUp {
        /// The report.
        report: Value,
    },
    /// It was restored as far as the report says; of a dry run, the plan.
    Restored {
        /// The report.
        report: Value,
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

/// Whose fault a failure was, and so whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The repository could not be reached.
    StoreUnreachable,
    /// The repository is full, damaged, or refuses.
    Store,
    /// What was to be backed up could not be read.
    Source,
    /// A hook or a command failed.
    Command,
    /// The worker or its host.
    Worker,
    /// Where to restore to.
    Target,
}

impl Entry {
    /// A job that is about to run for the first time.
    #[must_use]
    pub fn new(job: JobId, generation: u64, request: impl Into<Task>, now: Timestamp) -> Self {
        let request = request.into();
        Self {
            version: VERSION,
            job,
            generation,
            fingerprint: request.fingerprint(),
            request,
            state: Recorded::Running,
            number: 1,
            changed: now,
            cancelling: false,
            paused: false,
            committing: Vec::new(),
            placed: None,
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state != Recorded::Running
    }
}
