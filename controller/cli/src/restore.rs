//! `strongroom restore`: files back from a snapshot, read back from the disk and compared.

mod by_plan;
mod checked;
mod decide;
mod looks;
mod on_host;
mod one_line;
mod plan_shown;
mod promote;
mod request;
mod requests;
mod scope;
mod several;
mod start;
mod summary;
mod watch;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::ArgPredicate;
use clap::{ArgGroup, ArgMatches, Args, FromArgMatches, Subcommand, ValueEnum};
use strongroom_plans::ByteSize;
use strongroom_repository::Snapshot;
use strongroom_repository::text::escape;
use strongroom_worker::progress::Progress;
use strongroom_worker::restore::{
    self, Listener, Overwrite, Owners, Replaced, RestoreOptions, RestorePlan, RestoreReport,
};

use crate::access::{Opened, RepositoryArgs};
use crate::choice::{self, SnapshotArg};
use crate::context::Context;
use crate::copies::CopiesArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::progress;
use crate::record;
use one_line::OneLineArgs;
use summary::{Planned, Restored};

/// Restore files from a snapshot, and verify them; ask for restores to which others must agree, and decide about them
#[derive(Debug, Args)]
#[command(mut_arg("repo", |repo| repo.required(false).required_unless_present_any(["on", "at"]).default_value_ifs([("on", ArgPredicate::IsPresent, Some("")), ("at", ArgPredicate::IsPresent, Some(""))])))]
#[command(mut_arg("target", |target| target.required(false).required_unless_present("at").default_value_if("at", ArgPredicate::IsPresent, "/")))]
#[command(group = ArgGroup::new("by-controller").args(["on", "at"]))]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Everything is written beside its place, flushed, read back from the disk, compared with the hash \
that was taken at the source, and only then put in place. Stopped at any moment, the same command \
goes on where it was. Ends with 3 if some files or some of their metadata could not be restored, \
with 4 if what was read is damaged.

With --on, the running controller has a host of its site restore into a directory of that host. SNAP names \
the host whose data they are (latest@db1), and --reason is written down. Ctrl-C ends it. Then the checks of the \
plan that made SNAP (`prove: checks:`) run there, in the directory; one that does not agree ends it with 3.

In one line, with --at TIME: SNAP is then a host or a plan whose data are meant. The newest restore point at or \
before that time is picked and named, and it is restored at once, or becomes a request where others must agree.

Where the site names people, a host to which `restores:` in site.yaml gives approvals is restored to by a request: \
request, approve (by as many as must agree), run. `restore list` shows what waits for somebody.

Examples:
  strongroom restore --repo /srv/backup latest --target /tmp/restored --dry-run
  strongroom restore --repo /srv/backup latest@web1 /etc/nginx --target /tmp/restored
  strongroom restore --repo /srv/backup 2026-11-21T03:00 /srv --target / --overwrite changed
  strongroom restore --repo /srv/backup --copy s3://backups/main latest@db1 --target /tmp/restored
  strongroom restore latest@db1 /srv/billing --on db2 --target /srv/restored --reason 'INC-8841: truncated' --dry-run
  strongroom restore db1 /srv/billing --at 2026-11-21T03:00 --to db2:/srv/restored --reason 'INC-8841: truncated'
  strongroom restore request latest@db1 /srv/billing --on db2 --target /srv/restored --reason 'INC-8841: truncated'")]
pub(crate) struct DirectArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    copies: CopiesArgs,
    #[command(flatten)]
    what: WhatArgs,

    /// Only show the plan
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    one_line: OneLineArgs,

    #[command(flatten)]
    on_host: OnHostArgs,
}

/// A restore at once, or something about one to which others must agree.
#[derive(Debug)]
pub(crate) enum RestoreArgs {
    /// At once.
    Direct(Box<DirectArgs>),
    /// By a request.
    Command(RestoreCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    Request(request::RequestArgs),
    Start(start::StartArgs),
    List(decide::ListArgs),
    Show(decide::ShowArgs),
    Approve(decide::ApproveArgs),
    Reject(decide::RejectArgs),
    Plan(scope::PlanArgs),
    Run(request::RunArgs),
    Watch(watch::WatchArgs),
    Resume(request::ResumeArgs),
    Promote(promote::PromoteArgs),
    Cancel(decide::CancelArgs),
    Close(decide::CloseArgs),
    Record(record::ShowArgs),
}

/// What is restored, where to, and how.
#[derive(Debug, Clone, Args)]
struct WhatArgs {
    #[command(flatten)]
    snapshot: SnapshotArg,

    /// What to restore [default: everything]
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,

    /// The directory to restore into; paths keep their place below it
    #[arg(long, value_name = "DIR")]
    target: PathBuf,

    /// What to do about files that exist there: leave them, replace what differs in content or metadata, or replace all
    #[arg(long, value_name = "WHICH", default_value = "never")]
    overwrite: OverwriteArg,

    /// Remove what is overwritten; otherwise it is kept, in a directory of its own in the target
    #[arg(long)]
    discard_replaced: bool,

    /// How owners are found again: by number, as for a whole host, or by name where this host knows it
    #[arg(long, value_name = "HOW", default_value = "number")]
    owners: OwnersArg,
}

/// A restore that the running controller has a host do.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a host of the fleet")]
struct OnHostArgs {
    /// Restore on this host of the site; --target is a directory there
    #[arg(long, value_name = "HOST", conflicts_with = "urls")]
    on: Option<String>,

    /// Why: it stands in the journal
    #[arg(long, value_name = "TEXT", requires = "by-controller")]
    reason: Option<String>,

    /// The site's name of the repository [default: the first that has the snapshot]
    #[arg(long, value_name = "NAME", requires = "by-controller")]
    from: Option<String>,

    /// Leave out the checks of the plan that made the snapshot; the record then says "not proven"
    #[arg(long, requires = "by-controller")]
    no_checks: bool,

    /// From the store, so much a second: 20MiB [default: as fast as it goes]
    #[arg(long, value_name = "SIZE", requires = "by-controller")]
    download: Option<ByteSize>,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OverwriteArg {
    Never,
    Changed,
    Always,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OwnersArg {
    Number,
    Name,
}

pub(crate) fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, Failure> {
    match args {
        RestoreArgs::Direct(args) => at_once(args, context),
        RestoreArgs::Command(command) => command.run(context),
    }
}

fn at_once(args: &DirectArgs, context: &Context) -> Result<Exit, Failure> {
    let what = &args.what;
    if let Some(at) = &args.one_line.at {
        return one_line::run((what, &args.one_line, &args.on_host), at, args.dry_run, context);
    }
    if let Some(host) = &args.on_host.on {
        return on_host::run(what, &args.on_host, host, args.dry_run, context);
    }
    let options = what.options(what.tree_paths()?, context);
    let opened = args.repository.open_with(&args.copies, context)?;
    let snapshot = choice::snapshot(&opened, context, &what.snapshot.snapshot)?;
    let plan = plan(&opened, &snapshot, options, context)?;
    if args.dry_run {
        let exit = if plan.summary.lacks_room() { Exit::StoreOutOfReach } else { Exit::Success };
        context.output.answer(&Planned(plan.summary))?;
        return Ok(exit);
    }
    let host = snapshot.manifest.host.clone();
    let report = carry_out(plan, "restoring", context)?;
    let exit = Exit::from(&report);
    let served = opened.repository.served(&opened.location.to_string());
    context.output.answer(&Restored { host, time: snapshot.manifest.time, report, served })?;
    Ok(exit)
}

impl FromArgMatches for RestoreArgs {
    /// What a restore at once must say is not demanded of the others.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_name() {
            Some(_) => RestoreCommand::from_arg_matches(matches).map(Self::Command),
            None => DirectArgs::from_arg_matches(matches).map(|args| Self::Direct(Box::new(args))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for RestoreArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        RestoreCommand::augment_subcommands(DirectArgs::augment_args(command))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        RestoreCommand::augment_subcommands_for_update(DirectArgs::augment_args_for_update(command))
    }
}

/// As the controller is asked for it; 0 for no bound.
fn bytes_per_second(rate: Option<ByteSize>) -> u64 {
    rate.map(ByteSize::bytes).unwrap_or_default()
}

impl RestoreCommand {
    fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Request(args) => args.run(context),
            Self::Start(args) => args.run(context),
            Self::List(args) => args.run(context),
            Self::Show(args) => args.run(context),
            Self::Approve(args) => args.run(context),
            Self::Reject(args) => args.run(context),
            Self::Plan(args) => args.run(context),
            Self::Run(args) => args.run(context),
            Self::Watch(args) => args.run(context),
            Self::Resume(args) => args.run(context),
            Self::Promote(args) => args.run(context),
            Self::Cancel(args) => args.run(context),
            Self::Close(args) => args.run(context),
            Self::Record(args) => record::show(args, context),
        }
    }
}

impl WhatArgs {
    fn tree_paths(&self) -> Result<Vec<Vec<u8>>, Failure> {
        self.paths.iter().map(|path| choice::tree_path(path)).collect()
    }

    /// The host or plan that was named, at a time; of one path, the restore points that have it.
    fn at(&self, time: &str) -> SnapshotArg {
        let path = match &self.paths[..] {
            [path] => format!(":{}", escape(path.as_bytes())),
            _ => String::new(),
        };
        SnapshotArg { snapshot: format!("{time}@{}{path}", self.snapshot.snapshot) }
    }

    fn options(&self, paths: Vec<Vec<u8>>, context: &Context) -> RestoreOptions {
        RestoreOptions {
            // The top of the tree stands for everything.
            paths: if paths.iter().any(Vec::is_empty) { Vec::new() } else { paths },
            overwrite: match self.overwrite {
                OverwriteArg::Never => Overwrite::Never,
                OverwriteArg::Changed => Overwrite::Changed,
                OverwriteArg::Always => Overwrite::Always,
            },
            replaced: if self.discard_replaced { Replaced::Remove } else { Replaced::SetAside },
            owners: match self.owners {
                OwnersArg::Number => Owners::ByNumber,
                OwnersArg::Name => Owners::ByName,
            },
            writers: context.threads(),
            ..RestoreOptions::into_target(&self.target)
        }
    }
}

/// What a restore will do.
pub(crate) fn plan(
    opened: &Opened,
    snapshot: &Snapshot,
    options: RestoreOptions,
    context: &Context,
) -> Result<RestorePlan, Failure> {
    let what = format!("plan the restore of snapshot {} into {}", choice::short(snapshot), options.target.display());
    context.wait(&what, restore::plan(&opened.repository, snapshot, options))
}

/// Does it.
pub(crate) fn carry_out(plan: RestorePlan, verb: &'static str, context: &Context) -> Result<RestoreReport, Failure> {
    let what = format!("restore into {}", plan.summary.target);
    let progress = Arc::new(Progress::default());
    let bar = progress::watch_worker(context, verb, &progress);
    let restored = context.wait(&what, restore::run(plan, progress, Listener::none()));
    bar.finish();
    restored
}
