//! `strongroom repo lock`: what is in force in a bucket with object lock can be deleted by nobody for longer.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_plans::TimeSpan;
use strongroom_repository::lock::{self, LockOptions, LockReport};
use strongroom_repository::rebuild::Act;
use strongroom_repository::store::LockMode;

use crate::access::{LocatedArgs, Opened};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::shown::{count, time};

/// Make the locks of what is in force longer, in a bucket with object lock
#[derive(Debug, Args)]
#[command(after_help = "\
For every day: the bucket's default retention locks what is written for a time, and what is deduplicated is needed for \
longer. Looks at every object that a snapshot in force needs, and makes the locks longer that end too soon; none \
becomes shorter, and who may lift one stays as it is. With compliance nobody can undo it, whoever he is: what is \
locked is paid for until then. Ends with 4 if something in force stays unlocked.

Examples:
  strongroom repo lock s3://bucket/prefix --for 30d --dry-run
  strongroom repo lock s3://bucket/prefix --for 30d
  strongroom repo lock s3://bucket/prefix --for 30d --json | jq .requests")]
pub(crate) struct LockArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// No lock may end sooner than after this, for example 30d; those that do get a tenth more
    #[arg(long = "for", value_name = "TIME")]
    lasting: TimeSpan,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &LockArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let act = if args.dry_run { Act::DryRun } else { Act::ForReal };
    let report = extend(&opened, args.lasting, act, context)?;
    let exit = if report.is_held() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Locked { dry_run: args.dry_run, held: report.is_held(), report })?;
    Ok(exit)
}

/// Makes the locks of an open repository longer, if it lies in a bucket.
pub(crate) fn extend(opened: &Opened, lasting: TimeSpan, act: Act, context: &Context) -> Result<LockReport, Failure> {
    let what = format!("lock what is in force at {}", opened.location);
    let Some(bucket) = &opened.measured.s3 else {
        let why = "only objects in a bucket with object lock can be locked".into();
        return Err(Failure::new(what, Cause::Usage(why)).advise("give s3://bucket/prefix"));
    };
    let options = LockOptions { now: Timestamp::now(), lasting: lasting.into(), act };
    let extended = context.wait(&what, lock::extend(&opened.repository, bucket, &options));
    extended.map_err(|failure| match failure.exit() {
        Exit::Denied => failure
            .advise("let this access key see locks and make them longer: s3:GetObjectRetention, s3:PutObjectRetention"),
        _ => failure,
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Locked {
    dry_run: bool,
    held: bool,
    report: LockReport,
}

impl Answer for Locked {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        let verb = if self.dry_run { "to be locked for longer" } else { "locked for longer" };
        writeln!(
            out,
            "{} objects in force; {verb}: {}; {} requests",
            count(report.objects),
            count(report.extended),
            count(report.requests.heads + report.requests.puts)
        )?;
        if let (Some(mode), Some(until)) = (report.mode, report.until) {
            let holds = if self.dry_run { "would hold" } else { "hold" };
            writeln!(out, "the locks {holds} until {} at least: {}", time(until), in_words(mode))?;
        }
        for exposed in &report.exposed {
            writeln!(out, "NOT LOCKED: {}: {}", exposed.object, exposed.why)?;
        }
        if report.newest.is_none() {
            writeln!(
                out,
                "NOT LOCKED from its first moment is what is written now: give the bucket a default retention"
            )?;
        }
        if self.dry_run { writeln!(out, "nothing was changed") } else { Ok(()) }
    }
}

/// Who may lift locks.
pub(super) fn in_words(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Compliance => "nobody can lift them (compliance)",
        LockMode::Governance => "whoever has that right may lift them (governance)",
    }
}
