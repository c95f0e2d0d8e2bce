//! `strongroom plan`: plans before they run. Nothing is changed, and no repository is needed.

mod check;
mod diff;
mod new;
mod next;
mod schema;
mod show;
mod simulate;

use std::collections::BTreeMap;

use clap::Subcommand;
use jiff::tz::TimeZone;
use strongroom_plans::{BackupPlan, FleetPlan, Schedule, Site};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};

/// Write and check plans, and see when they run and what they keep
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    New(new::NewArgs),
    Check(check::CheckArgs),
    Schema(schema::SchemaArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Next(next::NextArgs),
    Simulate(simulate::SimulateArgs),
}

impl PlanCommand {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::New(args) => new::run(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::Schema(args) => schema::run(&args, context),
            Self::Show(args) => show::run(&args, context),
            Self::Diff(args) => diff::run(&args, context),
            Self::Next(args) => next::run(&args, context),
            Self::Simulate(args) => simulate::run(&args, context),
        }
    }
}

/// The plan's due times and the zone in which they are meant.
fn schedule(plan: &BackupPlan) -> Result<(&Schedule, TimeZone), Failure> {
    let what = || format!("say when {} runs", plan.name());
    let schedule = plan.schedule().ok_or_else(|| {
        Failure::new(what(), Cause::Usage("the plan has no schedule: it runs when somebody starts it".into()))
            .advise("add one, for example `schedule: { full: weekly sun 01:30, incremental: daily 01:30 }`")
    })?;
    Ok((schedule, schedule.zone().cloned().unwrap_or_else(TimeZone::system)))
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("the local zone").to_owned()
}

/// The hosts of a plan by the clock that counts for them.
fn hosts_by_zone<'s>(site: &'s Site, plan: &'s FleetPlan) -> BTreeMap<String, (&'s TimeZone, Vec<String>)> {
    let mut zones: BTreeMap<String, (&TimeZone, Vec<String>)> = BTreeMap::new();
    for host in plan.hosts().iter().filter_map(|host| site.hosts().get(host)) {
        let zone = site.zone_of(plan, host);
        zones.entry(zone_name(zone)).or_insert_with(|| (zone, Vec::new())).1.push(host.name().to_string());
    }
    zones
}

/// As many as fit on a line.
const HOSTS_SHOWN_MAX: usize = 4;

fn some_of(hosts: &[String]) -> String {
    let more = hosts.len().saturating_sub(HOSTS_SHOWN_MAX);
    let shown = hosts[..hosts.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
