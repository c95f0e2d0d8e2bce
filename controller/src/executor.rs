//! The hands that do a plan's steps.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{CheckCommand, CheckLimits, LoadLimits, Source, Step};
use strongroom_repository::{ObjectId, Problem, Snapshot, SnapshotKind, Totals};

use crate::sampling::Sampled;

/// Does the steps of one run, in one repository, for one host.
///
/// Promises that the run counts on:
///
/// * A method returns only when its step is over: done and durable, or failed with nothing half done visible.
/// * [`back_up`](Self::back_up) is one snapshot or none. Files that could not be read are in its answer, not an error.
/// * [`restore`](Self::restore) begins with an empty scratch directory of its own and reads everything back from the disk after a flush; what it calls equal was
///   compared with the hash taken at the source. Files that differ are in its answer, not an error.
/// * [`check`](Self::check) runs one command in that directory and always comes back: a command that does not end is ended.
/// * [`discard_scratch`](Self::discard_scratch) may be called at any time, also twice, also when there is none.
/// * After an error the run calls nothing further but `discard_scratch`.
pub trait Executor {
    /// Why a step could not be done. Its text goes into the record.
    type Fault: Display;

    /// Told before each step, for whoever watches.
    fn beginning(&mut self, place: StepPlace, step: &Step);

    /// Stores one source as one snapshot.
    fn back_up(&mut self, order: &BackupOrder<'_>) -> Result<BackupDone, Self::Fault>;

    /// Restores snapshots of this run, whole, into one scratch directory, and verifies them. A drill may restore a sample of them; its answer says so.
    fn restore(&mut self, snapshots: &[ObjectId]) -> Result<RestoreDone, Self::Fault>;

    /// Runs one check in the scratch directory, within its limits.
    fn check(&mut self, command: &CheckCommand, limits: CheckLimits) -> Result<CheckResult, Self::Fault>;

    /// Brings what this plan has stored for this host into one of the plan's copies. What the copy could not be given is in the answer; that it cannot be reached at all is,
    /// too: the other copies are still filled.
    fn copy(&mut self, order: &CopyOrder<'_>) -> Result<CopyDone, Self::Fault>;

    /// Removes the scratch directory with everything in it.
    fn discard_scratch(&mut self) -> Result<(), Self::Fault>;

    /// All snapshots of the repository that can be read.
    fn snapshots(&mut self) -> Result<Vec<Snapshot>, Self::Fault>;
}

/// Where a step stands in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepPlace {
    /// From 1.
    pub number: usize,
    /// How many steps the run has.
    pub of: usize,
}

/// What is to be backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupOrder<'a> {
    /// What is read, and what is left out.
    pub source: &'a Source,
    /// What the snapshot is marked with, the plan's name among it.
    pub tags: BTreeMap<String, String>,
    /// How much of the host it may take.
    pub limits: LoadLimits,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupDone {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// The commit that made it visible.
    pub commit: u64,
    /// Full or incremental.
    pub kind: SnapshotKind,
    /// Counts.
    pub totals: Totals,
    /// What could not be read, the first thousand.
    pub problems: Vec<Problem>,
}

/// Which copy is to be filled with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOrder<'a> {
    /// Which of the plan's copies, from 0.
    pub number: usize,
    /// The plan whose snapshots are brought.
    pub plan: &'a str,
}

/// A copy of the repository that was to be brought up to date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CopyDone {
    /// Where it is.
    pub location: String,
    /// Snapshots that are new there.
    pub snapshots: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// What could not be brought, and why; empty if the copy has everything.
    pub faults: Vec<String>,
}

/// A restore to scratch, and what the comparison showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreDone {
    /// What was proven.
    pub verification: Verification,
    /// What could not be restored, or came back different; the first thousand.
    pub differences: Vec<Problem>,
    /// How many there were.
    pub differences_total: u64,
    /// Metadata that this machine, or this user, could not set; the first thousand. Their files came back equal.
    pub deviations: Vec<Problem>,
    /// How many there were.
    pub deviations_total: u64,
    /// What was restored, where that was not to be everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampled>,
}

/// Counts of a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// Regular files that were read back from the disk and equal the hash taken at the source.
    pub files_equal: u64,
    /// Their bytes.
    pub bytes_equal: u64,
    /// Nodes of any kind whose metadata were compared.
    pub metadata_compared: u64,
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckResult {
    /// The command, as a person would type it.
    pub command: String,
    /// What it said.
    pub verdict: CheckVerdict,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The end of what it printed.
    pub output: String,
    /// What it might take at most, where the plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    /// Whether it saw nothing of the machine's network, mounts made meanwhile, and processes.
    #[serde(default)]
    pub isolated: bool,
}

/// The exit code by which a check agrees.
pub const AGREES: i32 = 0;

/// What a check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// It ended with exit code 0.
    Agreed,
    /// It ended with another code.
    Disagreed(i32),
    /// A signal ended it.
    Killed(i32),
    /// It did not end in time.
    TimedOut,
    /// A process of it computed for longer than it may.
    CpuUsedUp,
    /// It could not be started.
    NotStarted,
    /// It ended with exit code 0, and printed something else than it must.
    Otherwise,
}

/// So many of the last lines of what a check printed stand in a reason; the record has more.
const SAID_LINES_MAX: usize = 5;

impl Display for CheckVerdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreed => write!(out, "ended with {AGREES}"),
            Self::Disagreed(code) => write!(out, "ended with {code}"),
            Self::Killed(signal) => write!(out, "was ended by signal {signal}"),
            Self::TimedOut => out.write_str("did not end in time"),
            Self::CpuUsedUp => out.write_str("used up its processor time"),
            Self::NotStarted => out.write_str("could not be started"),
            Self::Otherwise => write!(out, "ended with {AGREES} and printed something else"),
        }
    }
}

impl CheckResult {
    /// What it should have said and what it said, if it did not agree.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let lines: Vec<&str> = self.output.lines().collect();
        let said = lines[lines.len().saturating_sub(SAID_LINES_MAX)..].join(" | ");
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let limits = self.limits.as_ref().map(|limits| format!(" (it may take {limits})")).unwrap_or_default();
        let fault = format!("the check `{}` was to end with {AGREES} and {}{limits}{said}", self.command, self.verdict);
        (!self.agreed()).then_some(fault)
    }

    /// Only this counts as passed.
    #[must_use]
    pub fn agreed(&self) -> bool {
        self.verdict == CheckVerdict::Agreed
    }
}

impl RestoreDone {
    /// What came back different, in a sentence that names the first of it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let first = self.differences.first().map(|first| format!(": {}: {}", first.path, first.error));
        let (count, first) = (self.differences_total, first.unwrap_or_default());
        (!self.all_equal()).then(|| format!("{count} did not come back as at the source{first}"))
    }

    /// Whether every file is as it was at the source.
    #[must_use]
    pub fn all_equal(&self) -> bool {
        self.differences_total == 0
    }
}
