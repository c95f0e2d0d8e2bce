//! `strongroom host upgrade`.

use std::path::PathBuf;

use clap::Args;
use strongroom_controller::install::{self, UpgradeOrder};
use strongroom_controller::ssh::{HostKeys, Target, ensure_key};

use super::add::{Steps, program};
use super::{AdminArgs, carry, facts, jump};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::serve::{KNOWN_HOSTS, SSH_KEY};

/// Give a host the worker of this release
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs that run there are interrupted, and taken up again by the new worker.

Examples:
  strongroom host upgrade 10.0.0.5
  strongroom host upgrade 10.0.0.5 --user admin --dry-run
  strongroom host upgrade 10.1.0.7 --site /etc/strongroom --jump gate")]
pub(crate) struct UpgradeArgs {
    /// Its IP address, or its name in the DNS
    #[arg(value_name = "ADDRESS")]
    address: String,

    /// The site's directory, for --jump
    #[arg(long, value_name = "DIR", requires = "jump")]
    site: Option<PathBuf>,

    /// The worker's program [default: strongroom-worker beside this program]
    #[arg(long, value_name = "FILE")]
    worker: Option<PathBuf>,

    #[command(flatten)]
    admin: AdminArgs,

    /// Only show the steps
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) fn run(args: &UpgradeArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("upgrade the worker on {}", args.address);
    let state = context.state_dir()?;
    let program = program(args.worker.as_ref(), context)?;
    let key = context.wait(&what(), ensure_key(&state.join(SSH_KEY)))?;
    let way = jump::way(args.site.as_deref(), &args.admin, context, &what())?;
    let admin = args.admin.target(&args.address, HostKeys::File(state.join(KNOWN_HOSTS)), way)?;
    let worker = Target { user: "strongroom".into(), identities: vec![key.identity()], ..admin.clone() };
    let plan = install::upgrade(&UpgradeOrder { worker, program });
    if args.dry_run {
        context.output.answer(&Steps::new(&plan))?;
        return Ok(Exit::Success);
    }
    carry(&plan, &admin, context)?;
    facts::try_refresh(&args.address, &args.controller, context);
    context.say(&format!("the worker on {} is that of this release", args.address));
    Ok(Exit::Success)
}
