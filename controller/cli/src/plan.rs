//! `strongroom plan`: plans before they run. Nothing is changed, and no repository is needed.

mod check;
mod new;
mod next;
mod show;
mod simulate;

use clap::Subcommand;
use jiff::tz::TimeZone;
use strongroom_plans::{BackupPlan, Schedule};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};

/// Write and check plans, and see when they run and what they keep
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    New(new::NewArgs),
    Check(check::CheckArgs),
    Show(show::ShowArgs),
    Next(next::NextArgs),
    Simulate(simulate::SimulateArgs),
}

impl PlanCommand {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::New(args) => new::run(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::Show(args) => show::run(&args, context),
            Self::Next(args) => next::run(&args, context),
            Self::Simulate(args) => simulate::run(&args, context),
        }
    }
}

/// The plan's due times and the zone in which they are meant.
fn schedule(plan: &BackupPlan) -> Result<(&Schedule, TimeZone), Failure> {
    let what = || format!("say when {} runs", plan.name());
    let schedule = plan.schedule().ok_or_else(|| {
        Failure::new(what(), Cause::Usage("the plan has no schedule: it runs when somebody starts it".into()))
            .advise("add one, for example `schedule: { full: weekly sun 01:30, incremental: daily 01:30 }`")
    })?;
    Ok((schedule, schedule.zone().cloned().unwrap_or_else(TimeZone::system)))
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("the local zone").to_owned()
}
