//! `strongroom plan next`: when a plan is due.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_plans::{Due, RunKind};

use super::{schedule, zone_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::plan_file;

/// Show when a plan is due next
#[derive(Debug, Args)]
#[command(after_help = "\
Times are those of the plan's zone, or of this machine's. A time that the clocks leave out counts as the \
first instant after the gap; one that comes twice, as the first of the two.

Examples:
  strongroom plan next billing.yaml
  strongroom plan next billing.yaml --count 50 --json")]
pub(crate) struct NextArgs {
    /// The plan file
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// How many runs to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

pub(crate) fn run(args: &NextArgs, context: &Context) -> Result<Exit, Failure> {
    let plan = plan_file::load(&args.plan, "show when the plan is due")?.plan;
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
        let shown = |due: Due| NextRun {
            time: due.at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            kind: due.kind,
        };
        Self { zone: zone_name(zone), runs: due.into_iter().map(shown).collect() }
    }
}

impl Answer for NextRuns {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "in {}", self.zone)?;
        self.runs.iter().try_for_each(|run| writeln!(out, "  {}  {}", run.time, run.kind))
    }
}
