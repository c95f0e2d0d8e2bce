//! `strongroom repo check`: is everything there, and do the bytes still say what they said?

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use serde::Serialize;
use strongroom_repository::check::{self, CheckProgress, CheckReport, Depth};

use super::protect::write_protection;
use crate::access::LocatedArgs;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::progress::{self, Reading};
use crate::shown::{count, size};

/// Check that everything is there and undamaged
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed. Without `--read-data`: the history, the index, presence and size of every pack, \
every snapshot. With it: also every stored byte is read, hashed, decrypted and compared with its \
name. Each fault is followed by the files that it costs. Ends with 4 if anything is wrong.

Examples:
  strongroom repo check /srv/backup
  strongroom repo check --read-data /srv/backup")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Read and compare every stored byte
    #[arg(long)]
    read_data: bool,
}

pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let depth = if args.read_data { Depth::ReadData } else { Depth::Structure };
    let progress = Arc::new(CheckProgress::default());
    let shown = Arc::clone(&progress);
    let bar = progress::watch(context, "checking", move || Reading {
        bytes_done: shown.bytes_done.load(Relaxed),
        bytes_total: Some(shown.bytes_total.load(Relaxed)).filter(|total| *total > 0),
        ..Reading::default()
    });
    let checked = context
        .wait(&format!("check the repository at {}", opened.location), check::run(&opened.repository, depth, progress));
    bar.finish();
    let report = checked?;
    let exit = if report.is_sound() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Checked { sound: report.is_sound(), report, depth })?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Checked {
    sound: bool,
    report: CheckReport,
    #[serde(skip)]
    depth: Depth,
}

impl Answer for Checked {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "checked {} commits, {} snapshots, {} packs of {}",
            count(report.commits),
            count(report.snapshots),
            count(report.packs),
            size(report.pack_bytes)
        )?;
        match self.depth {
            Depth::ReadData => writeln!(
                out,
                "read {} and compared {} chunks with their names",
                size(report.bytes_read),
                count(report.chunks_verified)
            )?,
            Depth::Structure => writeln!(out, "the content of the packs was not read; --read-data does that")?,
        }
        if !report.without_parity.is_empty() {
            writeln!(
                out,
                "{} packs have no parity, so that rot in them does not heal: 'strongroom repo repair' makes it",
                count(report.without_parity.len() as u64)
            )?;
        }
        if let Some(protection) = &report.protection {
            write_protection(out, "groups", protection)?;
        }
        if self.sound {
            return writeln!(out, "nothing is wrong");
        }
        self.write_faults(out)
    }
}

impl Checked {
    fn write_faults(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(out, "\nDAMAGE: {} faults", count(report.faults.len() as u64))?;
        for fault in &report.faults {
            writeln!(out, "  {}: {}", fault.object, fault.fault)?;
        }
        writeln!(out, "\n{} files cannot be restored whole", count(report.affected.len() as u64))?;
        for affected in &report.affected {
            writeln!(out, "  {}  {}", short_id(&affected.snapshot.hex()), affected.path)?;
        }
        writeln!(
            out,
            "\nEverything else can be restored. A new backup with --full stores again what the source still has."
        )
    }
}
