//! `strongroom repo protect`: parity across packs, so that whole packs that are lost come back.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use serde::Serialize;
use strongroom_plans::ByteSize;
use strongroom_repository::group::{
    self, BadGroupSize, GroupSize, ProtectOptions, ProtectPlan, ProtectReport, Protection,
};

use super::LedgerFile;
use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::progress::{self, Reading};
use crate::room;
use crate::shown::{count, size};

/// Make parity across packs, so that whole packs that are lost come back
#[derive(Debug, Args)]
#[command(after_help = "\
Packs are grouped, those of like size together, and each group gets Reed-Solomon shards as long as its \
longest pack: with 16+2, any two packs of sixteen that are lost or rotten come back by `repo repair`. \
For after each `repo prune`: packs that are new are grouped, groups of which too many packs were pruned \
are replaced, and shards that a scrub found damaged are made anew; older shards go once nothing depends \
on them. Each pack is read whole and compared with its name. Backups, prunes and restores may go on \
meanwhile; stopped at any moment, it goes on with the next group. Ends with 4 if a pack is lost or \
damaged.

Examples:
  strongroom repo protect /srv/backup --dry-run
  strongroom repo protect /srv/backup
  strongroom repo protect /srv/backup --groups 10+3 --bytes '100 GiB'
  strongroom repo protect /srv/backup --groups none")]
pub(crate) struct ProtectArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Packs in a group, and how many of them may be lost; or 'none' to remove this parity
    #[arg(long, value_name = "PACKS+LOSSES", default_value = "16+2")]
    groups: Groups,

    /// Read at most this much of the packs, for example '100 GiB', but one group [default: all that is needed]
    #[arg(long, value_name = "SIZE")]
    bytes: Option<ByteSize>,

    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How large groups are, or that there are to be none.
#[derive(Debug, Clone, Copy)]
struct Groups(Option<GroupSize>);

impl FromStr for Groups {
    type Err = BadGroupSize;

    fn from_str(text: &str) -> Result<Self, BadGroupSize> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|size| Self(Some(size))) }
    }
}

pub(crate) fn run(args: &ProtectArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let file = LedgerFile::of(&opened, context)?;
    let mut ledger = file.read(context)?;
    let options = ProtectOptions {
        size: args.groups.0,
        bytes: args.bytes.map(ByteSize::bytes),
        damaged: ledger.bad().map(str::to_owned).collect(),
    };
    let what = format!("protect the packs of {}", opened.location);
    let plan = context.wait(&what, group::plan(&opened.repository, &options))?;
    if args.dry_run {
        context.output.answer(&Protected { plan: &plan, report: None })?;
        return Ok(Exit::Success);
    }
    let read = Arc::new(AtomicU64::new(0));
    let (shown, total) = (Arc::clone(&read), plan.read_bytes);
    let bar = progress::watch(context, "coding", move || Reading {
        bytes_done: shown.load(Relaxed),
        bytes_total: Some(total).filter(|total| *total > 0),
        ..Reading::default()
    });
    let done = context.wait(&what, group::run(&opened.repository, &plan, &read));
    bar.finish();
    let report = done?;
    room::note_if_possible(&opened, room::stored(&opened, context).ok(), context);
    report.made.iter().chain(&report.deleted).for_each(|object| ledger.forget(object));
    file.keep(&ledger)?;
    let exit = if report.damaged_packs.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Protected { plan: &plan, report: Some(report) })?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Protected<'a> {
    plan: &'a ProtectPlan,
    /// None for a rehearsal.
    report: Option<ProtectReport>,
}

impl Answer for Protected<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = self.plan;
        match plan.size {
            Some(wanted) => writeln!(
                out,
                "{} groups of at most {wanted}, with {} packs: {} to read, {} to write; {} of older parity go",
                count(plan.groups),
                count(plan.packs),
                size(plan.read_bytes),
                size(plan.written_bytes),
                size(plan.deleted_bytes),
            )?,
            None => writeln!(out, "all parity across packs goes, {}", size(plan.deleted_bytes))?,
        }
        if plan.groups_later > 0 {
            writeln!(out, "{} more groups wait for the next run", count(plan.groups_later))?;
        }
        match &self.report {
            Some(report) => write_report(out, report),
            None => {
                write_protection(out, "now", &plan.before)?;
                write_protection(out, "then", &plan.after)?;
                writeln!(out, "nothing was changed")
            }
        }
    }
}

fn write_report(out: &mut dyn Write, report: &ProtectReport) -> io::Result<()> {
    writeln!(
        out,
        "made {} groups, {} in {} objects; deleted {} in {} objects",
        count(report.groups),
        size(report.written_bytes),
        count(report.made.len() as u64),
        size(report.deleted_bytes),
        count(report.deleted.len() as u64),
    )?;
    write_protection(out, "now", &report.after)?;
    for pack in &report.damaged_packs {
        writeln!(
            out,
            "DAMAGE: {pack} is lost, or not what it was; 'strongroom repo repair --read-data' makes it anew"
        )?;
    }
    Ok(())
}

/// How many packs come back from how many losses, the best first.
pub(super) fn write_protection(out: &mut dyn Write, when: &str, protection: &Protection) -> io::Result<()> {
    let losses = protection.by_losses.iter().rev().filter(|(losses, _)| **losses > 0);
    let mut parts: Vec<String> = losses
        .map(|(losses, packs)| format!("{} come back if {losses} of their group are lost", count(*packs)))
        .collect();
    let alone = protection.by_losses.get(&0).copied().unwrap_or(0);
    if alone > 0 {
        parts.push(format!("{} are in no group that brings them back", count(alone)));
    }
    let told = if parts.is_empty() { "none".into() } else { parts.join(", ") };
    writeln!(
        out,
        "{when}: of {} packs {told}; {} of parity in {} groups",
        count(protection.packs),
        size(protection.bytes),
        count(protection.groups)
    )
}
