//! `strongroom inspect`: stored things as text.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use strongroom_repository::inspect::{self, Thing};

use crate::access::{Opened, RepositoryArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;

/// Show a stored object as text
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no more than the beginning of an id; a commit and a checkpoint of the history are named by \
the commit's number or `latest`, the configuration needs no id. Keys and content stay sealed.

Examples:
  strongroom inspect --repo /srv/backup config
  strongroom inspect --repo /srv/backup commit latest
  strongroom inspect --repo /srv/backup pack 9c01
  strongroom inspect --repo /srv/backup snapshot 3f2a91c07b44 --json")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// What kind of object
    #[arg(value_name = "KIND")]
    kind: ObjectKind,

    /// Its id, or the first digits of it
    #[arg(value_name = "ID", default_value = "", required_if_eq_any = [
        ("kind", "pack"), ("kind", "page"), ("kind", "index"), ("kind", "snapshot"), ("kind", "commit"), ("kind", "checkpoint"),
        ("kind", "session"), ("kind", "key"),
    ])]
    id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ObjectKind {
    Pack,
    Page,
    Index,
    Snapshot,
    Commit,
    Checkpoint,
    Session,
    Key,
    Config,
}

pub(crate) fn run(args: &InspectArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    refuse_unborn_commit(args, &opened)?;
    let thing = match args.kind {
        ObjectKind::Pack => Thing::Pack,
        ObjectKind::Page => Thing::Page,
        ObjectKind::Index => Thing::Index,
        ObjectKind::Snapshot => Thing::Snapshot,
        ObjectKind::Commit => Thing::Commit,
        ObjectKind::Checkpoint => Thing::Checkpoint,
        ObjectKind::Session => Thing::Session,
        ObjectKind::Key => Thing::Key,
        ObjectKind::Config => Thing::Config,
    };
    let what = format!("inspect {} {}", format!("{:?}", args.kind).to_lowercase(), args.id);
    let described =
        context.wait(what.trim_end(), inspect::describe(&opened.repository, thing, &args.id)).map_err(|failure| {
            match failure.exit() {
                Exit::NotFound => {
                    failure.advise("objects name each other: begin with `strongroom inspect commit latest`")
                }
                _ => failure,
            }
        })?;
    context.output.answer(&Described(described))?;
    Ok(Exit::Success)
}

/// A commit that was never made is not damage.
fn refuse_unborn_commit(args: &InspectArgs, opened: &Opened) -> Result<(), Failure> {
    let newest = opened.repository.history().newest;
    match args.id.parse::<u64>() {
        Ok(number) if args.kind == ObjectKind::Commit && !(1..=newest).contains(&number) => {
            let why = Cause::Absent(format!("commits are numbered from 1 to {newest}"));
            Err(Failure::new(format!("inspect commit {number}"), why))
        }
        _ => Ok(()),
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Described(Value);

impl Answer for Described {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write_value(out, &self.0, 0)
    }
}

/// Indented lines of `name: value`; a list has a dash for each item.
fn write_value(out: &mut dyn Write, value: &Value, depth: usize) -> io::Result<()> {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match one_line(value) {
            Some(text) => writeln!(out, "{margin}{name}: {text}"),
            None => {
                writeln!(out, "{margin}{name}:")?;
                write_value(out, value, depth + 1)
            }
        }),
        Value::Array(items) => items.iter().try_for_each(|item| match one_line(item) {
            Some(text) => writeln!(out, "{margin}- {text}"),
            None => {
                writeln!(out, "{margin}-")?;
                write_value(out, item, depth + 1)
            }
        }),
        plain => writeln!(out, "{margin}{}", one_line(plain).unwrap_or_default()),
    }
}

/// A value that needs no lines of its own.
fn one_line(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".into()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.iter().all(Value::is_number) => Some(value.to_string()),
        Value::Object(fields) if fields.is_empty() => Some("{}".into()),
        // A chunk or segment is short enough to be read in one line.
        Value::Object(fields)
            if fields.len() <= 2 && fields.values().all(|value| value.is_string() || value.is_number()) =>
        {
            Some(
                fields
                    .iter()
                    .map(|(name, value)| format!("{name} {}", one_line(value).unwrap_or_default()))
                    .collect::<Vec<_>>()
                    .join("  "),
            )
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}
