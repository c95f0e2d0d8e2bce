//! `strongroom repo rebuild-index`: the index anew from the packs.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::rebuild::{self, Act, RebuildReport};

use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::count;

/// Make the index anew from the packs
#[derive(Debug, Args)]
#[command(after_help = "\
The index is only a cache of what the packs' footers say. Ends with 4 if a footer cannot be read; \
the others are in the new index then.

Examples:
  strongroom repo rebuild-index /srv/backup --dry-run
  strongroom repo rebuild-index /srv/backup")]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Read the footers and say what would be, but change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &RebuildArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let act = if args.dry_run { Act::DryRun } else { Act::ForReal };
    let what = format!("rebuild the index of {}", opened.location);
    let report = context.wait(&what, rebuild::index(&opened.repository, act))?;
    let exit = if report.unreadable.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Rebuilt(report))?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Rebuilt(RebuildReport);

impl Answer for Rebuilt {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let RebuildReport { packs, chunks, unreadable, commit } = &self.0;
        match commit {
            Some(commit) => writeln!(
                out,
                "the new index names {} chunks in {} packs (commit {commit})",
                count(*chunks),
                count(*packs)
            )?,
            None => writeln!(
                out,
                "the new index would name {} chunks in {} packs; nothing was changed",
                count(*chunks),
                count(*packs)
            )?,
        }
        for pack in unreadable {
            writeln!(out, "unreadable: {pack}")?;
        }
        Ok(())
    }
}
