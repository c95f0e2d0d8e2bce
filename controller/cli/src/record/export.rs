//! `strongroom record export`: the files of a record, for an auditor.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::ShelfArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;

/// Copy the files of a record into a new folder, with the public key that checks them
#[derive(Debug, Args)]
#[command(after_help = "\
The folder is verified without Strongroom, too:
  b3sum --check record.b3
  openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in record.b3 -sigfile record.sig

Examples:
  strongroom record export HF-2026-000001 --to /media/usb/record
  strongroom record export restore-0123456789abcdef-1 --to /media/usb/record --dry-run")]
pub(crate) struct ExportArgs {
    /// The restore's name, or the number of its request, as `strongroom record list` has them
    #[arg(value_name = "RESTORE")]
    restore: String,

    /// The folder, which is made
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    shelf: ShelfArgs,
}

pub(super) fn run(args: &ExportArgs, context: &Context) -> Result<Exit, Failure> {
    let files = args.shelf.files(&args.restore, context)?;
    let what = || format!("export the record of {}", args.restore);
    let failed = |doing, path: &PathBuf| {
        let path = path.clone();
        move |source| Cause::File { doing, path, source }
    };
    if !args.dry_run {
        fs::create_dir(&args.to).map_err(failed("create", &args.to)).doing(what)?;
        for (name, bytes) in &files {
            let path = args.to.join(name);
            fs::write(&path, bytes).map_err(failed("write", &path)).doing(what)?;
        }
    }
    let files = files.into_keys().map(|name| args.to.join(name)).collect();
    context.output.answer(&Exported { restore: args.restore.clone(), files, dry_run: args.dry_run })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Exported {
    restore: String,
    files: Vec<PathBuf>,
    dry_run: bool,
}

impl Answer for Exported {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would write" } else { "wrote" };
        self.files.iter().try_for_each(|file| writeln!(out, "{verb} {}", file.display()))?;
        writeln!(
            out,
            "verify it with `strongroom record verify DIR --key key.pem`, or as --help says with b3sum and openssl"
        )
    }
}
