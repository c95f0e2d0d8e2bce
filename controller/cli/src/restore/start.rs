//! `strongroom restore start`: several systems by a restore plan, each asked for as a request of its own, and restored in their order.

use clap::Args;
use strongroom_controller::restore_plans::{PlanStanding, Stands};
use strongroom_controller::restores::RestoreNews;
use strongroom_proto::operator::{RestorePart, RestorePlanReference, RestoreRequest, RestoreWish};

use super::looks::{Look, Looks};
use super::on_host::follow;
use super::plan_shown::Shown;
use super::request::UrgencyArg;
use super::several;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::{Controller, ControllerArgs};

/// Restore several systems by a restore plan of the site: look, ask for each, and once all are agreed to, restore them in their order
#[derive(Debug, Args)]
#[command(after_help = "\
PLAN is a file of the site with `kind: restore`. Each target host looks first; where one could not do it, nobody is \
asked for anything. Then each system becomes a request of its own, all with this reason. When nobody (more) has to \
agree they are restored: a system begins when all that it needs are restored, checked and probed, and side by side \
where neither needs the other. Otherwise the same command, or `restore run PLAN`, does it once all are agreed to.

Cut off, stopped or failed, the same command goes on: what is verified is not done twice, what was begun is taken up \
again, and what did not come back verified is asked for anew. Ends with 3 if not every system is verified.

Examples:
  strongroom restore start citizens-portal --at 2026-11-21T03:00 --reason 'INC-8841: site lost' --dry-run
  strongroom restore start citizens-portal --at 2026-11-21T03:00 --reason 'INC-8841: site lost' --urgency high
  strongroom restore run citizens-portal
  strongroom restore show citizens-portal --json | jq '.systems[] | {system, stands, \"seconds-to-green\"}'")]
pub(crate) struct StartArgs {
    /// The restore plan
    #[arg(value_name = "PLAN")]
    plan: String,

    /// From the newest restore points at or before this time
    #[arg(long, value_name = "TIME")]
    at: String,

    /// Why: it stands in the journal, and those who decide read it. Without it the requests are refused
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// How soon it is needed
    #[arg(long, value_name = "WHICH", default_value = "normal")]
    urgency: UrgencyArg,

    /// At night: one second person is enough, everybody is told, and it is looked at afterwards
    #[arg(long)]
    break_glass: bool,

    /// Ask anew also for systems that are verified already
    #[arg(long)]
    again: bool,

    /// Only show the order, what is lost, and what each host would do; there are no requests
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl StartArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let controller = self.controller.connect(context)?;
        let before = standing(&self.plan, &self.at, &controller, context)?;
        let wanted = in_order(&before, |stands| self.dry_run || self.wants(stands));
        let looks = self.look(&before, &wanted, &controller, context)?;
        if self.dry_run || looks.lack_room() {
            let exit = if looks.lack_room() { Exit::StoreOutOfReach } else { Exit::Success };
            context.output.answer(&looks)?;
            return Ok(exit);
        }
        for system in &wanted {
            let wish = self.wish(system, false);
            let mut client = controller.client();
            follow(&format!("ask for {system}"), client.request_restore(wish), context)?;
        }
        let now = standing(&self.plan, &self.at, &controller, context)?;
        if now.systems.iter().any(|system| system.stands() == Stands::Waiting) {
            context.output.answer(&Shown::of(&now))?;
            return Ok(Exit::Success);
        }
        several::carry_out(&now, &controller, context)
    }

    /// Whether a system that stands so is asked for.
    fn wants(&self, stands: Stands) -> bool {
        match stands {
            Stands::Unasked | Stands::Unproven | Stands::Over => true,
            Stands::Verified => self.again,
            Stands::Waiting | Stands::Ready => false,
        }
    }

    /// Has every host look before anything is asked for.
    fn look(
        &self,
        standing: &PlanStanding,
        wanted: &[String],
        controller: &Controller,
        context: &Context,
    ) -> Result<Looks, Failure> {
        let mut looks = Vec::new();
        for system in wanted {
            let mut client = controller.client();
            let call = client.request_restore(self.wish(system, true));
            let RestoreNews::Looked { order, plan, approvals } = follow(&format!("look at {system}"), call, context)?
            else {
                let why = Cause::Absent("the controller told something else than what its host would do".into());
                return Err(Failure::new(format!("look at {system}"), why));
            };
            let plan = serde_json::from_value(plan).map_err(|error| Cause::Program(Box::new(error)));
            let plan = plan.doing(|| "understand the host's report".to_owned())?;
            looks.push(Look { system: system.clone(), order, plan, approvals: approvals.unwrap_or_default() });
        }
        Ok(Looks::of(standing, &self.at, looks))
    }

    fn wish(&self, system: &str, dry_run: bool) -> RestoreWish {
        let part = RestorePart { plan: self.plan.clone(), system: system.to_owned(), at: self.at.clone() };
        let restore =
            RestoreRequest { reason: self.reason.clone(), dry_run, part: Some(part), ..RestoreRequest::default() };
        RestoreWish { restore: Some(restore), urgency: self.urgency.wire().into(), break_glass: self.break_glass }
    }
}

/// How far a restore by a plan is; with no time, the newest one.
pub(super) fn standing(
    plan: &str,
    at: &str,
    controller: &Controller,
    context: &Context,
) -> Result<PlanStanding, Failure> {
    let mut client = controller.client();
    let call = client.show_restore_plan(RestorePlanReference { plan: plan.to_owned(), at: at.to_owned() });
    controller.ask(&format!("show {plan}"), context, call)
}

/// The systems that stand so, each after those that it needs.
fn in_order(standing: &PlanStanding, is_meant: impl Fn(Stands) -> bool) -> Vec<String> {
    let stands = |name: &String| standing.systems.iter().find(|system| system.system == *name).map(|one| one.stands());
    let all = standing.course().groups().into_iter().flatten();
    all.filter(|name| stands(name).is_some_and(&is_meant)).collect()
}
