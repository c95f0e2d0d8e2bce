//! `strongroom site load`: the running controller reads its site again.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_controller::daemon::{Names, Reloaded};
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
  strongroom site load
  strongroom site load --dry-run")]
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

fn write_changes(out: &mut dyn Write, what: &str, names: &Names) -> io::Result<()> {
    for (names, became) in [(&names.added, "added"), (&names.removed, "removed"), (&names.changed, "changed")] {
        names.iter().try_for_each(|name| writeln!(out, "{what} {name}: {became}"))?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Reloaded);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Reloaded { site, commit, plans, hosts, dry_run, changes } = &self.0;
        write_changes(out, "plan", &changes.plans)?;
        write_changes(out, "host", &changes.hosts)?;
        let commit = commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let state = if *dry_run { "sound, and not put in force" } else { "in force" };
        writeln!(out, "{state}: version {}{commit}, {plans} plans, {hosts} hosts", &site[..12.min(site.len())])
    }
}
