//! `strongroom host remove`.

use std::path::PathBuf;

use clap::Args;
use strongroom_controller::install::{self, RemoveOrder, State};
use strongroom_controller::ssh::HostKeys;

use super::{AdminArgs, carry, jump};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::serve::KNOWN_HOSTS;

/// Remove the worker from a host
#[derive(Debug, Args)]
#[command(after_help = "\
What the host has stored stays in the repositories, and can be restored. Take the host out of \
hosts.yaml too, and remove its writer's key with `strongroom key remove`.

Examples:
  strongroom host remove 10.0.0.5
  strongroom host remove 10.0.0.5 --purge --dry-run
  strongroom host remove 10.1.0.7 --site /etc/strongroom --jump gate")]
pub(crate) struct RemoveArgs {
    /// Its IP address, or its name in the DNS
    #[arg(value_name = "ADDRESS")]
    address: String,

    /// The site's directory, for --jump
    #[arg(long, value_name = "DIR", requires = "jump")]
    site: Option<PathBuf>,

    /// Also delete what the worker remembers there: its ledger, its keys, its caches
    #[arg(long)]
    purge: bool,

    #[command(flatten)]
    admin: AdminArgs,

    /// Only show the steps
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &RemoveArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("remove the worker from {}", args.address);
    let known_hosts = context.state_dir()?.join(KNOWN_HOSTS);
    let plan = install::remove(&RemoveOrder {
        address: args.address.clone(),
        port: args.admin.port,
        known_hosts: known_hosts.clone(),
        state: if args.purge { State::Purge } else { State::Keep },
    });
    if args.dry_run {
        context.output.answer(&super::add::Steps::new(&plan))?;
        return Ok(Exit::Success);
    }
    let way = jump::way(args.site.as_deref(), &args.admin, context, &what())?;
    let admin = args.admin.target(&args.address, HostKeys::File(known_hosts), way)?;
    carry(&plan, &admin, context)?;
    context.say(&format!("{} has no worker any more; take it out of hosts.yaml, too", args.address));
    Ok(Exit::Success)
}
