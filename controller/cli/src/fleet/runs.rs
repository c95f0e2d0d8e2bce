//! `strongroom runs`: what was run, what runs, and how it ended.

use clap::{Args, Subcommand};
use strongroom_controller::runs::Run;
use strongroom_proto::operator::{CancelRequest, PauseRequest, RunsRequest};

use super::history::Runs;
use super::{ControllerArgs, one_run, start};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// List, show, watch, halt, cancel or repeat runs
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Every due time has exactly one run, also where nothing was done: missed, skipped and superseded ones \
say why.

Examples:
  strongroom runs
  strongroom runs --host web1 --count 100
  strongroom runs show 20261122t013000z-1a2b3c4d
  strongroom runs watch 20261122t013000z-1a2b3c4d
  strongroom runs pause 20261122t013000z-1a2b3c4d
  strongroom runs cancel 20261122t013000z-1a2b3c4d
  strongroom runs retry 20261122t013000z-1a2b3c4d"
)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    command: Option<RunsCommand>,

    /// Of this plan only
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// Of this host only
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 30)]
    count: u32,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Follow a run until it ends, and end with its exit code
    #[command(after_help = "Examples:\n  strongroom runs watch 20261122t013000z-1a2b3c4d")]
    Watch(OneArgs),
    /// Show everything that the journal says of a run
    #[command(after_help = "Examples:\n  strongroom runs show 20261122t013000z-1a2b3c4d")]
    Show(OneArgs),
    /// End a run after its current step
    #[command(
        after_help = "Examples:\n  strongroom runs cancel 20261122t013000z-1a2b3c4d\n  strongroom runs cancel 20261122t013000z-1a2b3c4d --dry-run"
    )]
    Cancel(ChangeArgs),
    /// Halt a run where it stands
    #[command(after_help = "\
Its host reads nothing more, and keeps what it has, until `strongroom runs resume`; also over a restart \
of the controller or of the host's worker. A window ends it all the same. What is proven on the \
controller's machine is not halted.

Examples:
  strongroom runs pause 20261122t013000z-1a2b3c4d
  strongroom runs pause 20261122t013000z-1a2b3c4d --dry-run")]
    Pause(ChangeArgs),
    /// Let a halted run go on
    #[command(
        after_help = "Examples:\n  strongroom runs resume 20261122t013000z-1a2b3c4d\n  strongroom runs resume 20261122t013000z-1a2b3c4d --dry-run"
    )]
    Resume(ChangeArgs),
    /// Do a run again that failed, was missed, skipped or cancelled
    #[command(after_help = "\
It is a run of its own, of the plan as it is now, and its record names the one that it repeats.

Examples:
  strongroom runs retry 20261122t013000z-1a2b3c4d
  strongroom runs retry 20261122t013000z-1a2b3c4d --dry-run")]
    Retry(ChangeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    pub(super) one: OneArgs,

    /// Only show what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(super) run: String,

    #[command(flatten)]
    pub(super) controller: ControllerArgs,
}

pub(crate) fn run(args: &RunsArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        None => list(args, context),
        Some(RunsCommand::Watch(one)) => {
            let controller = one.controller.connect(context)?;
            start::watch(&controller, std::slice::from_ref(&one.run), context)
        }
        Some(RunsCommand::Show(one)) => one_run::show(one, context),
        Some(RunsCommand::Retry(args)) => one_run::retry(args, context),
        Some(RunsCommand::Pause(args)) => pause(args, Wish::Pause, context),
        Some(RunsCommand::Resume(args)) => pause(args, Wish::Resume, context),
        Some(RunsCommand::Cancel(ChangeArgs { one, dry_run })) => {
            let controller = one.controller.connect(context)?;
            let mut client = controller.client();
            let call = client.cancel(CancelRequest { run: one.run.clone(), dry_run: *dry_run });
            let run: Run = controller.ask(&format!("cancel the run {}", one.run), context, call)?;
            if *dry_run {
                context.say("this run would be ended; nothing was done");
            }
            context.output.answer(&Runs(vec![run]))?;
            Ok(Exit::Success)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Pause,
    Resume,
}

fn pause(ChangeArgs { one, dry_run }: &ChangeArgs, wish: Wish, context: &Context) -> Result<Exit, Failure> {
    let controller = one.controller.connect(context)?;
    let mut client = controller.client();
    let (verb, done) = match wish {
        Wish::Pause => ("pause", "would be halted"),
        Wish::Resume => ("resume", "would go on"),
    };
    let request = PauseRequest { run: one.run.clone(), dry_run: *dry_run, resume: wish == Wish::Resume };
    let run: Run = controller.ask(&format!("{verb} the run {}", one.run), context, client.pause(request))?;
    if *dry_run {
        context.say(&format!("this run {done}; nothing was done"));
    }
    context.output.answer(&Runs(vec![run]))?;
    Ok(Exit::Success)
}

fn list(args: &RunsArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let request = RunsRequest {
        plan: args.plan.clone().unwrap_or_default(),
        host: args.host.clone().unwrap_or_default(),
        count_max: args.count,
    };
    let mut client = controller.client();
    let runs = controller.ask("list the runs", context, client.runs(request))?;
    context.output.answer(&Runs(runs))?;
    Ok(Exit::Success)
}
