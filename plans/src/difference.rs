//! What a change of plans means, before it is in force: values, hosts, runs, and what is protected less.
//!
//! Compared is what holds, after presets have given what plans do not say: moving `retain` from a plan into its preset
//! is no difference. Pure: the caller says from which instant on runs are compared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::backup::BackupPlan;
use crate::drill_plan::DrillPlan;
use crate::fleet::FleetPlan;
use crate::host::{Host, JUMP_USER};
use crate::name::Name;
use crate::restore_plan::RestorePlan;
use crate::runs_ahead::{RunsAhead, RunsChange};
use crate::said::Said;
use crate::site::Site;
use crate::upcoming::Upcoming;
use crate::weaker::{self, Weaker};

/// All that differs between two sites, or two plans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What is protected less than before.
    pub weaker: Vec<Weaker>,
    /// What all plans share.
    pub site: Vec<ValueChange>,
    /// The inventory.
    pub hosts: Vec<ValueChange>,
    /// The plans that differ, by name.
    pub plans: Vec<PlanChange>,
}

/// How one thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there.
    Added,
    /// It is there no more.
    Removed,
    /// It is another one.
    Changed,
}

/// A value that differs; one that nobody says is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange {
    /// The keys that lead to it, as [`Said::key`] has them.
    pub key: String,
    /// How it differs.
    pub change: Change,
    /// As it was written.
    pub old: Option<String>,
    /// As it is written.
    pub new: Option<String>,
    /// File and line of the new value, or of the old one where there is no new one. Of hosts it is not known.
    pub at: Option<String>,
}

/// What becomes of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanChange {
    /// Its name.
    pub plan: Name,
    /// How it differs.
    pub change: Change,
    /// Hosts that it did not cover.
    pub hosts_gained: Vec<Name>,
    /// Hosts that it covers no more.
    pub hosts_lost: Vec<Name>,
    /// What holds for it.
    pub values: Vec<ValueChange>,
    /// Its runs, where they differ.
    pub runs: Option<RunsChange>,
}

impl Difference {
    /// Between two sites. Runs are compared from an instant on.
    pub fn of_sites(old: &Site, new: &Site, from: Timestamp) -> Self {
        let names: BTreeSet<&Name> = old.plans().keys().chain(new.plans().keys()).collect();
        let between = |name| {
            let side = |site: &Site| site.plans().get(name).map(|plan| Side::in_site(site, plan, from));
            PlanChange::between(name.clone(), side(old), side(new))
        };
        let mut plans: Vec<PlanChange> = names.into_iter().filter_map(between).collect();
        let weaker = weaker::of_sites(old, new, &plans);
        plans.extend(restore_plan_changes(old, new));
        plans.extend(drill_plan_changes(old, new));
        Self { weaker, site: changes(values(old.said()), values(new.said())), hosts: host_changes(old, new), plans }
    }

    /// Between two plans that are in no site; `zone` is that of the machine.
    pub fn of_plans(old: &BackupPlan, new: &BackupPlan, zone: &TimeZone, from: Timestamp) -> Self {
        let side = |plan| Some(Side::alone(plan, zone, from));
        let plans = Vec::from_iter(PlanChange::between(new.name().clone(), side(old), side(new)));
        Self { weaker: weaker::of_plans(old, new, &plans), plans, ..Self::default() }
    }

    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        self.site.is_empty() && self.hosts.is_empty() && self.plans.is_empty()
    }
}

/// A plan before or after the change.
#[derive(Default)]
struct Side {
    hosts: BTreeSet<Name>,
    values: Vec<Value>,
    runs: RunsAhead,
}

impl Side {
    fn in_site(site: &Site, plan: &FleetPlan, from: Timestamp) -> Self {
        // A host with a clock of its own has the same runs at other instants.
        let zone = plan.plan().schedule().and_then(|schedule| schedule.zone()).unwrap_or_else(|| site.zone());
        let runs = RunsAhead::of(site.upcoming(plan, zone, RunsAhead::begin(from, zone)), zone, from);
        Self { hosts: plan.hosts().iter().cloned().collect(), values: values(plan.plan().said()), runs }
    }

    /// Its systems' hosts; nothing of it runs by itself.
    fn of_restore_plan(plan: &RestorePlan) -> Self {
        let hosts = plan.systems().iter().map(|system| system.target_host().clone()).collect();
        Self { hosts, values: values(plan.said()), runs: RunsAhead::default() }
    }

    /// What it demands stands among the values of its plans, too: there it is told whether that is less.
    fn of_drill_plan(site: &Site, plan: &DrillPlan) -> Self {
        let hosts = site.hosts_of_drill(plan).into_iter().cloned().collect();
        Self { hosts, values: values(plan.said()), runs: RunsAhead::default() }
    }

    fn alone(plan: &BackupPlan, zone: &TimeZone, from: Timestamp) -> Self {
        let zone = plan.schedule().and_then(|schedule| schedule.zone()).unwrap_or(zone);
        let due = plan.schedule().into_iter().flat_map(|schedule| schedule.due(RunsAhead::begin(from, zone), zone));
        let runs = RunsAhead::of(due.map(|due| Upcoming { due, stopped: None }), zone, from);
        Self { hosts: BTreeSet::new(), values: values(plan.said()), runs }
    }
}

impl PlanChange {
    /// None if both come to the same.
    fn between(plan: Name, old: Option<Side>, new: Option<Side>) -> Option<Self> {
        let change = match (&old, &new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let hosts_gained = new.hosts.difference(&old.hosts).cloned().collect::<Vec<_>>();
        let hosts_lost = old.hosts.difference(&new.hosts).cloned().collect::<Vec<_>>();
        let values = changes(old.values, new.values);
        let runs = RunsChange::between(old.runs, new.runs);
        let is_same = hosts_gained.is_empty() && hosts_lost.is_empty() && values.is_empty() && runs.is_none();
        (!is_same).then_some(Self { plan, change, hosts_gained, hosts_lost, values, runs })
    }
}

/// A key, its value, and file and line.
struct Value {
    key: String,
    text: String,
    at: Option<String>,
}

fn values(said: &[Said]) -> Vec<Value> {
    let value = |said: &Said| {
        let at = Some(format!("{}:{}", said.place().file(), said.place().line()));
        Value { key: said.key().to_owned(), text: said.value().to_owned(), at }
    };
    said.iter().map(value).collect()
}

/// In the order of the keys.
fn changes(old: Vec<Value>, new: Vec<Value>) -> Vec<ValueChange> {
    let mut sides: BTreeMap<String, [Option<Value>; 2]> = BTreeMap::new();
    for (side, values) in [old, new].into_iter().enumerate() {
        for value in values {
            let key = value.key.clone();
            sides.entry(key).or_default()[side] = Some(value);
        }
    }
    let change = |(key, [old, new]): (String, [Option<Value>; 2])| {
        let change = match (&old, &new) {
            (Some(old), Some(new)) if old.text == new.text => return None,
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        let at = new.as_ref().or(old.as_ref()).and_then(|value| value.at.clone());
        Some(ValueChange { key, change, old: old.map(|old| old.text), new: new.map(|new| new.text), at })
    };
    sides.into_iter().filter_map(change).collect()
}

/// A plan that changed its kind is one that is gone and one that is new.
fn restore_plan_changes(old: &Site, new: &Site) -> Vec<PlanChange> {
    let names: BTreeSet<&Name> = old.restore_plans().keys().chain(new.restore_plans().keys()).collect();
    let side = |site: &Site, name| site.restore_plans().get(name).map(Side::of_restore_plan);
    names.into_iter().filter_map(|name| PlanChange::between(name.clone(), side(old, name), side(new, name))).collect()
}

fn drill_plan_changes(old: &Site, new: &Site) -> Vec<PlanChange> {
    let names: BTreeSet<&Name> = old.drill_plans().keys().chain(new.drill_plans().keys()).collect();
    let side = |site: &Site, name| site.drill_plans().get(name).map(|plan| Side::of_drill_plan(site, plan));
    names.into_iter().filter_map(|name| PlanChange::between(name.clone(), side(old, name), side(new, name))).collect()
}

fn host_changes(old: &Site, new: &Site) -> Vec<ValueChange> {
    let differs = |name: &&Name| old.hosts().get(*name) != new.hosts().get(*name);
    let names: BTreeSet<&Name> = old.hosts().keys().chain(new.hosts().keys()).filter(differs).collect();
    let values = |site: &Site| names.iter().filter_map(|name| site.hosts().get(*name)).flat_map(host_values).collect();
    changes(values(old), values(new))
}

fn host_values(host: &Host) -> Vec<Value> {
    // Most hosts lead nowhere, and say nothing of it.
    let jump_user = Some(host.jump_user()).filter(|user| user.as_str() != JUMP_USER);
    let zone = host.zone().and_then(TimeZone::iana_name);
    let labels = host.labels().iter().map(|(label, value)| (format!("labels.{label}"), value.to_string()));
    let values = [
        ("address", Some(host.address().to_string())),
        ("port", Some(host.port().to_string())),
        ("user", Some(host.user().to_string())),
        ("jump", host.jump().map(ToString::to_string)),
        ("jump-user", jump_user.map(ToString::to_string)),
        ("zone", zone.map(str::to_owned)),
    ];
    let values = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).chain(labels);
    values.map(|(key, text)| Value { key: format!("{}.{key}", host.name()), text, at: None }).collect()
}
