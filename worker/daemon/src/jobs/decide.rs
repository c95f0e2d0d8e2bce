//! What a request to start means, given what is known of the job.

use std::cmp::Ordering;

use strongroom_repository::RepositoryId;
use strongroom_worker::backup::BackupReport;

use crate::job_id::JobId;
use crate::ledger::{Entry, LedgerError, Recorded};

/// Why a job is not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A controller that was away sends what was superseded.
    #[error("generation {asked} of job '{job}' is older than {known}, which is known here")]
    Older {
        /// The job.
        job: JobId,
        /// What was asked.
        asked: u64,
        /// What is known.
        known: u64,
    },
    /// The same name for something else.
    #[error("generation {generation} of job '{job}' was started with other content")]
    OtherContent {
        /// The job.
        job: JobId,
        /// The attempt.
        generation: u64,
    },
    /// The attempt before still runs, and is not the same.
    #[error("job '{job}' still runs generation {known}, which has other content: cancel it first")]
    StillRunning {
        /// The job.
        job: JobId,
        /// What runs.
        known: u64,
    },
    /// No key.
    #[error("this worker has no key for repository {0}: enrol it first")]
    NotEnrolled(RepositoryId),
    /// A queue without end.
    #[error("{0} jobs wait or run already")]
    TooMany(usize),
    /// It goes down.
    #[error("the worker stops")]
    Stopping,
    /// Without a ledger no job begins.
    #[error("the job cannot be kept")]
    Ledger(#[from] LedgerError),
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// Answer with what is known.
    Answer,
    /// The same, and remember the newer generation.
    Raise,
    /// Run it. Snapshots of earlier tries may be visible.
    Run {
        /// Those.
        committing: Vec<BackupReport>,
    },
}

/// Decides about a job that is known.
pub(super) fn decide(known: &Entry, generation: u64, fingerprint: &str) -> Result<Decision, StartError> {
    let is_same = known.fingerprint == fingerprint;
    let job = || known.job.clone();
    match (generation.cmp(&known.generation), &known.state) {
        (Ordering::Less, _) => Err(StartError::Older { job: job(), asked: generation, known: known.generation }),
        (Ordering::Equal, _) if is_same => Ok(Decision::Answer),
        (Ordering::Equal, _) => Err(StartError::OtherContent { job: job(), generation }),
        // Nothing was put in place, or nothing was meant to be: it is done once more.
        (Ordering::Greater, Recorded::Restored { report }) if !is_in_place(report) => {
            Ok(Decision::Run { committing: Vec::new() })
        }
        (Ordering::Greater, Recorded::Restored { .. }) => Ok(Decision::Raise),
        // It is done, and doing it once more would make a second snapshot.
        (Ordering::Greater, Recorded::BackedUp { .. }) => Ok(Decision::Raise),
        (Ordering::Greater, Recorded::Running) if is_same => Ok(Decision::Raise),
        (Ordering::Greater, Recorded::Running) => Err(StartError::StillRunning { job: job(), known: known.generation }),
        // What was meant to be visible for another request does not answer this one.
        (Ordering::Greater, Recorded::Failed { .. } | Recorded::Cancelled) => {
            Ok(Decision::Run { committing: if is_same { known.committing.clone() } else { Vec::new() } })
        }
    }
}

/// Whether a restore's report is one of files that are in place. A plan has no outcome.
fn is_in_place(report: &serde_json::Value) -> bool {
    report.get("outcome").is_some_and(|outcome| outcome != "failed")
}

#[cfg(test)]
mod tests;
