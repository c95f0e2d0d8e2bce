//! What a restore did, for people and for the record.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_repository::ObjectId;

use super::around::{HookDone, ProbeDone};
use super::aspect::Aspect;
use crate::checks::Check;

/// The result as one word; the exit code comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is in place, read back and equal.
    Restored,
    /// All content is in place, read back and equal; some metadata could not be set or came out otherwise.
    Deviating,
    /// All content is in place, read back and equal; a check of the plan does not agree with what is there.
    Unproven,
    /// Some files could not be restored and are not in place. Everything else is, read back and equal.
    Partial,
    /// What was read back is not what was stored. Nothing was put in place.
    Failed,
}

/// The report of one restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreReport {
    /// Which snapshot.
    pub snapshot: ObjectId,
    /// Where to, escaped.
    pub target: String,
    /// The result.
    pub outcome: Outcome,
    /// What was done.
    pub counts: Counts,
    /// What was proven.
    pub verification: Verification,
    /// Bytes of sealed frames that were fetched.
    pub fetched_bytes: u64,
    /// What could not be restored; the first ten thousand.
    pub problems: Vec<RestoreProblem>,
    /// How many there were.
    pub problems_total: u64,
    /// What is not as in the snapshot although its content is; the first thousand.
    pub deviations: Vec<Deviation>,
    /// How many there were.
    pub deviations_total: u64,
    /// How long each part took. Verification runs beside the writing, so these do not add up.
    pub phases: Vec<PhaseTime>,
    /// Where replaced files are now, escaped.
    pub set_aside: Option<String>,
    /// Where the unfinished restore lies, if it was not put in place, escaped.
    pub staging: Option<String>,
    /// The plan's checks, where some were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Commands around it, where there were some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookDone>,
    /// Looks at the system that is up again, where some were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeDone>,
}

impl RestoreReport {
    /// The same, with what the plan's checks say: one that does not agree takes the proof from a restore that is whole.
    #[must_use]
    pub fn with_checks(mut self, checks: Vec<Check>) -> Self {
        if self.is_whole() && !checks.iter().all(Check::agreed) {
            self.outcome = Outcome::Unproven;
        }
        Self { checks, ..self }
    }
}

/// Numbers of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Regular files, each once however many names it has.
    pub files: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links, fifos and devices.
    pub others: u64,
    /// Bytes of content written, holes left out.
    pub bytes: u64,
    /// Files found complete from an interrupted run.
    pub resumed_files: u64,
    /// Existing nodes that were replaced.
    pub replaced: u64,
    /// Existing nodes that were equal already, by content and metadata.
    pub unchanged: u64,
    /// Existing nodes that were left as they were, whatever they are.
    pub kept: u64,
}

/// What was read back after a flush and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// Files whose content equals the hash taken at the source.
    pub verified_files: u64,
    /// Their bytes.
    pub verified_bytes: u64,
    /// Nodes whose metadata was compared.
    pub compared_nodes: u64,
    /// Files that came back different.
    pub mismatches: u64,
    /// Where the bytes came back from.
    pub medium: Medium,
}

/// What is behind the target's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A device or a server: bytes were read past the cache.
    Disk,
    /// Memory, as in tmpfs: there is no disk to read from.
    Memory,
}

/// Whose fault it is that a path was not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemKind {
    /// Stored bytes are damaged or gone.
    Repository,
    /// The target's file system refused it.
    Target,
    /// It was written, and came back different.
    Mismatch,
    /// Its name or content is not what a snapshot may hold.
    Malformed,
    /// Something in the target stands in its way.
    Conflict,
}

/// A path that was not restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreProblem {
    /// Which path in the snapshot, escaped.
    pub path: String,
    /// Whose fault.
    pub kind: ProblemKind,
    /// What happened.
    pub error: String,
}

/// Metadata that is not as in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// Which path, escaped.
    pub path: String,
    /// What about it.
    pub aspect: Aspect,
    /// Whether it could be set. Earlier releases do not say.
    #[serde(default)]
    pub kind: DeviationKind,
    /// Why.
    pub reason: String,
}

/// How metadata came to be not as in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviationKind {
    /// It could not be set, or there is nothing to compare it with.
    #[default]
    Refused,
    /// It was set, and came back otherwise.
    Different,
}

/// A part of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Which part.
    pub name: String,
    /// How long, in milliseconds.
    pub milliseconds: u64,
}

impl PhaseTime {
    pub(super) fn new(name: &str, took: Duration) -> Self {
        Self { name: name.into(), milliseconds: took.as_millis() as u64 }
    }
}

impl Outcome {
    /// The outcome that these findings make.
    pub(super) fn of(problems: u64, mismatches: u64, deviations: u64) -> Self {
        match (mismatches, problems, deviations) {
            (0, 0, 0) => Self::Restored,
            (0, 0, _) => Self::Deviating,
            (0, _, _) => Self::Partial,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Restored => "restored and verified",
            Self::Deviating => "restored and verified, with deviations in metadata",
            Self::Unproven => "restored and read back, and a check does not agree",
            Self::Partial => "restored in part",
            Self::Failed => "failed: what was read back is not what was stored",
        })
    }
}
