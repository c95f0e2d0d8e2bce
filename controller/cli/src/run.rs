//! `strongroom run PLAN`: a plan on this machine, from its text to its record. No daemon, no prior configuration.
//!
//! What happens in which order is decided by `strongroom_controller::run`; this module brings the hands (`local`), the repository, and the words.

mod answer;
mod around;
mod local;
mod record_file;
mod scratch;

pub(crate) use answer::verdict;
pub(crate) use local::{CopyAt, Local, Part, told};
pub(crate) use scratch::Scratch;

use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_controller::{Clock, RunRequest};
use strongroom_plans::{BackupPlan, Faults, LoadLimits, Places, RepositoryAddress, RunKind, Source};
use strongroom_repository::{Error, Repository, SnapshotKind};

use crate::access::{self, KeyArgs, Opened};
use crate::backup::{host_name, program};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::{self, Asked, ControllerArgs};
use crate::place_memory::PlaceMemory;
use crate::places;
use crate::plan_file::{self, PlanFile};
use crate::repo;
use crate::shown;
use crate::store_place::StorePlace;
use answer::{RunAnswer, Steps, Whereabouts};
use record_file::PlanLock;

/// Run a plan on this machine: back up, restore, prove
#[derive(Debug, Args)]
#[command(after_help = "\
Makes the repository if it is not there, backs up every source, restores the new snapshots to a \
scratch directory, compares every file with the hash that was taken at the source, runs the plan's \
checks there, shows what retention would keep, and writes a record. All faults of a plan file are \
shown at once, and nothing is begun.

Examples:
  strongroom run plans/examples/this-host.yaml --dry-run
  strongroom run plans/examples/this-host.yaml
  strongroom run /etc/strongroom/billing.yaml --full
  strongroom run /etc/strongroom/billing.yaml --json > record.json
  strongroom run nightly --host web1 --watch")]
pub(crate) struct RunArgs {
    /// A plan file; or the name of a plan of the site, which the controller runs
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// On this host only [default: all hosts of the site's plan]
    #[arg(long, value_name = "NAME", help_heading = "Plans of the site")]
    host: Option<String>,

    /// Follow the runs until they end
    #[arg(long, help_heading = "Plans of the site")]
    watch: bool,

    /// Read every byte of every file, as the plan's full runs do [default for plans with full runs only]
    #[arg(long)]
    full: bool,

    /// Only show the steps
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    key: KeyArgs,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl RunArgs {
    /// The site's plan that is meant, if it is one: what looks like a file, or is there as one, is a file.
    fn of_site(&self) -> Option<&str> {
        let name = self.plan.to_str()?;
        let is_name = name.parse::<strongroom_plans::Name>().is_ok() && !name.ends_with(".yaml");
        (self.host.is_some() || self.watch || (is_name && !self.plan.exists())).then_some(name)
    }
}

/// What fails if the plan does.
const RUN: &str = "run the plan";

pub(crate) fn run(args: &RunArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(plan) = args.of_site() {
        if args.dry_run {
            let why = Cause::Usage("what a plan of the site would do is told by `strongroom plan show`".into());
            return Err(Failure::new(format!("show the steps of {plan}"), why)
                .advise(format!("strongroom plan show {plan} --site DIR")));
        }
        let asked = Asked { plan, host: args.host.as_deref(), full: args.full, watch: args.watch };
        return fleet::start(&asked, &args.controller, context);
    }
    let PlanFile { text, plan } = plan_file::load(&args.plan, RUN)?;
    let folder = repository_folder(&plan, &args.plan)?;
    let url = &repository_of(&plan, &args.plan)?;
    if args.dry_run {
        context.output.answer(&Steps::new(&plan, url))?;
        return Ok(Exit::Success);
    }
    let kind = match plan.usual_kind() {
        RunKind::Incremental if !args.full => SnapshotKind::Incremental,
        _ => SnapshotKind::Full,
    };
    let copies = copies_of(&plan, &args.plan)?.into_iter().map(CopyAt::Url).collect();
    let state = context.state_dir()?;
    let lock = PlanLock::take(&state, plan.name())?;
    let opened = open_or_make(url, &args.key, plan.limits(), context)?;
    let request = RunRequest {
        plan: &plan,
        plan_hash: blake3::hash(&text).to_hex().to_string(),
        host: host_name()?,
        program: program(),
        repository: opened.repository.id(),
        location: opened.location.to_string(),
    };
    let mut hands = Local::new(context, &opened, request.host.clone(), lock.scratch(&state), kind).with_copies(copies);
    let ended = strongroom_controller::run(&request, &mut hands, &SystemClock);
    let record_file = record_file::write(&state, &ended.record)?;
    let key_file = args.key.file_for(request.repository)?.filter(|path| path.exists());
    let exit = Exit::from(ended.record.verdict);
    context.output.answer(&RunAnswer::new(
        ended.record,
        Whereabouts { record_file, key_file, warning: folder.and_then(|folder| same_disk(&plan, &folder)) },
        url,
    ))?;
    ended.fault.map_or(Ok(exit), Err)
}

fn faulty(faults: Faults) -> Failure {
    Failure::new(RUN, faults)
}

/// The URL of the plan's repository.
pub(crate) fn repository_of(plan: &BackupPlan, file: &Path) -> Result<String, Failure> {
    let Some(folder) = repository_folder(plan, file)? else { return Ok(plan.repository().as_str().to_owned()) };
    folder.into_os_string().into_string().map_err(|_| {
        let why = Cause::Usage("the path of its repository is not UTF-8".into());
        Failure::new(format!("{RUN} {}", file.display()), why)
            .advise("put the plan into another directory, or name the repository from / on")
    })
}

/// The directory of the plan's repository, if it is one of this machine. Links in the way are followed, so that a repository inside of a source is found out.
fn repository_folder(plan: &BackupPlan, file: &Path) -> Result<Option<PathBuf>, Failure> {
    with_places(file, |places| plan.repository_path(places).map_err(faulty))?
}

/// The URLs of the plan's copies.
fn copies_of(plan: &BackupPlan, file: &Path) -> Result<Vec<String>, Failure> {
    let folders = with_places(file, |places| plan.copy_paths(places))?;
    let url = |(copy, folder): (&RepositoryAddress, Option<PathBuf>)| {
        folder.map_or_else(|| copy.as_str().to_owned(), |folder| folder.to_string_lossy().into_owned())
    };
    Ok(plan.copies().iter().zip(folders).map(url).collect())
}

/// Asks about places that depend on who runs a plan, and where it is.
fn with_places<T>(file: &Path, ask: impl FnOnce(&Places<'_>) -> T) -> Result<T, Failure> {
    let failed = |source| Cause::File { doing: "find", path: file.to_owned(), source };
    let file = file.canonicalize().map_err(failed).doing(|| "find the plan's directory".into())?;
    let plan_directory = file.parent().unwrap_or(Path::new("/"));
    let home = places::home().unwrap_or_else(|| PathBuf::from("/"));
    let home = home.canonicalize().unwrap_or(home);
    Ok(ask(&Places { home: &home, plan_directory }))
}

/// Sources that lie on the repository's own file system, as a warning.
fn same_disk(plan: &BackupPlan, repository: &Path) -> Option<String> {
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    let own = device(repository)?;
    let roots = plan.sources().iter().flat_map(Source::files).filter(|root| device(root.as_path()) == Some(own));
    let roots: Vec<String> = roots.map(ToString::to_string).collect();
    let listed = roots.join(", ");
    (!roots.is_empty()).then(|| {
        format!("the repository is on the same file system as {listed}: it does not survive the loss of that disk")
    })
}

/// Opens the repository, or makes it; its key goes to the default place unless the command line names another.
fn open_or_make(url: &str, key: &KeyArgs, limits: LoadLimits, context: &Context) -> Result<Opened, Failure> {
    let rate = limits.upload().and_then(|rate| NonZeroU64::new(rate.bytes()));
    let open = || access::open_limited(url, key, rate, context);
    let what = || format!("open the repository at {}", shown::location(url));
    let place = StorePlace::open(url, context)?;
    let memory = PlaceMemory::of_place(&place, context)?;
    let found = context.wait(&what(), async {
        match Repository::read_config(&*place.store).await {
            Ok(config) => Ok(Some(config.repository)),
            Err(Error::NoRepository) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    if let Some(repository) = found {
        memory.check(repository, context)?;
        return open();
    }
    memory.check_absent(context)?;
    let made = repo::create(url, key.for_new()?, "owner", context)?;
    context.say(&format!("made repository {} at {url}", made.repository));
    open()
}

/// The clock of this machine, in its zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::system()
    }
}
