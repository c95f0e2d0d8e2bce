//! `strongroom restore approve|reject|promote PLAN`: the same for each system of the newest restore by a plan, in their order.
//!
//! What it is about is shown first, each with the hash of its request, and each decision is about that hash: what is asked for anew meanwhile, nobody has agreed to.
//! An approval is given to all or, if one of them may not be, to none. A rejection is the safe side: where one is refused, the others are rejected all the same.
//! Nothing is put where it is used before every system is back and verified, and nothing after one that could not be put there.

use std::io;

use strongroom_controller::requests::{RequestView, State};
use strongroom_controller::restore_plans::{PlanStanding, Stands, SystemStanding};
use strongroom_controller::restores::RestoreNews;
use strongroom_proto::operator::{PromoteRestoreRequest, RestoreVerdict};
use strongroom_repository::text::unescape;
use strongroom_worker::restore::PlanSummary;

use super::decide::{Decision, decide_one};
use super::on_host::follow;
use super::plan_shown::Shown;
use super::requests::write_agreed;
use super::start::standing;
use crate::confirm::confirmed;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::Controller;

/// A system, and its request.
type Asked<'s> = (&'s str, &'s RequestView);

/// What is said about all of them.
pub(super) struct ByPlan<'a> {
    pub(super) plan: &'a str,
    pub(super) dry_run: bool,
    pub(super) controller: &'a Controller,
    pub(super) context: &'a Context,
}

impl ByPlan<'_> {
    /// Agrees to each that more people must agree to. `hashes` are those that he has seen; without them he is asked.
    pub(super) fn approve(&self, hashes: &[String], comment: &str) -> Result<Exit, Failure> {
        let now = self.standing()?;
        let waiting = in_order(&now, |system| system.stands() == Stands::Waiting);
        if waiting.is_empty() {
            return Err(self.none("approve", "waits for somebody to agree"));
        }
        show(&waiting)?;
        let hashes = self.seen(&waiting, hashes)?;
        let decisions = |dry_run| {
            let decision = move |plan: &String| Decision {
                verdict: RestoreVerdict::Approve,
                plan: plan.clone(),
                text: comment.to_owned(),
                dry_run,
            };
            waiting.iter().zip(hashes.iter().map(decision))
        };
        for ((_, view), decision) in decisions(true) {
            let checked = decide_one("approve", number(view), decision, self.controller, self.context);
            checked
                .map_err(|failure| failure.advise("none of them was approved: it is all of a restore plan or none"))?;
        }
        for ((system, view), decision) in decisions(false).filter(|_| !self.dry_run) {
            decide_one("approve", number(view), decision, self.controller, self.context)?;
            self.context.say(&format!("{system}: {} is approved", number(view)));
        }
        self.tell_end()
    }

    /// Says no to each that has not been run.
    pub(super) fn reject(&self, reason: &str) -> Result<Exit, Failure> {
        let now = self.standing()?;
        let is_open =
            |system: &SystemStanding| system.request.as_ref().is_some_and(|view| view.state <= State::Interrupted);
        let open = in_order(&now, is_open);
        if open.is_empty() {
            return Err(self.none("reject", "is open"));
        }
        let mut refused = None;
        for (system, view) in open {
            let (number, dry_run) = (number(view), self.dry_run);
            let (plan, text) = (String::new(), reason.to_owned());
            let decision = Decision { verdict: RestoreVerdict::Reject, plan, text, dry_run };
            match decide_one("reject", number.clone(), decision, self.controller, self.context) {
                Ok(_) if dry_run => self.context.say(&format!("{system}: {number} may be rejected")),
                Ok(_) => self.context.say(&format!("{system}: {number} is rejected")),
                Err(failure) => {
                    self.context.say(&format!("{system}: {number} is NOT rejected"));
                    refused.replace(failure).map_or(Ok(()), |before: Failure| tell(&before))?;
                }
            }
        }
        self.tell_end()?;
        refused.map_or(Ok(Exit::Success), Err)
    }

    /// Has each put where it was agreed to be used, until one cannot be.
    pub(super) fn promote(&self) -> Result<Exit, Failure> {
        let now = self.standing()?;
        self.refuse_unverified(&now)?;
        if in_order(&now, |system| place(system.request.as_ref()).is_some()).is_empty() {
            let failure = self.none("promote", "is to be put anywhere");
            return Err(failure
                .advise("a system says where by `promote-to:` in the plan, and people agree to it with the request"));
        }
        let is_left =
            |system: &SystemStanding| system.request.as_ref().is_some_and(|view| view.request.may_still_be_promoted());
        let left = in_order(&now, is_left);
        left.iter().for_each(|(system, view)| self.announce(system, view));
        let is_asked = !self.dry_run && !left.is_empty();
        if is_asked && confirmed("put them there, in this order?") == Some(false) {
            return Err(self.unconfirmed("promote"));
        }
        let exit = self.promote_each(&left)?;
        self.tell_end()?;
        Ok(exit)
    }

    /// What goes where, by which agreement.
    fn announce(&self, system: &str, view: &RequestView) {
        let (scope, to) = (&view.request.application.scope.restore, place(Some(view)).unwrap_or_default());
        let hash = &view.request.application.hash;
        self.context.say(&format!("{system}: {} at {to} of {}, plan {hash:.12}", number(view), scope.host));
    }

    fn promote_each(&self, left: &[Asked<'_>]) -> Result<Exit, Failure> {
        let mut exit = Exit::Success;
        for (placed, (system, view)) in left.iter().enumerate() {
            let again = format!(
                "{placed} of {} are in place, and nothing after them was touched: the same command goes on there",
                left.len()
            );
            let news = self.promote_one(system, view);
            let news = news.map_err(|failure| if placed == 0 { failure } else { failure.advise(again) })?;
            match news {
                RestoreNews::Looked { plan, .. } => match self.tell_look(system, plan)? {
                    Exit::Success => {}
                    worse => exit = worse,
                },
                _ => self.context.say(&format!("{system}: in place")),
            }
        }
        Ok(exit)
    }

    fn promote_one(&self, system: &str, view: &RequestView) -> Result<RestoreNews, Failure> {
        let (request, dry_run) = (number(view), self.dry_run);
        let to = unescape(place(Some(view)).unwrap_or_default());
        let what = format!("promote {system}, {request}");
        let mut client = self.controller.client();
        follow(&what, client.promote_restore(PromoteRestoreRequest { request, to, dry_run }), self.context)
    }

    /// What the host found where it was restored.
    fn tell_look(&self, system: &str, plan: serde_json::Value) -> Result<Exit, Failure> {
        let seen: PlanSummary = serde_json::from_value(plan)
            .map_err(|error| Cause::Program(Box::new(error)))
            .doing(|| "understand the host's report".to_owned())?;
        let differ = seen.replaced.max(seen.files + seen.hard_links + seen.others);
        let same = seen.unchanged;
        self.context.say(&format!("{system}: {same} files as they were verified, {differ} differ or are missing"));
        Ok(if differ == 0 { Exit::Success } else { Exit::Partial })
    }

    /// Old and new data beside each other would be neither.
    fn refuse_unverified(&self, now: &PlanStanding) -> Result<(), Failure> {
        let unverified = now.systems.iter().filter(|system| system.stands() != Stands::Verified);
        let unverified: Vec<&str> = unverified.map(|system| system.system.as_str()).collect();
        if unverified.is_empty() {
            return Ok(());
        }
        let why = format!(
            "{} did not come back verified, and nothing is put in place before all have",
            unverified.join(", ")
        );
        let advice = format!(
            "`strongroom restore show {}` says how far they are; a single one is promoted by its number",
            self.plan
        );
        Err(Failure::new(format!("promote {}", self.plan), Cause::Usage(why)).advise(advice))
    }

    /// The hashes that are agreed to: those that are named, or those that are shown, if somebody says that he has read them.
    fn seen(&self, waiting: &[Asked<'_>], named: &[String]) -> Result<Vec<String>, Failure> {
        let shown = || waiting.iter().map(|(_, view)| view.request.application.hash.clone());
        let what = || format!("approve {}", self.plan);
        if !named.is_empty() && named.len() != waiting.len() {
            let why = format!("{} requests of it wait, and {} hashes are named", waiting.len(), named.len());
            return Err(Failure::new(what(), Cause::Usage(why)).advise("write one --plan for each, in their order"));
        }
        if !named.is_empty() {
            return Ok(named.to_vec());
        }
        if self.dry_run {
            return Ok(shown().collect());
        }
        match confirmed("agree to all of this?") {
            Some(true) => Ok(shown().collect()),
            Some(false) => Err(self.unconfirmed("approve")),
            None => {
                let hashes: String = shown().map(|hash| format!(" --plan {hash:.12}")).collect();
                let why = Cause::Usage("nobody is there to say that he has read it".into());
                let advice = format!("once it is read: strongroom restore approve {}{hashes}", self.plan);
                Err(Failure::new(what(), why).advise(advice))
            }
        }
    }

    fn standing(&self) -> Result<PlanStanding, Failure> {
        standing(self.plan, "", self.controller, self.context)
    }

    fn none(&self, verb: &str, what: &str) -> Failure {
        let plan = self.plan;
        let failure = Failure::new(format!("{verb} {plan}"), Cause::Usage(format!("no system of it {what}")));
        failure.advise(format!("`strongroom restore show {plan}` says how far each is"))
    }

    fn unconfirmed(&self, verb: &str) -> Failure {
        Failure::new(format!("{verb} {}", self.plan), Cause::Usage("it was not confirmed; nothing was done".into()))
    }

    /// How far all of it is now.
    fn tell_end(&self) -> Result<Exit, Failure> {
        if self.dry_run {
            self.context.say("nothing was done");
        }
        self.context.output.answer(&Shown::of(&self.standing()?))?;
        Ok(Exit::Success)
    }
}

/// Each after those that it needs.
fn in_order<'s>(standing: &'s PlanStanding, is_meant: impl Fn(&SystemStanding) -> bool) -> Vec<Asked<'s>> {
    let named = |name: String| standing.systems.iter().find(|system| system.system == name);
    let meant = standing.course().groups().into_iter().flatten().filter_map(named).filter(|system| is_meant(system));
    meant.filter_map(|system| Some((system.system.as_str(), system.request.as_ref()?))).collect()
}

/// Where it is to be put once it is verified, as people agreed.
fn place(view: Option<&RequestView>) -> Option<&str> {
    view?.request.application.scope.restore.promote_to.as_deref()
}

fn number(view: &RequestView) -> String {
    view.request.number.to_string()
}

/// One refusal of several; the last is the command's own.
fn tell(failure: &Failure) -> Result<(), Failure> {
    let written = failure.write_text(&mut io::stderr());
    written.map_err(|error| Cause::Program(Box::new(error))).doing(|| "say what was refused".to_owned())
}

/// All that is agreed to, to be read before the question.
fn show(asked: &[Asked<'_>]) -> Result<(), Failure> {
    let mut out = io::stderr().lock();
    let written = asked.iter().try_for_each(|(_, view)| write_agreed(view, &mut out));
    // Nobody agrees to what he could not read.
    written.map_err(|error| Cause::Program(Box::new(error))).doing(|| "show what is agreed to".to_owned())
}
