//! Systems of a restore plan, each begun when what it needs is verified, and side by side where they can be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use strongroom_controller::restore_plans::{PlanStanding, Stands};
use strongroom_controller::restores::{RestoreEnding, RestoreNews};
use strongroom_proto::operator::RunRestoreRequest;
use strongroom_proto::operator::operator_client::OperatorClient;
use tonic::transport::Channel;

use super::plan_shown::Shown;
use super::start::standing;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::{Controller, parse, refused};
use crate::progress::{self, Reading};

/// `restore run PLAN`: the newest restore by it.
pub(super) fn run(plan: &str, controller: &Controller, context: &Context) -> Result<Exit, Failure> {
    let now = standing(plan, "", controller, context)?;
    let named = |wanted: Stands| {
        let systems = now.systems.iter().filter(move |system| system.stands() == wanted);
        systems.map(|system| system.system.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (unasked, waiting) = (named(Stands::Unasked), named(Stands::Waiting));
    let failed = |cause| Failure::new(format!("run {plan}"), cause);
    if !unasked.is_empty() {
        let why = Cause::Usage(format!("nobody asked for {unasked}"));
        return Err(failed(why).advise(format!("`strongroom restore start {plan} --at TIME --reason TEXT` does")));
    }
    if !waiting.is_empty() {
        let why = Cause::Forbidden(format!("more people must agree to {waiting}, and nothing begins before"));
        return Err(failed(why).advise(format!("`strongroom restore show {plan}` says how")));
    }
    carry_out(&now, controller, context)
}

/// `restore show PLAN`: how far it is.
pub(super) fn show(plan: &str, controller: &Controller, context: &Context) -> Result<Exit, Failure> {
    let now = standing(plan, "", controller, context)?;
    context.output.answer(&Shown::of(&now))?;
    Ok(Exit::Success)
}

/// Has all systems restored that can be.
pub(super) fn carry_out(now: &PlanStanding, controller: &Controller, context: &Context) -> Result<Exit, Failure> {
    let mut course = now.course();
    let mut reasons = BTreeMap::new();
    let meter = Meter::default();
    let seen = meter.clone();
    let bar = progress::watch(context, "restoring", move || seen.read());
    let talk = bar.talk();
    let ended = context.wait(&format!("restore by {}", now.plan), async {
        let mut going = FuturesUnordered::new();
        loop {
            for system in course.begin() {
                talk.say(&format!("{system} begins"));
                going.push(one(controller.client(), system.clone(), number(now, &system), meter.clone()));
            }
            let Some((system, ended)) = going.next().await else { return Ok::<_, Cause>(()) };
            course.end(&system, matches!(ended, Ok(RestoreEnding::Restored)));
            match ended {
                Ok(ending) => talk.say(&format!("{system}: {ending}")),
                Err(cause) => {
                    let reason = strongroom_repository::chain(&cause);
                    talk.say(&format!("{system}: {reason}"));
                    reasons.insert(system, reason);
                }
            }
        }
    });
    bar.finish();
    ended?;
    let again = "the same command goes on where it was";
    let ended = standing(&now.plan, now.at.as_deref().unwrap_or_default(), controller, context)
        .map_err(|failure| failure.advise(again))?;
    let shown = Shown::of(&ended).with_reasons(reasons, course.left_out());
    let exit = if shown.is_verified() { Exit::Success } else { Exit::Partial };
    context.output.answer(&shown)?;
    Ok(exit)
}

/// One system, to its end.
async fn one(
    client: OperatorClient<Channel>,
    system: String,
    request: String,
    meter: Meter,
) -> (String, Result<RestoreEnding, Cause>) {
    let ended = follow(client, &system, request, &meter).await;
    (system, ended)
}

async fn follow(
    mut client: OperatorClient<Channel>,
    system: &str,
    request: String,
    meter: &Meter,
) -> Result<RestoreEnding, Cause> {
    let call = client.run_restore(RunRestoreRequest { request, ..RunRestoreRequest::default() });
    let mut news = call.await.map_err(refused)?.into_inner();
    let mut ended = None;
    while let Some(document) = news.message().await.map_err(refused)? {
        match parse(&document)? {
            RestoreNews::Doing { doing, bytes_done, bytes_total } => {
                meter.note(system, Position { doing, bytes_done, bytes_total });
            }
            RestoreNews::Ended { ending, .. } => ended = Some(ending),
            _ => {}
        }
    }
    ended.ok_or_else(|| Cause::Absent("the controller ended before the restore".into()))
}

fn number(standing: &PlanStanding, system: &str) -> String {
    let found = standing.systems.iter().find(|found| found.system == system);
    found.and_then(|found| found.request.as_ref()).map(|view| view.request.number.to_string()).unwrap_or_default()
}

/// How far each system is, for the one bar of all of them.
#[derive(Debug, Clone, Default)]
struct Meter(Arc<Mutex<BTreeMap<String, Position>>>);

#[derive(Debug)]
struct Position {
    doing: String,
    bytes_done: u64,
    bytes_total: u64,
}

impl Meter {
    fn note(&self, system: &str, position: Position) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(system.to_owned(), position);
    }

    fn read(&self) -> Reading {
        let positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: Vec<String> = positions.iter().map(|(system, at)| format!("{system}: {}", at.doing)).collect();
        Reading {
            files_done: 0,
            bytes_done: positions.values().map(|at| at.bytes_done).sum(),
            bytes_total: Some(positions.values().map(|at| at.bytes_total).sum()).filter(|total| *total > 0),
            now: now.join(", "),
        }
    }
}
