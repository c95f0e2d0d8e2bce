//! `strongroom restore promote`: what was restored and verified is put where it is used.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use strongroom_proto::operator::PromoteRestoreRequest;

use super::by_plan::ByPlan;
use super::decide::RequestOrPlanArg;
use super::on_host::{answer, follow};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};

/// Put what was restored and verified where it is used, on the same host
#[derive(Debug, Args)]
#[command(after_help = "\
The place was agreed to with the request (`restore request … --promote-to DIR`). The host compares everything \
with the snapshot once more and then exchanges the two directories by one rename, so that DIR is all old or all \
new at every instant; what was there lies where the restored directory was. Both must be on one file system. Stop what \
uses DIR before, and start it after: open files stay those of the old directory.

Of a restore plan, each system with `promote-to:` is put where that says, in the order of their needs, once all systems \
are back and verified. It ends at the first that cannot be put there; the same command goes on.

Examples:
  strongroom restore request latest@db1 /srv/billing --on db2 --target /srv/restored --promote-to /srv/billing --reason 'INC-8841'
  strongroom restore promote HF-2026-000001 --to /srv/billing --dry-run
  strongroom restore promote HF-2026-000001 --to /srv/billing
  strongroom restore promote citizens-portal")]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    request: RequestOrPlanArg,

    /// The place, as it was agreed to; those of a restore plan are as they were agreed to
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,

    /// Only say whether it may be, and compare what was restored with the snapshot
    #[arg(long)]
    dry_run: bool,
}

impl PromoteArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let what = format!("promote {}", self.request.number);
        let misused = |why: &str| Failure::new(what.clone(), Cause::Usage(why.into()));
        let controller = &self.request.controller.connect(context)?;
        let dry_run = self.dry_run;
        let to = match (self.request.plan(), &self.to) {
            (Some(plan), None) => return ByPlan { plan, dry_run, controller, context }.promote(),
            (Some(_), Some(_)) => return Err(misused("a restore plan says itself where: leave --to out")),
            (None, None) => return Err(misused("name the place that was agreed to, by --to")),
            (None, Some(to)) => to.as_os_str().as_bytes().to_vec(),
        };
        let mut client = controller.client();
        let request = self.request.number.clone();
        let ended = follow(&what, client.promote_restore(PromoteRestoreRequest { request, to, dry_run }), context)?;
        answer(ended, context)
    }
}
