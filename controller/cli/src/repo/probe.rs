//! `strongroom repo probe`: what a store really promises.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::store::{Commits, Outcome, ProbeReport, Property};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{self, Align, Table};
use crate::store_place::StorePlace;

/// Ask a store what it really promises
#[derive(Debug, Args)]
#[command(after_help = "\
Writes, reads and deletes a few small objects below `probe/`. Needs no key and no repository. Ends \
with 4 if a promise is not kept.

Examples:
  strongroom repo probe /srv/backup")]
pub(crate) struct ProbeArgs {
    /// The store: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    url: String,
}

pub(crate) fn run(args: &ProbeArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("probe the store at {}", shown::location(&args.url));
    let place = StorePlace::open(&args.url, context)?;
    let report = context.wait(&what(), place.probe())?;
    let exit = if report.is_clean() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Probed(report))?;
    Ok(exit)
}

/// A probe's report as an answer.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Probed(pub(crate) ProbeReport);

impl Answer for Probed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[("PROMISE", Align::Left), ("ANSWER", Align::Left), ("SEEN", Align::Left)]);
        for check in &self.0.checks {
            table.row([promise(check.property).into(), answer(check.outcome).into(), check.detail.clone()]);
        }
        table.write(out)?;
        writeln!(out)?;
        match self.0.commits {
            Commits::Race => writeln!(out, "Any number of writers may back up into this store at once."),
            Commits::ControllerOnly => {
                writeln!(
                    out,
                    "This store does not refuse to overwrite: commits take a lock in it, and one machine should make them all."
                )
            }
        }
    }
}

fn promise(property: Property) -> &'static str {
    match property {
        Property::ReadAfterWrite => "what was written is read",
        Property::CreateTwice => "nothing is overwritten",
        Property::CreateRace => "one of several racers wins",
        Property::RangeMiddle => "a range is read",
        Property::RangeSuffix => "the end is read",
        Property::RangePastEnd => "a range past the end is cut",
        Property::ListShowsNew => "new objects are listed",
        Property::DeleteWorks => "what is deleted is gone",
    }
}

fn answer(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "kept",
        Outcome::Failed => "BROKEN",
        Outcome::Skipped => "not asked",
    }
}
