//! `strongroom ls`: what is in a snapshot.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use strongroom_repository::inspect::describe_entry;
use strongroom_repository::text::escape;
use strongroom_repository::tree::order::split;
use strongroom_repository::{Entry, Kind, Tree};

use crate::access::RepositoryArgs;
use crate::choice::{self, SnapshotArg};
use crate::context::Context;
use crate::copies::CopiesArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Answer, Format, Items};
use crate::shown::{self, entry_time};

/// List what is in a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Names that are not UTF-8 are shown with \\xNN, and can be typed like that. With --json each entry is \
one line with all of its metadata.

Examples:
  strongroom ls --repo /srv/backup latest
  strongroom ls --repo /srv/backup latest@web1 /etc --long
  strongroom ls --repo /srv/backup 3f2a91c07b44 --recursive --json | jq -r .path")]
pub(crate) struct LsArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    copies: CopiesArgs,
    #[command(flatten)]
    snapshot: SnapshotArg,

    /// The directory or file in the snapshot [default: its top]
    #[arg(value_name = "PATH")]
    path: Option<OsString>,

    /// Everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Also mode, owner, group, size and time of last modification
    #[arg(short, long)]
    long: bool,
}

pub(crate) fn run(args: &LsArgs, context: &Context) -> Result<Exit, Failure> {
    let path = choice::tree_path_or_top(args.path.as_ref())?;
    let opened = args.repository.open_with(&args.copies, context)?;
    let snapshot = choice::snapshot(&opened, context, &args.snapshot.snapshot)?;
    let tree = opened.repository.tree(&snapshot);
    let top = if path.is_empty() { None } else { Some(choice::entry(context, &tree, &snapshot, &path)?) };
    let mut listing = Listing { items: context.output.items(), args, format: context.output.format() };
    match top {
        Some(entry) if entry.kind != Kind::Directory => listing.entry(split(&path).0, &entry)?,
        _ if args.recursive => listing.walk(context, &tree, &path)?,
        _ => listing.directory(context, &tree, &path)?,
    }
    listing.items.finish()?;
    Ok(Exit::Success)
}

struct Listing<'a> {
    items: Items,
    args: &'a LsArgs,
    format: Format,
}

impl Listing<'_> {
    fn directory(&mut self, context: &Context, tree: &Tree, path: &[u8]) -> Result<(), Failure> {
        let entries = context.wait(&format!("list '/{}'", escape(path)), tree.list(path))?;
        entries.iter().try_for_each(|entry| self.entry(path, entry))
    }

    fn walk(&mut self, context: &Context, tree: &Tree, path: &[u8]) -> Result<(), Failure> {
        let what = format!("list '/{}'", escape(path));
        let mut walk = tree.walk(path);
        while let Some((directory, entry)) = context.wait(&what, walk.next())? {
            self.entry(&directory, &entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, directory: &[u8], entry: &Entry) -> Result<(), Failure> {
        self.items.item(&Line::new(directory, entry, self.format, self.args))
    }
}

/// An entry as a line.
pub(crate) struct Line {
    text: String,
    json: Value,
}

impl Line {
    fn new(directory: &[u8], entry: &Entry, format: Format, args: &LsArgs) -> Self {
        if format == Format::Json {
            return Self::json(directory, entry);
        }
        let name = if args.recursive { shown::path(directory, entry) } else { escape(&entry.name) };
        Self::text(if args.long { long(entry, &name) } else { marked(entry, name) })
    }

    pub(crate) fn text(text: String) -> Self {
        Self { text, json: Value::Null }
    }

    /// All of the metadata.
    pub(crate) fn json(directory: &[u8], entry: &Entry) -> Self {
        let mut json = describe_entry(directory, entry);
        json["path"] = shown::path(directory, entry).into();
        Self { text: String::new(), json }
    }
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(to)
    }
}

impl Answer for Line {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.text)
    }
}

/// A directory is told by a slash.
pub(crate) fn marked(entry: &Entry, name: String) -> String {
    if entry.kind == Kind::Directory { name + "/" } else { name }
}

/// Columns of fixed width, so that the first line needs not wait for the last.
pub(crate) fn long(entry: &Entry, name: &str) -> String {
    let owner = |name: &str, number: u32| if name.is_empty() { number.to_string() } else { name.to_owned() };
    let (user, group) = (owner(&entry.user, entry.uid), owner(&entry.group, entry.gid));
    let size = match entry.device {
        Some((major, minor)) => format!("{major},{minor}"),
        None => shown::size(entry.size),
    };
    let mode = shown::mode(entry);
    let time = entry_time(entry.mtime);
    let name = marked(entry, name.to_owned());
    let target = entry.target.as_deref().map(|target| format!(" -> {}", escape(target))).unwrap_or_default();
    let torn = if entry.consistency.torn { "  (torn: it changed while it was read)" } else { "" };
    format!("{mode}  {user:<8} {group:<8} {size:>10}  {time}  {name}{target}{torn}")
}
