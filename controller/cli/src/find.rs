//! `strongroom find`: where something is, in one snapshot or in all of them.

mod candidates;
mod described;
mod everywhere;
mod pattern;
mod search;
mod through;
mod wanted;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_repository::select;
use strongroom_repository::text::escape;

pub(crate) use self::candidates::Candidates;
pub(crate) use self::everywhere::known;
use self::pattern::Pattern;
pub(crate) use self::search::{Place, search};
pub(crate) use self::wanted::Wanted;
use crate::access::{self, KeyArgs};
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::ControllerArgs;
use crate::ls::{Line, long, marked};
use crate::output::Format;
use crate::shown;

/// Find files, in a snapshot or in all of them: what can be had back, as of when
#[derive(Debug, Args)]
#[command(after_help = "\
A pattern is compared with names as they are shown. `*` and `?` stop at a slash, `**` does not.

In one snapshot (SNAP PATTERN): without a slash the pattern is compared with the name alone, with one with \
the whole path. Reads the whole tree below PATH.

In all of them (--name or --path): of the whole fleet, by the running controller, which has the keys and shows the \
hosts that one may see; or with keys of one's own, of a repository (--repo) or of a site (--site). For each host and \
path it shows the restore points that can bring it back, the newest first: how far and how long ago that was proven, \
which repositories have it, what is lost since (until --at), and what a restore will take, as those before went. The \
names are kept in the cache: the first search reads the metadata of all snapshots, later ones only what came since.

Ends with 7 if nothing is found, with 4 if metadata are damaged, with 5 if a repository of the site is out of reach.

Examples:
  strongroom find --name 'ledger.*'
  strongroom find --path /srv/billing/ledger.db --host db1 --at 2026-11-21T18:00
  strongroom find --site /etc/strongroom --path /srv/billing/ledger.db --host db1 --at 2026-11-21T18:00
  strongroom find --repo /srv/backup --path '/srv/**/*.pem' --json
  strongroom find --repo /srv/backup latest hosts
  strongroom find --repo /srv/backup latest '*.conf' /etc
  strongroom find --repo /srv/backup 2026-11-21 '/srv/**/ledger.*' --long")]
pub(crate) struct FindArgs {
    /// One snapshot: `latest`, `latest@HOST`, `latest@HOST:/PATH`, the first digits of its id, or a time
    #[arg(value_name = "SNAP", required_unless_present_any = ["name", "path"], requires = "pattern")]
    snapshot: Option<String>,

    /// A name, or a pattern with * ? [ ] { }
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,

    /// Only below this directory of the snapshot
    #[arg(value_name = "PATH")]
    below: Option<OsString>,

    /// Also mode, owner, group, size and time of last modification
    #[arg(short, long)]
    long: bool,

    #[command(flatten)]
    everywhere: EverywhereArgs,

    /// The repository: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: Option<String>,

    #[command(flatten)]
    key: KeyArgs,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Debug, Args)]
struct EverywhereArgs {
    /// In all snapshots: names like this
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["snapshot", "path", "long"])]
    name: Option<String>,

    /// In all snapshots: this path, or paths like this
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["snapshot", "long"])]
    path: Option<String>,

    /// In all repositories of the site in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "snapshot")]
    site: Option<PathBuf>,

    /// Only of this host; may be given more than once
    #[arg(long = "host", value_name = "NAME", conflicts_with = "snapshot")]
    hosts: Vec<String>,

    /// As of this time: no restore point that is younger
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "snapshot")]
    at: Option<Timestamp>,

    /// So many restore points of each [default: 1 for names, 10 for paths]
    #[arg(long, value_name = "N", conflicts_with = "snapshot")]
    points: Option<NonZeroUsize>,

    /// So many paths
    #[arg(long, value_name = "N", default_value = "1000", conflicts_with = "snapshot")]
    limit: NonZeroUsize,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    select::parse_time(text, &TimeZone::system()).ok_or_else(|| "write a time such as 2026-11-21T03:00".into())
}

pub(crate) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    match (&args.snapshot, &args.pattern) {
        (Some(snapshot), Some(pattern)) => in_one(args, snapshot, pattern, context),
        _ if args.repo.is_some() || args.everywhere.site.is_some() => everywhere::run(args, context),
        _ => through::run(args, context),
    }
}

impl FindArgs {
    fn url(&self) -> Result<&str, Failure> {
        self.repo.as_deref().ok_or_else(|| {
            let why = Cause::Usage("no repository was named".into());
            Failure::new("find files", why)
                .advise("give --repo URL, or set STRONGROOM_REPOSITORY; or --site DIR with --name or --path")
        })
    }
}

fn in_one(args: &FindArgs, snapshot: &str, pattern: &str, context: &Context) -> Result<Exit, Failure> {
    let matcher = Pattern::parse(pattern)?;
    let path = choice::tree_path_or_top(args.below.as_ref())?;
    let opened = access::open(args.url()?, &args.key, context)?;
    let snapshot = choice::snapshot(&opened, context, snapshot)?;
    let tree = opened.repository.tree(&snapshot);
    if !path.is_empty() {
        choice::entry(context, &tree, &snapshot, &path)?;
    }
    let mut walk = tree.walk(&path);
    let mut items = context.output.items();
    let mut found = Exit::NotFound;
    while let Some((directory, entry)) = context.wait(&format!("search '/{}'", escape(&path)), walk.next())? {
        let shown = shown::path(&directory, &entry);
        if !matcher.matches(&shown, &escape(&entry.name)) {
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
        context.say(&format!("nothing matches '{pattern}' in snapshot {}", choice::short(&snapshot)));
    }
    Ok(found)
}
