//! What came of a run.

use serde::{Deserialize, Serialize};
use strongroom_repository::{ObjectId, Problem, SnapshotKind, Totals};

/// The record of a finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupReport {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// The commit that made it visible; 0 before there is one.
    pub commit: u64,
    /// Full or incremental.
    pub kind: SnapshotKind,
    /// Whether everything was backed up.
    pub outcome: Outcome,
    /// The snapshot whose unchanged parts were taken over.
    pub parent: Option<ObjectId>,
    /// Whether the tree is the parent's, byte for byte.
    pub unchanged: bool,
    /// Counts.
    pub totals: Totals,
    /// Nodes that rules left out.
    pub left_out: u64,
    /// Files that changed while they were read.
    pub torn: u64,
    /// What could not be backed up, the first thousand.
    pub problems: Vec<Problem>,
    /// From the beginning to the end of the scan and of the reading, in milliseconds.
    pub read_ms: u64,
    /// From the beginning to the commit, in milliseconds.
    pub total_ms: u64,
}

/// Whether everything was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was.
    Complete,
    /// Some of the source could not be read; the rest is safe.
    Partial,
}
