//! `strongroom plan simulate`: what a plan does in a year, and what it keeps on a day.

mod calendar;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};
use serde::Serialize;
use strongroom_plans::{Due, RestorePoint, RunKind, Verdict, retain};

use super::{schedule, zone_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::plan_file;

/// Show what a plan does in the days to come, and what it keeps
#[derive(Debug, Args)]
#[command(after_help = "\
Each month is a line and each day a sign: F for a full run, i for an incremental one, a number where there \
are several. With --on, also which of the restore points made until then are kept on that day, and why.

Examples:
  strongroom plan simulate billing.yaml
  strongroom plan simulate billing.yaml --from 2028-01-01 --days 366 --on 2028-12-31
  strongroom plan simulate billing.yaml --json | jq -r '.runs[] | select(.kind == \"full\").time'")]
pub(crate) struct SimulateArgs {
    /// The plan file
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// How many days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: u32,

    /// The first day [default: today]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,

    /// Show what is kept at the end of this day
    #[arg(long, value_name = "DATE")]
    on: Option<Date>,
}

pub(crate) fn run(args: &SimulateArgs, context: &Context) -> Result<Exit, Failure> {
    let plan = plan_file::load(&args.plan, "simulate the plan")?.plan;
    let (schedule, zone) = schedule(&plan)?;
    let first = args.from.unwrap_or_else(|| Zoned::now().with_time_zone(zone.clone()).date());
    let midnight = |date: Date| {
        let found = date.to_zoned(zone.clone()).map_err(|error| Cause::Usage(error.to_string()));
        found.doing(|| format!("simulate the days from {date}"))
    };
    let beyond = |error: jiff::Error| Failure::new("simulate so many days", Cause::Usage(error.to_string()));
    let until_date = first.checked_add(i64::from(args.days).days()).map_err(beyond)?;
    let (from, until) = (midnight(first)?, midnight(until_date)?);
    // Midnight itself is the first instant of the first day.
    let just_before = from.timestamp().checked_sub(1.nanosecond()).map_err(beyond)?;
    let due: Vec<Due> = schedule.due(just_before, &zone).take_while(|due| due.at < until.timestamp()).collect();
    let kept = match args.on {
        Some(on) if !(first..until_date).contains(&on) => {
            let why = format!("{on} is not among the {} days from {first}", args.days);
            return Err(
                Failure::new("show what is kept", Cause::Usage(why)).advise("give more --days, or another --from")
            );
        }
        Some(on) => Some(KeptOn::new(on, &midnight(on.tomorrow().map_err(beyond)?)?, &due, plan.retain())),
        None => None,
    };
    context.output.answer(&Simulation {
        plan: plan.name().to_string(),
        zone: zone_name(&zone),
        from: first,
        days: args.days,
        full: count(&due, RunKind::Full),
        incremental: count(&due, RunKind::Incremental),
        runs: due.iter().map(|due| SimulatedRun { time: due.at.to_zoned(zone.clone()), kind: due.kind }).collect(),
        kept,
    })?;
    Ok(Exit::Success)
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
    /// `end` is the end of the day.
    fn new(on: Date, end: &Zoned, due: &[Due], rules: &strongroom_plans::RetentionRules) -> Self {
        let made: Vec<&Due> = due.iter().filter(|due| due.at < end.timestamp()).collect();
        let local = |due: &Due| due.at.to_zoned(end.time_zone().clone());
        let points: Vec<_> = made.iter().map(|due| RestorePoint::new(**due, local(due))).collect();
        let judged = retain(rules, &points, end).into_iter();
        let kept = judged.filter(|(_, verdict)| matches!(verdict, Verdict::Keep { .. }));
        let points = kept.map(|(due, verdict)| KeptPoint { time: local(&due), kind: due.kind, verdict }).collect();
        Self { on, made: made.len(), points }
    }
}

impl Answer for Simulation {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan {}, {} days from {}, in {}", self.plan, self.days, self.from, self.zone)?;
        calendar::write(out, self.runs.iter().map(|run| (run.time.date(), run.kind)))?;
        writeln!(out, "{} full, {} incremental", self.full, self.incremental)?;
        let Some(KeptOn { on, made, points }) = &self.kept else { return Ok(()) };
        writeln!(out, "\nat the end of {on}, {} of {made} restore points are kept:", points.len())?;
        for KeptPoint { time, kind, verdict } in points.iter().rev() {
            writeln!(out, "  {}  {kind}, {verdict}", shown(time))?;
        }
        Ok(())
    }
}
