//! Restore points that are due to be drilled, or that somebody wants drilled: one after the other.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strongroom_plans::FleetPlan;
use tokio::sync::mpsc;

use super::Daemon;
use super::drill_asked::{Asked, Point};
use super::order::RunOrder;
use crate::drill_report::{DrillEnd, DrillOrder, DrillReport, Extent, PastDrill};
use crate::drills::{Drills, Pair, Past};
use crate::journal::{Event, Journal, JournalError, Origin};
use crate::run::Clock;
use crate::runs::{Ended, Ending, RunId};
use crate::site::Loaded;

/// What the loop knows of drills.
#[derive(Debug)]
pub(super) struct Drilling {
    pub(super) schedule: Drills,
    going: Option<Going>,
    pub(super) asked: Option<Asked>,
    ends: mpsc::UnboundedSender<(RunId, DrillEnd)>,
}

/// The drill that goes on.
#[derive(Debug)]
struct Going {
    drill: RunId,
    plan: String,
    host: String,
    snapshots: Vec<String>,
    began: Timestamp,
}

impl Drilling {
    /// With what the journal knows, and where the ends come.
    pub(super) async fn new(
        journal: &Journal,
        site: &Loaded,
    ) -> Result<(Self, mpsc::UnboundedReceiver<(RunId, DrillEnd)>), JournalError> {
        let schedule = Drills::new(site.site.clone(), known(journal, site).await?);
        let (ends, ended) = mpsc::unbounded_channel();
        Ok((Self { schedule, going: None, asked: None, ends }, ended))
    }

    pub(super) fn is_going(&self) -> bool {
        self.going.is_some()
    }

    /// One of those that somebody waits for has an answer; the last one brings them all.
    fn answered(&mut self, past: PastDrill) {
        let Some(mut asked) = self.asked.take() else { return };
        asked.note(past);
        self.asked = asked.reply_when_all_are_done();
    }
}

/// What the journal knows of every plan on each of its hosts.
pub(super) async fn known(journal: &Journal, site: &Loaded) -> Result<BTreeMap<Pair, Past>, JournalError> {
    let mut pairs = BTreeMap::new();
    for plan in site.site.plans().values().filter(|plan| demands_proof(plan)) {
        for host in plan.hosts() {
            let (name, on) = (plan.name().as_str(), host.as_str());
            let known = journal.known_drills(name, on).await?;
            let point = journal.newest_point(name, on).await?.map(|run| run.due);
            let began = known.last.map(|last| last.began);
            let was_cut_off = known.was_cut_off;
            pairs.insert((plan.name().clone(), host.clone()), Past { point, began, was_cut_off });
        }
    }
    Ok(pairs)
}

/// As the journal chooses the newest one: a run that failed may have made a part of it.
fn is_point(ended: &Ended) -> bool {
    (ended.ending.is_good() || ended.ending == Ending::Unproven) && !ended.snapshots.is_empty()
}

pub(super) fn demands_proof(plan: &FleetPlan) -> bool {
    plan.plan().prove().is_some()
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Begins what somebody waits for, or else what is due, unless one goes on.
    pub(super) async fn drill_due(&mut self) -> Result<(), JournalError> {
        let now = self.now();
        while !self.drilling.is_going() {
            let next = self.drilling.asked.as_mut().and_then(Asked::next);
            if let Some((point, by)) = next {
                self.drilling.schedule.begin(point.pair.clone(), now);
                self.drill(point, None, Origin::Asked(by)).await?;
                continue;
            }
            let active: Vec<Pair> = self.busy_pairs();
            let due = self.drilling.schedule.begin_due(now, |pair| active.contains(pair));
            let Some((pair, due)) = due else { return Ok(()) };
            let run = self.setting.journal.newest_point(pair.0.as_str(), pair.1.as_str()).await?;
            self.drill(Point { pair, run, extent: Extent::AsPlanned }, Some(due), Origin::Schedule).await?;
        }
        Ok(())
    }

    /// Those whose backups go on.
    pub(super) fn busy_pairs(&self) -> Vec<Pair> {
        self.active.values().map(|active| (active.key.plan.clone(), active.key.host.clone())).collect()
    }

    /// What was going on when the last controller was killed is told, and is due again.
    pub(super) async fn note_cut_off_drill(&mut self) -> Result<(), JournalError> {
        let open = self.setting.journal.open_drill().await?;
        let Some((began, Event::DrillStarted { drill, plan, host, snapshots, .. })) = open else { return Ok(()) };
        let DrillReport { ending, reason, .. } = DrillReport::interrupted();
        let (proof, sample, record) = (None, None, None);
        self.write(Event::DrillEnded { drill, plan, host, began, ending, reason, snapshots, proof, sample, record })
            .await
    }

    async fn drill(&mut self, point: Point, due: Option<Timestamp>, origin: Origin) -> Result<(), JournalError> {
        let (began, snapshots) = (self.now(), point.snapshots());
        let (plan, host) = (point.pair.0.to_string(), point.pair.1.to_string());
        let drill = RunId::drilled(&plan, &host, began);
        let plan_version = self.site.plan_version(&plan);
        let event = Event::DrillStarted {
            drill: drill.clone(),
            plan: plan.clone(),
            plan_version: plan_version.clone(),
            host: host.clone(),
            snapshots: snapshots.clone(),
            due,
            origin,
        };
        self.write(event).await?;
        tracing::info!(%drill, plan, host, "drill begins");
        let going =
            Going { drill: drill.clone(), plan: plan.clone(), host: host.clone(), snapshots: snapshots.clone(), began };
        self.drilling.going = Some(going);
        let ends = self.drilling.ends.clone();
        let order = self.site.plan(&plan).map(|plan| DrillOrder {
            drill: drill.clone(),
            plan,
            plan_version,
            host,
            snapshots,
            extent: point.extent,
            ends,
        });
        let sent = order
            .ok_or("its plan is no longer in the site")
            .and_then(|order| self.setting.chores.drills.send(order).map_err(|_| "nobody does it"));
        match sent {
            Ok(()) => Ok(()),
            Err(why) => self.drill_ended(&drill, DrillEnd::Over(Box::new(DrillReport::failed(why)))).await,
        }
    }

    /// Writes down what came of it; what it has proven follows from that.
    pub(super) async fn drill_ended(&mut self, id: &RunId, end: DrillEnd) -> Result<(), JournalError> {
        let Some(going) = self.drilling.going.take_if(|going| going.drill == *id) else { return Ok(()) };
        let DrillReport { ending, reason, proof, sample, record } = match end {
            DrillEnd::Over(report) => *report,
            DrillEnd::Interrupted => DrillReport::interrupted(),
        };
        let Going { drill, plan, host, snapshots, began } = going;
        tracing::info!(%drill, plan, host, %ending, reason, "drill ended");
        let ended = self.now();
        let past = PastDrill { drill, plan, host, began, ended, ending, reason, snapshots, proof, sample };
        let PastDrill { drill, plan, host, reason, snapshots, proof, sample, .. } = past.clone();
        let event = Event::DrillEnded { drill, plan, host, began, ending, reason, snapshots, proof, sample, record };
        self.write(event).await?;
        self.drilling.schedule.ended(ending);
        self.drilling.answered(past);
        Ok(())
    }

    /// A restore point was made, if one was.
    pub(super) async fn note_point(&mut self, id: &RunId) -> Result<(), JournalError> {
        let Some(run) = self.setting.journal.run(id).await? else { return Ok(()) };
        let Some(ended) = run.ended.as_ref().filter(|ended| is_point(ended)) else { return Ok(()) };
        if let (Ok(plan), Ok(host)) = (run.plan.parse(), run.host.parse()) {
            self.drilling.schedule.made_point((plan, host), ended.at);
        }
        Ok(())
    }
}
