//! `strongroom controller`: the controller's own state.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;
use strongroom_controller::daemon::StateAnswer;
use strongroom_proto::operator::StoreStateRequest;

use super::ControllerArgs;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table, count, size};

/// Keep the controller itself
#[derive(Debug, Subcommand)]
pub(crate) enum ControllerCommand {
    Backup(BackupArgs),
}

/// Store the controller's journal, site, keys and state in every repository of the site now
#[derive(Debug, Args)]
#[command(after_help = "\
The running controller does this by itself: daily, and after each maintenance of a repository. \
`strongroom recover` begins again from any one of these snapshots. Ends with 1 where one could not be made.

Examples:
  strongroom controller backup --dry-run
  strongroom controller backup
  strongroom controller backup --json | jq -r '.[].stored.snapshot'")]
pub(crate) struct BackupArgs {
    /// Only say what would be stored
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl ControllerCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let Self::Backup(args) = self;
        let controller = args.controller.connect(context)?;
        let mut client = controller.client();
        let call = client.store_state(StoreStateRequest { dry_run: args.dry_run });
        let answers: Vec<StateAnswer> = controller.ask("store the controller's own state", context, call)?;
        let failed = answers.iter().any(|answer| answer.stored.is_none());
        context.output.answer(&Shown { answers, dry_run: args.dry_run })?;
        Ok(if failed { Exit::Failed } else { Exit::Success })
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown {
    answers: Vec<StateAnswer>,
    #[serde(skip)]
    dry_run: bool,
}

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("REPOSITORY", Align::Left),
            ("SNAPSHOT", Align::Left),
            ("JOURNAL UP TO", Align::Right),
            ("FILES", Align::Right),
            ("SIZE", Align::Right),
            ("", Align::Left),
        ]);
        for StateAnswer { repository, stored, reason } in &self.answers {
            let snapshot = stored.as_ref().and_then(|stored| stored.snapshot.as_deref());
            let number = |number: Option<u64>| number.map_or("-".into(), count);
            table.row([
                repository.clone(),
                snapshot.map_or("-".into(), short_id),
                number(stored.as_ref().map(|stored| stored.entry)),
                number(stored.as_ref().map(|stored| stored.files)),
                stored.as_ref().map_or("-".into(), |stored| size(stored.bytes)),
                reason.as_ref().map(|reason| format!("FAILED: {reason}")).unwrap_or_default(),
            ]);
        }
        table.write(out)?;
        if self.dry_run { writeln!(out, "nothing was stored") } else { Ok(()) }
    }
}
