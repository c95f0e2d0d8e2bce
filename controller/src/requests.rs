//! Restores that need agreement: what was asked for, who agreed, and what came of it, as the journal's entries tell.
//!
//! ```text
//! requested ──► open ──► running ──► finished: an approval is for one restore
//!                │  ▲       └──► interrupted ──► running again, as long as the approvals count
//!                │  └── approved, by one person after another
//!                └──► rejected, withdrawn; by the clock: expired
//! ```
//!
//! What was restored and verified may be put where it is used, at the place that was agreed to with it: `promotion`.
//!
//! An approval is for the hash of a [`ApprovalScope`]: which snapshot, which paths, which place on which host, and how. Before anything is restored the host looks again; what differs by then
//! was approved by nobody. Whoever asks never counts as one of those who agree, and a role that was lost takes its approvals with it.
//!
//! Break-glass is for somebody on call at night: one second person is enough, everybody is told, and the request stays open until a reviewer who took no part has closed it with a note.
//!
//! Pure but for [`Desk`], which writes acts and refusals into the journal before anybody is told. Deliberately absent: the restore itself ([`crate::restore_job`]).

mod decide;
mod desk;
mod fold;
mod number;
mod promotion;
mod scope;
mod view;
mod wish;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use decide::{Moment, Refusal};
pub use desk::{Desk, Handed, Verdict};
pub(crate) use fold::fold;
pub use number::RequestNumber;
pub use promotion::Promotion;
pub use scope::ApprovalScope;
pub use view::{RequestView, State, Story};
pub use wish::{Looked, Urgency, Wish, faults};

use crate::journal::Who;
use crate::restores::RestoreEnding;

/// What somebody applied for; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Application {
    /// Why.
    pub reason: String,
    /// How soon it is needed.
    pub urgency: Urgency,
    /// It is not run after that.
    pub expires: Timestamp,
    /// The directory as it was asked for; where that lies is in the scope.
    pub target: String,
    /// What an approval is for.
    pub scope: ApprovalScope,
    /// Its hash.
    pub hash: String,
    /// What the host said that it would do.
    pub plan: serde_json::Value,
}

/// A request as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// Its number.
    pub number: RequestNumber,
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom.
    pub by: Who,
    /// What.
    pub application: Application,
    /// Who agreed, one after another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Who had it run, each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<Begun>,
    /// How far it is.
    pub standing: Standing,
    /// That it was put where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// The follow-up, where one was owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// Somebody agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approval {
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
    /// It counts until then.
    pub until: Timestamp,
    /// What he said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Somebody had it run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Begun {
    /// The job on the host.
    pub restore: String,
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Standing {
    /// It waits for approvals, or to be run.
    Open,
    /// A reviewer said no.
    Rejected {
        /// Who.
        by: Who,
        /// Why.
        reason: String,
    },
    /// It is not wanted any more.
    Withdrawn {
        /// Who said so.
        by: Who,
    },
    /// The host restores, or did when the controller ended.
    Running {
        /// The job on the host.
        restore: String,
    },
    /// The restore ended early, and may be run again.
    Interrupted {
        /// How.
        ending: RestoreEnding,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The restore was done.
    Finished {
        /// What came of it.
        ending: RestoreEnding,
        /// When.
        at: Timestamp,
    },
}

/// The follow-up of a restore by break-glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Closed {
    /// Who looked at it afterwards.
    pub by: Who,
    /// When.
    pub at: Timestamp,
    /// What he found.
    pub note: String,
}

impl Request {
    /// Whether somebody has to look at it afterwards: it was run by break-glass, and nobody has closed it.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.application.scope.break_glass && !self.begun.is_empty() && self.closed.is_none()
    }

    /// Whether an approval may still lead to something.
    fn is_pending(&self) -> bool {
        matches!(self.standing, Standing::Open | Standing::Running { .. } | Standing::Interrupted { .. })
    }

    /// Whether somebody asked for it, agreed to it, or had it run.
    fn had_part(&self, who: &Who) -> bool {
        let approvers = self.approvals.iter().map(|approval| &approval.by);
        let runners = self.begun.iter().map(|begun| &begun.by);
        [&self.by].into_iter().chain(approvers).chain(runners).any(|one| is_same(one, who))
    }

    /// Approvals that have not lapsed, one for each person; what somebody who asks for it himself says does not count.
    fn approvals_at(&self, now: Timestamp) -> impl Iterator<Item = &Approval> {
        let counts = move |approval: &&Approval| approval.until > now && !is_same(&approval.by, &self.by);
        self.approvals.iter().filter(counts)
    }
}

/// Whether two accounts are one person's, or one account.
fn is_same(one: &Who, other: &Who) -> bool {
    match (&one.person, &other.person) {
        (Some(one), Some(other)) => one == other,
        _ => one.uid == other.uid,
    }
}
