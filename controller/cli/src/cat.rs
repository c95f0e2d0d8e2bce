//! `strongroom cat`: the content of a file, compared with its hash.

use std::ffi::OsString;

use clap::Args;
use strongroom_repository::text::escape;
use strongroom_repository::{Entry, Extent, Kind, Snapshot, Tree};

use crate::access::{Opened, RepositoryArgs};
use crate::choice::{self, SnapshotArg};
use crate::context::Context;
use crate::copies::CopiesArgs;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Items;

/// Print the content of a file
#[derive(Debug, Args)]
#[command(after_help = "\
Every chunk is compared with its name before it is printed, and the whole file with its hash at the \
end. Ends with 4 if they differ.

Examples:
  strongroom cat --repo /srv/backup latest /etc/hosts
  strongroom cat --repo /srv/backup latest@db1 /var/dumps/all.sql | psql")]
pub(crate) struct CatArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    copies: CopiesArgs,
    #[command(flatten)]
    snapshot: SnapshotArg,

    /// The file in the snapshot
    #[arg(value_name = "PATH")]
    path: OsString,
}

/// Holes are printed in pieces of so many zeros.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

pub(crate) fn run(args: &CatArgs, context: &Context) -> Result<Exit, Failure> {
    let path = choice::tree_path(&args.path)?;
    let opened = args.repository.open_with(&args.copies, context)?;
    let snapshot = choice::snapshot(&opened, context, &args.snapshot.snapshot)?;
    let tree = opened.repository.tree(&snapshot);
    let entry = choice::entry(context, &tree, &snapshot, &path)?;
    refuse_other_kinds(&entry, &path, &snapshot)?;
    let what = format!("print '/{}'", escape(&path));
    print(&what, context, &opened, &tree, &entry)?;
    Ok(Exit::Success)
}

fn refuse_other_kinds(entry: &Entry, path: &[u8], snapshot: &Snapshot) -> Result<(), Failure> {
    let id = choice::short(snapshot);
    let path = escape(path);
    let (why, next) = match (entry.kind, &entry.target) {
        (Kind::File, _) => return Ok(()),
        (Kind::Directory, _) => ("it is a directory".to_owned(), format!("strongroom ls {id} '/{path}'")),
        (Kind::Symlink, Some(target)) => {
            (format!("it is a symbolic link to {}", escape(target)), "print what it leads to".to_owned())
        }
        _ => ("it is not a regular file and has no content".to_owned(), format!("strongroom ls --long {id} '/{path}'")),
    };
    Err(Failure::new(format!("print '/{path}'"), Cause::Usage(why)).advise(next))
}

fn print(what: &str, context: &Context, opened: &Opened, tree: &Tree, entry: &Entry) -> Result<(), Failure> {
    let mut content = Content { items: context.output.items(), hasher: blake3::Hasher::new(), position: 0 };
    let mut layout = Layout::new(entry);
    for chunk in context.wait(what, tree.chunks(entry))? {
        let bytes = context.wait(what, opened.repository.read_chunk(&chunk))?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let damaged =
                || Failure::new(what, Cause::Damaged("it has more content than its map of holes has room for".into()));
            let (offset, room) = layout.next_run(rest.len()).ok_or_else(damaged)?;
            content.zeros_up_to(offset)?;
            content.bytes(&rest[..room])?;
            rest = &rest[room..];
        }
    }
    content.zeros_up_to(entry.size)?;
    content.items.finish()?;
    match entry.hash {
        Some(expected) if content.hasher.finalize().as_bytes() != &expected => Err(Failure::new(
            what,
            Cause::Damaged("what was printed does not have the hash that was taken at the source".into()),
        )),
        _ => Ok(()),
    }
}

/// What was printed so far.
struct Content {
    items: Items,
    hasher: blake3::Hasher,
    position: u64,
}

impl Content {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hasher.update(bytes);
        self.position += bytes.len() as u64;
        self.items.bytes(bytes)
    }

    fn zeros_up_to(&mut self, offset: u64) -> Result<(), Failure> {
        while self.position < offset {
            let missing = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            self.bytes(&ZEROS[..missing.min(ZEROS.len())])?;
        }
        Ok(())
    }
}

/// Where the stored bytes of a file belong.
struct Layout {
    extents: Vec<Extent>,
    next: usize,
    used: u64,
}

impl Layout {
    fn new(entry: &Entry) -> Self {
        let whole = || vec![Extent { offset: 0, length: entry.size }];
        Self { extents: entry.extents.clone().unwrap_or_else(whole), next: 0, used: 0 }
    }

    /// Where the next bytes go, and how many of `wanted` fit there.
    fn next_run(&mut self, wanted: usize) -> Option<(u64, usize)> {
        while self.extents.get(self.next).is_some_and(|extent| extent.length == self.used) {
            self.next += 1;
            self.used = 0;
        }
        let extent = self.extents.get(self.next)?;
        let room = usize::try_from(extent.length - self.used).unwrap_or(usize::MAX).min(wanted);
        let offset = extent.offset + self.used;
        self.used += room as u64;
        Some((offset, room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_go_where_they_were() {
        let mut entry = Entry::new(Vec::new(), Kind::File);
        entry.extents = Some(vec![
            Extent { offset: 10, length: 4 },
            Extent { offset: 20, length: 0 },
            Extent { offset: 100, length: 5 },
        ]);
        let mut layout = Layout::new(&entry);
        let runs: Vec<_> = std::iter::from_fn(|| layout.next_run(3)).collect();
        assert_eq!(runs, [(10, 3), (13, 1), (100, 3), (103, 2)]);
    }
}
