//! `strongroom journal`: what the controller has written down, and whether it still is what was written.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use strongroom_controller::journal::{Journal, JournalError};
use strongroom_proto::operator::JournalRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::ControllerArgs;
use crate::output::Answer;
use crate::shown::{count, time};

/// Show the controller's journal, or verify it
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// Print entries, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the file where it can be read, and asks the running controller otherwise: an auditor needs no access \
to the controller's state folder.

Examples:
  strongroom journal show
  strongroom journal show --from 1000 --count 50
  strongroom journal show --json | jq 'select(.event == \"run-ended\")'")]
pub(crate) struct ShowArgs {
    /// From this entry on [default: the last ones]
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: u32,

    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Check that every entry is what was written, and that none is missing
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the number of entries and the newest hash. Whoever writes that down elsewhere can tell later \
that the journal was not exchanged as a whole.

Examples:
  strongroom journal verify
  strongroom journal verify --json | jq -r .hash")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    file: FileArgs,
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The journal [default: journal.db in the controller's state folder]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl JournalCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Show(args) => show(args, context),
            Self::Verify(args) => verify(args, context),
        }
    }
}

impl FileArgs {
    fn path(&self, context: &Context) -> Result<PathBuf, Failure> {
        self.journal.clone().map_or_else(|| Ok(context.state_dir()?.join(JOURNAL)), Ok)
    }

    fn open(&self, context: &Context) -> Result<Journal, Failure> {
        let path = self.path(context)?;
        if !path.exists() {
            let why = Cause::Absent(format!("{} does not exist", path.display()));
            return Err(
                Failure::new("open the journal", why).advise("say where the controller keeps it with --state-dir")
            );
        }
        context.wait("open the journal", Journal::open(&path))
    }
}

/// The journal's name in the state folder.
pub(crate) const JOURNAL: &str = "journal.db";

fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let entries = match args.file.journal.is_some() || args.file.path(context)?.exists() {
        true => read(args, context)?,
        false => ask(args, context)?,
    };
    let mut items = context.output.items();
    entries.into_iter().try_for_each(|entry| items.item(&entry))?;
    items.finish()?;
    Ok(Exit::Success)
}

fn read(args: &ShowArgs, context: &Context) -> Result<Vec<Shown>, Failure> {
    let journal = args.file.open(context)?;
    let from = match args.from {
        Some(from) => from,
        None => context.wait("read the journal", journal.newest())?.saturating_sub(args.count.into()) + 1,
    };
    let entries = context.wait("read the journal", journal.entries(from, args.count))?;
    entries.iter().map(|entry| serde_json::to_value(entry).map(Shown)).collect::<Result<_, _>>().map_err(|error| {
        // BUG: an entry serialises.
        Failure::new("show the journal", Cause::Program(Box::new(error)))
    })
}

fn ask(args: &ShowArgs, context: &Context) -> Result<Vec<Shown>, Failure> {
    let controller = args.controller.connect(context)?;
    let request = JournalRequest { from: args.from.unwrap_or(0), count_max: args.count };
    let mut client = controller.client();
    let entries: Vec<Value> = controller.ask("read the journal", context, client.journal(request))?;
    Ok(entries.into_iter().map(Shown).collect())
}

fn verify(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let journal = args.file.open(context)?;
    let (entries, hash) = context.wait("verify the journal", journal.verify())?;
    context.output.answer(&Verified { entries, hash: hash.to_string() })?;
    Ok(Exit::Success)
}

/// An entry.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Value);

impl Answer for Shown {
    /// Its number and time, and then all that it says; its hashes are for `verify`.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(entry) = self.0.as_object() else { return writeln!(out, "{}", self.0) };
        let (mut says, mut number, mut at) = (serde_json::Map::new(), 0, String::new());
        for (key, value) in entry {
            match key.as_str() {
                "number" => number = value.as_u64().unwrap_or_default(),
                "time" => at = value.as_str().and_then(|text| text.parse().ok()).map(time).unwrap_or_default(),
                "previous" | "hash" => {}
                _ => drop(says.insert(key.clone(), value.clone())),
            }
        }
        writeln!(out, "{number:>8}  {at}  {}", Value::Object(says))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Verified {
    entries: u64,
    hash: String,
}

impl Answer for Verified {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} entries, each as it was written; the newest hash is {}", count(self.entries), self.hash)
    }
}

impl From<JournalError> for Cause {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Broken { .. } => Self::Damaged(strongroom_repository::chain(&error)),
            other => Self::Program(Box::new(other)),
        }
    }
}
