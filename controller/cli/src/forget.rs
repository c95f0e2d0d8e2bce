//! `strongroom forget`: snapshots leave the history, by name or by rules. What only they needed stays until the next prune.

mod proofs;
mod rules;
mod shown;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp, Zoned};
use strongroom_controller::{Known, SourceRetention, by_source, last_proven};
use strongroom_plans::{RetentionRules, Verdict};
use strongroom_repository::{ObjectId, Snapshot};

use crate::access::{self, KeyArgs, Opened};
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::plan_file;
use crate::run::repository_of;
use rules::KeepRule;
use shown::Forgotten;

/// Forget snapshots, by name or by retention rules
#[derive(Debug, Args)]
#[command(after_help = "\
By rules, each source (host, plan, paths) is looked at by itself. The newest snapshot of each stays, and so do the newest \
that was proven by a restore and every one that is held. If more than ten and more than a quarter of a source's snapshots \
would go at once, or if this machine's clock cannot be right, nothing is forgotten and the command ends with 4.

Room comes back with `strongroom repo prune`.

Examples:
  strongroom forget --plan billing.yaml --dry-run
  strongroom forget --plan billing.yaml
  strongroom forget --repo /srv/backup --keep daily=14 --keep weekly=8 --keep monthly=12
  strongroom forget --repo /srv/backup 3fa94c21d0b7")]
pub(crate) struct ForgetArgs {
    /// The snapshots to forget, by the first digits of their ids
    #[arg(value_name = "SNAP", conflicts_with_all = ["plan", "keep"])]
    snapshots: Vec<String>,

    /// By the rules of this plan, in its repository
    #[arg(long, value_name = "FILE", conflicts_with = "keep")]
    plan: Option<PathBuf>,

    /// Keep so many of a rhythm: last, hourly, daily, weekly, monthly, quarterly, yearly
    #[arg(long, value_name = "RHYTHM=N", value_parser = KeepRule::parse)]
    keep: Vec<KeepRule>,

    /// Keep so many of each source, whatever the rules say
    #[arg(long, value_name = "N", default_value = "1", requires = "keep")]
    at_least: std::num::NonZeroU32,

    /// Only those of this host
    #[arg(long, value_name = "NAME", conflicts_with = "snapshots")]
    host: Option<String>,

    /// Forget them also where many would go at once, or the last one that was proven
    #[arg(long)]
    allow_many: bool,

    /// Only show what would be forgotten, and why the others stay
    #[arg(long)]
    dry_run: bool,

    /// The repository: a path, file:///path, s3://bucket/prefix or sftp://user@host/path [default for --plan: the plan's]
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: Option<String>,

    #[command(flatten)]
    key: KeyArgs,
}

/// A clock that is behind the newest commit by more than this is wrong, or that one's was.
const BEHIND_MAX: SignedDuration = SignedDuration::from_hours(1);

pub(crate) use proofs::{proven, proven_when};
pub(crate) use shown::excess;

pub(crate) fn run(args: &ForgetArgs, context: &Context) -> Result<Exit, Failure> {
    if args.snapshots.is_empty() { by_rules(args, context) } else { by_name(args, context) }
}

fn open(args: &ForgetArgs, of_plan: Option<&str>, context: &Context) -> Result<Opened, Failure> {
    let Some(url) = args.repo.as_deref().or(of_plan) else {
        let why = Cause::Usage("no repository was named".into());
        return Err(Failure::new("forget snapshots", why).advise("give --repo URL, or set STRONGROOM_REPOSITORY"));
    };
    access::open(url, &args.key, context)
}

fn by_name(args: &ForgetArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = open(args, None, context)?;
    let chosen = args.snapshots.iter().map(|spec| choice::snapshot(&opened, context, spec));
    let chosen: Vec<Snapshot> = chosen.collect::<Result<_, _>>()?;
    let ids: Vec<ObjectId> = chosen.iter().map(|snapshot| snapshot.id).collect();
    if !args.allow_many {
        refuse_last_proven(&opened, &ids, context)?;
    }
    let commit = commit(args, &opened, &ids, context)?;
    context.output.answer(&Forgotten::by_name(&chosen, commit))?;
    Ok(Exit::Success)
}

/// The last snapshot of a source that is known to come back is not given away by the way.
fn refuse_last_proven(opened: &Opened, going: &[ObjectId], context: &Context) -> Result<(), Failure> {
    let snapshots = choice::all(opened, context)?.readable;
    let known = Known { proven: proven(&context.state_dir()?, opened.repository.id()), ..Known::default() };
    let last = last_proven(&snapshots, &known, &going.iter().copied().collect());
    let Some(snapshot) = last.first() else { return Ok(()) };
    let (id, manifest) = (choice::short(snapshot), &snapshot.manifest);
    let why = Cause::Usage(format!(
        "{id} is the last snapshot of {} on {} that was proven by a restore",
        manifest.sources.join(" "),
        manifest.host
    ));
    let advice = "run the plan once more, which proves a newer one; or give --allow-many if it must go all the same";
    Err(Failure::new("forget snapshots", why).advise(advice))
}

fn by_rules(args: &ForgetArgs, context: &Context) -> Result<Exit, Failure> {
    let what = "forget snapshots by rules";
    let plan = args.plan.as_ref().map(|file| plan_file::load(file, what).map(|read| (read.plan, file))).transpose()?;
    let url = plan.as_ref().map(|(plan, file)| repository_of(plan, file)).transpose()?;
    let rules = match &plan {
        Some((plan, _)) => plan.retain().clone(),
        None => rules::of(&args.keep, args.at_least)?,
    };
    let opened = open(args, url.as_deref(), context)?;
    let mut snapshots = choice::all(&opened, context)?.readable;
    snapshots.retain(|snapshot| {
        let manifest = &snapshot.manifest;
        let is_of_plan = plan.as_ref().is_none_or(|(plan, _)| {
            manifest.tags.get(strongroom_controller::PLAN_TAG).is_some_and(|tag| tag == plan.name().as_str())
        });
        is_of_plan && args.host.as_ref().is_none_or(|host| manifest.host == *host)
    });
    let now = Zoned::now();
    let proven = proven(&context.state_dir()?, opened.repository.id());
    let sources = judge(&rules, &snapshots, proven, &opened, &now);
    let mut faults = clock_fault(&opened, &now, context)?;
    if !args.allow_many {
        let told = |excess| format!("{excess}: if that is meant, give --allow-many");
        faults.extend(sources.iter().filter_map(excess).map(told));
    }
    let going = sources.iter().flat_map(|source| &source.snapshots).filter(|kept| kept.verdict == Verdict::Drop);
    let going: Vec<ObjectId> = going.map(|kept| kept.snapshot).collect();
    let commit = if faults.is_empty() { commit(args, &opened, &going, context)? } else { None };
    let exit = if faults.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Forgotten::by_rules(sources, commit, faults))?;
    Ok(exit)
}

/// What the rules say of these snapshots, of which some were proven by a restore.
pub(crate) fn judge(
    rules: &RetentionRules,
    snapshots: &[Snapshot],
    proven: HashSet<ObjectId>,
    opened: &Opened,
    now: &Zoned,
) -> Vec<SourceRetention> {
    let history = opened.repository.history();
    let names = |id: &ObjectId| history.holds_on(id, now.timestamp()).map(|(name, _)| name.to_owned()).collect();
    let known = Known {
        commits: history.snapshots.iter().map(|added| (added.snapshot, added.commit)).collect(),
        proven,
        holds: snapshots.iter().map(|snapshot| (snapshot.id, names(&snapshot.id))).collect::<HashMap<_, Vec<_>>>(),
    };
    by_source(rules, snapshots, &known, now)
}

/// Retention by a wrong clock keeps the wrong ones.
pub(crate) fn clock_fault(opened: &Opened, now: &Zoned, context: &Context) -> Result<Vec<String>, Failure> {
    let what = "read the newest commit";
    let newest: Option<Timestamp> = context.wait(what, opened.repository.newest_commit_time())?;
    let behind = newest.map(|newest| newest.duration_since(now.timestamp())).filter(|behind| *behind > BEHIND_MAX);
    let told = behind.map(|behind| {
        format!(
            "this machine's clock is {} minutes behind the repository's newest commit: one of the two clocks was wrong",
            behind.as_mins()
        )
    });
    Ok(told.into_iter().collect())
}

/// Drops them, unless this is only a rehearsal or there is nothing to drop.
fn commit(
    args: &ForgetArgs,
    opened: &Opened,
    going: &[ObjectId],
    context: &Context,
) -> Result<Option<strongroom_repository::Forgotten>, Failure> {
    if args.dry_run || going.is_empty() {
        return Ok(None);
    }
    let what = format!("forget snapshots of {}", opened.location);
    let forgotten = context.wait(&what, opened.repository.forget(going));
    forgotten.map(Some).map_err(|failure| failure.advise("`strongroom hold list` shows who holds what"))
}
