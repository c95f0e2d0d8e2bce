//! `strongroom site load`: the running controller reads its site again.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_controller::daemon::Reloaded;
use strongroom_proto::operator::ReloadRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::output::Answer;

/// Have the running controller read its site again
#[derive(Debug, Args)]
#[command(after_help = "\
A faulty site is refused, with all of its faults, and the one in force stays.

Examples:
  strongroom site load")]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) fn run(args: &LoadArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let reloaded = controller.ask("load the site", context, client.reload(ReloadRequest {}))?;
    context.output.answer(&Shown(reloaded))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Reloaded);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Reloaded { site, commit, plans, hosts } = &self.0;
        let commit = commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        writeln!(out, "in force: version {}{commit}, {plans} plans, {hosts} hosts", &site[..12.min(site.len())])
    }
}
