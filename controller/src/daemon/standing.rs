//! Where a run stands, for whoever follows it.

use serde::{Deserialize, Serialize};

use crate::runs::Run;

/// A run and what it does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    /// The run, as the journal has it.
    pub run: Run,
    /// What it does now.
    pub doing: Doing,
}

/// What a run does at a moment. For the eye: its record is in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Doing {
    /// In words.
    pub step: String,
    /// Files that are through.
    pub files_done: u64,
    /// Bytes that are through.
    pub bytes_done: u64,
    /// All of them; zero while that is unknown.
    pub bytes_total: u64,
}

impl Standing {
    /// Of a run that has said nothing yet, or nothing more.
    #[must_use]
    pub fn begun(run: Run) -> Self {
        Self { run, doing: Doing::default() }
    }
}
