//! `strongroom diff`: what changed between two snapshots.
//!
//! Two walks side by side, in the one order of all trees. Equal trees are told by their root and cost nothing; otherwise the cost is that of reading both trees
//! below PATH (no content is read). Skipping equal subtrees by their page needs a walk that shows pages, which the engine does not offer yet.

mod compare;

use std::cmp::Ordering;
use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::text::escape;
use strongroom_repository::tree::order;
use strongroom_repository::{Located, Snapshot, Tree, TreeWalk};

use crate::access::RepositoryArgs;
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::ls::marked;
use crate::output::{Answer, Items};
use crate::shown;
use compare::{Aspect, compare};

/// Show what changed between two snapshots
#[derive(Debug, Args)]
#[command(after_help = "\
One line for each path: + added, - removed, C content changed, M only metadata changed (which), T \
another type. A directory's own time is left out: it follows from what changed in it. Reads both \
trees below PATH, but no content.

Examples:
  strongroom diff --repo /srv/backup 2026-11-20 latest
  strongroom diff --repo /srv/backup 3f2a91c07b44 latest /etc
  strongroom diff --repo /srv/backup 3f2a latest --json | jq -r 'select(.change == \"added\").path'")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// The snapshot to compare from, as for `ls`
    #[arg(value_name = "OLD")]
    old: String,

    /// The snapshot to compare to
    #[arg(value_name = "NEW")]
    new: String,

    /// Only this path and what is below it
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
}

pub(crate) fn run(args: &DiffArgs, context: &Context) -> Result<Exit, Failure> {
    let path = choice::tree_path_or_top(args.path.as_ref())?;
    let opened = args.repository.open(context)?;
    let snapshot = |spec| choice::snapshot(&opened, context, spec);
    let (old, new) = (&snapshot(&args.old)?, &snapshot(&args.new)?);
    let trees = (opened.repository.tree(old), opened.repository.tree(new));
    refuse_absent(context, &trees, (old, new), &path)?;
    let mut items = context.output.items();
    let mut counts = Counts::default();
    if trees.0.root() != trees.1.root() {
        let what = format!("compare snapshots {} and {}", choice::short(old), choice::short(new));
        let mut pair = Pair::new(context, what, trees.0.walk(&path), trees.1.walk(&path))?;
        while let Some(change) = pair.next_change()? {
            counts.add(change.change);
            items.item(&change)?;
        }
    }
    counts.finish(items, context)?;
    Ok(Exit::Success)
}

/// A path that is in neither is a slip of the hand, not an empty difference.
fn refuse_absent(
    context: &Context,
    trees: &(Tree, Tree),
    snapshots: (&Snapshot, &Snapshot),
    path: &[u8],
) -> Result<(), Failure> {
    let what = format!("compare '/{}'", escape(path));
    if path.is_empty()
        || context.wait(&what, trees.0.lookup(path))?.is_some()
        || context.wait(&what, trees.1.lookup(path))?.is_some()
    {
        return Ok(());
    }
    let why =
        Cause::Absent(format!("it is in neither of {} and {}", choice::short(snapshots.0), choice::short(snapshots.1)));
    Err(Failure::new(what, why).advise("`strongroom ls` and `strongroom find` show what there is"))
}

/// Two walks, side by side.
struct Pair<'a> {
    context: &'a Context,
    what: String,
    walks: (TreeWalk, TreeWalk),
    heads: (Option<Located>, Option<Located>),
}

impl<'a> Pair<'a> {
    fn new(context: &'a Context, what: String, old: TreeWalk, new: TreeWalk) -> Result<Self, Failure> {
        let mut pair = Self { context, what, walks: (old, new), heads: (None, None) };
        pair.take_old()?;
        pair.take_new()?;
        Ok(pair)
    }

    fn take_old(&mut self) -> Result<Option<Located>, Failure> {
        let next = self.context.wait(&self.what, self.walks.0.next())?;
        Ok(std::mem::replace(&mut self.heads.0, next))
    }

    fn take_new(&mut self) -> Result<Option<Located>, Failure> {
        let next = self.context.wait(&self.what, self.walks.1.next())?;
        Ok(std::mem::replace(&mut self.heads.1, next))
    }

    fn next_change(&mut self) -> Result<Option<Changed>, Failure> {
        loop {
            let order = match (&self.heads.0, &self.heads.1) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => order::keys((&old.0, &old.1.name), (&new.0, &new.1.name)),
            };
            let old = if order.is_le() { self.take_old()? } else { None };
            let new = if order.is_ge() { self.take_new()? } else { None };
            if let Some(change) = change(old, new) {
                return Ok(Some(change));
            }
        }
    }
}

fn change(old: Option<Located>, new: Option<Located>) -> Option<Changed> {
    let aspects = match (&old, &new) {
        (Some((_, old)), Some((_, new))) => compare(old, new),
        _ => Vec::new(),
    };
    let change = match (&old, &new) {
        (None, _) => Change::Added,
        (Some(_), None) => Change::Removed,
        _ if aspects.is_empty() => return None,
        _ if aspects.contains(&Aspect::Type) => Change::Type,
        _ if aspects.contains(&Aspect::Content) => Change::Content,
        _ => Change::Metadata,
    };
    let size = |located: &Option<Located>| located.as_ref().map(|(_, entry)| entry.size);
    let (size_before, size_after) = (size(&old), size(&new));
    let (directory, entry) = new.or(old)?;
    let path = marked(&entry, shown::path(&directory, &entry));
    Some(Changed { change, path, aspects, size_before, size_after })
}

/// One path that is not the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Changed {
    change: Change,
    path: String,
    aspects: Vec<Aspect>,
    size_before: Option<u64>,
    size_after: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Added,
    Removed,
    Type,
    Content,
    Metadata,
}

impl Answer for Changed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Type => 'T',
            Change::Content => 'C',
            Change::Metadata => 'M',
        };
        let names: Vec<&str> =
            self.aspects.iter().filter(|aspect| **aspect != Aspect::Content).map(|aspect| aspect.name()).collect();
        match self.change {
            Change::Metadata => writeln!(out, "{sign} {}  ({})", self.path, names.join(", ")),
            _ => writeln!(out, "{sign} {}", self.path),
        }
    }
}

/// How much changed.
#[derive(Debug, Default)]
struct Counts {
    added: u64,
    removed: u64,
    changed: u64,
}

impl Counts {
    fn add(&mut self, change: Change) {
        match change {
            Change::Added => self.added += 1,
            Change::Removed => self.removed += 1,
            Change::Type | Change::Content | Change::Metadata => self.changed += 1,
        }
    }

    /// The sum is talk, not data.
    fn finish(&self, items: Items, context: &Context) -> Result<(), Failure> {
        items.finish()?;
        let Self { added, removed, changed } = self;
        context.say(&format!(
            "{} added, {} removed, {} changed",
            shown::count(*added),
            shown::count(*removed),
            shown::count(*changed)
        ));
        Ok(())
    }
}
