//! What runs around a restore.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Hook, is_default};

/// Commands before and after it, and looks at what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Around {
    /// Before anything is written; one that fails ends the job.
    #[serde(skip_serializing_if = "is_default")]
    pub before: Vec<Hook>,
    /// Once everything is in place and checked.
    #[serde(skip_serializing_if = "is_default")]
    pub after: Vec<Hook>,
    /// And then.
    #[serde(skip_serializing_if = "is_default")]
    pub probes: Vec<Probe>,
    /// What all of them are told.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: BTreeMap<String, String>,
}

/// A look at what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probe {
    /// What is run.
    pub hook: Hook,
    /// All that it must print; none for anything.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prints: Option<String>,
    /// For so long it is made again while it does not agree.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wait_seconds: u64,
}

impl Around {
    /// All commands.
    pub(super) fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.before.iter().chain(&self.after).chain(self.probes.iter().map(|probe| &probe.hook))
    }
}
