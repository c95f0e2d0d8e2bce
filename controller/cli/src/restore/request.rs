//! `strongroom restore request` and `run`: a restore to which others must agree, asked for and done.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use strongroom_plans::ByteSize;
use strongroom_proto::operator::operator_client::OperatorClient;
use strongroom_proto::operator::{RestoreReference, RestoreUrgency, RestoreWish, RunRestoreRequest};

use super::decide::{RequestArg, RequestOrPlanArg};
use super::on_host::{Order, answer, follow};
use super::requests::Told;
use super::{WhatArgs, bytes_per_second, several};
use tonic::transport::Channel;

use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::ControllerArgs;

/// Ask for a restore on a host to which others must agree
#[derive(Debug, Args)]
#[command(after_help = "\
The host looks what it would do, and the request gets a number (HF-2026-000001) and a plan with a hash. As \
many people as the host's class takes approve that very plan, none of them whoever asked; then it is run. \
What would be done otherwise by then (another snapshot, path, directory or host, a link that leads \
elsewhere) is refused.

With --break-glass somebody on call needs one second person who is on call, or reviews. Everybody is told, \
and somebody who took no part has to close it afterwards.

Examples:
  strongroom restore request latest@db1 /srv/billing --on db2 --target /srv/restored --reason 'INC-8841: truncated'
  strongroom restore request latest@db1 /srv/billing --on db1 --target / --overwrite changed \
    --reason 'INC-8841: truncated' --urgency high
  strongroom restore request latest@db1 --on db2 --target /srv/restored --reason 'db1 is dead' --break-glass")]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    what: WhatArgs,

    /// Restore on this host of the site; --target is a directory there
    #[arg(long, value_name = "HOST")]
    on: String,

    /// Why: it stands in the journal, and those who decide read it. Without it the request is refused
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// The site's name of the repository [default: the first that has the snapshot]
    #[arg(long, value_name = "NAME")]
    from: Option<String>,

    /// How soon it is needed
    #[arg(long, value_name = "WHICH", default_value = "normal")]
    urgency: UrgencyArg,

    /// At night: one second person is enough, everybody is told, and it is looked at afterwards
    #[arg(long)]
    break_glass: bool,

    /// Leave out the checks of the plan that made the snapshot; the record then says "not proven"
    #[arg(long)]
    no_checks: bool,

    /// Once restored and verified, the one PATH may be put at this place of the host by `restore promote`
    #[arg(long, value_name = "DIR")]
    promote_to: Option<PathBuf>,

    /// Only show what the host would do; there is no request
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum UrgencyArg {
    Low,
    Normal,
    High,
}

/// Have a host do what was approved, or several by a restore plan; also to go on after it was cut off
#[derive(Debug, Args)]
#[command(after_help = "\
It is decided anew: the approvals must count still, by people who still have the role, and what the host \
would do must be what was approved. One that was cut off, stopped or failed goes on where it was; one that \
was done is not done again. Ends with 3 if some files could not be restored, with 4 if what was read is damaged.

Of a restore plan, the newest requests for its systems are run in their order once all are agreed to, as \
`restore start` does; ends with 3 if not every system is verified.

Examples:
  strongroom restore run HF-2026-000001
  strongroom restore run HF-2026-000001 --dry-run
  strongroom restore run citizens-portal")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    request: RequestOrPlanArg,

    /// Of one restore: from the store, so much a second: 20MiB [default: as fast as it goes]
    #[arg(long, value_name = "SIZE")]
    download: Option<ByteSize>,

    /// Only say whether it may be run, and show what the host would do; of a restore plan, how far it is
    #[arg(long)]
    dry_run: bool,
}

impl UrgencyArg {
    pub(super) fn wire(self) -> RestoreUrgency {
        match self {
            Self::Low => RestoreUrgency::Low,
            Self::Normal => RestoreUrgency::Normal,
            Self::High => RestoreUrgency::High,
        }
    }
}

impl RequestArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        // What cannot be meant is left to the controller: a refusal stands in its journal.
        let path = |typed: &std::ffi::OsString| choice::tree_path(typed).unwrap_or_else(|_| typed.as_bytes().to_vec());
        let paths = self.what.paths.iter().map(path).collect();
        let (reason, dry_run, no_checks) = (self.reason.clone(), self.dry_run, self.no_checks);
        let promote_to =
            self.promote_to.as_ref().map(|place| place.as_os_str().as_bytes().to_vec()).unwrap_or_default();
        let order = Order { host: &self.on, from: self.from.as_deref(), reason, paths, dry_run, no_checks, promote_to };
        let restore = Some(order.request(&self.what, context));
        let wish = RestoreWish { restore, urgency: self.urgency.wire().into(), break_glass: self.break_glass };
        let mut client = self.controller.connect(context)?.client();
        let ended = follow(&format!("ask for a restore on {}", self.on), client.request_restore(wish), context)?;
        answer(ended, context)
    }
}

/// Go on with what was begun and was cut off, stopped or failed: as `run`, and refuses what was never begun
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  strongroom restore resume HF-2026-000001")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    request: RequestArg,
}

impl ResumeArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let number = &self.request.number;
        let controller = self.request.controller.connect(context)?;
        let mut client = controller.client();
        let call = client.show_restore(RestoreReference { request: number.clone() });
        let told: Told = controller.ask(&format!("show {number}"), context, call)?;
        if !told.was_begun() {
            let why = Cause::Usage("it was never begun".into());
            return Err(Failure::new(format!("go on with {number}"), why)
                .advise(format!("`strongroom restore run {number}` begins it")));
        }
        let request = RunRestoreRequest { request: number.clone(), ..RunRestoreRequest::default() };
        run(request, &mut client, context)
    }
}

impl RunArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let controller = self.request.controller.connect(context)?;
        let (request, dry_run) = (self.request.number.clone(), self.dry_run);
        let download_bytes_per_second = bytes_per_second(self.download);
        match self.request.plan() {
            Some(plan) if dry_run => several::show(plan, &controller, context),
            Some(plan) => several::run(plan, &controller, context),
            None => {
                let request = RunRestoreRequest { request, dry_run, download_bytes_per_second };
                run(request, &mut controller.client(), context)
            }
        }
    }
}

fn run(request: RunRestoreRequest, client: &mut OperatorClient<Channel>, context: &Context) -> Result<Exit, Failure> {
    let what = format!("run {}", request.request);
    let ended = follow(&what, client.run_restore(request), context)?;
    answer(ended, context)
}
