//! How far a restore by a plan is, for people.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use strongroom_controller::requests::{RequestNumber, Standing};
use strongroom_controller::restore_plans::{LeftOut, PlanStanding, Stands, SystemStanding};
use strongroom_controller::restores::RestoreEnding;

use crate::output::Answer;
use crate::shown::{Align, Table, duration};

/// How far a restore by a plan is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shown {
    plan: String,
    at: Option<String>,
    on_failure: String,
    verified: bool,
    /// From the first begin to the last end.
    seconds_to_green: Option<i64>,
    systems: Vec<ShownSystem>,
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownSystem {
    system: String,
    request: Option<RequestNumber>,
    stands: Stands,
    ending: Option<RestoreEnding>,
    seconds_to_green: Option<i64>,
    /// Where it was put to be used.
    in_place: Option<String>,
    /// Why it did not go well.
    reason: Option<String>,
    /// Why it was not begun.
    left_out: Option<LeftOut>,
    needs: Vec<String>,
    source: String,
    to: String,
}

impl Shown {
    /// With what was not begun, and what was refused meanwhile.
    pub(super) fn with_reasons(
        mut self,
        mut reasons: BTreeMap<String, String>,
        left_out: Vec<(String, LeftOut)>,
    ) -> Self {
        let mut left_out: BTreeMap<String, LeftOut> = left_out.into_iter().collect();
        for system in &mut self.systems {
            system.reason = reasons.remove(&system.system).or(system.reason.take());
            system.left_out = left_out.remove(&system.system);
        }
        self
    }

    pub(super) fn is_verified(&self) -> bool {
        self.verified
    }

    pub(super) fn of(standing: &PlanStanding) -> Self {
        Self {
            plan: standing.plan.clone(),
            at: standing.at.clone(),
            on_failure: standing.on_failure.clone(),
            verified: standing.is_verified(),
            seconds_to_green: standing.seconds_to_green(),
            systems: standing.systems.iter().map(ShownSystem::of).collect(),
            next: next(standing),
        }
    }
}

impl ShownSystem {
    fn of(standing: &SystemStanding) -> Self {
        let request = standing.request.as_ref().map(|view| &view.request);
        let (ending, reason) = match request.map(|request| &request.standing) {
            Some(Standing::Finished { ending, .. }) => (Some(*ending), None),
            Some(Standing::Interrupted { ending, reason }) => (Some(*ending), reason.clone()),
            Some(Standing::Rejected { by, reason }) => (None, Some(format!("rejected by {by}: {reason}"))),
            _ => (None, None),
        };
        Self {
            system: standing.system.clone(),
            request: request.map(|request| request.number),
            stands: standing.stands(),
            ending,
            seconds_to_green: standing.seconds_to_green(),
            in_place: request.and_then(|request| request.promotion.as_ref()).map(|promotion| promotion.to.clone()),
            reason,
            left_out: None,
            needs: standing.needs.clone(),
            source: standing.source.clone(),
            to: standing.to.clone(),
        }
    }

    fn state(&self) -> String {
        let stands = match self.stands {
            Stands::Unasked => "not asked for",
            Stands::Waiting => "waiting",
            Stands::Ready if self.ending.is_some() => "FAILED, can be run again",
            Stands::Ready => "approved",
            Stands::Verified => "verified",
            Stands::Unproven => "NOT VERIFIED",
            Stands::Over => "over",
        };
        if let Some(place) = &self.in_place {
            return format!("{stands}, in place at {place}");
        }
        let why = match (&self.left_out, &self.reason, self.ending) {
            (Some(LeftOut::Needs(systems)), ..) => format!("not begun, needs {}", systems.join(", ")),
            (Some(LeftOut::Stopped(systems)), ..) => format!("not begun after {}", systems.join(", ")),
            (None, Some(reason), _) => reason.clone(),
            (None, None, Some(ending)) if self.stands != Stands::Verified => ending.to_string(),
            _ => return stands.to_owned(),
        };
        format!("{stands}: {why}")
    }
}

/// The commands that may come next.
fn next(standing: &PlanStanding) -> Vec<String> {
    let PlanStanding { plan, .. } = standing;
    let stand = |wanted: Stands| standing.systems.iter().any(|system| system.stands() == wanted);
    let waiting = standing.systems.iter().filter(|system| system.stands() == Stands::Waiting);
    let waiting: Vec<_> = waiting.filter_map(|system| Some(&system.request.as_ref()?.request)).collect();
    if !waiting.is_empty() {
        let numbers: Vec<String> = waiting.iter().map(|request| request.number.to_string()).collect();
        let hashes = waiting.iter().map(|request| format!(" --plan {:.12}", request.application.hash));
        let hashes: String = hashes.collect();
        return vec![
            format!("strongroom restore approve {}{hashes}", numbers.join(" ")),
            format!("strongroom restore approve {plan}"),
            format!("strongroom restore reject {plan} --reason TEXT"),
            format!("strongroom restore run {plan}"),
        ];
    }
    if stand(Stands::Unasked) || stand(Stands::Unproven) || stand(Stands::Over) {
        let at = standing.at.as_deref().unwrap_or("TIME");
        return vec![format!("strongroom restore start {plan} --at {at} --reason TEXT")];
    }
    if stand(Stands::Ready) {
        return vec![format!("strongroom restore run {plan}")];
    }
    let is_left =
        |system: &SystemStanding| system.request.as_ref().is_some_and(|view| view.request.may_still_be_promoted());
    let is_left = standing.systems.iter().any(is_left);
    if is_left { vec![format!("strongroom restore promote {plan}")] } else { Vec::new() }
}

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let long = |seconds: i64| duration(Duration::from_secs(seconds.try_into().unwrap_or_default()));
        let at = self.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        match self.seconds_to_green {
            Some(seconds) => writeln!(out, "{}{at}: every system is verified, after {}", self.plan, long(seconds))?,
            None => writeln!(out, "{}{at}: NOT every system is verified", self.plan)?,
        }
        let heads = ["SYSTEM", "REQUEST", "FROM", "TO", "NEEDS", "GREEN AFTER", "STATE"];
        let mut table = Table::new(&heads.map(|head| (head, Align::Left)));
        for system in &self.systems {
            table.row([
                system.system.clone(),
                system.request.map(|number| number.to_string()).unwrap_or_default(),
                system.source.clone(),
                system.to.clone(),
                system.needs.join(", "),
                system.seconds_to_green.map(long).unwrap_or_default(),
                system.state(),
            ]);
        }
        table.write(out)?;
        self.next.iter().try_for_each(|command| writeln!(out, "  next     {command}"))
    }
}
