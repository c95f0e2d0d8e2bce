//! `strongroom plan simulate`: what a plan, or all plans of a site, do in the days to come, and what is kept on a day.

mod calendar;
mod site;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::Serialize;
use strongroom_plans::{Due, RestorePoint, RetentionRules, RunKind, Verdict, retain};

use super::{schedule, zone_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::{plan_file, site_directory};

/// Show what a plan, or the plans of a site, do in the days to come, and what is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Of a plan, each month is a line and each day a sign: F for a full run, i for an incremental one, a number where there \
are several. Of a site, each run is a line, also those that a calendar stops. With --on, also which of the restore points \
made until then are kept on that day, and why, and which are deleted.

Examples:
  strongroom plan simulate billing.yaml
  strongroom plan simulate --site plans/examples/site --days 14
  strongroom plan simulate billing.yaml --from 2028-01-01 --days 366 --on 2028-12-31
  strongroom plan simulate billing.yaml --json | jq -r '.runs[] | select(.kind == \"full\").time'")]
pub(crate) struct SimulateArgs {
    /// The plan file
    #[arg(value_name = "PLAN", required_unless_present = "site", conflicts_with = "site")]
    plan: Option<PathBuf>,

    /// The directory of a site, whose plans are shown on one calendar
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,

    /// How many days [default: 365; of a site 28]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: Option<u32>,

    /// The first day [default: today]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,

    /// Show what is kept at the end of this day
    #[arg(long, value_name = "DATE")]
    on: Option<Date>,
}

/// A year: every rhythm of a plan is in it.
const DAYS_OF_PLAN: u32 = 365;
/// Four weeks of a site still fit on a few screens.
const DAYS_OF_SITE: u32 = 28;

pub(crate) fn run(args: &SimulateArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(directory) = &args.site {
        let site = site_directory::load(directory, "simulate the site")?;
        let span = Span::new(args, DAYS_OF_SITE, site.zone())?;
        context.output.answer(&site::SiteSimulation::new(&site, &span)?)?;
        return Ok(Exit::Success);
    }
    // The command line takes one of the two.
    let plan = plan_file::load(args.plan.as_deref().unwrap_or(Path::new("")), "simulate the plan")?.plan;
    let (schedule, zone) = schedule(&plan)?;
    let span = Span::new(args, DAYS_OF_PLAN, &zone)?;
    let due: Vec<Due> = schedule.due(span.just_before, &zone).take_while(|due| due.at < span.until).collect();
    let kept = span.on.map(|on| KeptOn::new(on, &zone, &due, plan.retain())).transpose()?;
    context.output.answer(&Simulation {
        plan: plan.name().to_string(),
        zone: zone_name(&zone),
        from: span.first,
        days: span.days,
        full: count(&due, RunKind::Full),
        incremental: count(&due, RunKind::Incremental),
        runs: due.iter().map(|due| SimulatedRun { time: due.at.to_zoned(zone.clone()), kind: due.kind }).collect(),
        kept,
    })?;
    Ok(Exit::Success)
}

/// The days that are simulated.
struct Span {
    first: Date,
    days: u32,
    /// Midnight itself is the first instant of the first day.
    just_before: Timestamp,
    until: Timestamp,
    on: Option<Date>,
}

impl Span {
    fn new(args: &SimulateArgs, usual_days: u32, zone: &TimeZone) -> Result<Self, Failure> {
        let days = args.days.unwrap_or(usual_days);
        let first = args.from.unwrap_or_else(|| Zoned::now().with_time_zone(zone.clone()).date());
        let beyond = |error: jiff::Error| Failure::new("simulate so many days", Cause::Usage(error.to_string()));
        let until = first.checked_add(i64::from(days).days()).map_err(beyond)?;
        if let Some(on) = args.on.filter(|on| !(first..until).contains(on)) {
            let why = format!("{on} is not among the {days} days from {first}");
            return Err(
                Failure::new("show what is kept", Cause::Usage(why)).advise("give more --days, or another --from")
            );
        }
        let just_before = midnight(first, zone)?.timestamp().checked_sub(1.nanosecond()).map_err(beyond)?;
        Ok(Self { first, days, just_before, until: midnight(until, zone)?.timestamp(), on: args.on })
    }
}

fn midnight(date: Date, zone: &TimeZone) -> Result<Zoned, Failure> {
    let found = date.to_zoned(zone.clone()).map_err(|error| Cause::Usage(error.to_string()));
    found.doing(|| format!("simulate the days from {date}"))
}

fn count(due: &[Due], kind: RunKind) -> usize {
    due.iter().filter(|due| due.kind == kind).count()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Simulation {
    plan: String,
    zone: String,
    from: Date,
    days: u32,
    full: usize,
    incremental: usize,
    runs: Vec<SimulatedRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<KeptOn>,
}

#[derive(Debug, Serialize)]
struct SimulatedRun {
    #[serde(serialize_with = "with_offset")]
    time: Zoned,
    kind: RunKind,
}

/// As in `plan next`: RFC 3339, with the offset that holds then.
fn with_offset<S: serde::Serializer>(time: &Zoned, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&shown(time))
}

fn shown(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// What the retention rules come to on a day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeptOn {
    on: Date,
    made: usize,
    points: Vec<KeptPoint>,
    deleted: Vec<DeletedPoint>,
}

#[derive(Debug, Serialize)]
struct DeletedPoint {
    #[serde(serialize_with = "with_offset")]
    time: Zoned,
    kind: RunKind,
}

#[derive(Debug, Serialize)]
struct KeptPoint {
    #[serde(serialize_with = "with_offset")]
    time: Zoned,
    kind: RunKind,
    #[serde(flatten)]
    verdict: Verdict,
}

impl KeptOn {
    /// At the end of a day, of all that was made until then.
    fn new(on: Date, zone: &TimeZone, due: &[Due], rules: &RetentionRules) -> Result<Self, Failure> {
        let beyond = |error: jiff::Error| Failure::new("show what is kept", Cause::Usage(error.to_string()));
        let end = midnight(on.tomorrow().map_err(beyond)?, zone)?;
        let local = |due: &Due| due.at.to_zoned(zone.clone());
        let made = due.iter().filter(|due| due.at < end.timestamp());
        let made: Vec<_> = made.map(|due| RestorePoint::new(*due, local(due))).collect();
        let mut kept = Self { on, made: made.len(), points: Vec::new(), deleted: Vec::new() };
        for (due, verdict) in retain(rules, &made, &end) {
            let (time, kind) = (local(&due), due.kind);
            match verdict {
                Verdict::Keep { .. } => kept.points.push(KeptPoint { time, kind, verdict }),
                Verdict::Drop => kept.deleted.push(DeletedPoint { time, kind }),
            }
        }
        Ok(kept)
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { on, made, points, deleted } = self;
        writeln!(out, "at the end of {on}, {} of {made} restore points are kept:", points.len())?;
        for KeptPoint { time, kind, verdict } in points.iter().rev() {
            writeln!(out, "  {}  {kind}, {verdict}", shown(time))?;
        }
        match (deleted.first(), deleted.last()) {
            (Some(first), Some(last)) => {
                let (first, last) = (shown(&first.time), shown(&last.time));
                writeln!(out, "  deleted by then: {}, made from {first} to {last}", deleted.len())
            }
            _ => Ok(()),
        }
    }
}

impl Answer for Simulation {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan {}, {} days from {}, in {}", self.plan, self.days, self.from, self.zone)?;
        calendar::write(out, self.runs.iter().map(|run| (run.time.date(), run.kind)))?;
        writeln!(out, "{} full, {} incremental", self.full, self.incremental)?;
        let Some(kept) = &self.kept else { return Ok(()) };
        writeln!(out)?;
        kept.write_text(out)
    }
}
