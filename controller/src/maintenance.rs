//! What was done for a repository, and how it ended: the shape in which the journal keeps it and people are told.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, Site};
use strongroom_repository::store::LockMode;
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
    Over(Box<MaintenanceReport>),
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
    /// Something in force can be deleted sooner than is promised.
    Exposed,
    /// It could not be done.
    Failed,
}

/// What each part came to; none for a part that was not done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// Snapshots that the plans let go, and those of the controller's own state beyond what it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget: Option<ForgetFigures>,
    /// Room that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneFigures>,
    /// Locks that were made longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockFigures>,
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
    /// How many of these snapshots stay.
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
    /// Deleted objects that a bucket keeps as older versions, so that nothing came free yet.
    #[serde(default)]
    pub hidden: u64,
}

/// Locks that were made longer, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockFigures {
    /// For how many seconds nobody may be able to delete what is in force.
    pub for_seconds: u64,
    /// Objects in force.
    pub objects: u64,
    /// Those whose lock was made longer; of a rehearsal, would be.
    pub extended: u64,
    /// Those that can be deleted sooner.
    pub exposed: u64,
    /// The weakest of the locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LockMode>,
    /// None of them ends before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether the newest commit was locked when it was found: what is written then is locked from its first moment.
    pub from_the_first: bool,
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

impl LockFigures {
    /// Whether nobody at all could delete anything of what was in force, and cannot now.
    #[must_use]
    pub fn is_immutable(&self, now: Timestamp) -> bool {
        let holds = self.until.is_some_and(|until| until > now);
        self.mode == Some(LockMode::Compliance) && holds && self.exposed == 0 && self.from_the_first
    }

    /// What is not as it should be, in a sentence.
    fn lacks(&self) -> Option<String> {
        match (self.exposed, self.from_the_first) {
            (0, true) => None,
            (0, false) => Some("what is written now is not locked: the bucket needs a default retention".into()),
            (exposed, _) => {
                let days = self.for_seconds / 86_400;
                Some(format!(
                    "{exposed} objects in force can be deleted within {days} days: `strongroom repo lock` names them"
                ))
            }
        }
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
        let exposed = figures.lock.as_ref().and_then(LockFigures::lacks);
        let (ending, reason) = match behind {
            _ if damaged > 0 => {
                let why = format!("{damaged} damaged: `strongroom repo repair` says what can be done");
                (MaintenanceEnding::Damaged, Some(why))
            }
            _ if exposed.is_some() => (MaintenanceEnding::Exposed, exposed),
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
            Self::Exposed => "exposed",
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
        let exposed = |figures: Figures| Figures { lock: Some(LockFigures { exposed: 1, ..lock() }), ..figures };
        assert_eq!(ending(exposed(scrub(0, false)), &refused), MaintenanceEnding::Exposed);
        assert_eq!(ending(exposed(scrub(2, true)), &[]), MaintenanceEnding::Damaged);
        let later = Figures { lock: Some(LockFigures { from_the_first: false, ..lock() }), ..Figures::default() };
        assert_eq!(ending(later, &[]), MaintenanceEnding::Exposed);
        assert_eq!(ending(Figures { lock: Some(lock()), ..Figures::default() }, &[]), MaintenanceEnding::Done);
    }

    fn lock() -> LockFigures {
        LockFigures {
            for_seconds: 30 * 86_400,
            objects: 9,
            extended: 3,
            exposed: 0,
            mode: Some(LockMode::Compliance),
            until: Some("2026-12-22T00:00:00Z".parse().unwrap()),
            from_the_first: true,
        }
    }

    #[test]
    fn only_what_nobody_can_delete_is_immutable() {
        let is_immutable = |figures: LockFigures, now: &str| figures.is_immutable(now.parse().unwrap());
        let before = "2026-12-21T00:00:00Z";
        assert!(is_immutable(lock(), before));
        assert!(!is_immutable(lock(), "2026-12-22T00:00:00Z"));
        assert!(!is_immutable(LockFigures { exposed: 1, ..lock() }, before));
        assert!(!is_immutable(LockFigures { mode: Some(LockMode::Governance), ..lock() }, before));
        assert!(!is_immutable(LockFigures { mode: None, until: None, ..lock() }, before));
        assert!(!is_immutable(LockFigures { from_the_first: false, ..lock() }, before));
    }
}
