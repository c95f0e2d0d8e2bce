//! How it stands with the controller's own state in a repository.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::KnownState;
use crate::own_state::StoredState;
use crate::state_proofs::ProvenState;

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
    /// Whether it was enough to begin again, when that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<StateProof>,
    /// When that is tried next; none while it is, and where nobody asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_proof: Option<Timestamp>,
}

/// An attempt to begin again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateProof {
    /// When it began.
    pub began: Timestamp,
    /// What was found; none if it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<ProvenState>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether one could begin again from a repository, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// There is nothing, or nothing new, for more than a day.
    Overdue,
    /// When it was tried last, it could not be begun again from what is there.
    Unproven,
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
        let (repository, reason) = (repository.to_owned(), known.fault);
        Self { repository, state, reason, time, stored, next, proof: None, next_proof: None }
    }

    /// The same, with what came of the newest attempt to begin again.
    #[must_use]
    pub fn proven_by(mut self, proof: Option<StateProof>, next_proof: Option<Timestamp>) -> Self {
        if proof.as_ref().is_some_and(|proof| proof.proven.is_none()) {
            self.state = self.state.min(Keeping::Unproven);
        }
        Self { proof, next_proof, ..self }
    }
}
