//! What a change of plans protects less: to be seen by a person before it is in force.
//!
//! A path that another plan backs up on the same host is not lost. What cannot be told from the plans (whether a path
//! is missed, whether an excluded file mattered) is told rather than left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::backup::BackupPlan;
use crate::difference::{Change, PlanChange};
use crate::fleet::FleetPlan;
use crate::missed::MissedRule;
use crate::name::Name;
use crate::notification::{Notification, Occasion};
use crate::prove::ProofRhythm;
use crate::report::listed;
use crate::retain::Rule;
use crate::runs_ahead::{DAYS, RunsAhead, RunsChange};
use crate::sample::Sample;
use crate::site::Site;
use crate::site_repository::Access;
use crate::source::{Input, Source};
use crate::source_path::SourcePath;
use crate::weaker_site;
use crate::window::CutOff;

/// One way in which less is protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weaker {
    /// The plan; none where it is the whole site.
    pub plan: Option<Name>,
    /// Of which kind.
    pub loss: Loss,
    /// In a sentence's words.
    pub what: String,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// A path or a host that no plan backs up any more.
    Coverage,
    /// Something is left out of a source.
    Excluded,
    /// Restore points go earlier.
    Retention,
    /// Less is proven, or a proof counts for longer.
    Proof,
    /// Runs are fewer, may be cut off, or are not made up for.
    Runs,
    /// What was stored so far stays in another repository.
    Repository,
    /// What is stored can be removed by whoever takes a host over, or somebody may do what he could not.
    Access,
    /// Nobody hears of it.
    Notification,
}

/// A year has 52 or 53 of one weekday (98.1 percent), so that another day of the week is not fewer runs.
const SAME_PERCENT: usize = 98;
/// As many names as fit into a sentence.
const NAMES_SHOWN_MAX: usize = 5;

pub(crate) fn of_sites(old: &Site, new: &Site, changes: &[PlanChange]) -> Vec<Weaker> {
    let mut weaker = lost_coverage(old, new);
    weaker.extend(weaker_site::of_site(old, new));
    for plan in changes {
        let name = &plan.plan;
        let sides = old.plans().get(name).zip(new.plans().get(name));
        weaker.extend(lost_runs(plan).into_iter().map(|what| Weaker::of(name, Loss::Runs, what)));
        let Some((old_plan, new_plan)) = sides else { continue };
        weaker.extend(of_plan(old_plan.plan(), new_plan.plan()));
        let locations = [old.repository_of(old_plan).location(), new.repository_of(new_plan).location()];
        weaker.extend(moved(name, locations));
    }
    weaker.extend(old.plans().iter().filter_map(|(name, plan)| opened_to_hosts(plan, new.plans().get(name)?)));
    let untold = told(old.notifications()).difference(&told(new.notifications())).copied().collect::<Vec<_>>();
    weaker.extend(untold.into_iter().map(|occasion| Weaker {
        plan: None,
        loss: Loss::Notification,
        what: format!("nobody is told of runs that are {occasion} any more"),
    }));
    weaker
}

pub(crate) fn of_plans(old: &BackupPlan, new: &BackupPlan, changes: &[PlanChange]) -> Vec<Weaker> {
    let is_lost = |root: &&SourcePath| !new.sources().iter().any(|source| source.holds(root.as_path()));
    let lost = old.sources().iter().flat_map(Source::roots).filter(is_lost);
    let lost = lost.map(|root| Weaker::of(new.name(), Loss::Coverage, format!("{root} is not backed up any more")));
    let runs = changes.iter().filter_map(lost_runs).map(|what| Weaker::of(new.name(), Loss::Runs, what));
    let moved = moved(new.name(), [old.repository(), new.repository()].map(ToString::to_string));
    lost.chain(runs).chain(of_plan(old, new)).chain(moved).collect()
}

impl Weaker {
    fn of(plan: &Name, loss: Loss, what: String) -> Self {
        Self { plan: Some(plan.clone()), loss, what }
    }
}

/// What one plan does less, whatever its hosts.
fn of_plan(old: &BackupPlan, new: &BackupPlan) -> Vec<Weaker> {
    let named = |loss| move |what| Weaker::of(new.name(), loss, what);
    let excluded = newly_excluded(old, new).into_iter().map(named(Loss::Excluded));
    let retained = retained_less(old, new).into_iter().map(named(Loss::Retention));
    let proven = proven_less(old, new).into_iter().map(named(Loss::Proof));
    let runs = runs_lost_sooner(old, new).into_iter().map(named(Loss::Runs));
    let uncopied = old.copies().iter().filter(|copy| !new.copies().contains(copy));
    let uncopied = uncopied.map(|copy| format!("what is stored is not copied to {copy} any more"));
    excluded.chain(retained).chain(proven).chain(runs).chain(uncopied.map(named(Loss::Repository))).collect()
}

/// Paths of hosts that some plan backed up and none does now; and hosts that are gone with all of theirs.
fn lost_coverage(old: &Site, new: &Site) -> Vec<Weaker> {
    let mut weaker = Vec::new();
    let gone: BTreeSet<&Name> = old.hosts().keys().filter(|host| !new.hosts().contains_key(*host)).collect();
    let was_covered = |host: &&&Name| old.plans().values().any(|plan| plan.hosts().contains(host));
    for host in gone.iter().filter(was_covered) {
        let what = format!("host {host} is not of the site any more, and was backed up");
        weaker.push(Weaker { plan: None, loss: Loss::Coverage, what });
    }
    for plan in old.plans().values() {
        for root in plan.plan().sources().iter().flat_map(Source::roots) {
            let covers = |source: &Source| source.holds(root.as_path());
            let covering = new.plans().values().filter(|plan| plan.plan().sources().iter().any(covers));
            let covered: BTreeSet<&Name> = covering.flat_map(|plan| plan.hosts()).collect();
            let is_lost = |host: &&Name| !covered.contains(host) && !gone.contains(host);
            let lost: Vec<&str> = plan.hosts().iter().filter(is_lost).map(Name::as_str).collect();
            if !lost.is_empty() {
                let what = format!("no plan backs up {root} on {} any more", shortened(&lost));
                weaker.push(Weaker::of(plan.name(), Loss::Coverage, what));
            }
        }
        if !new.plans().contains_key(plan.name()) {
            let what = "the plan is gone: it makes no more restore points, and its rules keep none".to_owned();
            weaker.push(Weaker::of(plan.name(), Loss::Coverage, what));
        }
    }
    weaker
}

fn shortened(names: &[&str]) -> String {
    match names.len().checked_sub(NAMES_SHOWN_MAX) {
        None | Some(0) => listed(names.iter().copied()),
        Some(more) => format!("{} and {more} more", listed(names[..NAMES_SHOWN_MAX].iter().copied())),
    }
}

/// What is left out now of roots that are still backed up.
fn newly_excluded(old: &BackupPlan, new: &BackupPlan) -> Vec<String> {
    let mut roots_by_what: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for before in old.sources() {
        for root in before.files() {
            let Some(now) = new.sources().iter().find(|source| source.holds(root.as_path())) else { continue };
            for what in more_omissions(before, now) {
                roots_by_what.entry(what).or_default().extend(root.as_path().to_str());
            }
        }
    }
    roots_by_what.into_iter().map(|(what, roots)| format!("{what} left out of {} now", shortened(&roots))).collect()
}

fn more_omissions(before: &Source, now: &Source) -> Vec<String> {
    let (Input::Files(before), Input::Files(now)) = (before.input(), now.input()) else { return Vec::new() };
    let is_new = |pattern: &&_| !before.exclude().iter().any(|other| other == *pattern);
    let patterns = now.exclude().iter().filter(is_new).map(|pattern| format!("{} is", pattern.as_str()));
    let caches = now.excludes_caches() && !before.excludes_caches();
    let mounts = now.stays_on_one_file_system() && !before.stays_on_one_file_system();
    let larger = now.exclude_larger_than();
    let larger = larger.filter(|now| before.exclude_larger_than().is_none_or(|before| *now < before));
    let others = [
        caches.then(|| "cache directories are".to_owned()),
        mounts.then(|| "other mounted file systems are".to_owned()),
        larger.map(|size| format!("files larger than {size} are")),
    ];
    patterns.chain(others.into_iter().flatten()).collect()
}

fn retained_less(old: &BackupPlan, new: &BackupPlan) -> Vec<String> {
    let count = |plan: &BackupPlan, rule: Rule| {
        plan.retain().counts().find(|(other, _)| *other == rule).map_or(0, |(_, count)| count.get())
    };
    let at_least = [old, new].map(|plan| plan.retain().at_least().get());
    let rules = Rule::ALL.map(|rule| (rule.word(), [count(old, rule), count(new, rule)]));
    let fewer = rules.into_iter().chain([("at-least", at_least)]).filter(|(_, [old, new])| new < old);
    fewer.map(|(word, [old, new])| format!("fewer restore points are kept: {word} {old}, now {new}")).collect()
}

fn proven_less(old: &BackupPlan, new: &BackupPlan) -> Vec<String> {
    let Some(before) = old.prove() else { return Vec::new() };
    let Some(now) = new.prove() else { return vec!["nothing is proven any more".to_owned()] };
    let mut less = Vec::new();
    if now.level() < before.level() {
        less.push(format!("proven to {}, was {}", now.level(), before.level()));
    }
    if now.every() > before.every() {
        less.push(format!("proven {}, was {}", often(now.every()), often(before.every())));
    }
    let dropped = before.checks().iter().filter(|check| !now.checks().contains(check));
    less.extend(dropped.map(|check| format!("the check `{check}` is gone")));
    match (before.counts_for(), now.counts_for()) {
        (Some(before), None) => less.push(format!("a proof counts without end, was {before}")),
        (Some(before), Some(now)) if now > before => less.push(format!("a proof counts for {now}, was {before}")),
        _ => {}
    }
    less.extend(sampled_less(before.sample(), now.sample()));
    less
}

/// Drills that restore less, or that get round to everything later.
fn sampled_less(before: Option<&Sample>, now: Option<&Sample>) -> Vec<String> {
    let Some(now) = now else { return Vec::new() };
    let Some(before) = before else {
        return vec![format!("a drill restores a sample of {}, was everything", now.size())];
    };
    let mut less = Vec::new();
    if now.size() < before.size() {
        less.push(format!("a drill restores a sample of {}, was {}", now.size(), before.size()));
    }
    let gone = before.first().iter().filter(|pattern| !now.first().iter().any(|kept| kept == *pattern));
    less.extend(gone.map(|pattern| format!("{} is not in each sample any more", pattern.as_str())));
    match (before.promise(), now.promise()) {
        (Some(before), None) => less.push(format!("nothing is promised any more, was every byte within {before}")),
        (Some(before), Some(now)) if now > before => {
            less.push(format!("every byte is restored within {now}, was {before}"));
        }
        _ => {}
    }
    less
}

fn often(every: ProofRhythm) -> &'static str {
    if every.is_drilled() { every.word() } else { "after each run" }
}

/// Runs that end early or are never made up for.
fn runs_lost_sooner(old: &BackupPlan, new: &BackupPlan) -> Vec<String> {
    let Some((before, now)) = old.schedule().zip(new.schedule()) else { return Vec::new() };
    let made_up = |rule: Option<MissedRule>| match rule {
        Some(MissedRule::RunOnceWithin(span)) => Some(span),
        Some(MissedRule::Skip) | None => None,
    };
    let mut lost = Vec::new();
    match (made_up(before.missed()), made_up(now.missed())) {
        (Some(before), None) => lost.push(format!("missed runs are not made up for, were within {before}")),
        (Some(before), Some(now)) if now < before => {
            lost.push(format!("missed runs are made up for within {now}, was {before}"));
        }
        _ => {}
    }
    let is_cancelled = |plan: &BackupPlan| {
        let window = plan.schedule().and_then(|schedule| schedule.window());
        window.is_some_and(|window| window.then() == CutOff::Cancel)
    };
    if is_cancelled(new) && !is_cancelled(old) {
        lost.push("a run that is still going when its window closes is cancelled".to_owned());
    }
    lost
}

/// Of a plan that is gone, or is new, other marks tell.
fn lost_runs(plan: &PlanChange) -> Option<String> {
    let runs = plan.runs.as_ref().filter(|_| plan.change == Change::Changed)?;
    let RunsChange { old, new } = runs;
    if new.stopped > old.stopped {
        let more = new.stopped - old.stopped;
        return Some(format!("a calendar keeps {more} runs from beginning in {DAYS} days that would have begun"));
    }
    let is_fewer = |old: usize, new: usize| new * 100 < old * SAME_PERCENT;
    (is_fewer(old.full, new.full) || is_fewer(old.begun(), new.begun())).then(|| {
        let shown = |runs: &RunsAhead| format!("{} full and {} incremental", runs.full, runs.incremental);
        format!("fewer runs begin in {DAYS} days: {}, was {}", shown(new), shown(old))
    })
}

fn moved(plan: &Name, [old, new]: [String; 2]) -> Option<Weaker> {
    let what = format!("what was stored so far stays in {old}; {new} knows nothing of it");
    (old != new).then(|| Weaker::of(plan, Loss::Repository, what))
}

/// Hosts that stored through the controller, and now write to the repository themselves.
fn opened_to_hosts(old: &FleetPlan, new: &FleetPlan) -> Option<Weaker> {
    let (Access::Gateway, Access::Direct(_)) = (old.access(), new.access()) else { return None };
    let hosts: Vec<&str> = new.hosts().iter().map(Name::as_str).collect();
    let what = format!("what is stored in {} can be removed from {}", new.repository(), shortened(&hosts));
    Some(Weaker::of(new.name(), Loss::Access, what))
}

fn told(notifications: &[Notification]) -> BTreeSet<Occasion> {
    notifications.iter().flat_map(Notification::on).copied().collect()
}
