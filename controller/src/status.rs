//! What is protected, and what is not: for each plan and host, from its runs. An absence counts as much as a failure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::KnownDrills;
use crate::requests::{Request, RequestNumber};
use crate::runs::{Ending, Run, RunId};
use crate::sampling::promised::Promised;
use crate::site::ProofTerms;

mod own_state;
mod proven;
mod upkept;

pub use own_state::{Keeping, KeptState, StateProof};
pub use proven::{Lapse, Lapsed, NewestProof};
pub use upkept::{LastMaintenance, UpkeepState, Upkept};

/// The state of the whole site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// As of when.
    pub time: Timestamp,
    /// Each plan on each of its hosts, the worst first.
    pub rows: Vec<Protection>,
    /// The repositories that the controller maintains, the worst first.
    #[serde(default)]
    pub repositories: Vec<Upkept>,
    /// The controller's own state in each repository, the worst first.
    #[serde(default)]
    pub own_state: Vec<KeptState>,
    /// Restores by break-glass at which nobody has looked since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<FollowUp>,
}

/// A follow-up that is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FollowUp {
    /// The request.
    pub request: RequestNumber,
    /// The host whose data they are.
    pub source: String,
    /// The host that got them.
    pub host: String,
    /// Who asked for it.
    pub by: String,
    /// Since when it is owed.
    pub since: Timestamp,
}

impl FollowUp {
    /// What a request owes, if it owes something.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        let begun = request.begun.first().filter(|_| request.is_owed())?;
        let scope = &request.application.scope.restore;
        let (source, host) = (scope.source.clone(), scope.host.clone());
        Some(Self { request: request.number, source, host, by: request.by.to_string(), since: begun.at })
    }
}

/// One plan on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Protection {
    /// The plan.
    pub plan: String,
    /// The host.
    pub host: String,
    /// What may be relied on.
    pub state: State,
    /// In words, what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when a restore point is missing that should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Timestamp>,
    /// The newest restore point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<RestorePoint>,
    /// The newest proof of any of its restore points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_proof: Option<NewestProof>,
    /// How far drills have come that restore samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Promised>,
    /// What was proven once and is so no more, by the time that has passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lapses: Vec<Lapse>,
    /// The run that goes on now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunId>,
    /// When the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// The newest good run's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestorePoint {
    /// The run that made it.
    pub run: RunId,
    /// When that began: what came later is not in it.
    pub time: Timestamp,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// What was proven of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// What may be relied on, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is no restore point at all, and there should be.
    Unprotected,
    /// A due time has passed and brought no new restore point.
    Overdue,
    /// There is one in time, and what the plan demands as proof failed, is missing or is too old.
    Unproven,
    /// No run was due yet.
    New,
    /// There is one in time, proven as the plan demands.
    Protected,
}

/// What is known of one plan on one host.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The plan.
    pub plan: &'a str,
    /// The host.
    pub host: &'a str,
    /// Which proof the plan demands, if it demands one.
    pub terms: Option<ProofTerms>,
    /// Its drills on the host, if there are any.
    pub drills: Option<&'a KnownDrills>,
    /// The newest due time whose restore point should be there by now, if the plan has a schedule.
    pub late_due: Option<Timestamp>,
    /// The next one.
    pub next_due: Option<Timestamp>,
    /// The newest run, whatever came of it.
    pub newest: Option<&'a Run>,
    /// When the first run was due of which there is a record.
    pub first_due: Option<Timestamp>,
    /// The newest run that left a restore point.
    pub good: Option<&'a Run>,
    /// The run that goes on.
    pub running: Option<&'a Run>,
}

impl Status {
    /// The rows in order, the worst first.
    #[must_use]
    pub fn of<'a>(time: Timestamp, known: impl IntoIterator<Item = Known<'a>>) -> Self {
        let mut rows: Vec<Protection> = known.into_iter().map(|known| known.protection(time)).collect();
        rows.sort_by(|left, right| (left.state, &left.plan, &left.host).cmp(&(right.state, &right.plan, &right.host)));
        Self { time, rows, repositories: Vec::new(), own_state: Vec::new(), follow_ups: Vec::new() }
    }

    /// How many rows are in each state.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<State, usize> {
        let mut counts = BTreeMap::new();
        self.rows.iter().for_each(|row| *counts.entry(row.state).or_default() += 1);
        counts
    }

    /// Whether everything is protected, maintained and kept, or has not been due yet.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.state >= State::New)
            && self.repositories.iter().all(|upkept| upkept.state >= UpkeepState::New)
            && self.own_state.iter().all(|kept| kept.state >= Keeping::New)
    }
}

impl Known<'_> {
    fn protection(&self, now: Timestamp) -> Protection {
        let (state, reason) = self.state(now);
        let point = self.good.and_then(|run| {
            let ended = run.ended.as_ref()?;
            let time = run.started.unwrap_or(run.due);
            Some(RestorePoint {
                run: run.id.clone(),
                time,
                snapshots: ended.snapshots.clone(),
                proof: ended.proof.clone(),
            })
        });
        Protection {
            plan: self.plan.to_owned(),
            host: self.host.to_owned(),
            state,
            reason,
            overdue_since: self.overdue_since(),
            restore_point: point,
            newest_proof: self.newest_proof(),
            sampled: self.sampled(now),
            lapses: self.lapses(now),
            running: self.running.map(|run| run.id.clone()),
            next: self.next_due,
        }
    }

    /// A plan that came to a host later was not due there at that time: each due time has a record, also where nothing was done.
    fn overdue_since(&self) -> Option<Timestamp> {
        let is_missing = |due: &Timestamp| self.good.is_none_or(|good| good.due < *due);
        let was_due = |due: &Timestamp| self.first_due.is_some_and(|first| first <= *due);
        self.late_due.filter(is_missing).filter(was_due)
    }

    fn state(&self, now: Timestamp) -> (State, Option<String>) {
        let Some(good) = self.good else {
            return match (self.newest, self.late_due) {
                (Some(_), _) => (State::Unprotected, self.last_words()),
                (None, Some(_)) => (State::Unprotected, Some("no run has begun yet".into())),
                (None, None) => (State::New, None),
            };
        };
        if self.late_due.is_some_and(|due| good.due < due) {
            return (State::Overdue, self.last_words());
        }
        match self.lacks_proof(good, now) {
            Some(reason) => (State::Unproven, reason),
            None => (State::Protected, None),
        }
    }

    /// What the newest run's end says, where it is no good one.
    fn last_words(&self) -> Option<String> {
        let run = self.newest?;
        let Some(ended) = &run.ended else { return Some(format!("run {} goes on", run.id)) };
        if ended.ending == Ending::Done {
            return None;
        }
        let because = ended.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("the run of {} was {}{because}", run.due.strftime("%Y-%m-%d %H:%M UTC"), ended.ending))
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::{ProofRhythm, RunKind};

    use super::*;
    use crate::journal::Origin;
    use crate::runs::Ended;

    pub(super) fn time(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    pub(super) fn run(due: &str, ending: Option<Ending>, proof: &str) -> Run {
        let due = time(due);
        let ended = ending.map(|ending| Ended {
            at: due,
            ending,
            reason: (!ending.is_good()).then(|| "host web1 cannot be reached".into()),
            entry: 1,
            snapshots: vec![],
            proof: Some(proof.into()),
        });
        Run {
            id: RunId::scheduled("nightly", "web1", due),
            plan: "nightly".into(),
            plan_version: String::new(),
            host: "web1".into(),
            due,
            kind: RunKind::Incremental,
            origin: Origin::Schedule,
            attempts: 1,
            lost: 0,
            going: false,
            postponed: None,
            paused: false,
            not_before: None,
            window: None,
            started: Some(due),
            cancelled: false,
            ended,
        }
    }

    /// Daily at 01:30, an hour of grace; now is the 22nd at `now`. Whether it is overdue is told apart from what is unprotected.
    fn check(now: &str, newest: Option<&Run>, good: Option<&Run>, expect: State) {
        let known = Known {
            plan: "nightly",
            host: "web1",
            terms: Some(ProofTerms {
                every: ProofRhythm::Run,
                counts_for: None,
                samples: false,
                promise: None,
                reach_bytes: None,
            }),
            drills: None,
            late_due: Some(if now < "22T02:30" { time("21T01:30") } else { time("22T01:30") }),
            next_due: Some(time("23T01:30")),
            newest,
            first_due: newest.map(|_| time("01T01:30")),
            good,
            running: None,
        };
        let status = Status::of(time(now), [known]);
        assert_eq!(status.rows[0].state, expect, "{:?}", status.rows[0]);
        assert_eq!(status.is_good(), matches!(expect, State::New | State::Protected));
        let is_overdue = now >= "22T02:30" && newest.is_some() && good.is_none_or(|good| good.due < time("22T01:30"));
        assert_eq!(status.rows[0].overdue_since, is_overdue.then(|| time("22T01:30")), "{:?}", status.rows[0]);
    }

    #[test]
    fn an_absence_counts_as_much_as_a_failure() {
        let done = run("22T01:30", Some(Ending::Done), "L3");
        let yesterday = run("21T01:30", Some(Ending::Done), "L3");
        let missed = run("22T01:30", Some(Ending::Missed), "");
        let unproven = run("22T01:30", Some(Ending::Partial), "L0");
        check("22T03:00", Some(&done), Some(&done), State::Protected);
        check("22T02:00", Some(&yesterday), Some(&yesterday), State::Protected);
        check("22T03:00", Some(&yesterday), Some(&yesterday), State::Overdue);
        check("22T03:00", Some(&missed), Some(&yesterday), State::Overdue);
        check("22T03:00", Some(&missed), None, State::Unprotected);
        check("22T03:00", None, None, State::Unprotected);
        check("22T03:00", Some(&unproven), Some(&unproven), State::Unproven);
    }
}
