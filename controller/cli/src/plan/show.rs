//! `strongroom plan show`: what holds for a plan of a site, and where each part of it is said.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_plans::{FleetPlan, MissedRule, Name, Place, Schedule, Site};

use super::zone_name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::site_directory;

/// Show all that holds for a plan of a site, and the file and line that says so
#[derive(Debug, Args)]
#[command(after_help = "\
What stands in a preset is shown with the line of the preset; what nobody says, as usual.

Examples:
  strongroom plan show --site plans/examples/site databases
  strongroom plan show --site plans/examples/site databases --json | jq '.values'")]
pub(crate) struct ShowArgs {
    /// The directory of the site
    #[arg(long, value_name = "DIR")]
    site: PathBuf,

    /// The plan's name
    #[arg(value_name = "NAME")]
    plan: Name,
}

pub(crate) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let site = site_directory::load(&args.site, "show the plan")?;
    let plan = site.plans().get(&args.plan).ok_or_else(|| {
        let names: Vec<&str> = site.plans().keys().map(Name::as_str).collect();
        let absent = Cause::Absent(format!("the site has no plan {}", args.plan));
        Failure::new("show the plan", absent).advise(format!("its plans are: {}", names.join(", ")))
    })?;
    context.output.answer(&ShownPlan::of(&site, plan))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct ShownPlan {
    plan: String,
    file: String,
    version: String,
    hosts: Vec<String>,
    values: Vec<ShownValue>,
}

#[derive(Debug, Serialize)]
struct ShownValue {
    key: &'static str,
    value: String,
    /// File and line; none for what nobody says.
    from: Option<String>,
}

impl ShownPlan {
    fn of(site: &Site, plan: &FleetPlan) -> Self {
        let whole = plan.plan();
        let mut values = Vec::new();
        let mut add = |key: &'static str, of: &str, value: String| {
            let line = |place: &Place| format!("{}:{}", place.file(), place.line());
            values.push(ShownValue { key, value, from: plan.place_of(of).map(line) });
        };
        let none = || "none".to_owned();
        add("owner", "owner", whole.owner().map_or_else(none, ToString::to_string));
        add("hosts", "hosts", plan.selector().to_string());
        whole.sources().iter().for_each(|source| add("source", "sources", source.to_string()));
        let repository = site.repository_of(plan);
        add("repository", "repository", format!("{}, at {}", repository.name(), repository.directory().display()));
        add("priority", "priority", plan.priority().to_string());
        match whole.schedule() {
            Some(schedule) => show_schedule(schedule, site, &mut add),
            None => add("schedule", "schedule", "none: it runs when somebody starts it".into()),
        }
        add("retain", "retain", whole.retain().to_string());
        let proof = whole.prove().map(|prove| match prove.max_age() {
            Some(age) => format!("{}, which counts for {age}", prove.level()),
            None => prove.level().to_string(),
        });
        add("prove", "prove", proof.unwrap_or_else(|| "none: its restore points stay unproven".into()));
        let tags: Vec<String> = whole.tags().iter().map(|(name, value)| format!("{name}={value}")).collect();
        add("tags", "tags", if tags.is_empty() { none() } else { tags.join(", ") });
        Self {
            plan: plan.name().to_string(),
            file: plan.file().to_owned(),
            version: plan.version().to_string(),
            hosts: plan.hosts().iter().map(ToString::to_string).collect(),
            values,
        }
    }
}

/// All of it stands below one key.
fn show_schedule(schedule: &Schedule, site: &Site, add: &mut impl FnMut(&'static str, &str, String)) {
    let mut say = |key, value: Option<String>, unsaid: &str| match value {
        Some(value) => add(key, "schedule", value),
        None => add(key, "", unsaid.to_owned()),
    };
    say("full", schedule.full().map(ToString::to_string), "never");
    say("incremental", schedule.incremental().map(ToString::to_string), "never");
    let usual = format!("that of the host, else {}, that of the site", zone_name(site.zone()));
    say("zone", schedule.zone().map(zone_name), &usual);
    let window =
        schedule.window().map(|window| format!("until {}, then {:?}", window.until(), window.then()).to_lowercase());
    say("window", window, "none: a run goes on to its end");
    let usual = "a run may begin late, until its window closes or the next is due";
    say("missed", schedule.missed().as_ref().map(MissedRule::to_string), usual);
    say("jitter", schedule.jitter().map(|jitter| format!("up to {jitter}")), "none");
    say("after", schedule.after().map(ToString::to_string), "none");
    let calendars: Vec<&str> = schedule.calendars().iter().map(Name::as_str).collect();
    say("calendars", (!calendars.is_empty()).then(|| calendars.join(", ")), "none");
    let retries = schedule.retries().map(|retries| format!("{} times, after {} each", retries.times(), retries.wait()));
    say("retries", retries, "none");
}

impl Answer for ShownPlan {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan {}, version {}, on {}", self.plan, &self.version[..12], self.hosts.join(", "))?;
        for ShownValue { key, value, from } in &self.values {
            writeln!(out, "  {key:<12} {value}")?;
            if let Some(from) = from {
                writeln!(out, "  {:<12} from {from}", "")?;
            }
        }
        Ok(())
    }
}
