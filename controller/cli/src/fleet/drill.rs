//! `strongroom drill`: restore points that the controller proves beside the runs.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;
use strongroom_controller::daemon::{DrillAnswer, DrillRow};
use strongroom_controller::drill_report::{DrillEnding, PastDrill};
use strongroom_controller::sampling::Coverage;
use strongroom_proto::operator::{DrillRequest, DrillsRequest};

use super::ControllerArgs;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table, time};

/// Prove that restore points come back
#[derive(Debug, Subcommand)]
pub(crate) enum DrillCommand {
    Run(RunArgs),
    List(ListArgs),
}

/// Have the running controller drill restore points now
#[derive(Debug, Args)]
#[command(after_help = "\
A drill restores the newest restore point of a plan on a host, or the next sample of it where the plan has \
`sample:`, to a scratch directory on the controller, \
compares every file with the hash that was taken at the source, runs the plan's checks there, and removes \
it again. Plans with `prove: { every: weekly }` get theirs by themselves. Waits for the end; interrupted, \
the drills go on. Ends with 4 if anything does not prove, with 1 if a drill could not be done.

Examples:
  strongroom drill run billing --host db1 --dry-run
  strongroom drill run billing
  strongroom drill run billing --host db1 --snapshot 4f2a9c1e
  strongroom drill run --json | jq -r '.[] | select(.done.ending != \"proven\") | .plan'")]
pub(crate) struct RunArgs {
    /// Restore points of this plan [default: of every plan that demands a proof]
    #[arg(value_name = "PLAN")]
    plan: Option<String>,

    /// Of this host only
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Not the newest restore point, but the one to which this snapshot belongs; all of it
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<String>,

    /// Only say what would be drilled
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// List what is drilled when, and what came of it last
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom drill list
  strongroom drill list --json | jq -r '.[] | select(.last.ending != \"proven\") | .last.reason'")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    controller: ControllerArgs,
}

impl DrillCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Run(args) => run(args, context),
            Self::List(args) => list(args, context),
        }
    }
}

fn run(args: &RunArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let call = client.drill(DrillRequest {
        plan: args.plan.clone().unwrap_or_default(),
        host: args.host.clone().unwrap_or_default(),
        snapshot: args.snapshot.clone().unwrap_or_default(),
        dry_run: args.dry_run,
    });
    let answers: Vec<DrillAnswer> = controller.ask("drill restore points", context, call)?;
    let exit = if args.dry_run { Exit::Success } else { exit(&answers) };
    context.output.answer(&Drilled { answers, dry_run: args.dry_run })?;
    Ok(exit)
}

/// That a restore point is bad, or not there, is worse than that a drill could not be done.
fn exit(answers: &[DrillAnswer]) -> Exit {
    let endings = || answers.iter().map(|answer| answer.done.as_ref().map(|done| done.ending));
    if endings().any(|ending| matches!(ending, None | Some(DrillEnding::Unproven))) {
        Exit::Damaged
    } else if endings().all(|ending| ending == Some(DrillEnding::Proven)) {
        Exit::Success
    } else {
        Exit::Failed
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Drilled {
    answers: Vec<DrillAnswer>,
    #[serde(skip)]
    dry_run: bool,
}

impl Answer for Drilled {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("RESTORE POINT", Align::Left),
            ("DRILL", Align::Left),
            ("", Align::Left),
        ]);
        for answer in &self.answers {
            let ending = answer.done.as_ref().map(|done| word(done.ending));
            let reason = answer.done.as_ref().and_then(|done| done.reason.as_ref()).or(answer.reason.as_ref());
            table.row([
                answer.plan.clone(),
                answer.host.clone(),
                point(answer.time, &answer.snapshots),
                ending.unwrap_or("-").into(),
                reason.cloned().unwrap_or_default(),
            ]);
        }
        table.write(out)?;
        if self.dry_run { writeln!(out, "nothing was drilled") } else { Ok(()) }
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let rows: Vec<DrillRow> = controller.ask("list the drills", context, client.drills(DrillsRequest {}))?;
    context.output.answer(&Listed(rows))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Listed(Vec<DrillRow>);

impl Answer for Listed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("EVERY", Align::Left),
            ("SAID BY", Align::Left),
            ("LAST", Align::Left),
            ("END", Align::Left),
            ("RESTORED", Align::Left),
            ("NEXT", Align::Left),
            ("", Align::Left),
        ]);
        for row in &self.0 {
            let last = row.last.as_ref();
            table.row([
                row.plan.clone(),
                row.host.clone(),
                row.every.clone(),
                row.demanded_by.as_ref().map_or("the plan".into(), |drill| format!("drill {drill}")),
                last.map_or("never".into(), |last| time(last.began)),
                last.map_or("-", |last| word(last.ending)).into(),
                row.sampled.as_ref().map_or("-".into(), |sampled| come_so_far(&sampled.coverage)),
                row.next.map_or("-".into(), time),
                remark(row),
            ]);
        }
        table.write(out)
    }
}

/// How much drills have restored within the time of their promise, and since when the one waits that waits longest.
pub(super) fn come_so_far(coverage: &Coverage) -> String {
    format!("{coverage}, oldest {}", time(coverage.oldest))
}

/// What somebody should know of it.
fn remark(row: &DrillRow) -> String {
    let going = row.running_since.map(|since| format!("running since {}", time(since)));
    let reason = row.last.as_ref().and_then(|PastDrill { reason, .. }| reason.clone());
    let sampled = row.sampled.as_ref();
    let broken = sampled.filter(|sampled| sampled.kept == Some(false)).map(|_| "THE PROMISE IS BROKEN".to_owned());
    let warning = sampled.and_then(|sampled| sampled.warning.clone());
    going.or(reason).or(broken).or(warning).unwrap_or_default()
}

/// When the backup began, and its snapshots.
pub(super) fn point(at: Option<jiff::Timestamp>, snapshots: &[String]) -> String {
    let snapshots: Vec<String> = snapshots.iter().map(|id| short_id(id)).collect();
    at.map_or("none".into(), |at| format!("{} {}", time(at), snapshots.join(" ")))
}

fn word(ending: DrillEnding) -> &'static str {
    match ending {
        DrillEnding::Proven => "proven",
        DrillEnding::Unproven => "UNPROVEN",
        DrillEnding::Failed => "FAILED",
        DrillEnding::Interrupted => "interrupted",
    }
}
