//! `strongroom restore list`, `show`, `approve`, `reject`, `cancel` and `close`: requests, and what people decide about them.

use clap::Args;
use strongroom_controller::requests::RequestView;
use strongroom_proto::operator::{ListRestoresRequest, RestoreDecision, RestoreReference, RestoreVerdict};

use super::by_plan::ByPlan;
use super::requests::{Asked, Listed, SeveralAsked, Told};
use super::several;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::{Controller, ControllerArgs};

/// Which request.
#[derive(Debug, Args)]
pub(super) struct RequestArg {
    /// The request, like HF-2026-000001
    #[arg(value_name = "NUMBER")]
    pub(super) number: String,

    #[command(flatten)]
    pub(super) controller: ControllerArgs,
}

/// Which request, or all of a restore plan.
#[derive(Debug, Args)]
pub(super) struct RequestOrPlanArg {
    /// The request, like HF-2026-000001, or a restore plan
    #[arg(value_name = "NUMBER|PLAN")]
    pub(super) number: String,

    #[command(flatten)]
    pub(super) controller: ControllerArgs,
}

/// Which requests: several at once where they belong together, or those of a restore plan.
#[derive(Debug, Args)]
struct RequestsArg {
    /// The requests, like HF-2026-000001, or one restore plan: all of its newest start that are open
    #[arg(value_name = "NUMBER|PLAN", required = true)]
    numbers: Vec<String>,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl RequestOrPlanArg {
    /// The name of the plan, where it is one.
    pub(super) fn plan(&self) -> Option<&str> {
        (!is_number(&self.number)).then_some(self.number.as_str())
    }
}

impl RequestsArg {
    /// The name of the plan, where it is one.
    fn plan(&self) -> Result<Option<&str>, Failure> {
        match self.numbers.iter().find(|number| !is_number(number)) {
            Some(_) if self.numbers.len() > 1 => {
                let why = Cause::Usage("name requests by their numbers, or one restore plan".into());
                Err(Failure::new(format!("decide about {}", self.numbers.join(" ")), why))
            }
            plan => Ok(plan.map(String::as_str)),
        }
    }
}

/// No plan has such a name: names of plans are what people call things.
fn is_number(word: &str) -> bool {
    word.starts_with("HF-")
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

/// Show a request: what was asked, its plan and the plan's hash, who agreed, and which commands are next; of a restore plan, how far it is
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  strongroom restore show HF-2026-000001\n  strongroom restore show citizens-portal"
)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    request: RequestOrPlanArg,
}

/// Agree to a request, or to several
#[derive(Debug, Args)]
#[command(after_help = "\
Nobody approves what he asked for himself, or what he has not read: the plan is named by its hash, as \
`strongroom restore show` prints it. An approval counts for as long as `restores: valid:` in site.yaml says, \
for one restore, and for nothing but that plan.

Of a restore plan, all requests that wait are shown, each with its hash, and on a terminal one yes agrees to them; \
elsewhere their hashes are named. Where one of them may not be approved, none is.

Examples:
  strongroom restore approve HF-2026-000001 --plan 5f1c0a9be2d4
  strongroom restore approve HF-2026-000001 --plan 5f1c0a9be2d4 --comment 'asked billing: go ahead'
  strongroom restore approve HF-2026-000001 HF-2026-000002 --plan 5f1c0a9be2d4 --plan 0be2d45f1c9a
  strongroom restore approve citizens-portal")]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    requests: RequestsArg,

    /// The hash of the plan, or at least its first 12 digits; of several requests, once for each, in their order
    #[arg(long, value_name = "HASH")]
    plan: Vec<String>,

    /// What there is to say
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    /// Only say whether it may be
    #[arg(long)]
    dry_run: bool,
}

/// Say no to a request, or to several; they cannot be run any more
#[derive(Debug, Args)]
#[command(after_help = "\
Of a restore plan, each request that was not run is rejected; where one may not be, the others are all the same.

Examples:
  strongroom restore reject HF-2026-000001 --reason 'the wrong directory: ask for /srv/billing'
  strongroom restore reject citizens-portal --reason 'the site is back by itself'")]
pub(crate) struct RejectArgs {
    #[command(flatten)]
    requests: RequestsArg,

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
        if let Some(plan) = self.request.plan() {
            return several::show(plan, &controller, context);
        }
        let mut client = controller.client();
        let call = client.show_restore(RestoreReference { request: self.request.number.clone() });
        let told: Told = controller.ask(&format!("show {}", self.request.number), context, call)?;
        context.output.answer(&told)?;
        Ok(Exit::Success)
    }
}

impl ApproveArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if let Some(plan) = self.requests.plan()? {
            let (controller, dry_run) = (&self.requests.controller.connect(context)?, self.dry_run);
            let comment = self.comment.as_deref().unwrap_or_default();
            return ByPlan { plan, dry_run, controller, context }.approve(&self.plan, comment);
        }
        let (numbers, plans) = (&self.requests.numbers, &self.plan);
        if numbers.len() != plans.len() {
            let why = format!("{} requests are named, and {} hashes", numbers.len(), plans.len());
            return Err(Failure::new("approve", Cause::Usage(why)).advise("write one --plan for each, in their order"));
        }
        let (text, dry_run) = (self.comment.clone().unwrap_or_default(), self.dry_run);
        let decisions = numbers.iter().zip(plans).map(|(number, plan)| {
            let (text, plan) = (text.clone(), plan.clone());
            (number.as_str(), Decision { verdict: RestoreVerdict::Approve, plan, text, dry_run })
        });
        decide_all("approve", &self.requests.controller, decisions.collect(), context)
    }
}

impl RejectArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if let Some(plan) = self.requests.plan()? {
            let (controller, dry_run) = (&self.requests.controller.connect(context)?, self.dry_run);
            return ByPlan { plan, dry_run, controller, context }.reject(&self.reason);
        }
        let decisions = self.requests.numbers.iter().map(|number| {
            let (plan, text, dry_run) = (String::new(), self.reason.clone(), self.dry_run);
            (number.as_str(), Decision { verdict: RestoreVerdict::Reject, plan, text, dry_run })
        });
        decide_all("reject", &self.requests.controller, decisions.collect(), context)
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

/// What is decided about one.
pub(super) struct Decision {
    pub(super) verdict: RestoreVerdict,
    /// The hash that is agreed to.
    pub(super) plan: String,
    pub(super) text: String,
    pub(super) dry_run: bool,
}

fn decide(verb: &str, request: &RequestArg, decision: Decision, context: &Context) -> Result<Exit, Failure> {
    decide_all(verb, &request.controller, vec![(&request.number, decision)], context)
}

/// One after the other: what was decided before a refusal stays decided.
fn decide_all(
    verb: &str,
    controller: &ControllerArgs,
    decisions: Vec<(&str, Decision)>,
    context: &Context,
) -> Result<Exit, Failure> {
    let controller = controller.connect(context)?;
    let mut views: Vec<RequestView> = Vec::new();
    for (number, decision) in decisions {
        let dry_run = decision.dry_run;
        views.push(decide_one(verb, number.to_owned(), decision, &controller, context)?);
        if dry_run {
            context.say("it may be; nothing was done");
        }
    }
    match (views.pop(), views.is_empty()) {
        (Some(only), true) => context.output.answer(&Asked(only))?,
        (last, _) => context.output.answer(&SeveralAsked(views.into_iter().chain(last).collect()))?,
    }
    Ok(Exit::Success)
}

/// Decides about one request.
pub(super) fn decide_one(
    verb: &str,
    request: String,
    decision: Decision,
    controller: &Controller,
    context: &Context,
) -> Result<RequestView, Failure> {
    let what = format!("{verb} {request}");
    let Decision { verdict, plan, text, dry_run } = decision;
    let mut client = controller.client();
    let decision = RestoreDecision { request, verdict: verdict.into(), plan, text, dry_run };
    controller.ask(&what, context, client.decide_restore(decision))
}
