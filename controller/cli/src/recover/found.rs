//! What was found, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controller::PLAN_TAG;
use strongroom_controller::own_state::HOST;
use strongroom_controller::runs::Run;
use strongroom_controller::state_proofs::ProvenState;
use strongroom_repository::{Snapshot, Snapshots};

use super::RecoverArgs;
use super::rebuild::Rebuilt;
use super::steps::{self, Step};
use crate::choice::short_id;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::own_state::About;
use crate::shown::{Align, Table, count, time};

/// A state that was passed over.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Passed {
    pub(super) snapshot: String,
    pub(super) time: Option<Timestamp>,
    pub(super) fault: String,
}

/// All that is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Found {
    into: PathBuf,
    dry_run: bool,
    snapshot: String,
    time: Timestamp,
    files: u64,
    deviations: u64,
    passed: Vec<Passed>,
    controller: About,
    plans: Vec<String>,
    hosts: Vec<HostFound>,
    last_runs: Vec<LastRun>,
    restore_points: Vec<Point>,
    /// How many snapshots of others there are whose signatures are right, and how many cannot be read.
    snapshots: u64,
    unreadable: u64,
    next: Vec<Step>,
}

/// A host, in the order in which they should come back: jump hosts before those behind them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HostFound {
    pub(super) host: String,
    pub(super) address: String,
    pub(super) jump: Option<String>,
    /// Its newest restore point.
    pub(super) newest: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct LastRun {
    plan: String,
    host: String,
    due: Timestamp,
    ending: Option<String>,
}

/// The newest snapshot of a plan on a host, whoever made it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Point {
    host: String,
    plan: Option<String>,
    snapshot: String,
    time: Timestamp,
    /// Whether the journal cannot know it yet.
    younger: bool,
}

impl Found {
    pub(super) fn new(
        rebuilt: Rebuilt,
        passed: Vec<Passed>,
        all: &Snapshots,
        args: &RecoverArgs,
    ) -> Result<Self, Failure> {
        let others = || all.readable.iter().filter(|snapshot| snapshot.manifest.host != HOST);
        let restore_points = points(others(), rebuilt.about.time);
        let hosts = hosts(&rebuilt, &restore_points);
        let next = steps::next(&rebuilt, &hosts, args)?;
        let run = |run: Run| {
            let ending = run.ended.map(|ended| ended.ending.to_string());
            LastRun { plan: run.plan, host: run.host, due: run.due, ending }
        };
        let mut last_runs: Vec<LastRun> = rebuilt.runs.into_iter().map(run).collect();
        last_runs.sort_by(|left, right| (&left.plan, &left.host).cmp(&(&right.plan, &right.host)));
        Ok(Self {
            into: args.into.clone(),
            dry_run: args.dry_run,
            snapshot: rebuilt.snapshot.id.hex(),
            time: rebuilt.snapshot.manifest.time,
            files: rebuilt.files,
            deviations: rebuilt.deviations,
            passed,
            controller: rebuilt.about,
            plans: rebuilt.site.site.plans().keys().map(ToString::to_string).collect(),
            hosts,
            last_runs,
            restore_points,
            snapshots: others().count() as u64,
            unreadable: all.unreadable.len() as u64,
            next,
        })
    }

    /// Whether anything is wrong that somebody should look at.
    pub(super) fn exit(&self) -> Exit {
        if self.passed.is_empty() && self.unreadable == 0 { Exit::Success } else { Exit::Damaged }
    }
}

/// The same in numbers, for the journal.
pub(super) fn proven(rebuilt: &Rebuilt, all: &Snapshots) -> ProvenState {
    let site = &rebuilt.site.site;
    ProvenState {
        snapshot: rebuilt.snapshot.id.hex(),
        time: rebuilt.snapshot.manifest.time,
        files: rebuilt.files,
        entry: rebuilt.about.journal.entry,
        plans: site.plans().len() as u64,
        hosts: site.hosts().len() as u64,
        snapshots: all.readable.iter().filter(|snapshot| snapshot.manifest.host != HOST).count() as u64,
    }
}

/// The newest of each plan on each host; `known` is up to when the journal knows.
fn points<'a>(snapshots: impl Iterator<Item = &'a Snapshot>, known: Timestamp) -> Vec<Point> {
    let mut newest: BTreeMap<(&str, Option<&str>), &Snapshot> = BTreeMap::new();
    // The oldest come first.
    for snapshot in snapshots {
        let manifest = &snapshot.manifest;
        newest.insert((&manifest.host, manifest.tags.get(PLAN_TAG).map(String::as_str)), snapshot);
    }
    let point = |((host, plan), snapshot): ((&str, Option<&str>), &Snapshot)| Point {
        host: host.to_owned(),
        plan: plan.map(str::to_owned),
        snapshot: snapshot.id.hex(),
        time: snapshot.manifest.time,
        younger: snapshot.manifest.finished > known,
    };
    newest.into_iter().map(point).collect()
}

fn hosts(rebuilt: &Rebuilt, points: &[Point]) -> Vec<HostFound> {
    let host = |host: &strongroom_plans::Host| {
        let name = host.name().to_string();
        let newest = points.iter().filter(|point| point.host == name).map(|point| point.time).max();
        HostFound {
            address: host.address().to_string(),
            jump: host.jump().map(ToString::to_string),
            newest,
            host: name,
        }
    };
    let mut hosts: Vec<HostFound> = rebuilt.site.site.hosts().values().map(host).collect();
    // Nobody reaches what lies behind a host that is not there. A jump host has none before it itself.
    hosts.sort_by_key(|host| host.jump.is_some());
    hosts
}

impl Answer for Found {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Passed { snapshot, time: of, fault } in &self.passed {
            let of = of.map(|of| format!(" of {}", time(of))).unwrap_or_default();
            writeln!(out, "PASSED OVER: {}{of}: {fault}", short_id(snapshot))?;
        }
        let About { program, machine, site, journal, .. } = &self.controller;
        writeln!(out, "controller  of the site {}, on {machine}, {program}", site.name)?;
        writeln!(out, "state of    {}, snapshot {}", time(self.time), short_id(&self.snapshot))?;
        let commit = site.commit.as_ref().map_or("none".into(), |commit| short_id(commit));
        let in_force = if site.version == site.in_force { "" } else { " (changed, and not yet in force)" };
        writeln!(
            out,
            "site        version {}{in_force}, commit {commit}, was in {}",
            short_id(&site.version),
            site.directory
        )?;
        writeln!(
            out,
            "journal     {} entries, every one as it was written, the last {}",
            count(journal.entry),
            short_id(&journal.hash)
        )?;
        writeln!(out, "snapshots   {}, every signature right", count(self.snapshots))?;
        if self.unreadable > 0 {
            writeln!(out, "            {} CANNOT BE READ: `strongroom repo check` names them", count(self.unreadable))?;
        }
        writeln!(out, "plans       {}", self.plans.join(", "))?;
        self.write_hosts(out)?;
        self.write_runs(out)?;
        let younger: Vec<&Point> = self.restore_points.iter().filter(|point| point.younger).collect();
        if !younger.is_empty() {
            writeln!(out, "\nyounger in the repository than in the journal:")?;
        }
        for Point { host, plan, snapshot, time: at, .. } in younger {
            writeln!(
                out,
                "  {} of {} {}, {}",
                short_id(snapshot),
                host,
                plan.as_deref().unwrap_or("by hand"),
                time(*at)
            )?;
        }
        self.write_end(out)
    }
}

impl Found {
    fn write_hosts(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("ADDRESS", Align::Left),
            ("BEHIND", Align::Left),
            ("NEWEST RESTORE POINT", Align::Left),
        ]);
        for HostFound { host, address, jump, newest } in &self.hosts {
            let jump = jump.clone().unwrap_or_else(|| "-".into());
            table.row([host.clone(), address.clone(), jump, newest.map_or("NONE HERE".into(), time)]);
        }
        writeln!(out)?;
        table.write(out)
    }

    fn write_runs(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.last_runs.is_empty() {
            return Ok(());
        }
        let mut table =
            Table::new(&[("PLAN", Align::Left), ("HOST", Align::Left), ("LAST RUN", Align::Left), ("", Align::Left)]);
        for LastRun { plan, host, due, ending } in &self.last_runs {
            let ending = ending.clone().unwrap_or_else(|| "goes on".into());
            table.row([plan.clone(), host.clone(), time(*due), ending]);
        }
        writeln!(out)?;
        table.write(out)
    }

    fn write_end(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.deviations > 0 {
            writeln!(out, "\nnote: {} owners or times could not be set as they were", count(self.deviations))?;
        }
        if self.dry_run {
            return writeln!(out, "\nnothing was kept: without --dry-run, {} would be all this", self.into.display());
        }
        writeln!(out, "\nin {}; next, in this order:", self.into.display())?;
        self.next.iter().zip(1..).try_for_each(|(step, number)| {
            writeln!(out, "  {number}. {}", step.why)?;
            step.commands.iter().try_for_each(|command| writeln!(out, "       {command}"))
        })
    }
}
