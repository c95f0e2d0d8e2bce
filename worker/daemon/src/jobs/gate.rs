//! Between durable and visible: the ledger is told, and an earlier try of the same job is looked for.
//!
//! Why at most one snapshot of a job becomes visible. Each try writes its snapshot's id into the ledger before its first commit. A try that was killed may have a commit under
//! way, which was made for one number of the history. The next try reads the history first; if the snapshot is there, it is adopted. If it is not, the commit may still
//! arrive; but the next try commits at the same number, where only one of the two gets through, or behind it, where the late one can no longer get in; and before each
//! try at a number the gate looks through the history that the commit would continue.

use std::sync::Arc;

use strongroom_repository::History;
use strongroom_worker::backup::{BackupReport, CommitGate};

use super::job::Job;

/// The gate of one try.
pub(super) fn gate(job: Arc<Job>) -> CommitGate {
    Box::new(move |history, report| {
        if visible(&job, history).is_some() {
            return Err("an earlier try of the job is visible already".into());
        }
        job.control().commit(|| announce(&job, report))
    })
}

fn announce(job: &Job, report: &BackupReport) -> Result<(), String> {
    let is_known = |known: &BackupReport| known.snapshot == report.snapshot;
    if job.with(|entry| entry.committing.iter().any(is_known)) {
        return Ok(());
    }
    job.record(|entry| entry.committing.push(report.clone())).map_err(|error| strongroom_repository::chain(&error))
}

/// The report of a try of this job that the history holds.
pub(super) fn visible(job: &Job, history: &History) -> Option<BackupReport> {
    let commit_of = |report: &BackupReport| {
        history.snapshots.iter().find(|added| added.snapshot == report.snapshot).map(|added| added.commit)
    };
    job.with(|entry| {
        let found = entry.committing.iter().find_map(|report| Some((report, commit_of(report)?)));
        found.map(|(report, commit)| BackupReport { commit, ..report.clone() })
    })
}
