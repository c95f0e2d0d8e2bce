//! `strongroom find`: where something is in a snapshot.

use std::ffi::OsString;

use clap::Args;
use globset::{GlobBuilder, GlobMatcher};
use strongroom_repository::text::escape;

use crate::access::RepositoryArgs;
use crate::choice::{self, SnapshotArg};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::ls::{Line, long, marked};
use crate::output::Format;
use crate::shown;

/// Find files in a snapshot by name or pattern
#[derive(Debug, Args)]
#[command(after_help = "\
The pattern is compared with names as they are shown. Without a slash it is compared with the name \
alone, with one with the whole path. `*` and `?` stop at a slash, `**` does not. Reads the whole \
tree below PATH. Ends with 7 if nothing is found.

Examples:
  strongroom find --repo /srv/backup latest hosts
  strongroom find --repo /srv/backup latest '*.conf' /etc
  strongroom find --repo /srv/backup 2026-11-21 '/srv/**/ledger.*' --long")]
pub(crate) struct FindArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    snapshot: SnapshotArg,

    /// A name, or a pattern with * ? [ ] { }
    #[arg(value_name = "PATTERN")]
    pattern: String,

    /// Only below this directory of the snapshot
    #[arg(value_name = "PATH")]
    path: Option<OsString>,

    /// Also mode, owner, group, size and time of last modification
    #[arg(short, long)]
    long: bool,
}

pub(crate) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    let pattern = Pattern::parse(&args.pattern)?;
    let path = choice::tree_path_or_top(args.path.as_ref())?;
    let opened = args.repository.open(context)?;
    let snapshot = choice::snapshot(&opened, context, &args.snapshot.snapshot)?;
    let tree = opened.repository.tree(&snapshot);
    if !path.is_empty() {
        choice::entry(context, &tree, &snapshot, &path)?;
    }
    let mut walk = tree.walk(&path);
    let mut items = context.output.items();
    let mut found = Exit::NotFound;
    while let Some((directory, entry)) = context.wait(&format!("search '/{}'", escape(&path)), walk.next())? {
        let shown = shown::path(&directory, &entry);
        if !pattern.matches(&shown, &escape(&entry.name)) {
            continue;
        }
        found = Exit::Success;
        items.item(&match (context.output.format(), args.long) {
            (Format::Json, _) => Line::json(&directory, &entry),
            (Format::Text, true) => Line::text(long(&entry, &shown)),
            (Format::Text, false) => Line::text(marked(&entry, shown)),
        })?;
    }
    items.finish()?;
    if found == Exit::NotFound {
        context.say(&format!("nothing matches '{}' in snapshot {}", args.pattern, choice::short(&snapshot)));
    }
    Ok(found)
}

/// What is looked for.
#[derive(Debug)]
struct Pattern {
    glob: GlobMatcher,
    on_path: bool,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Failure> {
        let on_path = text.contains('/');
        // A backslash is part of a shown name (\xNN), so it escapes nothing here; [*] means a star.
        let glob = GlobBuilder::new(text.trim_matches('/')).literal_separator(true).backslash_escape(false).build();
        let glob = glob.map_err(|fault| {
            let why = Cause::Usage(fault.to_string());
            Failure::new(format!("search for '{text}'"), why)
                .advise("put a [ ] { } * or ? that is meant as itself in brackets: [[]")
        })?;
        Ok(Self { glob: glob.compile_matcher(), on_path })
    }

    fn matches(&self, path: &str, name: &str) -> bool {
        self.glob.is_match(if self.on_path { path } else { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, expect: bool) {
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(Pattern::parse(pattern).unwrap().matches(path, name), expect, "{pattern} on {path}");
    }

    #[test]
    fn patterns_mean_names_or_paths() {
        check("hosts", "etc/hosts", true);
        check("host", "etc/hosts", false);
        check("*.conf", "etc/deep/a.conf", true);
        check("/etc/*.conf", "etc/deep/a.conf", false);
        check("/etc/**/*.conf", "etc/deep/a.conf", true);
        check("etc/hosts", "srv/etc/hosts", false);
        check(r"\xc5*", r"srv/\xc5\xcc", true);
        check("a[*]", "srv/a*", true);
        assert!(Pattern::parse("a[").is_err());
    }
}
