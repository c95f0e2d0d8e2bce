//! `strongroom restore watch`: a restore that somebody else runs, followed to its end.

use clap::Args;
use strongroom_proto::operator::RestoreReference;

use super::on_host::{answer, follow_or};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;

/// Follow a restore that goes on, whoever runs it
#[derive(Debug, Args)]
#[command(after_help = "\
Shows how far it is, with rate and time left, and ends as it ends: with the same report and the same exit code. \
Ctrl-C ends the watching, not the restore. Ends with 7 if it does not go on now.

Examples:
  strongroom restore watch
  strongroom restore watch HF-2026-000001
  strongroom restore watch restore-8f14e45fceea167a-1 --json")]
pub(crate) struct WatchArgs {
    /// The request, like HF-2026-000001, or the restore's own name [default: the only one that goes on]
    #[arg(value_name = "NUMBER")]
    name: Option<String>,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Whoever ran it is told more than those who watch.
const CUT_OFF: &str =
    "whoever ran it stopped listening, or the controller ended: `strongroom restore list --all` says what came of it";

impl WatchArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let mut client = self.controller.connect(context)?.client();
        let name = self.name.clone().unwrap_or_default();
        let what = format!("watch {}", self.name.as_deref().unwrap_or("the restore"));
        let call = client.watch_restore(RestoreReference { request: name });
        let ended = follow_or(&what, call, CUT_OFF, context)?;
        answer(ended, context)
    }
}
