//! `strongroom repo copy`: snapshots into another copy of the repository.

use std::collections::HashSet;
use std::io::{self, Write};

use clap::Args;
use strongroom_repository::ObjectId;

use crate::access::LocatedArgs;
use crate::choice;
use crate::context::Context;
use crate::copies::{self, Act, Filled};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{count, size};

/// Bring snapshots into another copy of the repository
#[derive(Debug, Args)]
#[command(after_help = "\
The copy has the same id and keys and a history of its own; each copy alone is enough for a restore. It \
is made where there is none. Packs come across as they were sealed, so nothing is decrypted, and only \
what the copy lacks is sent. Stopped at any moment, the same command goes on; what arrived is whole. What \
was forgotten in the copy is not brought there again. Backups and prunes of both may go on meanwhile. Ends \
with 4 if something in the source is damaged: the snapshots that need it are named, and the others copied.

Examples:
  strongroom repo copy /srv/backup /mnt/offsite/backup --dry-run
  strongroom repo copy /srv/backup sftp://backup@nas/srv/backup
  strongroom repo copy /srv/backup s3://backups/main --host db1 --newest 7")]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// The copy: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(value_name = "COPY")]
    to: String,

    /// Only snapshots of this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Only snapshots of this plan
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// Only the newest so many of each host, plan and paths
    #[arg(long, value_name = "COUNT")]
    newest: Option<usize>,

    /// Begin the copy anew at a place that has lost the one that was there
    #[arg(long, conflicts_with = "dry_run")]
    anew: bool,

    /// Only show what would be brought
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &CopyArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let wanted = args.wanted(&opened, context)?;
    let act = match (args.dry_run, args.anew) {
        (true, _) => Act::Rehearse,
        (_, true) => Act::Anew,
        _ => Act::ForReal,
    };
    let filled = copies::fill(&opened, &args.to, wanted.as_ref(), act, context)?;
    let exit = filled.exit();
    context.output.answer(&filled)?;
    Ok(exit)
}

impl CopyArgs {
    /// None where all are wanted, so that a key that reads nothing is enough.
    fn wanted(&self, opened: &crate::access::Opened, context: &Context) -> Result<Option<HashSet<ObjectId>>, Failure> {
        if self.host.is_none() && self.plan.is_none() && self.newest.is_none() {
            return Ok(None);
        }
        let mut snapshots = choice::all(opened, context)?.readable;
        snapshots.retain(|snapshot| {
            let manifest = &snapshot.manifest;
            self.host.as_ref().is_none_or(|host| manifest.host == *host)
                && self.plan.as_ref().is_none_or(|plan| manifest.tags.get("plan") == Some(plan))
        });
        let mut seen: std::collections::HashMap<_, usize> = std::collections::HashMap::new();
        let newest = self.newest.unwrap_or(usize::MAX);
        let newest_first = snapshots.iter().rev().filter(|snapshot| {
            let manifest = &snapshot.manifest;
            let source = (manifest.host.clone(), manifest.tags.get("plan").cloned(), manifest.sources.clone());
            let seen = seen.entry(source).or_default();
            *seen += 1;
            *seen <= newest
        });
        Ok(Some(newest_first.map(|snapshot| snapshot.id).collect()))
    }
}

impl Answer for Filled {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        match (&self.made, &self.plan) {
            (None, None) => writeln!(out, "there is no copy at {} yet: everything would be brought", self.location)?,
            (Some(made), _) if made.is_new => writeln!(out, "made a copy at {}", self.location)?,
            _ => {}
        }
        if let Some(plan) = &self.plan {
            writeln!(
                out,
                "{} snapshots to bring, {} are there, {} were forgotten there; {} in {} packs as they are, {} in new ones",
                count(plan.snapshots.len() as u64),
                count(plan.there),
                count(plan.forgotten),
                size(plan.pack_bytes),
                count(plan.packs),
                size(plan.frame_bytes),
            )?;
        }
        match &self.report {
            Some(report) => {
                writeln!(
                    out,
                    "brought {} snapshots to {}: sent {} in {} packs",
                    count(report.snapshots.len() as u64),
                    self.location,
                    size(report.bytes),
                    count(report.packs + report.new_packs),
                )?;
                write_faults(&report.faults, out)
            }
            None => {
                self.plan.iter().try_for_each(|plan| write_faults(&plan.faults, out))?;
                writeln!(out, "nothing was changed")
            }
        }
    }
}

fn write_faults(faults: &[String], out: &mut dyn Write) -> io::Result<()> {
    for fault in faults {
        writeln!(out, "NOT COPIED: {fault}")?;
    }
    if !faults.is_empty() {
        writeln!(out, "mend the source first: `strongroom repo repair --dry-run` says how")?;
    }
    Ok(())
}
