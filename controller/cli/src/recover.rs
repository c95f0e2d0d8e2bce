//! `strongroom recover`: a controller that is gone begins again from a repository and a key sheet.
//!
//! 1. `candidates`: the snapshots of a controller's state that its own key signed, newest first.
//! 2. `rebuild`: one of them, restored and verified beside the target, and looked at as a whole: the site as it would be served, every entry of the journal. A damaged one is
//!    named, and the one before is tried.
//! 3. `found`: what it tells: hosts, plans, last runs, restore points, and what the repository has that the journal does not.
//! 4. Only then is it given its name. Until then there is nothing but a directory that goes again.

mod candidates;
mod found;
mod rebuild;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_controller::state_proofs::ProvenState;
use strongroom_repository::keys::ReaderFile;
use strongroom_repository::{KeyFile, Snapshot, chain, select};

use crate::access::{self, KeyArgs, Opened};
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::key_file::Reserved;
use crate::key_sheet;
use crate::own_state::KEYS;
use crate::run::Scratch;
use crate::shown::time;
use candidates::Candidates;
use found::{Found, Passed};
use rebuild::Rebuilt;

/// Begin again where the controller is lost: its journal, site, keys and state, from a repository and a key sheet
#[derive(Debug, Args)]
#[command(after_help = "\
On a machine with nothing but this program. Takes the newest snapshot that a controller made of its own \
state (or the one of --at), restores it and reads it back, checks every entry of the journal and the signature of every \
snapshot, says what it has found, and prints the next commands in order. A damaged one is named, and the one before \
taken; then it ends with 4. Nothing half done stays.

With --dry-run the same is done and nothing kept: a drill that a crontab can do.

Examples:
  strongroom recover --repo /mnt/backup --sheet sheet.txt --into /srv/controller
  strongroom recover --repo s3://backups/main --sheet one.txt --sheet three.txt --into /srv/controller
  strongroom recover --repo /mnt/backup --key owner.json --into /srv/controller --dry-run --json")]
pub(crate) struct RecoverArgs {
    /// The repository: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: String,

    /// A typed key sheet, or a share of one; may be given more than once; `-` reads one from standard input
    #[arg(long = "sheet", value_name = "FILE", conflicts_with_all = ["key", "passphrase_file", "ask_passphrase"])]
    sheets: Vec<PathBuf>,

    /// The directory that everything is put into; it must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    into: PathBuf,

    /// As it was at this time: the newest that is not younger [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,

    /// The site whose controller it is, where several share the repository
    #[arg(long, value_name = "NAME")]
    site: Option<String>,

    /// Do it all, say what was found, and keep nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    key: KeyArgs,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    select::parse_time(text, &TimeZone::system()).ok_or_else(|| "write a time such as 2026-11-21T03:00".into())
}

pub(crate) fn run(args: &RecoverArgs, context: &Context) -> Result<Exit, Failure> {
    let target = Target::of(&args.into)?;
    let sheet = (!args.sheets.is_empty()).then(|| key_sheet::read(&args.sheets, "owner")).transpose()?;
    let opened = open(args, sheet.clone(), context)?;
    let snapshots = choice::all(&opened, context)?;
    let candidates = Candidates::among(&snapshots, &opened, args.site.as_deref(), args.at)?;
    let guard = Guard(target.begin()?);
    let (rebuilt, passed) = first_sound(&candidates, &opened, &guard, context)?;
    keep_key(&rebuilt, sheet)?;
    let found = Found::new(rebuilt, passed, &snapshots, args)?;
    if !args.dry_run {
        target.give_name(guard.0.path())?;
    }
    context.output.answer(&found)?;
    Ok(found.exit())
}

/// Begins again from an open repository, and keeps nothing: for the controller, which tries it on its own state. A state that had to be passed over, or a snapshot that
/// cannot be read, is a fault here, too: the next one may be the last.
pub(crate) fn rehearse(
    opened: &Opened,
    site: &str,
    scratch: Scratch,
    context: &Context,
) -> Result<ProvenState, Failure> {
    let what = || format!("begin again from {}", opened.location);
    let snapshots = choice::all(opened, context)?;
    let candidates = Candidates::among(&snapshots, opened, Some(site), None)?;
    let guard = Guard(scratch);
    let (rebuilt, passed) = first_sound(&candidates, opened, &guard, context)?;
    if let Some(passed) = passed.first() {
        let why = format!("the state in {} is passed over: {}", choice::short_id(&passed.snapshot), passed.fault);
        return Err(Failure::new(what(), Cause::Damaged(why)));
    }
    if let Some(lost) = snapshots.unreadable.first() {
        let why = format!("the snapshot {} cannot be read: {}", choice::short_id(&lost.id.hex()), chain(&lost.error));
        return Err(Failure::new(what(), Cause::Damaged(why)));
    }
    Ok(found::proven(&rebuilt, &snapshots))
}

fn open(args: &RecoverArgs, sheet: Option<ReaderFile>, context: &Context) -> Result<Opened, Failure> {
    match sheet {
        Some(file) => access::open_with_key(&args.repo, KeyFile::Reader(file), context),
        None => access::open(&args.repo, &args.key, context),
    }
}

/// The newest that is whole. What stands in the way of all, such as a store that is away or a full disk, ends it.
fn first_sound(
    candidates: &Candidates<'_>,
    opened: &Opened,
    guard: &Guard,
    context: &Context,
) -> Result<(Rebuilt, Vec<Passed>), Failure> {
    let mut passed = candidates.lost();
    for snapshot in &candidates.snapshots {
        guard.0.create()?;
        match rebuild::rebuild(opened, snapshot, guard.0.path(), context) {
            Ok(rebuilt) => return Ok((rebuilt, passed)),
            Err(failure) if matches!(failure.exit(), Exit::Stopped(_) | Exit::StoreOutOfReach) => return Err(failure),
            Err(failure) => {
                context.say(&format!("the state of {} is passed over: {failure}", time(snapshot.manifest.time)));
                passed.push(Passed::of(snapshot, &failure));
            }
        }
    }
    let why = Cause::Damaged(format!("none of {} states of a controller is whole", passed.len()));
    Err(Failure::new("begin again from this repository", why)
        .advise("`strongroom repo repair` may heal it; each other repository of the site has its own states"))
}

/// The key by which it was opened is wanted again; one that was in the state is the controller's own, and stays.
fn keep_key(rebuilt: &Rebuilt, sheet: Option<ReaderFile>) -> Result<(), Failure> {
    let Some(file) = sheet else { return Ok(()) };
    let path = rebuilt.folder.join(KEYS).join(format!("{}.json", file.repository));
    if path.exists() {
        return Ok(());
    }
    Reserved::beside(&path)?.keep(&KeyFile::Reader(file), &path)
}

/// Where it is to be.
#[derive(Debug)]
struct Target {
    path: PathBuf,
}

impl Target {
    fn of(path: &Path) -> Result<Self, Failure> {
        let what = || format!("begin again in {}", path.display());
        let failed = |source| Cause::File { doing: "look into", path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(failed).doing(what)?;
        match fs::read_dir(&path).map(|mut entries| entries.next().is_none()) {
            Ok(false) => {
                let why = Cause::Usage("it is not empty".into());
                Err(Failure::new(what(), why).advise("give a directory that is not there yet: nothing is overwritten"))
            }
            Ok(true) => Ok(Self { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self { path }),
            Err(error) => Err(Failure::new(what(), failed(error))),
        }
    }

    /// A directory beside it; what a killed run left there goes.
    fn begin(&self) -> Result<Scratch, Failure> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let scratch = Scratch::at(self.path.with_file_name(format!(".{name}.recovering")));
        scratch.create().map(|()| scratch)
    }

    fn give_name(&self, from: &Path) -> Result<(), Failure> {
        let failed = |source| Cause::File { doing: "create", path: self.path.clone(), source };
        let named = fs::rename(from, &self.path).and_then(|()| match self.path.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        });
        named.map_err(failed).doing(|| "give the recovered state its place".into())
    }
}

/// Removes the unfinished state, whatever ends it.
struct Guard(Scratch);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(failure) = self.0.remove() {
            tracing::error!(%failure, "an unfinished state is left");
        }
    }
}

impl Passed {
    fn of(snapshot: &Snapshot, failure: &Failure) -> Self {
        Self { snapshot: snapshot.id.hex(), time: Some(snapshot.manifest.time), fault: failure.to_string() }
    }
}
