//! What ran around a restore, and what it says of the result.

use serde::{Deserialize, Serialize};

use super::report::{Outcome, RestoreReport};
use crate::checks::Check;

/// A command around a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HookDone {
    /// When it ran.
    pub when: HookTime,
    /// Program and arguments.
    pub command: Vec<String>,
    /// How it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// When a command around a restore runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookTime {
    /// Before anything is written.
    Before,
    /// When everything is in place.
    After,
}

/// A look at the system once it is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProbeDone {
    /// All that it had to print, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prints: Option<String>,
    /// What it said.
    pub check: Check,
}

impl HookTime {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl RestoreReport {
    /// Whether all content is in place, and nothing that was looked at so far says otherwise.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.outcome, Outcome::Restored | Outcome::Deviating)
    }

    /// The same, with what ran after it: whatever failed takes the proof from a restore that is whole.
    #[must_use]
    pub fn with_around(mut self, after: Vec<HookDone>, probes: Vec<ProbeDone>) -> Self {
        let is_good = after.iter().all(|hook| hook.error.is_none()) && probes.iter().all(|probe| probe.check.agreed());
        if self.is_whole() && !is_good {
            self.outcome = Outcome::Unproven;
        }
        self.hooks.extend(after);
        Self { probes, ..self }
    }
}
