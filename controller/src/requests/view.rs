//! A request as people see it now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::Site;

use super::{Request, Standing};
use crate::journal::Entry;

/// A request, with what follows from it at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RequestView {
    /// As the journal has it.
    pub request: Request,
    /// How it stands.
    pub state: State,
    /// Whose approvals count now.
    pub agree: Vec<String>,
    /// Whether somebody has to look at it afterwards.
    pub follow_up_owed: bool,
    /// The commands that may come next.
    pub next: Vec<String>,
}

/// A request with all that the journal says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Story {
    /// As it stands.
    pub view: RequestView,
    /// Its entries, refusals among them, the oldest first.
    pub entries: Vec<Entry>,
}

/// How a request stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// More people must agree.
    Waiting,
    /// Enough agree: it may be run.
    Approved,
    /// It is being run, or the controller ended meanwhile.
    Running,
    /// It ended early, and may be run again.
    Interrupted,
    /// It was done.
    Finished,
    /// A reviewer said no.
    Rejected,
    /// It is not wanted any more.
    Withdrawn,
    /// Nobody ran it in time.
    Expired,
}

impl State {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

impl RequestView {
    /// By the rules in force.
    #[must_use]
    pub fn of(request: Request, site: &Site, now: Timestamp) -> Self {
        let agree: Vec<String> =
            request.counted(site, now).into_iter().map(|approval| approval.by.to_string()).collect();
        let is_enough = agree.len() >= request.application.scope.approvals as usize;
        let state = match request.standing {
            Standing::Rejected { .. } => State::Rejected,
            Standing::Withdrawn { .. } => State::Withdrawn,
            Standing::Finished { .. } => State::Finished,
            Standing::Running { .. } => State::Running,
            _ if now >= request.application.expires => State::Expired,
            Standing::Interrupted { .. } => State::Interrupted,
            Standing::Open if is_enough => State::Approved,
            Standing::Open => State::Waiting,
        };
        let follow_up_owed = request.is_owed();
        let next = next(&request, state, is_enough, follow_up_owed);
        Self { request, state, agree, follow_up_owed, next }
    }

    /// Whether somebody still has to do something about it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.follow_up_owed || self.state <= State::Interrupted
    }
}

fn next(request: &Request, state: State, is_enough: bool, is_owed: bool) -> Vec<String> {
    let number = request.number;
    let command = |verb: &str, more: &str| format!("strongroom restore {verb} {number}{more}");
    let approve = || {
        command("approve", &format!(" --plan {}", &request.application.hash[..12.min(request.application.hash.len())]))
    };
    let mut next = match state {
        State::Waiting => vec![approve(), command("reject", " --reason TEXT"), command("cancel", "")],
        State::Approved => vec![command("run", ""), command("reject", " --reason TEXT"), command("cancel", "")],
        State::Running | State::Interrupted if is_enough => vec![command("run", "")],
        State::Running | State::Interrupted => vec![approve(), command("run", "")],
        State::Finished if request.may_still_be_promoted() => {
            let to = request.application.scope.restore.promote_to.as_deref().unwrap_or_default();
            vec![command("promote", &format!(" --to {to}"))]
        }
        State::Finished | State::Rejected | State::Withdrawn | State::Expired => Vec::new(),
    };
    if is_owed {
        next.push(command("close", " --note TEXT"));
    }
    next
}
