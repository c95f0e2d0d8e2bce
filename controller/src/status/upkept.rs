//! How it stands with a repository's maintenance.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::KnownMaintenance;
use crate::maintenance::{Figures, MaintenanceEnding};

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Upkept {
    /// Its name in the site.
    pub repository: String,
    /// Whether it is looked after.
    pub state: UpkeepState,
    /// In words, what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last maintenance that came to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastMaintenance>,
    /// When the last one began that ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Timestamp>,
    /// Since when it is being maintained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// When it is due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// A maintenance that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastMaintenance {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub ending: MaintenanceEnding,
    /// Why, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it came to.
    pub figures: Figures,
}

/// Whether a repository is looked after, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpkeepState {
    /// The last maintenance did not end well.
    Failed,
    /// One was due and has brought nothing good.
    Overdue,
    /// None was due yet.
    New,
    /// The last one ended well, in time.
    Maintained,
}

impl Upkept {
    /// From what is known; `overdue_since` is when a good one was due that is missing.
    #[must_use]
    pub fn new(
        repository: &str,
        known: KnownMaintenance,
        overdue_since: Option<Timestamp>,
        running_since: Option<Timestamp>,
        next: Option<Timestamp>,
    ) -> Self {
        let overdue = overdue_since.filter(|_| running_since.is_none());
        let (state, reason) = match (&known.last, overdue) {
            (Some(last), _) if last.ending != MaintenanceEnding::Done => {
                let because = last.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                (UpkeepState::Failed, Some(format!("{}{because}", last.ending)))
            }
            (_, Some(since)) => {
                let since = since.strftime("%Y-%m-%d %H:%M UTC");
                (UpkeepState::Overdue, Some(format!("was due {since}")))
            }
            (None, None) => (UpkeepState::New, None),
            (Some(_), None) => (UpkeepState::Maintained, None),
        };
        let KnownMaintenance { last, good, .. } = known;
        Self { repository: repository.to_owned(), state, reason, last, good, running_since, next }
    }
}
