//! `strongroom record list`: which records there are.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_controller::restore_record::shelf::Listed;
use strongroom_controller::restores::RestoreEnding;
use strongroom_repository::text::escape;

use super::ShelfArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table, time};

/// List the records of restores, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the folder where it can be read, and asks the running controller otherwise: whoever may look at a host \
sees the records of its data.

Examples:
  strongroom record list
  strongroom record list --json | jq -r 'select(.proven | not) | .restore'")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    shelf: ShelfArgs,
}

pub(super) fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let listed = args.shelf.list("list the records", context)?;
    context.output.answer(&Records(listed))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Records(Vec<Listed>);

impl Answer for Records {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.0.is_empty() {
            return writeln!(out, "no restore was recorded yet");
        }
        let columns = ["ENDED", "REQUEST", "RESTORE", "RESULT", "DATA OF", "ON", "BY", "REASON"];
        let mut table = Table::new(&columns.map(|head| (head, Align::Left)));
        for record in &self.0 {
            let result = match (record.ending, record.proven) {
                (RestoreEnding::Restored, true) => "restored, proven".to_owned(),
                (ending, _) => format!("{ending}, not proven"),
            };
            let request = record.request.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let Listed { ended, restore, source, host, by, reason, .. } = record;
            let cells = [time(*ended), request, restore.clone(), result, source.clone(), host.clone(), by.to_string()];
            table.row(cells.into_iter().chain([escape(reason.as_bytes())]));
        }
        table.write(out)
    }
}
