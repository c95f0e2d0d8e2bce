//! `strongroom record show`: one record, to read.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use strongroom_controller::restore_record::seal::RECORD;

use super::ShelfArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;

/// Show the record of a restore
#[derive(Debug, Args)]
#[command(after_help = "\
Shows what was written when the restore was over. Whether it still is that, `strongroom record verify` says.

Examples:
  strongroom record show restore-0123456789abcdef-1
  strongroom record show HF-2026-000001 --language zh
  strongroom record show restore-0123456789abcdef-1 --page > record.html
  strongroom record show restore-0123456789abcdef-1 --json | jq .times")]
pub(crate) struct ShowArgs {
    /// The restore's name, or the number of its request, as `strongroom record list` has them
    #[arg(value_name = "RESTORE")]
    restore: String,

    /// In which language
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    language: LanguageArg,

    /// As a page of HTML, to open in a browser or to print
    #[arg(long, conflicts_with = "json")]
    page: bool,

    #[command(flatten)]
    shelf: ShelfArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LanguageArg {
    /// English
    En,
    /// Chinese
    Zh,
}

pub(crate) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let files = args.shelf.files(&args.restore, context)?;
    let language = match args.language {
        LanguageArg::En => "en",
        LanguageArg::Zh => "zh",
    };
    let name = format!("record.{language}.{}", if args.page { "html" } else { "txt" });
    let damaged = |why: String| {
        let failure = Failure::new(format!("show the record of {}", args.restore), Cause::Damaged(why));
        failure.advise("`strongroom record verify` says what else was changed")
    };
    let file = |name: &str| files.get(name).ok_or_else(|| damaged(format!("{name} is not there")));
    let text = String::from_utf8_lossy(file(&name)?).into_owned();
    let record = serde_json::from_slice(file(RECORD)?).map_err(|error| damaged(error.to_string()))?;
    context.output.answer(&Shown { record, text })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown {
    record: Value,
    #[serde(skip)]
    text: String,
}

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())
    }
}
