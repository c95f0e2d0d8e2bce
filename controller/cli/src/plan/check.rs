//! `strongroom plan check`: everything that is wrong with plans, or with a whole site, at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_plans::{ContentHash, Faults, Site, decode, parse};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::{plan_file, site_directory};

/// Check plan files or a whole site: all faults at once, each with its place, its reason and what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom plan check plans/examples/*.yaml
  strongroom plan check --site plans/examples/site
  strongroom plan check billing.yaml --json | jq -r '.[].faults[].code'")]
pub(crate) struct CheckArgs {
    /// The plan files
    #[arg(value_name = "PLAN", required_unless_present = "site", conflicts_with = "site")]
    plans: Vec<PathBuf>,

    /// The directory of a site: its site.yaml, hosts.yaml and plans
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
}

pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(directory) = &args.site {
        let checked = CheckedSite::of(directory)?;
        let exit = if checked.faults.is_some() { Exit::Usage } else { Exit::Success };
        context.output.answer(&checked)?;
        return Ok(exit);
    }
    let checked = args.plans.iter().map(|path| check(path)).collect::<Result<Vec<_>, _>>()?;
    let any_fault = checked.iter().any(|checked| checked.faults.is_some());
    context.output.answer(&CheckedPlans(checked))?;
    Ok(if any_fault { Exit::Usage } else { Exit::Success })
}

fn check(path: &Path) -> Result<Checked, Failure> {
    let text = plan_file::read(path, "check the plan").map_err(|failure| match path.is_dir() {
        true => {
            failure.advise(format!("a site is checked as a whole: `strongroom plan check --site {}`", path.display()))
        }
        false => failure,
    })?;
    let file = path.display().to_string();
    let parsed = decode(&file, &text).and_then(|text| parse(&file, text));
    Ok(match parsed {
        Ok(plan) => Checked { file, name: Some(plan.name().to_string()), faults: None },
        Err(faults) => Checked { file, name: None, faults: Some(faults) },
    })
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct CheckedPlans(Vec<Checked>);

/// One file; either its plan's name or its faults.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    faults: Option<Faults>,
}

impl Answer for CheckedPlans {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Checked { file, name, faults } in &self.0 {
            match faults {
                Some(faults) => writeln!(out, "{faults}\n")?,
                None => writeln!(out, "{file}: plan {} is sound", name.as_deref().unwrap_or_default())?,
            }
        }
        Ok(())
    }
}

/// A site; either what it comes to or its faults.
#[derive(Debug, Serialize)]
struct CheckedSite {
    directory: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    site: Option<SoundSite>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    faults: Option<Faults>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SoundSite {
    name: String,
    version: ContentHash,
    hosts: usize,
    plans: usize,
    #[serde(skip_serializing_if = "is_none")]
    restore_plans: usize,
    #[serde(skip_serializing_if = "is_none")]
    drills: usize,
    /// Hosts that no plan backs up.
    #[serde(rename = "hosts-without-plan")]
    uncovered: Vec<String>,
}

impl CheckedSite {
    fn of(directory: &Path) -> Result<Self, Failure> {
        let files = site_directory::read(directory, "check the site")?;
        let directory = directory.display().to_string();
        Ok(match Site::read(&files) {
            Ok(site) => Self { directory, site: Some(SoundSite::of(&site)), faults: None },
            Err(faults) => Self { directory, site: None, faults: Some(faults) },
        })
    }
}

impl SoundSite {
    fn of(site: &Site) -> Self {
        let is_covered = |host| site.plans().values().any(|plan| plan.hosts().contains(host));
        let uncovered = site.hosts().keys().filter(|host| !is_covered(host)).map(ToString::to_string).collect();
        let (hosts, plans) = (site.hosts().len(), site.plans().len());
        let (restore_plans, drills) = (site.restore_plans().len(), site.drill_plans().len());
        Self { name: site.name().to_string(), version: site.version(), hosts, plans, restore_plans, drills, uncovered }
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Answer for CheckedSite {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            writeln!(out, "{faults}")?;
        }
        let Some(SoundSite { name, version, hosts, plans, restore_plans, drills, uncovered }) = &self.site else {
            return Ok(());
        };
        let others = [(restore_plans, "restore plans"), (drills, "drills")];
        let others = others.into_iter().filter(|(count, _)| !is_none(count));
        let others: String = others.map(|(count, what)| format!(", {count} {what}")).collect();
        let (directory, version) = (&self.directory, version.short());
        writeln!(out, "{directory}: site {name} is sound: {hosts} hosts, {plans} plans{others}, version {version}")?;
        match uncovered.is_empty() {
            true => Ok(()),
            false => writeln!(out, "note: no plan backs up {}", uncovered.join(", ")),
        }
    }
}
