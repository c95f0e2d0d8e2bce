//! `strongroom repo stats`: how large a repository is, and why.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_repository::stats::{self, Stats};
use strongroom_repository::{PublicKey, RepositoryId};

use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::room;
use crate::shown::{Align, Table, count, ratio, size, time};

/// Show how large a repository is, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom repo stats /srv/backup
  strongroom repo stats /srv/backup --json | jq .stats.stored.bytes")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    repository: LocatedArgs,
}

pub(crate) fn run(args: &StatsArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let what = format!("measure the repository at {}", opened.location);
    let stats = context.wait(&what, stats::gather(&opened.repository))?;
    room::note_if_possible(&opened, Some(stats.stored.bytes), context);
    let config = opened.repository.config();
    context.output.answer(&Measured {
        repository: config.repository,
        location: opened.location.to_string(),
        created: config.created,
        admin_key: config.admin_key,
        newest_commit: opened.repository.history().newest,
        deduplication: stats.deduplication(),
        compression: stats.compression(),
        stats,
    })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Measured {
    repository: RepositoryId,
    location: String,
    created: Timestamp,
    admin_key: PublicKey,
    newest_commit: u64,
    deduplication: Option<f64>,
    compression: Option<f64>,
    stats: Stats,
}

impl Answer for Measured {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Stats { snapshots, chunks, objects, stored } = &self.stats;
        writeln!(out, "repository   {}", self.repository)?;
        writeln!(out, "location     {}", self.location)?;
        writeln!(out, "made         {}", time(self.created))?;
        writeln!(out, "commits      {}", count(self.newest_commit))?;
        writeln!(out, "snapshots    {}, which would restore {}", count(snapshots.count), size(snapshots.bytes))?;
        writeln!(
            out,
            "distinct     {} in {} chunks and pages (deduplication {})",
            size(chunks.bytes),
            count(chunks.count),
            ratio(snapshots.bytes, chunks.bytes)
        )?;
        writeln!(
            out,
            "stored       {} in {} objects (compression {})",
            size(stored.bytes),
            count(stored.count),
            ratio(chunks.bytes, stored.bytes)
        )?;
        writeln!(out)?;
        let mut table = Table::new(&[("OBJECTS", Align::Left), ("COUNT", Align::Right), ("SIZE", Align::Right)]);
        for (folder, tally) in objects {
            table.row([folder.clone(), count(tally.count), size(tally.bytes)]);
        }
        table.write(out)
    }
}
