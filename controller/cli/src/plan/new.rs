//! `strongroom plan new`: a plan to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use strongroom_plans::{Name, TEMPLATES, Template};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;

/// Write a new plan from one of those that are shipped
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is overwritten. The new plan names sources and a repository that are examples: change them, then \
let `strongroom plan check` look at it.

Examples:
  strongroom plan new --template database-files --name billing-db billing-db.yaml
  strongroom plan new --template os-image --name images images.yaml --dry-run")]
pub(crate) struct NewArgs {
    /// The plan to begin with
    #[arg(long, value_name = "TEMPLATE", value_parser = PossibleValuesParser::new(TEMPLATES.iter().map(|template| template.name)))]
    template: String,

    /// What the plan is called
    #[arg(long, value_name = "NAME")]
    name: Name,

    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Only print what would be written
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &NewArgs, context: &Context) -> Result<Exit, Failure> {
    // BUG if it is none: the command line takes no other names.
    let template: &Template = TEMPLATES.iter().find(|template| template.name == args.template).expect("a template");
    let text = template.text(&args.name);
    if !args.dry_run {
        let failed = |source| Cause::File { doing: "write", path: args.file.clone(), source };
        let written = OpenOptions::new().write(true).create_new(true).open(&args.file);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(failed).doing(|| "write the new plan".into())?;
    }
    let file = args.file.display().to_string();
    context.output.answer(&NewPlan { file, written: !args.dry_run, text })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct NewPlan {
    file: String,
    written: bool,
    text: String,
}

impl Answer for NewPlan {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { file, written, text } = self;
        if !written {
            return out.write_all(text.as_bytes());
        }
        writeln!(out, "wrote {file}")?;
        writeln!(out, "next: change its sources and repository, then `strongroom plan check {file}`")
    }
}
