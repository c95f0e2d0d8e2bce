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
use crate::shown::{write_difference, write_protected_less};

/// Have the running controller read its site again
#[derive(Debug, Args)]
#[command(after_help = "\
A faulty site is refused, with all of its faults, and the one in force stays. What changes is told as by \
'strongroom plan diff', first, with !, what is protected less.

Examples:
  strongroom site load
  strongroom site load --dry-run
  strongroom site load --dry-run --json | jq -r '.changes.weaker[].what'")]
pub(crate) struct LoadArgs {
    /// Only check the site, and say what would change
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) fn run(args: &LoadArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let reloaded = controller.ask("load the site", context, client.reload(ReloadRequest { dry_run: args.dry_run }))?;
    context.output.answer(&Shown(reloaded))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Reloaded);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Reloaded { site, commit, plans, hosts, dry_run, changes } = &self.0;
        write_difference(out, changes)?;
        let commit = commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let state = if *dry_run { "sound, and not put in force" } else { "in force" };
        writeln!(out, "{state}: version {}{commit}, {plans} plans, {hosts} hosts", &site[..12.min(site.len())])?;
        match changes.weaker.len() {
            0 => Ok(()),
            count => write_protected_less(out, count),
        }
    }
}
