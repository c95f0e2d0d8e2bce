//! `strongroom host upgrade`.

use std::path::PathBuf;

use clap::Args;
use strongroom_controller::install::{self, UpgradeOrder};
use strongroom_controller::ssh::{HostKeys, Target, ensure_key};

use super::add::Steps;
use super::{InstallArgs, carry, facts, jump};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
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

    #[command(flatten)]
    install: InstallArgs,
}

pub(super) fn run(args: &UpgradeArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("upgrade the worker on {}", args.address);
    let state = context.state_dir()?;
    let program = args.install.program(context)?;
    let key = context.wait(&what(), ensure_key(&state.join(SSH_KEY)))?;
    let way = jump::way(args.site.as_deref(), &args.install.admin, context, &what())?;
    let admin = args.install.admin.target(&args.address, HostKeys::File(state.join(KNOWN_HOSTS)), way)?;
    let worker = Target { user: "strongroom".into(), identities: vec![key.identity()], ..admin.clone() };
    let plan = install::upgrade(&UpgradeOrder { worker, program });
    if args.install.dry_run {
        context.output.answer(&Steps::new(&plan))?;
        return Ok(Exit::Success);
    }
    carry(&plan, &admin, context)?;
    facts::try_refresh(&args.address, &args.install.controller, context);
    context.say(&format!("the worker on {} is that of this release", args.address));
    Ok(Exit::Success)
}
