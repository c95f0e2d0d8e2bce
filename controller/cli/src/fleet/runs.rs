//! `strongroom runs`: what was run, what runs, and how it ended.

use clap::{Args, Subcommand};
use strongroom_controller::runs::Run;
use strongroom_proto::operator::{RunReference, RunsRequest};

use super::history::Runs;
use super::{ControllerArgs, start};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Show, watch or cancel runs
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Every due time has exactly one run, also where nothing was done: missed, skipped and superseded ones \
say why.

Examples:
  strongroom runs
  strongroom runs --host web1 --count 100
  strongroom runs watch 20261122t013000z-1a2b3c4d
  strongroom runs cancel 20261122t013000z-1a2b3c4d"
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
    /// End a run after its current step
    #[command(after_help = "Examples:\n  strongroom runs cancel 20261122t013000z-1a2b3c4d")]
    Cancel(OneArgs),
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) fn run(args: &RunsArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        None => list(args, context),
        Some(RunsCommand::Watch(one)) => {
            let controller = one.controller.connect(context)?;
            start::watch(&controller, std::slice::from_ref(&one.run), context)
        }
        Some(RunsCommand::Cancel(one)) => {
            let controller = one.controller.connect(context)?;
            let mut client = controller.client();
            let call = client.cancel(RunReference { run: one.run.clone() });
            let run: Run = controller.ask(&format!("cancel the run {}", one.run), context, call)?;
            context.output.answer(&Runs(vec![run]))?;
            Ok(Exit::Success)
        }
    }
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
