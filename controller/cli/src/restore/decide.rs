//! `strongroom restore list`, `show`, `approve`, `reject`, `cancel` and `close`: requests, and what people decide about them.

use clap::Args;
use strongroom_controller::requests::RequestView;
use strongroom_proto::operator::{ListRestoresRequest, RestoreDecision, RestoreReference, RestoreVerdict};

use super::requests::{Asked, Listed, Told};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;

/// Which request.
#[derive(Debug, Args)]
pub(super) struct RequestArg {
    /// The request, like HF-2026-000001
    #[arg(value_name = "NUMBER")]
    pub(super) number: String,

    #[command(flatten)]
    pub(super) controller: ControllerArgs,
}

/// List requests for restores about which something is to be done
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom restore list
  strongroom restore list --all --json | jq -r '.[] | select(.state == \"rejected\") | .request.number'")]
pub(crate) struct ListArgs {
    /// Those too that were done, rejected or taken back, or have expired
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Show a request: what was asked, its plan and the plan's hash, who agreed, and which commands are next
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  strongroom restore show HF-2026-000001")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    request: RequestArg,
}

/// Agree to a request
#[derive(Debug, Args)]
#[command(after_help = "\
Nobody approves what he asked for himself, or what he has not read: the plan is named by its hash, as \
`strongroom restore show` prints it. An approval counts for as long as `restores: valid:` in site.yaml says, \
for one restore, and for nothing but that plan.

Examples:
  strongroom restore approve HF-2026-000001 --plan 5f1c0a9be2d4
  strongroom restore approve HF-2026-000001 --plan 5f1c0a9be2d4 --comment 'asked billing: go ahead'")]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    request: RequestArg,

    /// The hash of the plan, or at least its first 12 digits
    #[arg(long, value_name = "HASH")]
    plan: String,

    /// What there is to say
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    /// Only say whether it may be
    #[arg(long)]
    dry_run: bool,
}

/// Say no to a request; it cannot be run any more
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  strongroom restore reject HF-2026-000001 --reason 'the wrong directory: ask for /srv/billing'"
)]
pub(crate) struct RejectArgs {
    #[command(flatten)]
    request: RequestArg,

    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Only say whether it may be
    #[arg(long)]
    dry_run: bool,
}

/// Take back a request that one has made
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  strongroom restore cancel HF-2026-000001")]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    request: RequestArg,

    /// Only say whether it may be
    #[arg(long)]
    dry_run: bool,
}

/// Close the follow-up of a restore by break-glass, as a reviewer who took no part in it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  strongroom restore close HF-2026-000001 --note 'looked through with wang: db1 had to be back by six'"
)]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    request: RequestArg,

    /// What was found
    #[arg(long, value_name = "TEXT")]
    note: String,

    /// Only say whether it may be
    #[arg(long)]
    dry_run: bool,
}

impl ListArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let controller = self.controller.connect(context)?;
        let mut client = controller.client();
        let call = client.list_restores(ListRestoresRequest { all: self.all });
        let views: Vec<RequestView> = controller.ask("list the requests", context, call)?;
        context.output.answer(&Listed(views))?;
        Ok(Exit::Success)
    }
}

impl ShowArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let controller = self.request.controller.connect(context)?;
        let mut client = controller.client();
        let call = client.show_restore(RestoreReference { request: self.request.number.clone() });
        let told: Told = controller.ask(&format!("show {}", self.request.number), context, call)?;
        context.output.answer(&told)?;
        Ok(Exit::Success)
    }
}

impl ApproveArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (plan, text) = (self.plan.clone(), self.comment.clone().unwrap_or_default());
        let dry_run = self.dry_run;
        decide("approve", &self.request, Decision { verdict: RestoreVerdict::Approve, plan, text, dry_run }, context)
    }
}

impl RejectArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (plan, text, dry_run) = (String::new(), self.reason.clone(), self.dry_run);
        decide("reject", &self.request, Decision { verdict: RestoreVerdict::Reject, plan, text, dry_run }, context)
    }
}

impl CancelArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (plan, text, dry_run) = (String::new(), String::new(), self.dry_run);
        decide("cancel", &self.request, Decision { verdict: RestoreVerdict::Withdraw, plan, text, dry_run }, context)
    }
}

impl CloseArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (plan, text, dry_run) = (String::new(), self.note.clone(), self.dry_run);
        decide("close", &self.request, Decision { verdict: RestoreVerdict::Close, plan, text, dry_run }, context)
    }
}

struct Decision {
    verdict: RestoreVerdict,
    plan: String,
    text: String,
    dry_run: bool,
}

fn decide(verb: &str, request: &RequestArg, decision: Decision, context: &Context) -> Result<Exit, Failure> {
    let controller = request.controller.connect(context)?;
    let mut client = controller.client();
    let Decision { verdict, plan, text, dry_run } = decision;
    let decision = RestoreDecision { request: request.number.clone(), verdict: verdict.into(), plan, text, dry_run };
    let call = client.decide_restore(decision);
    let view: RequestView = controller.ask(&format!("{verb} {}", request.number), context, call)?;
    if dry_run {
        context.say("it may be; nothing was done");
    }
    context.output.answer(&Asked(view))?;
    Ok(Exit::Success)
}
