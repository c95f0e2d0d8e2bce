//! `strongroom plan diff`: what a change of plans means, before it is in force.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_controller::site_commit::files_at;
use strongroom_plans::{Difference, Site, SiteFiles};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::shown::{write_difference, write_protected_less};
use crate::{plan_file, site_directory};

/// Show what a change of plans means: values, hosts, runs, and what is protected less
#[derive(Debug, Args)]
#[command(after_help = "\
OLD and NEW are two plan files, or the directories of two sites. Compared is what holds once presets have \
given what plans do not say. Lines with ! tell what is protected less: a path or host that no plan backs up any \
more, something newly left out, shorter retention, less proof, fewer runs.

Exit codes: 0 nothing is protected less, whether or not something differs (--json: .differs); 4 something is.

Examples:
  strongroom plan diff billing.yaml billing.new.yaml
  strongroom plan diff /etc/strongroom /home/ann/strongroom
  strongroom plan diff --site /etc/strongroom --since HEAD~1
  strongroom plan diff --site . --since origin/main --json | jq -r '.weaker[].what'")]
pub(crate) struct DiffArgs {
    /// The plan file or site before the change
    #[arg(value_name = "OLD", required_unless_present = "site", conflicts_with = "site", requires = "new")]
    old: Option<PathBuf>,

    /// The plan file or site after it
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,

    /// The directory of a site in a git work tree, as it is now
    #[arg(long, value_name = "DIR", requires = "since")]
    site: Option<PathBuf>,

    /// The commit, branch or tag with which it is compared
    #[arg(long, value_name = "COMMIT", requires = "site", conflicts_with = "old")]
    since: Option<String>,

    /// The first day whose runs are compared [default: now]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
}

const WHAT: &str = "compare the plans";

pub(crate) fn run(args: &DiffArgs, context: &Context) -> Result<Exit, Failure> {
    let difference = match (&args.site, &args.since, &args.old, &args.new) {
        (Some(directory), Some(since), ..) => {
            let old = files_at(directory, since).doing(|| WHAT.into())?;
            of_sites(&old, &site_directory::read(directory, WHAT)?, args.from)?
        }
        (_, _, Some(old), Some(new)) if old.is_dir() && new.is_dir() => {
            of_sites(&site_directory::read(old, WHAT)?, &site_directory::read(new, WHAT)?, args.from)?
        }
        (_, _, Some(old), Some(new)) => of_plans(old, new, args.from)?,
        // BUG: the command line takes one of the two.
        _ => return Err(Failure::new(WHAT, Cause::Usage("nothing to compare was named".into()))),
    };
    let exit = if difference.weaker.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Shown { differs: !difference.is_none(), difference })?;
    Ok(exit)
}

fn of_sites(old: &SiteFiles, new: &SiteFiles, from: Option<Date>) -> Result<Difference, Failure> {
    let read = |files| Site::read(files).doing(|| WHAT.into());
    let (old, new) = (read(old)?, read(new)?);
    let from = first_instant(from, new.zone())?;
    Ok(Difference::of_sites(&old, &new, from))
}

fn of_plans(old: &Path, new: &Path, from: Option<Date>) -> Result<Difference, Failure> {
    let (old, new) = (plan_file::load(old, WHAT)?.plan, plan_file::load(new, WHAT)?.plan);
    let zone = TimeZone::system();
    let from = first_instant(from, &zone)?;
    Ok(Difference::of_plans(&old, &new, &zone, from))
}

fn first_instant(from: Option<Date>, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let Some(date) = from else { return Ok(Timestamp::now()) };
    let midnight = date.to_zoned(zone.clone()).map_err(|error| Cause::Usage(error.to_string()));
    Ok(midnight.doing(|| format!("compare the runs from {date} on"))?.timestamp())
}

#[derive(Debug, Serialize)]
struct Shown {
    differs: bool,
    #[serde(flatten)]
    difference: Difference,
}

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write_difference(out, &self.difference)?;
        match self.difference.weaker.len() {
            _ if !self.differs => writeln!(out, "nothing differs"),
            0 => writeln!(out, "nothing is protected less"),
            count => write_protected_less(out, count),
        }
    }
}
