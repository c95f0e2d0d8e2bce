//! `strongroom plan schema`: what the files may say, for editors.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use strongroom_plans::SchemaOf;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;

/// Print the JSON Schema of plans, of site.yaml or of hosts.yaml, for editors
#[derive(Debug, Args)]
#[command(after_help = "\
Draft 2020-12, made from what this release reads. An editor that speaks YAML is told of it by the first line of \
a file: # yaml-language-server: $schema=PATH

What is valid by it can still be faulty, where one value depends on another: `strongroom plan check` has \
the last word.

Examples:
  strongroom plan schema site-plan > plan.schema.json
  strongroom plan schema site | jq '.\"$defs\" | keys'")]
pub(crate) struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum, value_name = "KIND", default_value = "plan")]
    of: FileKind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FileKind {
    /// A plan that is run by itself
    Plan,
    /// A plan in the `plans` of a site that backs up
    SitePlan,
    /// A plan in the `plans` of a site that restores
    RestorePlan,
    /// A file in the `plans` of a site that says how several of them are drilled
    Drill,
    /// The site.yaml of a site
    Site,
    /// The hosts.yaml of a site
    Hosts,
}

pub(crate) fn run(args: &SchemaArgs, context: &Context) -> Result<Exit, Failure> {
    let of = match args.of {
        FileKind::Plan => SchemaOf::Plan,
        FileKind::SitePlan => SchemaOf::SitePlan,
        FileKind::RestorePlan => SchemaOf::RestorePlan,
        FileKind::Drill => SchemaOf::Drill,
        FileKind::Site => SchemaOf::Site,
        FileKind::Hosts => SchemaOf::Hosts,
    };
    context.output.answer(&Schema(of.json()))?;
    Ok(Exit::Success)
}

/// JSON is its only form.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Schema(serde_json::Value);

impl Answer for Schema {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.0)?;
        writeln!(out)
    }
}
