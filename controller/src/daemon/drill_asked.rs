//! Drills that somebody asks for, and how it stands with all of them.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::Name;

use super::Daemon;
use super::drill::demands_proof;
use super::order::RunOrder;
use crate::drill_report::{Extent, PastDrill};
use crate::drills::Pair;
use crate::journal::{JournalError, Who};
use crate::operator::{DrillWish, Mode, Refused, Reply, document};
use crate::run::Clock;
use crate::runs::Run;
use crate::sampling::promised::Promised;
use crate::site::{Loaded, ProofTerms};

/// What came of a drill that somebody asked for, or what would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrillAnswer {
    /// The plan.
    pub plan: String,
    /// The host whose restore point it is.
    pub host: String,
    /// When the backup began that is restored; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Its snapshots.
    #[serde(default)]
    pub snapshots: Vec<String>,
    /// What came of it; none of a rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<PastDrill>,
    /// Why nothing can be drilled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How it stands with the drills of a plan on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrillRow {
    /// The plan.
    pub plan: String,
    /// The host.
    pub host: String,
    /// Its rhythm, as the plan says it; `run` where each run proves.
    pub every: String,
    /// The file of the kind `drill` that demands it; none where the plan itself does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demanded_by: Option<String>,
    /// When the next one is due, which may have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Since when one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<PastDrill>,
    /// When the last one ended that proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Timestamp>,
    /// How far those have come that restore samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Promised>,
}

/// Somebody waits for some.
#[derive(Debug)]
pub(super) struct Asked {
    by: Who,
    /// Not yet begun.
    left: VecDeque<Point>,
    answers: Vec<DrillAnswer>,
    reply: Reply,
}

/// A restore point, or its absence.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) pair: Pair,
    pub(super) run: Option<Run>,
    pub(super) extent: Extent,
}

impl Point {
    pub(super) fn snapshots(&self) -> Vec<String> {
        let ended = self.run.as_ref().and_then(|run| run.ended.as_ref());
        ended.map(|ended| ended.snapshots.clone()).unwrap_or_default()
    }

    fn answer(&self, done: Option<PastDrill>) -> DrillAnswer {
        let (plan, host) = (self.pair.0.to_string(), self.pair.1.to_string());
        let time = self.run.as_ref().map(|run| run.started.unwrap_or(run.due));
        let reason = self.run.is_none().then(|| "there is no restore point yet".to_owned());
        DrillAnswer { plan, host, time, snapshots: self.snapshots(), done, reason }
    }
}

impl Asked {
    /// The next one that can begin.
    pub(super) fn next(&mut self) -> Option<(Point, Who)> {
        Some((self.left.pop_front()?, self.by.clone()))
    }

    /// One has ended; if it was one of these, there is its answer.
    pub(super) fn note(&mut self, past: PastDrill) {
        let is_of_it = |answer: &&mut DrillAnswer| {
            answer.done.is_none()
                && (&answer.plan, &answer.host, &answer.snapshots) == (&past.plan, &past.host, &past.snapshots)
        };
        if let Some(answer) = self.answers.iter_mut().find(is_of_it) {
            answer.done = Some(past);
        }
    }

    /// The last answer brings them all; whoever waits for more goes on waiting.
    pub(super) fn reply_when_all_are_done(self) -> Option<Self> {
        if self.answers.iter().any(|answer| answer.done.is_none() && answer.reason.is_none()) {
            return Some(self);
        }
        let _ = self.reply.send(document(&self.answers));
        None
    }
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Has restore points drilled for somebody who waits for all of them.
    pub(super) async fn drill_asked(&mut self, wish: DrillWish, by: Who, reply: Reply) -> Result<(), JournalError> {
        let is_taken = self.drilling.asked.is_some() && wish.mode == Mode::Earnest;
        let points = match self.points(&wish).await? {
            Ok(_) if is_taken => {
                Err(Refused::Unfit("somebody waits for drills already: ask again when they are over".into()))
            }
            points => points,
        };
        let points = match points {
            Ok(points) => points,
            Err(refused) => {
                let _ = reply.send(Err(refused));
                return Ok(());
            }
        };
        let answers: Vec<DrillAnswer> = points.iter().map(|point| point.answer(None)).collect();
        if wish.mode == Mode::DryRun {
            let _ = reply.send(document(&answers));
            return Ok(());
        }
        let left = points.into_iter().filter(|point| point.run.is_some()).collect();
        self.drilling.asked = Asked { by, left, answers, reply }.reply_when_all_are_done();
        Ok(())
    }

    /// The restore points that somebody means.
    async fn points(&self, wish: &DrillWish) -> Result<Result<Vec<Point>, Refused>, JournalError> {
        let pairs = match self.pairs(wish) {
            Ok(pairs) => pairs,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut points = Vec::new();
        if let Some(snapshot) = &wish.snapshot {
            let runs = self.setting.journal.runs_of_snapshot(snapshot).await?;
            for run in runs {
                let pair = pairs.iter().find(|(plan, host)| run.plan == plan.as_str() && run.host == host.as_str());
                points.extend(pair.map(|pair| {
                    let (pair, run) = (pair.clone(), Some(run.clone()));
                    Point { pair, run, extent: Extent::Everything }
                }));
            }
            return Ok(match points.len() {
                1 => Ok(points),
                0 => Err(Refused::Unknown(format!("none of these plans has made a snapshot {snapshot}"))),
                _ => Err(Refused::Unfit(format!("several snapshots begin with {snapshot}: write more of it"))),
            });
        }
        for pair in pairs {
            let run = self.setting.journal.newest_point(pair.0.as_str(), pair.1.as_str()).await?;
            points.push(Point { pair, run, extent: Extent::AsPlanned });
        }
        Ok(Ok(points))
    }

    /// The plans and hosts that somebody means: all that demand a proof, unless he names some.
    fn pairs(&self, wish: &DrillWish) -> Result<Vec<Pair>, Refused> {
        if let Some(plan) = &wish.plan {
            self.site.hosts_of(plan, wish.host.as_deref())?;
        }
        let is_meant =
            |name: &Name, wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| name.as_str() == wanted);
        let plans = self.site.site.plans().values().filter(|plan| is_meant(plan.name(), &wish.plan));
        let plans = plans.filter(|plan| demands_proof(plan));
        let pairs = plans.flat_map(|plan| plan.hosts().iter().map(|host| (plan.name().clone(), host.clone())));
        let pairs: Vec<Pair> = pairs.filter(|(_, host)| is_meant(host, &wish.host)).collect();
        match pairs.is_empty() {
            true => Err(Refused::Unfit("no such plan says by `prove:` what a drill has to show".into())),
            false => Ok(pairs),
        }
    }

    /// How it stands with the drills of each plan on each host where there is a demand.
    pub(super) async fn drill_rows(&self) -> Result<Vec<DrillRow>, JournalError> {
        let mut rows = Vec::new();
        for plan in self.site.site.plans().values() {
            let Some(demand) = plan.plan().prove() else { continue };
            for host in plan.hosts() {
                let pair = (plan.name().clone(), host.clone());
                let known = self.setting.journal.known_drills(pair.0.as_str(), host.as_str()).await?;
                let terms = ProofTerms::of(demand);
                let coverage = known.sampled.map(|sampled| sampled.coverage).filter(|_| terms.samples);
                let going = self.drilling.schedule.going().filter(|(going, _)| *going == pair);
                rows.push(DrillRow {
                    plan: pair.0.to_string(),
                    host: host.to_string(),
                    every: demand.every().to_string(),
                    demanded_by: plan.drill().map(ToString::to_string),
                    next: self.drilling.schedule.next(&pair).filter(|_| going.is_none()),
                    running_since: going.map(|(_, since)| *since),
                    last: self.setting.journal.newest_drill(pair.0.as_str(), host.as_str()).await?,
                    proven: known.good.map(|good| good.ended),
                    sampled: coverage.map(|coverage| Promised::of(coverage, &terms, self.now())),
                });
            }
        }
        rows.sort_by(|left, right| (&left.plan, &left.host).cmp(&(&right.plan, &right.host)));
        Ok(rows)
    }
}
