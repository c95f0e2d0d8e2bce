//! `strongroom repo scrub`: every stored byte hashed again, the least recently verified first.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_plans::{ByteSize, TimeSpan};
use strongroom_repository::rebuild::Act;
use strongroom_repository::scrub::{Finding, Promise, Scrub, ScrubOptions, ScrubReport, Step};

use super::LedgerFile;
use crate::access::LocatedArgs;
use crate::backup::host_name;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::progress::{self, Reading};
use crate::shown::{count, duration, size, time};

/// The ledger is kept this often: what was verified since is verified again after a crash.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// Hash every stored byte again, the least recently verified first
#[derive(Debug, Args)]
#[command(after_help = "\
For every night: with a budget of bytes or of time, each run goes on where the last one ended. Each \
pack is compared with its name, everything else with its name or signature; a ledger in the state \
folder knows what was verified when. A pack that is found bad is condemned: the next backup stores \
again what its source still has of it, and `repo repair` makes it anew where it can. Ends with 4 if \
anything is wrong or the promise of --every is broken.

Examples:
  strongroom repo scrub /srv/backup
  strongroom repo scrub /srv/backup --bytes '100 GiB' --time 2h --every 30d
  strongroom repo scrub /srv/backup --dry-run --json")]
pub(crate) struct ScrubArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Read at most this much, for example '100 GiB' [default: everything]
    #[arg(long, value_name = "SIZE")]
    bytes: Option<ByteSize>,

    /// Begin nothing new after this long, for example 2h
    #[arg(long, value_name = "TIME")]
    time: Option<TimeSpan>,

    /// The promise: every stored byte is hashed again within this long
    #[arg(long, value_name = "TIME", default_value = "30d")]
    every: TimeSpan,

    /// Read and say what is found, but condemn nothing and keep no ledger
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &ScrubArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let what = format!("scrub the repository at {}", opened.location);
    let file = LedgerFile::of(&opened, context)?;
    let act = if args.dry_run { Act::DryRun } else { Act::ForReal };
    let options = ScrubOptions {
        bytes: args.bytes.map(ByteSize::bytes),
        time: args.time.map(Duration::from),
        every: args.every.into(),
        now: Timestamp::now(),
        by: host_name()?,
        act,
    };
    let begun = Scrub::begin(Arc::clone(&opened.repository), file.read(context)?, options);
    let mut scrub = context.wait(&what, begun)?;
    let (done, total) = (scrub.bytes_done(), scrub.plan().bytes);
    let bar = progress::watch(context, "scrubbing", move || Reading {
        bytes_done: done.load(Relaxed),
        bytes_total: Some(total).filter(|total| *total > 0),
        ..Reading::default()
    });
    loop {
        let step = context.wait(&what, scrub.go_on(KEPT_EVERY));
        // Also when a signal ended it: what was verified until then stays verified.
        if act == Act::ForReal {
            file.keep(&scrub.ledger)?;
        }
        if step? == Step::Done {
            break;
        }
    }
    bar.finish();
    let (report, _) = context.wait(&what, scrub.finish())?;
    let exit = if report.is_sound() && report.promise.kept { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Scrubbed { sound: report.is_sound(), report })?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Scrubbed {
    sound: bool,
    report: ScrubReport,
}

impl Answer for Scrubbed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(out, "hashed {} objects, {}", count(report.objects), size(report.bytes))?;
        write_promise(out, &report.promise)?;
        for name in &report.unfinished_repairs {
            writeln!(out, "a repair was interrupted ({name}): 'strongroom repo repair' completes it")?;
        }
        match self.sound {
            true => writeln!(out, "nothing is wrong"),
            false => self.write_findings(out),
        }
    }
}

impl Scrubbed {
    fn write_findings(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(out, "\nDAMAGE: {} objects", count(report.findings.len() as u64))?;
        report.findings.iter().try_for_each(|finding| write_finding(out, finding))?;
        if let Some(commit) = report.commit {
            writeln!(out, "{} packs were condemned (commit {commit})", count(report.condemned.len() as u64))?;
        }
        write_affected(out, &report.affected)?;
        writeln!(
            out,
            "\nNext: 'strongroom repo repair --dry-run' says what heals; the next backup stores again what its source still has."
        )
    }
}

pub(super) fn write_affected(
    out: &mut dyn Write,
    affected: &[strongroom_repository::check::Affected],
) -> io::Result<()> {
    writeln!(out, "\n{} files cannot be restored whole", count(affected.len() as u64))?;
    affected.iter().try_for_each(|lost| writeln!(out, "  {}  {}", short_id(&lost.snapshot.hex()), lost.path))
}

fn write_finding(out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    writeln!(out, "  {}: {}", finding.object, finding.fault)?;
    for (start, end) in &finding.ranges {
        writeln!(out, "    bytes {start} to {end}")?;
    }
    if finding.heals {
        writeln!(out, "    its parity heals it")?;
    }
    match finding.object.starts_with("groups/") {
        true => writeln!(out, "    no file is lost by it: 'strongroom repo protect' makes it anew"),
        false => Ok(()),
    }
}

fn write_promise(out: &mut dyn Write, promise: &Promise) -> io::Result<()> {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    let every = match promise.every_seconds {
        seconds if seconds.is_multiple_of(DAY_SECONDS) => format!("{} d", seconds / DAY_SECONDS),
        seconds => duration(Duration::from_secs(seconds)),
    };
    let state = match (promise.kept, promise.broken_since) {
        (true, _) => "kept".to_owned(),
        (false, Some(since)) => format!("BROKEN since {}", time(since)),
        (false, None) => "BROKEN: there is damage".to_owned(),
    };
    writeln!(out, "every stored byte is hashed again within {every}: {state}")?;
    if let (Some(oldest), Some(object)) = (promise.oldest, &promise.oldest_object) {
        writeln!(out, "the oldest was verified or stored {}: {object}", time(oldest))?;
    }
    match promise.budget_bytes {
        Some(budget) => writeln!(
            out,
            "this store has {}, the budget is {} a run: one round takes {} runs",
            size(promise.stored_bytes),
            size(budget),
            count(promise.runs_a_round)
        ),
        None => writeln!(out, "this store has {}: one round takes one run", size(promise.stored_bytes)),
    }
}
