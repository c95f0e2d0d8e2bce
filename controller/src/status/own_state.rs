//! How it stands with the controller's own state in a repository.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::KnownState;
use crate::own_state::StoredState;

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeptState {
    /// Its name in the site.
    pub repository: String,
    /// Whether one could begin again from it.
    pub state: Keeping,
    /// Why the newest attempt came to nothing, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the newest that was stored was begun: what came later is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// What was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredState>,
    /// When it is stored next; none while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// Whether one could begin again from a repository, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// There is nothing, or nothing new, for more than a day.
    Overdue,
    /// The controller has not been there for long enough.
    New,
    /// There is a state of the last day.
    Kept,
}

impl KeptState {
    /// From what is known.
    #[must_use]
    pub fn new(repository: &str, known: KnownState, is_overdue: bool, next: Option<Timestamp>) -> Self {
        let state = match &known.good {
            _ if is_overdue => Keeping::Overdue,
            None => Keeping::New,
            Some(_) => Keeping::Kept,
        };
        let (time, stored) = known.good.unzip();
        Self { repository: repository.to_owned(), state, reason: known.fault, time, stored, next }
    }
}
