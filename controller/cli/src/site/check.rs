//! `strongroom site check`: every mistake of a site, at once.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_controller::site::Loaded;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Doing, Failure};
use crate::output::Answer;

/// Check a site's directory, all of its files at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom site check /etc/strongroom
  strongroom site check /etc/strongroom --json")]
pub(crate) struct CheckArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let loaded = Loaded::read(&args.directory).doing(|| format!("check the site {}", args.directory.display()))?;
    let plans = loaded.site.plans().values();
    let plans = plans.map(|plan| Row { plan: plan.name().to_string(), hosts: plan.hosts().len() }).collect();
    context.output.answer(&Fit {
        site: loaded.version,
        commit: loaded.commit,
        hosts: loaded.site.hosts().len(),
        plans,
    })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Fit {
    /// The version.
    site: String,
    commit: Option<String>,
    hosts: usize,
    plans: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    plan: String,
    hosts: usize,
}

impl Answer for Fit {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let commit = self.commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        writeln!(out, "the site is fit to be loaded: version {}{commit}", &self.site[..12.min(self.site.len())])?;
        for row in &self.plans {
            writeln!(out, "  {} covers {} of {} hosts", row.plan, row.hosts, self.hosts)?;
        }
        Ok(())
    }
}
