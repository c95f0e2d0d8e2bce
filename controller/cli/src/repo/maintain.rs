//! `strongroom repo maintain`: the controller maintains a repository of its site now.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_controller::maintenance::{Figures, LockFigures, MaintenanceEnding, MaintenanceReport, PromiseFigures};
use strongroom_proto::operator::MaintainRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::output::Answer;
use crate::shown::{count, size, time};

use super::{lock, prune};

/// Have the running controller maintain a repository of its site now
#[derive(Debug, Args)]
#[command(after_help = "\
What `maintenance:` of the repository in site.yaml has the controller do at its due times: forget by each plan's \
`retain`, prune, make locks longer and scrub where that is said. Waits for the end; interrupted, the maintenance goes on. Ends with 4 if \
anything is wrong or was refused.

Examples:
  strongroom repo maintain main --dry-run
  strongroom repo maintain main
  strongroom repo maintain main --json | jq .figures.prune")]
pub(crate) struct MaintainArgs {
    /// The repository's name in site.yaml
    #[arg(value_name = "NAME")]
    name: String,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) fn run(args: &MaintainArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let request = MaintainRequest { repository: args.name.clone(), dry_run: args.dry_run };
    let what = format!("maintain the repository {}", args.name);
    let report: MaintenanceReport = controller.ask(&what, context, client.maintain(request))?;
    let exit = match report.ending {
        MaintenanceEnding::Done => Exit::Success,
        MaintenanceEnding::Failed => Exit::Failed,
        MaintenanceEnding::Refused
        | MaintenanceEnding::Damaged
        | MaintenanceEnding::Behind
        | MaintenanceEnding::Exposed => Exit::Damaged,
    };
    let MaintenanceReport { ending, reason, figures } = report;
    context.output.answer(&Maintained { dry_run: args.dry_run, ending, reason, figures })?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Maintained {
    dry_run: bool,
    ending: MaintenanceEnding,
    reason: Option<String>,
    figures: Figures,
}

impl Answer for Maintained {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { ending, reason, figures: Figures { forget, prune, lock, scrub }, .. } = self;
        if let Some(forget) = forget {
            let verb = if forget.commit.is_some() || forget.forgotten == 0 { "forgotten" } else { "to be forgotten" };
            writeln!(out, "{verb}: {}; kept: {}", count(forget.forgotten), count(forget.kept))?;
        }
        if let Some(figures) = prune {
            let verb = if self.dry_run { "would come free" } else { "came free" };
            writeln!(out, "{} {verb}, {} moved", size(figures.deleted_bytes), size(figures.moved_bytes))?;
            if figures.hidden > 0 {
                writeln!(out, "{}", prune::hidden(figures.hidden))?;
            }
        }
        if let Some(lock) = lock {
            write_lock(lock, self.dry_run, out)?;
        }
        if let Some(scrub) = scrub {
            let verb = if self.dry_run { "to be hashed" } else { "hashed" };
            writeln!(out, "{verb}: {} objects, {}", count(scrub.objects), size(scrub.bytes))?;
            if let Some(promise) = &scrub.promise {
                writeln!(out, "{}", promised(promise))?;
            }
        }
        match (reason, self.dry_run) {
            (Some(reason), _) => writeln!(out, "{}: {reason}", ending.to_string().to_uppercase()),
            (None, true) => writeln!(out, "nothing was changed"),
            (None, false) => writeln!(out, "{ending}"),
        }
    }
}

fn write_lock(figures: &LockFigures, is_rehearsal: bool, out: &mut dyn Write) -> io::Result<()> {
    let verb = if is_rehearsal { "to be locked for longer" } else { "locked for longer" };
    writeln!(out, "{verb}: {} of {} objects in force", count(figures.extended), count(figures.objects))?;
    match (figures.mode, figures.until) {
        (Some(mode), Some(until)) => {
            writeln!(out, "no lock ends before {}: {}", time(until), lock::in_words(mode))
        }
        _ => Ok(()),
    }
}

/// How the promise of a scrub stands, in a sentence.
pub(crate) fn promised(promise: &PromiseFigures) -> String {
    let days = promise.every_seconds / 86_400;
    match (promise.kept, promise.broken_since) {
        (true, _) => format!("every byte within {days} days: kept"),
        (false, Some(since)) => format!("every byte within {days} days: BROKEN since {}", time(since)),
        (false, None) => format!("every byte within {days} days: BROKEN"),
    }
}
