//! `strongroom hold`: snapshots that must stay, whatever retention says.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_repository::ObjectId;

use crate::access::RepositoryArgs;
use crate::choice::{self, SnapshotArg, short_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::shown::{Align, Table, time};

/// Keep snapshots whatever retention says: pins and legal holds
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    Add(AddArgs),
    Release(ReleaseArgs),
    List(ListArgs),
}

impl HoldCommand {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Add(args) => add(&args, context),
            Self::Release(args) => release(&args, context),
            Self::List(args) => list(&args, context),
        }
    }
}

/// Hold a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
A snapshot may have several holds; it may be forgotten when none is left. The same name again replaces the hold.

Examples:
  strongroom hold add latest@db1 --name case-2026-17 --reason 'court order 17/2026' --repo /srv/backup
  strongroom hold add 3fa94c21 --name before-migration --reason 'way back' --until 2027-03-31 --repo /srv/backup")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    snapshot: SnapshotArg,

    #[command(flatten)]
    repository: RepositoryArgs,

    /// The name of the hold
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Why the snapshot must stay
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// The last day of the hold [default: until it is released]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,

    /// Only show which snapshot would be held
    #[arg(long)]
    dry_run: bool,
}

/// End a hold
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom hold release 3fa94c21 --name case-2026-17 --reason 'case closed' --repo /srv/backup")]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    snapshot: SnapshotArg,

    #[command(flatten)]
    repository: RepositoryArgs,

    /// The name of the hold
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Why it ends
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Only show which snapshot would be released
    #[arg(long)]
    dry_run: bool,
}

/// List the holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom hold list --repo /srv/backup")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
}

fn add(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let what = format!("hold the snapshot '{}'", args.snapshot.snapshot);
    let until = args.until.map(end_of).transpose().map_err(|why| Failure::new(what.clone(), why))?;
    if until.is_some_and(|until| until <= Timestamp::now()) {
        let why = Cause::Usage("the hold would end before it begins".into());
        return Err(Failure::new(what, why).advise("give a later day with --until, or none"));
    }
    let opened = args.repository.open(context)?;
    let snapshot = choice::snapshot(&opened, context, &args.snapshot.snapshot)?.id;
    let commit = if args.dry_run {
        None
    } else {
        Some(context.wait(&what, opened.repository.hold(snapshot, &args.name, &args.reason, until))?)
    };
    context.output.answer(&Changed { change: "held", snapshot, name: args.name.clone(), until, commit })?;
    Ok(Exit::Success)
}

fn release(args: &ReleaseArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let snapshot = choice::snapshot(&opened, context, &args.snapshot.snapshot)?.id;
    let what = format!("release the snapshot '{}'", args.snapshot.snapshot);
    let commit = if args.dry_run {
        None
    } else {
        Some(context.wait(&what, opened.repository.release(snapshot, &args.name, &args.reason))?)
    };
    context.output.answer(&Changed { change: "released", snapshot, name: args.name.clone(), until: None, commit })?;
    Ok(Exit::Success)
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let (history, now) = (opened.repository.history(), Timestamp::now());
    let holds = history.holds.iter().flat_map(|(snapshot, holds)| {
        holds.iter().map(|(name, held)| HoldRow {
            snapshot: *snapshot,
            name: name.clone(),
            reason: held.reason.clone(),
            since: held.since,
            until: held.until,
            in_force: held.is_in_force(now),
        })
    });
    context.output.answer(&Holds(holds.collect()))?;
    Ok(Exit::Success)
}

/// The end of a day on this machine's calendar.
fn end_of(date: Date) -> Result<Timestamp, Cause> {
    let next = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::system()));
    next.map(|next| next.timestamp()).map_err(|_| Cause::Usage(format!("{date} is beyond the calendar")))
}

#[derive(Debug, Serialize)]
struct Changed {
    change: &'static str,
    snapshot: ObjectId,
    name: String,
    until: Option<Timestamp>,
    /// None for a rehearsal.
    commit: Option<u64>,
}

impl Answer for Changed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (id, name, change) = (short_id(&self.snapshot.hex()), &self.name, self.change);
        match self.commit {
            Some(commit) => writeln!(out, "snapshot {id} is {change} ({name}, commit {commit})"),
            None => writeln!(out, "snapshot {id} would be {change} ({name}); nothing was changed"),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Holds(Vec<HoldRow>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct HoldRow {
    snapshot: ObjectId,
    name: String,
    reason: String,
    since: Timestamp,
    until: Option<Timestamp>,
    in_force: bool,
}

impl Answer for Holds {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("SNAPSHOT", Align::Left),
            ("NAME", Align::Left),
            ("SINCE", Align::Left),
            ("UNTIL", Align::Left),
            ("REASON", Align::Left),
        ]);
        for hold in &self.0 {
            let until = match hold.until {
                None => "released".to_owned(),
                Some(until) if hold.in_force => time(until),
                Some(until) => format!("{} (ended)", time(until)),
            };
            let id = short_id(&hold.snapshot.hex());
            table.row([id, hold.name.clone(), time(hold.since), until, hold.reason.clone()]);
        }
        table.write(out)
    }
}
