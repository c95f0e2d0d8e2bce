//! `strongroom plan show`: what holds for a plan of a site, and where each part of it is said.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_plans::{DrillPlan, FleetPlan, Name, Priority, RestorePlan, Said, Site};

use super::zone_name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::site_directory;

/// Show all that holds for a plan of a site, and the file and line that says so
#[derive(Debug, Args)]
#[command(after_help = "\
Each value has the line that says it: of the plan, of its preset, of a drill that names it, or of a part that one of them \
includes. What nobody says is shown as it usually is.

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
    if let Some(plan) = site.restore_plans().get(&args.plan) {
        context.output.answer(&ShownPlan::of_restore_plan(plan))?;
        return Ok(Exit::Success);
    }
    if let Some(drill) = site.drill_plans().get(&args.plan) {
        context.output.answer(&ShownPlan::of_drill(&site, drill))?;
        return Ok(Exit::Success);
    }
    let plan = site.plans().get(&args.plan).ok_or_else(|| {
        let others = site.restore_plans().keys().chain(site.drill_plans().keys());
        let names: Vec<&str> = site.plans().keys().chain(others).map(Name::as_str).collect();
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
#[serde(rename_all = "kebab-case")]
struct ShownValue {
    key: String,
    value: String,
    said_by: SaidBy,
    /// File and line; none for what nobody says.
    from: Option<String>,
}

/// What kind of file says a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SaidBy {
    Plan,
    Preset,
    /// A drill that names the plan.
    Drill,
    /// A part that the plan or the site includes.
    Include,
    /// Nobody: it is as usual.
    Default,
}

impl ShownPlan {
    /// Its hosts are those that it restores to.
    fn of_restore_plan(plan: &RestorePlan) -> Self {
        let value = |said: &Said| ShownValue::in_file(plan.file(), said, said.value().to_owned());
        let mut values: Vec<ShownValue> = plan.said().iter().map(value).collect();
        if !plan.said().iter().any(|said| said.is_of("on-failure")) {
            let (key, value) = ("on-failure".to_owned(), plan.on_failure().word().to_owned());
            values.push(ShownValue { key, value, said_by: SaidBy::Default, from: None });
        }
        let mut hosts: Vec<String> = plan.systems().iter().map(|system| system.target_host().to_string()).collect();
        hosts.sort();
        hosts.dedup();
        let (file, version) = (plan.file().to_owned(), plan.version().to_string());
        Self { plan: plan.name().to_string(), file, version, hosts, values }
    }

    /// Its hosts are those whose restore points are drilled.
    fn of_drill(site: &Site, drill: &DrillPlan) -> Self {
        let value = |said: &Said| ShownValue::in_file(drill.file(), said, said.value().to_owned());
        let mut values: Vec<ShownValue> = drill.said().iter().map(value).collect();
        let is_said = |key: &str| drill.said().iter().any(|said| said.is_of(key));
        for (key, _, value) in usual(site).into_iter().filter(|(_, above, _)| *above == "prove") {
            if !is_said(key) {
                values.push(ShownValue { key: key.into(), value, said_by: SaidBy::Default, from: None });
            }
        }
        Self {
            plan: drill.name().to_string(),
            file: drill.file().to_owned(),
            version: drill.version().to_string(),
            hosts: site.hosts_of_drill(drill).into_iter().map(ToString::to_string).collect(),
            values,
        }
    }

    fn of(site: &Site, plan: &FleetPlan) -> Self {
        let said = plan.plan().said();
        let mut values: Vec<ShownValue> = said.iter().map(|said| ShownValue::said(site, plan, said)).collect();
        let is_said = |key: &str| said.iter().any(|said| said.is_of(key));
        for (key, above, value) in usual(site) {
            // Without the key above it, there is nothing that it could be a part of.
            if !is_said(key) && (above.is_empty() || is_said(above)) {
                values.push(ShownValue { key: key.into(), value, said_by: SaidBy::Default, from: None });
            }
        }
        Self {
            plan: plan.name().to_string(),
            file: plan.file().to_owned(),
            version: plan.version().to_string(),
            hosts: plan.hosts().iter().map(ToString::to_string).collect(),
            values,
        }
    }
}

impl ShownValue {
    fn said(site: &Site, plan: &FleetPlan, said: &Said) -> Self {
        let value = match said.key() {
            "repository" => format!("{}, at {}", said.value(), site.repository_of(plan).location()),
            _ => said.value().to_owned(),
        };
        let drill = plan.drill().and_then(|drill| site.drill_plans().get(drill));
        match drill {
            Some(drill) if said.place().file().ends_with(drill.file()) => {
                Self { said_by: SaidBy::Drill, ..Self::in_file(drill.file(), said, value) }
            }
            _ => Self::in_file(plan.file(), said, value),
        }
    }

    /// Of the plan in this file.
    fn in_file(plan: &str, said: &Said, value: String) -> Self {
        let file = said.place().file();
        let is_part = Path::new(file).parent().is_some_and(|directory| directory.ends_with("parts"));
        let said_by = match file.ends_with(plan) {
            true => SaidBy::Plan,
            false if is_part => SaidBy::Include,
            false => SaidBy::Preset,
        };
        let from = Some(format!("{file}:{}", said.place().line()));
        Self { key: said.key().to_owned(), value, said_by, from }
    }
}

/// What holds where nobody says something: the key, the key above it that must be said, and what then holds.
fn usual(site: &Site) -> Vec<(&'static str, &'static str, String)> {
    let zone = format!("that of the host, else {}, that of the site", zone_name(site.zone()));
    let rows = [
        ("owner", "", "none"),
        ("priority", "", &Priority::default().to_string()),
        ("schedule", "", "none: it runs when somebody starts it"),
        ("schedule.full", "schedule", "never"),
        ("schedule.incremental", "schedule", "never"),
        ("schedule.zone", "schedule", &zone),
        ("schedule.window", "schedule", "none: a run goes on to its end"),
        ("schedule.missed", "schedule", "a run may begin late, until its window closes or the next is due"),
        ("schedule.jitter", "schedule", "none"),
        ("schedule.after", "schedule", "none"),
        ("schedule.calendars", "schedule", "none"),
        ("schedule.retries", "schedule", "none"),
        ("retain.at-least", "retain", "1"),
        ("prove", "", "none: its restore points stay unproven"),
        ("prove.every", "prove", "run"),
        ("prove.checks", "prove", "none"),
        ("prove.limits", "prove", "none but ten minutes for each check"),
        ("prove.max-age", "prove", "none: a proof counts without end"),
        ("prove.sample", "prove", "none: everything is restored"),
        ("objectives", "", "none: restores are measured against nothing"),
        ("objectives.rto", "objectives", "none"),
        ("objectives.rpo", "objectives", "none"),
        ("tags", "", "none"),
    ];
    rows.map(|(key, above, value)| (key, above, value.to_owned())).into()
}

impl Answer for ShownPlan {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan {}, version {}, on {}", self.plan, &self.version[..12], self.hosts.join(", "))?;
        let width = self.values.iter().map(|value| value.key.chars().count()).max().unwrap_or_default();
        for ShownValue { key, value, said_by, from } in &self.values {
            writeln!(out, "  {key:<width$}  {value}")?;
            let by = match said_by {
                SaidBy::Plan => "the plan",
                SaidBy::Preset => "its preset",
                SaidBy::Drill => "a drill",
                SaidBy::Include => "a part",
                SaidBy::Default => continue,
            };
            writeln!(out, "  {:<width$}  from {by}, {}", "", from.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}
