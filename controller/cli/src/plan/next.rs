//! `strongroom plan next`: when a plan, or the plans of a site, are due.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_plans::{Due, FleetPlan, RunKind, Site};

use super::{hosts_by_zone, schedule, some_of, zone_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::{plan_file, site_directory};

/// Show when a plan, or the plans of a site, are due next
#[derive(Debug, Args)]
#[command(after_help = "\
Times are those of the plan's zone, or of this machine's. A time that the clocks leave out counts as the \
first instant after the gap; one that comes twice, as the first of the two.

Examples:
  strongroom plan next billing.yaml
  strongroom plan next --site plans/examples/site
  strongroom plan next billing.yaml --count 50 --json")]
pub(crate) struct NextArgs {
    /// The plan file
    #[arg(value_name = "PLAN", required_unless_present = "site", conflicts_with = "site")]
    plan: Option<PathBuf>,

    /// The directory of a site
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,

    /// How many runs to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

pub(crate) fn run(args: &NextArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(directory) = &args.site {
        let site = site_directory::load(directory, "show when the plans are due")?;
        context.output.answer(&SiteRuns::new(&site, args.count.into()))?;
        return Ok(Exit::Success);
    }
    // The command line takes one of the two.
    let file = args.plan.as_deref().unwrap_or(Path::new(""));
    let plan = plan_file::load(file, "show when the plan is due")?.plan;
    let (schedule, zone) = schedule(&plan)?;
    let due = schedule.due(Timestamp::now(), &zone).take(args.count.into()).collect();
    context.output.answer(&NextRuns::new(due, &zone))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct NextRuns {
    zone: String,
    runs: Vec<NextRun>,
}

#[derive(Debug, Serialize)]
struct NextRun {
    /// With the offset that holds then.
    time: String,
    kind: RunKind,
}

impl NextRuns {
    fn new(due: Vec<Due>, zone: &TimeZone) -> Self {
        let run = |due: Due| NextRun { time: shown(due.at, zone), kind: due.kind };
        Self { zone: zone_name(zone), runs: due.into_iter().map(run).collect() }
    }
}

fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The runs of all plans, on the clock of the site.
#[derive(Debug, Serialize)]
struct SiteRuns {
    site: String,
    zone: String,
    runs: Vec<SiteRun>,
}

#[derive(Debug, Serialize)]
struct SiteRun {
    time: String,
    plan: String,
    kind: RunKind,
    hosts: Vec<String>,
}

impl SiteRuns {
    fn new(site: &Site, count: usize) -> Self {
        let now = Timestamp::now();
        let mut runs: Vec<(Due, &FleetPlan, Vec<String>)> = Vec::new();
        for plan in site.plans().values() {
            let Some(schedule) = plan.plan().schedule() else { continue };
            for (zone, hosts) in hosts_by_zone(site, plan).into_values() {
                let due = schedule.due(now, zone).take(count);
                runs.extend(due.map(|due| (due, plan, hosts.clone())));
            }
        }
        runs.sort_by_key(|(due, plan, _)| (due.at, plan.name()));
        let run = |(due, plan, hosts): (Due, &FleetPlan, Vec<String>)| SiteRun {
            time: shown(due.at, site.zone()),
            plan: plan.name().to_string(),
            kind: due.kind,
            hosts,
        };
        let runs = runs.into_iter().take(count).map(run).collect();
        Self { site: site.name().to_string(), zone: zone_name(site.zone()), runs }
    }
}

impl Answer for SiteRuns {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "site {}, in {}", self.site, self.zone)?;
        for SiteRun { time, plan, kind, hosts } in &self.runs {
            writeln!(out, "  {time}  {plan}, {kind}, on {}", some_of(hosts))?;
        }
        Ok(())
    }
}

impl Answer for NextRuns {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "in {}", self.zone)?;
        self.runs.iter().try_for_each(|run| writeln!(out, "  {}  {}", run.time, run.kind))
    }
}
