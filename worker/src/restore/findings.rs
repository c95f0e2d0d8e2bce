//! What the threads of a restore find out, in one place.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use strongroom_repository::text::escape;

use super::aspect::{Aspect, Aspects};
use super::error::RestoreError;
use super::node::Refusal;
use super::report::{Counts, Deviation, DeviationKind, Medium, Outcome, ProblemKind, RestoreProblem, Verification};

/// Enough to name every file of a damaged pack; a report stays below a few megabytes.
const PROBLEMS_MAX: usize = 10_000;

/// Deviations repeat: one who is not root has one per file.
const DEVIATIONS_MAX: usize = 1_000;

/// A number that threads raise.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted or noted while a restore runs.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) files: Counter,
    pub(super) hard_links: Counter,
    pub(super) directories: Counter,
    pub(super) others: Counter,
    pub(super) bytes: Counter,
    pub(super) resumed_files: Counter,
    pub(super) replaced: Counter,
    pub(super) verified_files: Counter,
    pub(super) verified_bytes: Counter,
    pub(super) compared_nodes: Counter,
    pub(super) fetched_bytes: Counter,
    mismatches: Counter,
    problems_total: Counter,
    deviations_total: Counter,
    problems: Mutex<Vec<RestoreProblem>>,
    deviations: Mutex<Vec<Deviation>>,
    fatal: Mutex<Option<RestoreError>>,
}

impl Findings {
    /// Notes that a path is not restored.
    pub(super) fn problem(&self, path: &[u8], kind: ProblemKind, error: impl Into<String>) {
        self.problems_total.add(1);
        self.mismatches.add(u64::from(kind == ProblemKind::Mismatch));
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.len() < PROBLEMS_MAX {
            problems.push(RestoreProblem { path: escape(path), kind, error: error.into() });
        }
    }

    /// Notes what the target's file system did to a path: the end of the run if it would do so to all of them.
    pub(super) fn target_fault(&self, doing: &'static str, path: &[u8], fault: io::Error) {
        if is_general(&fault) {
            self.fail(RestoreError::Target { doing, path: escape(path), source: fault });
        } else {
            self.problem(path, ProblemKind::Target, format!("cannot {doing}: {fault}"));
        }
    }

    /// Notes that something about a path is not as in the snapshot.
    pub(super) fn deviation(&self, path: &[u8], aspect: Aspect, reason: impl Into<String>) {
        self.deviates(path, aspect, DeviationKind::Refused, reason.into());
    }

    /// Notes what was set on a path, and read back otherwise.
    pub(super) fn came_out_otherwise(&self, path: &[u8], aspects: Aspects) {
        for aspect in aspects.iter() {
            self.deviates(path, aspect, DeviationKind::Different, "it came out otherwise than it was set".into());
        }
    }

    fn deviates(&self, path: &[u8], aspect: Aspect, kind: DeviationKind, reason: String) {
        self.deviations_total.add(1);
        let mut deviations = self.deviations.lock().unwrap_or_else(PoisonError::into_inner);
        if deviations.len() < DEVIATIONS_MAX {
            deviations.push(Deviation { path: escape(path), aspect, kind, reason });
        }
    }

    /// Notes what could not be set on a path, and says which aspects those were.
    pub(super) fn refusals(&self, path: &[u8], refusals: &[Refusal]) -> Aspects {
        let mut refused = Aspects::NONE;
        for Refusal { aspect, reason } in refusals {
            refused.insert(*aspect);
            self.deviation(path, *aspect, reason.to_string());
        }
        refused
    }

    /// Ends the run with an error; the first one counts.
    pub(super) fn fail(&self, error: RestoreError) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether the run is to end.
    pub(super) fn has_failed(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The error that ends the run.
    pub(super) fn check(&self) -> Result<(), RestoreError> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// The result so far.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of(self.problems_total.get(), self.mismatches.get(), self.deviations_total.get())
    }

    /// What was counted; what the plan decided to leave alone is the caller's to add.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            files: self.files.get(),
            hard_links: self.hard_links.get(),
            directories: self.directories.get(),
            others: self.others.get(),
            bytes: self.bytes.get(),
            resumed_files: self.resumed_files.get(),
            replaced: self.replaced.get(),
            ..Counts::default()
        }
    }

    pub(super) fn verification(&self, medium: Medium) -> Verification {
        Verification {
            verified_files: self.verified_files.get(),
            verified_bytes: self.verified_bytes.get(),
            compared_nodes: self.compared_nodes.get(),
            mismatches: self.mismatches.get(),
            medium,
        }
    }

    /// The problems kept, and how many there were.
    pub(super) fn problems(&self) -> (Vec<RestoreProblem>, u64) {
        (self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone(), self.problems_total.get())
    }

    /// The deviations kept, and how many there were.
    pub(super) fn deviations(&self) -> (Vec<Deviation>, u64) {
        (self.deviations.lock().unwrap_or_else(PoisonError::into_inner).clone(), self.deviations_total.get())
    }
}

/// Faults that are not about one file: no room, a broken or read-only device, no more open files or memory.
fn is_general(fault: &io::Error) -> bool {
    let general =
        [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO, Errno::NODEV, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    Errno::from_io_error(fault).is_some_and(|errno| general.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_makes_the_outcome() {
        let findings = Findings::default();
        assert_eq!(findings.outcome(), Outcome::Restored);
        findings.deviation(b"a", Aspect::Mode, "no");
        assert_eq!(findings.outcome(), Outcome::Deviating);
        findings.target_fault("create the file", b"b", Errno::ACCESS.into());
        assert_eq!(findings.outcome(), Outcome::Partial);
        findings.problem(b"c\xff", ProblemKind::Mismatch, "other bytes");
        assert_eq!(findings.outcome(), Outcome::Failed);
        assert_eq!(findings.problems().0[1].path, "c\\xff");
        assert!(findings.check().is_ok());
    }

    #[test]
    fn a_full_disk_ends_the_run_and_lists_are_bounded() {
        let findings = Findings::default();
        findings.target_fault("write the file", b"a", Errno::NOSPC.into());
        assert!(findings.has_failed());
        assert!(matches!(findings.check(), Err(RestoreError::Target { .. })));
        for _ in 0..DEVIATIONS_MAX + 5 {
            findings.deviation(b"a", Aspect::Owner, "");
        }
        let (kept, total) = findings.deviations();
        assert_eq!((kept.len(), total), (DEVIATIONS_MAX, DEVIATIONS_MAX as u64 + 5));
    }
}
