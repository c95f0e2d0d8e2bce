//! What somebody may do about a request now: pure, from the request, the site in force and the time.

use jiff::Timestamp;
use strongroom_plans::{Role, Site};

use super::scope::HASH_DIGITS_MIN;
use super::{Approval, ApprovalScope, Request, RequestNumber, Standing, is_same};
use crate::journal::{Event, Who};
use crate::operator::Refused;
use crate::permissions::{self, Act};
use crate::restores::RestoreScope;

/// Who acts, when, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The site in force.
    pub site: &'a Site,
    /// Who.
    pub by: &'a Who,
    /// When.
    pub now: Timestamp,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A machine's account.
    #[error("{0} is the account of nobody whom the site names, and it takes a person to decide")]
    Nobody(String),
    /// Somebody without the role.
    #[error("{person} may not {act} {host}: that needs the role {roles}")]
    Role {
        /// Who.
        person: String,
        /// What.
        act: Act,
        /// Where.
        host: String,
        /// Which roles would do.
        roles: String,
    },
    /// Whoever asked.
    #[error("{0} asked for it, and nobody approves what he asked for himself")]
    Own(String),
    /// The same person again.
    #[error("{0} has approved it already, until {1}: it takes different people")]
    Twice(String, Timestamp),
    /// Another plan, or one that was not looked at.
    #[error(
        "that is not the plan of {0}: name it by {HASH_DIGITS_MIN} or more digits of its hash, as `strongroom restore show {0}` prints it"
    )]
    OtherPlan(RequestNumber),
    /// Too late.
    #[error("{0} expired at {1}: ask anew with `strongroom restore request`")]
    Expired(RequestNumber, Timestamp),
    /// It has come to an end.
    #[error("{0} {1}")]
    Over(RequestNumber, String),
    /// Not enough approvals that count.
    #[error("{needed} must agree to {request}, and {have} do{lapsed}")]
    TooFew {
        /// Which.
        request: RequestNumber,
        /// So many must.
        needed: u32,
        /// So many do.
        have: usize,
        /// Why others do not count any more.
        lapsed: String,
    },
    /// What would be done is not what was approved.
    #[error("{request} would now do what nobody approved: {differences}. Ask anew with `strongroom restore request`")]
    Changed {
        /// Which.
        request: RequestNumber,
        /// Each field that differs, with both values.
        differences: String,
    },
    /// It is not its turn.
    #[error("{0} needs what is not done and verified yet: {1}")]
    Needs(RequestNumber, String),
    /// Nothing that was proven.
    #[error("{0} did not end as restored and verified: nothing else is put where data are used")]
    NotVerified(RequestNumber),
    /// Another place than the one that was agreed to.
    #[error(
        "nobody agreed that {request} be put at '{asked}', but {agreed}: ask anew with `strongroom restore request … --promote-to {asked}`"
    )]
    OtherPlace {
        /// Which.
        request: RequestNumber,
        /// Where to.
        asked: String,
        /// What was agreed to.
        agreed: String,
    },
    /// Somebody else's request.
    #[error("{by} may not take {request} back: {requester} asked for it, and reviewers reject it")]
    NotOwn {
        /// Who.
        by: String,
        /// Which.
        request: RequestNumber,
        /// Whose it is.
        requester: String,
    },
    /// A follow-up by one of those it is about.
    #[error("{0} took part in it: the follow-up is for somebody who did not")]
    TookPart(String),
    /// There is none.
    #[error("no follow-up is owed for {0}")]
    NotOwed(RequestNumber),
    /// No words.
    #[error("{0} needs a text that says why")]
    Silent(&'static str),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Nobody(_)
            | Refusal::Role { .. }
            | Refusal::Own(_)
            | Refusal::Twice(..)
            | Refusal::TooFew { .. }
            | Refusal::NotOwn { .. }
            | Refusal::TookPart(_) => Self::Forbidden(text),
            _ => Self::Unfit(text),
        }
    }
}

impl Request {
    /// Agreeing to it. `plan` are the first digits of the hash that he has seen.
    pub fn approve(&self, moment: Moment<'_>, plan: &str, comment: Option<String>) -> Result<Event, Refusal> {
        let Moment { site, by, now } = moment;
        self.reviewed_by(moment)?;
        if is_same(by, &self.by) {
            return Err(Refusal::Own(by.to_string()));
        }
        self.open_at(now)?;
        if let Some(before) = self.approvals_at(now).find(|approval| is_same(&approval.by, by)) {
            return Err(Refusal::Twice(by.to_string(), before.until));
        }
        let plan = plan.to_ascii_lowercase();
        if plan.len() < HASH_DIGITS_MIN || !self.application.hash.starts_with(&plan) {
            return Err(Refusal::OtherPlan(self.number));
        }
        let until = after(now, site.restores().valid().into()).min(self.application.expires);
        Ok(Event::RestoreApproved {
            request: self.number,
            by: by.clone(),
            hash: self.application.hash.clone(),
            until,
            comment,
        })
    }

    /// Saying no to it.
    pub fn reject(&self, moment: Moment<'_>, reason: &str) -> Result<Event, Refusal> {
        self.reviewed_by(moment)?;
        self.idle()?;
        let reason = said(reason, "a rejection")?;
        Ok(Event::RestoreRejected { request: self.number, by: moment.by.clone(), reason })
    }

    /// Taking it back, by whoever asked.
    pub fn withdraw(&self, moment: Moment<'_>) -> Result<Event, Refusal> {
        if !is_same(moment.by, &self.by) {
            let (by, request, requester) = (moment.by.to_string(), self.number, self.by.to_string());
            return Err(Refusal::NotOwn { by, request, requester });
        }
        self.idle()?;
        Ok(Event::RestoreWithdrawn { request: self.number, by: moment.by.clone() })
    }

    /// Looking at it afterwards.
    pub fn close(&self, moment: Moment<'_>, note: &str) -> Result<Event, Refusal> {
        self.held_by(moment, &[Act::Approve])?;
        if !self.is_owed() {
            return Err(Refusal::NotOwed(self.number));
        }
        if self.had_part(moment.by) {
            return Err(Refusal::TookPart(moment.by.to_string()));
        }
        let note = said(note, "a follow-up")?;
        Ok(Event::RestoreClosed { request: self.number, by: moment.by.clone(), note })
    }

    /// Whether it may be run now, as far as is known without its host.
    pub fn may_run(&self, moment: Moment<'_>) -> Result<(), Refusal> {
        self.open_at(moment.now)?;
        let counted = self.counted(moment.site, moment.now);
        let (have, needed) = (counted.len(), self.application.scope.approvals);
        if have >= needed as usize {
            return Ok(());
        }
        let lapsed = self.approvals.iter().filter_map(|approval| self.lapse(approval, moment.site, moment.now));
        let lapsed: String = lapsed.map(|why| format!("; {why}")).collect();
        Err(Refusal::TooFew { request: self.number, needed, have, lapsed })
    }

    /// Beginning it, after its host has looked again and found this to be done.
    pub fn begin(&self, moment: Moment<'_>, found: &ApprovalScope, restore: String) -> Result<Event, Refusal> {
        self.may_run(moment)?;
        if found.hash() != self.application.hash {
            let differences = self.application.scope.differences(found).join("; ");
            return Err(Refusal::Changed { request: self.number, differences });
        }
        let order: RestoreScope = self.application.scope.restore.clone();
        let (by, reason) = (moment.by.clone(), self.application.reason.clone());
        Ok(Event::RestoreStarted { restore, by, reason, order, request: Some(self.number) })
    }

    /// The approvals that count now: of people who still have the role.
    pub(super) fn counted(&self, site: &Site, now: Timestamp) -> Vec<&Approval> {
        self.approvals_at(now).filter(|approval| self.reviews(site, &approval.by)).collect()
    }

    /// Why an approval does not count any more, if it does not.
    fn lapse(&self, approval: &Approval, site: &Site, now: Timestamp) -> Option<String> {
        match approval.until > now {
            false => Some(format!("that of {} counted until {}", approval.by, approval.until)),
            true if !self.reviews(site, &approval.by) => Some(format!("{} has no such role any more", approval.by)),
            true => None,
        }
    }

    fn reviews(&self, site: &Site, who: &Who) -> bool {
        self.held_by(Moment { site, by: who, now: Timestamp::UNIX_EPOCH }, self.review_acts()).is_ok()
    }

    fn reviewed_by(&self, moment: Moment<'_>) -> Result<(), Refusal> {
        self.held_by(moment, self.review_acts())
    }

    /// At night a second person on call is enough.
    fn review_acts(&self) -> &'static [Act] {
        if self.application.scope.break_glass { &[Act::Approve, Act::BreakGlass] } else { &[Act::Approve] }
    }

    /// Whether somebody may do one of these things for both hosts. The controller's own account may not: it is nobody in particular.
    fn held_by(&self, moment: Moment<'_>, acts: &[Act]) -> Result<(), Refusal> {
        let person = moment.by.person.as_deref().ok_or_else(|| Refusal::Nobody(moment.by.to_string()))?;
        let scope = &self.application.scope.restore;
        for host in [&scope.source, &scope.host] {
            if acts.iter().any(|act| permissions::holds(moment.site, person, *act, host)) {
                continue;
            }
            let roles: Vec<&str> = acts.iter().flat_map(|act| act.roles()).map(|role: &Role| role.word()).collect();
            let (person, act, host) = (person.to_owned(), acts[0], host.clone());
            return Err(Refusal::Role { person, act, host, roles: roles.join(" or ") });
        }
        Ok(())
    }

    /// Whether an approval, or a run, is not too late.
    fn open_at(&self, now: Timestamp) -> Result<(), Refusal> {
        self.pending()?;
        match now < self.application.expires {
            true => Ok(()),
            false => Err(Refusal::Expired(self.number, self.application.expires)),
        }
    }

    fn pending(&self) -> Result<(), Refusal> {
        let what = match &self.standing {
            Standing::Open | Standing::Running { .. } | Standing::Interrupted { .. } => return Ok(()),
            Standing::Rejected { by, reason } => format!("was rejected by {by}: {reason}"),
            Standing::Withdrawn { by } => format!("was withdrawn by {by}"),
            Standing::Finished { at, .. } => {
                format!(
                    "was run, and done at {at}: an approval is for one restore. Ask anew with `strongroom restore request`"
                )
            }
        };
        Err(Refusal::Over(self.number, what))
    }

    fn idle(&self) -> Result<(), Refusal> {
        self.pending()?;
        match self.standing {
            Standing::Running { .. } => Err(Refusal::Over(self.number, "is running: stop that first".into())),
            _ => Ok(()),
        }
    }
}

/// A time so much later; the end of all times where there is none.
pub(super) fn after(time: Timestamp, span: std::time::Duration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn said(text: &str, what: &'static str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() { Err(Refusal::Silent(what)) } else { Ok(text.to_owned()) }
}
