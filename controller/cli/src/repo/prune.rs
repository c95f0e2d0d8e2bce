//! `strongroom repo prune`: room from what no snapshot needs.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strongroom_plans::ByteSize;
use strongroom_repository::prune::{
    self, PackFate, PruneOptions, PrunePlan, PruneProgress, PruneReport, SessionFate, When, Why,
};

use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::progress::{self, Reading};
use crate::room;
use crate::shown::{Align, Table, count, size, time};

/// Remove what no snapshot needs
#[derive(Debug, Args)]
#[command(after_help = "\
Backups, restores and checks may go on meanwhile. What an open backup may build on is not deleted before it has ended: the \
next prune does that. Snapshots are not touched: `strongroom forget` decides about those. Ends with 4 if damage was met; what is \
damaged stays.

Examples:
  strongroom repo prune /srv/backup --dry-run
  strongroom repo prune /srv/backup
  strongroom repo prune /srv/backup --max-unused 20 --max-moved 50GiB")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// How much of what stays may be unneeded, in percent, before packs are rewritten for it
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = clap::value_parser!(u32).range(0..=1000))]
    max_unused: u32,

    /// Move no more than this out of packs that are rewritten, such as 50GiB
    #[arg(long, value_name = "SIZE")]
    max_moved: Option<ByteSize>,

    /// Backups that have been open for so many days are no longer waited for, and may not become visible
    #[arg(long, value_name = "DAYS", default_value = "14")]
    fence_after: u32,

    /// What a thousand requests and a GiB a month cost, to show the price: GET,PUT,STORED
    #[arg(long, value_name = "PRICES", value_parser = Prices::parse)]
    prices: Option<Prices>,

    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Prices of a store, in any currency.
#[derive(Debug, Clone, Copy, Serialize)]
struct Prices {
    gets: f64,
    puts: f64,
    stored: f64,
}

impl Prices {
    fn parse(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<f64>> =
            text.split(',').map(|price| price.trim().parse().ok().filter(|price: &f64| *price >= 0.0)).collect();
        match numbers.as_deref() {
            Some(&[gets, puts, stored]) => Ok(Self { gets, puts, stored }),
            _ => Err("write three numbers: 1000 reads, 1000 writes, a GiB a month, such as 0.0004,0.005,0.023".into()),
        }
    }
}

pub(crate) fn run(args: &PruneArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let hours = i64::from(args.fence_after) * 24;
    let options = PruneOptions {
        now: Timestamp::now(),
        unused_percent_max: args.max_unused,
        moved_bytes_max: args.max_moved.map(ByteSize::bytes),
        fence_after: SignedDuration::from_hours(hours).unsigned_abs(),
        reserve: opened.reserve_upkeep(),
    };
    let plan =
        context.wait(&format!("plan the prune of {}", opened.location), prune::plan(&opened.repository, &options))?;
    if args.dry_run {
        let cost = args.prices.map(|prices| cost(&plan, prices));
        context.output.answer(&Pruned { plan: &plan, cost, hidden: 0, report: None })?;
        return Ok(Exit::Success);
    }
    let progress = Arc::new(PruneProgress::default());
    let shown = Arc::clone(&progress);
    let bar = progress::watch(context, "moving", move || Reading {
        bytes_done: shown.bytes_done.load(Relaxed),
        bytes_total: Some(shown.bytes_total.load(Relaxed)).filter(|total| *total > 0),
        ..Reading::default()
    });
    let what = format!("prune {}", opened.location);
    let hidden_before = opened.measured.hidden_count();
    let executed = context.wait(&what, prune::execute(&opened.repository, &plan, &options, &progress));
    bar.finish();
    let report = executed?;
    room::note_if_possible(&opened, room::stored(&opened, context).ok(), context);
    let exit = if report.faults.is_empty() { Exit::Success } else { Exit::Damaged };
    let cost = args.prices.map(|prices| cost(&plan, prices));
    let hidden = opened.measured.hidden_count() - hidden_before;
    context.output.answer(&Pruned { plan: &plan, cost, hidden, report: Some(report) })?;
    Ok(exit)
}

/// What a prune costs once, and saves each month.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cost {
    requests: f64,
    saved_a_month: f64,
}

fn cost(plan: &PrunePlan, prices: Prices) -> Cost {
    let thousands = |requests: u64| requests as f64 / 1000.0;
    Cost {
        requests: thousands(plan.requests.gets) * prices.gets + thousands(plan.requests.puts) * prices.puts,
        saved_a_month: plan.freed_bytes() as f64 / f64::from(1 << 30) * prices.stored,
    }
}

#[derive(Debug, Serialize)]
struct Pruned<'a> {
    plan: &'a PrunePlan,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    /// Deleted objects that the bucket keeps as older versions.
    hidden: u64,
    /// None for a rehearsal.
    report: Option<PruneReport>,
}

impl Answer for Pruned<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_plan(out)?;
        match &self.report {
            Some(report) => {
                write_report(report, out)?;
                if self.hidden > 0 { writeln!(out, "{}", hidden(self.hidden)) } else { Ok(()) }
            }
            None if self.plan.is_empty() => writeln!(out, "nothing to do"),
            None => writeln!(out, "nothing was changed"),
        }
    }
}

impl Pruned<'_> {
    fn write_plan(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = self.plan;
        let mut table = Table::new(&[
            ("WHY", Align::Left),
            ("PACKS", Align::Right),
            ("SIZE", Align::Right),
            ("MOVED", Align::Right),
            ("DELETED", Align::Left),
        ]);
        for why in [Why::Unused, Why::Wasteful, Why::Small, Why::Condemned] {
            for now in [true, false] {
                let of_row = |fate: &&PackFate| fate.why == why && (fate.when == When::Now) == now;
                let fates: Vec<&PackFate> = plan.packs.iter().filter(of_row).collect();
                if fates.is_empty() {
                    continue;
                }
                table.row([
                    reason(why).into(),
                    count(fates.len() as u64),
                    size(fates.iter().map(|fate| fate.bytes).sum()),
                    size(fates.iter().map(|fate| fate.moved_bytes).sum()),
                    if now { "now" } else { "later" }.into(),
                ]);
            }
        }
        let strays: u64 = plan.strays.iter().map(|stray| stray.bytes).sum();
        if !plan.strays.is_empty() {
            let now = plan.strays.iter().all(|stray| stray.when == When::Now);
            let when = if now { "now" } else { "some later" };
            table.row(["left over".into(), count(plan.strays.len() as u64), size(strays), size(0), when.into()]);
        }
        if !plan.packs.is_empty() || !plan.strays.is_empty() {
            table.write(out)?;
        }
        for open in &plan.sessions {
            let fate = match open.fate {
                SessionFate::WaitedFor => "is waited for",
                SessionFate::Rests => "ended early: what it stored stays for its next run, nothing else waits for it",
                SessionFate::Fenced => "is too old: it may no longer become visible",
            };
            writeln!(out, "the backup {} that is open since {} {fate}", open.session, time(open.since))?;
        }
        writeln!(
            out,
            "{} snapshots; {} in {} packs stay, {} of it unneeded; {} come free, {} are moved; {} reads, {} writes, {} deletions",
            count(plan.snapshots),
            size(plan.kept_bytes),
            count(plan.kept_packs),
            size(plan.unused_bytes),
            size(plan.freed_bytes()),
            size(plan.moved.bytes),
            count(plan.requests.gets),
            count(plan.requests.puts),
            count(plan.requests.deletes),
        )?;
        if plan.less_protected > 0 {
            writeln!(
                out,
                "{} packs that stay come back from fewer losses then: 'strongroom repo protect' groups them anew",
                count(plan.less_protected)
            )?;
        }
        match self.cost {
            Some(Cost { requests, saved_a_month }) => {
                writeln!(out, "the requests cost {requests:.4}, the room saves {saved_a_month:.4} a month")
            }
            None => Ok(()),
        }
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Unused => "unneeded",
        Why::Wasteful => "mostly unneeded",
        Why::Small => "many small ones",
        Why::Condemned => "condemned before",
    }
}

fn write_report(report: &PruneReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "deleted {}: {} packs and {} left-over objects; moved {} into {} packs",
        size(report.deleted_bytes),
        count(report.swept),
        count(report.strays),
        size(report.moved.bytes),
        count(report.new_packs)
    )?;
    if report.reserve_used_bytes > 0 {
        writeln!(
            out,
            "the store was full: the reserve of {} was used; what nobody needs went first, and no more was moved than fits",
            size(report.reserve_used_bytes)
        )?;
        if report.waiting > 0 {
            writeln!(
                out,
                "what waits may wait for a backup that was killed, whose session looks open: if no backup runs, `--fence-after 0` frees it"
            )?;
        }
        if report.reserve_bytes == 0 {
            writeln!(
                out,
                "WARNING: there is no room for a new reserve: forget more snapshots and prune again before the store is full"
            )?;
        }
    }
    if report.waiting > 0 {
        writeln!(out, "{} condemned packs stay for now; the next prune looks at them again", count(report.waiting))?;
    }
    write_not_deleted(report, out)?;
    for fault in &report.faults {
        writeln!(out, "DAMAGE, left where it is: {fault}")?;
    }
    Ok(())
}

/// What the store denies it denies for all of them, and one sentence says more than their names.
fn write_not_deleted(report: &PruneReport, out: &mut dyn Write) -> io::Result<()> {
    let Some(why) = &report.denied else {
        return report.not_deleted.iter().try_for_each(|name| writeln!(out, "not deleted: {name}"));
    };
    writeln!(
        out,
        "{} objects could not be deleted: they are locked, or this key may not delete; nothing needs them, and the next prune tries again ({why})",
        count(report.not_deleted.len() as u64)
    )
}

/// What is true of a bucket that keeps versions, in a sentence.
pub(super) fn hidden(objects: u64) -> String {
    format!(
        "the bucket keeps versions: {} deleted objects are hidden there, and come free when their locks have ended and a lifecycle rule removes older versions",
        count(objects)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_denies_is_told_once() {
        let text = |denied: Option<&str>| {
            let not_deleted = vec!["packs/aa/one".to_owned(), "parity/one".to_owned()];
            let report = PruneReport { not_deleted, denied: denied.map(str::to_owned), ..PruneReport::default() };
            let mut out = Vec::new();
            write_not_deleted(&report, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(None), "not deleted: packs/aa/one\nnot deleted: parity/one\n");
        let told = text(Some("403"));
        assert!(
            told.starts_with("2 objects could not be deleted: they are locked,") && told.contains("(403)"),
            "{told}"
        );
    }
}
