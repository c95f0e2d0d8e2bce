//! What was done for a repository, and how it ended: the shape in which the journal keeps it and people are told.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, Site};
use tokio::sync::mpsc;

use crate::operator::Mode;

/// One maintenance to be done, on a thread of its own.
#[derive(Debug)]
pub struct MaintenanceOrder {
    /// The repository's name in the site.
    pub repository: Name,
    /// The site that is in force: its plans say what is kept.
    pub site: Arc<Site>,
    /// Whether it is only said what would be done.
    pub mode: Mode,
    pub(crate) ends: mpsc::UnboundedSender<(Name, MaintenanceEnd)>,
}

/// How the thread of a maintenance ended.
#[derive(Debug)]
pub enum MaintenanceEnd {
    /// With what was done.
    Over(MaintenanceReport),
    /// The controller is about to end: it is due again at the next start.
    Interrupted,
}

/// What was done for a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MaintenanceReport {
    /// How it ended.
    pub ending: MaintenanceEnding,
    /// Why, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it came to, as far as it came.
    pub figures: Figures,
}

/// How a maintenance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceEnding {
    /// Everything was done, and nothing is wrong.
    Done,
    /// A limit of what is sane stopped a part of it.
    Refused,
    /// Damage was found.
    Damaged,
    /// Not every byte was hashed again within the time that is promised.
    Behind,
    /// It could not be done.
    Failed,
}

/// What each part came to; none for a part that was not done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// Snapshots that the plans let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget: Option<ForgetFigures>,
    /// Room that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneFigures>,
    /// Bytes that were hashed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubFigures>,
}

/// Snapshots that went, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ForgetFigures {
    /// How many went; of a rehearsal, and of a refusal, how many would.
    pub forgotten: u64,
    /// How many of the plans' snapshots stay.
    pub kept: u64,
    /// The commit; none where nothing was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
}

/// Room that was made, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PruneFigures {
    /// Bytes of what was deleted; of a rehearsal, of what would come free.
    pub deleted_bytes: u64,
    /// Bytes that were moved out of packs.
    pub moved_bytes: u64,
    /// Condemned packs that stay for now.
    pub waiting: u64,
    /// Damaged frames that stay where they are.
    pub damaged: u64,
}

/// Bytes that were hashed again, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScrubFigures {
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
    /// Objects that are not what they should be.
    pub damaged: u64,
    /// How the promise stands; none of a rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromiseFigures>,
}

/// How "every stored byte is hashed again within so long" stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PromiseFigures {
    /// Within how many seconds.
    pub every_seconds: u64,
    /// Since when it is broken; none while it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_since: Option<Timestamp>,
    /// Whether it is kept.
    pub kept: bool,
    /// When what waits longest was last verified, or stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
}

impl MaintenanceOrder {
    /// Reports the end.
    pub fn end(self, end: MaintenanceEnd) {
        // The loop ends before its threads only when the journal failed: then nobody can write this down.
        let _ = self.ends.send((self.repository, end));
    }
}

impl MaintenanceReport {
    /// Of one that could not be done.
    #[must_use]
    pub fn failed(reason: impl Into<String>, figures: Figures) -> Self {
        Self { ending: MaintenanceEnding::Failed, reason: Some(reason.into()), figures }
    }

    /// Of one that came to its end: the worst of what it met, with `refused` as the reasons for which something was not forgotten.
    #[must_use]
    pub fn concluded(figures: Figures, refused: &[String]) -> Self {
        let damaged = figures.prune.as_ref().map_or(0, |prune| prune.damaged)
            + figures.scrub.as_ref().map_or(0, |scrub| scrub.damaged);
        let promise = figures.scrub.as_ref().and_then(|scrub| scrub.promise.as_ref());
        let behind = promise.filter(|promise| !promise.kept);
        let (ending, reason) = match behind {
            _ if damaged > 0 => {
                let why = format!("{damaged} damaged: `strongroom repo repair` says what can be done");
                (MaintenanceEnding::Damaged, Some(why))
            }
            _ if !refused.is_empty() => (MaintenanceEnding::Refused, Some(refused.join("; "))),
            Some(promise) => {
                let days = promise.every_seconds / 86_400;
                let why =
                    format!("not every byte was hashed again within {days} days: `scrub` needs more bytes or time");
                (MaintenanceEnding::Behind, Some(why))
            }
            None => (MaintenanceEnding::Done, None),
        };
        Self { ending, reason, figures }
    }
}

impl fmt::Display for MaintenanceEnding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
            Self::Behind => "behind",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_was_met_is_the_ending() {
        let scrub = |damaged, kept| {
            let promise = PromiseFigures { every_seconds: 30 * 86_400, broken_since: None, kept, oldest: None };
            Figures {
                scrub: Some(ScrubFigures { objects: 1, bytes: 1, damaged, promise: Some(promise) }),
                ..Figures::default()
            }
        };
        let refused = ["too many".to_owned()];
        let ending = |figures, refused: &[String]| MaintenanceReport::concluded(figures, refused).ending;
        assert_eq!(ending(Figures::default(), &[]), MaintenanceEnding::Done);
        assert_eq!(ending(scrub(0, true), &[]), MaintenanceEnding::Done);
        assert_eq!(ending(scrub(0, false), &[]), MaintenanceEnding::Behind);
        assert_eq!(ending(scrub(0, false), &refused), MaintenanceEnding::Refused);
        assert_eq!(ending(scrub(2, false), &refused), MaintenanceEnding::Damaged);
    }
}
