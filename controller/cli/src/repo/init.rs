//! `strongroom repo init`: a new repository and its first key.
//!
//! Order: the store is probed, the place of the key file is taken, the repository is made, the key is kept. Nothing is made where the key could not be
//! kept; a run that is killed in between leaves at worst a repository that nobody has used.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use object_store::ObjectStore;
use serde::Serialize;
use strongroom_repository::store::{Commits, Location, ProbeReport};
use strongroom_repository::{Error, InitOptions, KeyFile, NewHolder, Parameters, Repository, RepositoryId, reserve};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key_file::Reserved;
use crate::output::Answer;
use crate::place_memory::PlaceMemory;
use crate::repo::probe::Probed;
use crate::shown::shell_word;
use crate::store_place::StorePlace;
use crate::{passphrase, places, shown};

/// Make a repository
#[derive(Debug, Args)]
#[command(after_help = "\
Without further options a key file is made and kept in the configuration folder. Who loses every key \
loses the repository: keep a copy of the key elsewhere, for example on paper (`strongroom key \
sheet`).

Examples:
  strongroom repo init /srv/backup
  strongroom repo init file:///mnt/disk/backup --key-file /root/backup-key.json
  strongroom repo init /srv/backup --passphrase-file /root/passphrase
  strongroom repo init /srv/backup --parity 10
  STRONGROOM_S3_CREDENTIALS_FILE=/root/.s3 strongroom repo init s3://backups/main
  strongroom repo init sftp://backup@nas/srv/backup")]
pub(crate) struct InitArgs {
    /// Where: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    url: String,

    /// Keep the new key in this file [default: ${XDG_CONFIG_HOME:-~/.config}/strongroom/keys/REPOSITORY-ID.json]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Make no key file: the passphrase in this file's first line opens the repository
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,

    /// Make no key file: ask for a passphrase on the terminal
    #[arg(long, conflicts_with_all = ["key_file", "passphrase_file"])]
    ask_passphrase: bool,

    /// A name for the first holder of a key
    #[arg(long, value_name = "NAME", default_value = "owner")]
    holder: String,

    /// Reed-Solomon parity beside each pack, in percent of it, from which rotten ranges heal; 0 for none. Fixed for the repository's life
    #[arg(long, value_name = "PERCENT", default_value_t = Parameters::default().parity_percent, value_parser = clap::value_parser!(u32).range(0..=100))]
    parity: u32,

    /// Only probe the store and say what would be made
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &InitArgs, context: &Context) -> Result<Exit, Failure> {
    let passphrase = match &args.passphrase_file {
        Some(file) => Some(passphrase::from_file(file)?),
        None if args.ask_passphrase => Some(passphrase::ask_new()?),
        None => None,
    };
    let key = match (passphrase, &args.key_file) {
        (Some(passphrase), _) => NewKey::Passphrase(passphrase),
        (None, Some(path)) => NewKey::File(path.clone()),
        (None, None) => NewKey::DefaultFile,
    };
    if args.dry_run {
        return preview(args, context);
    }
    let parameters = Parameters { parity_percent: args.parity, ..Parameters::default() };
    let made = create_with(&args.url, key, &args.holder, parameters, context)?;
    context.output.answer(&made)?;
    Ok(Exit::Success)
}

/// How the first holder opens the repository.
#[derive(Debug)]
pub(crate) enum NewKey {
    /// By a key file in the configuration folder.
    DefaultFile,
    /// By a key file here.
    File(PathBuf),
    /// By a passphrase.
    Passphrase(zeroize::Zeroizing<String>),
}

/// What was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct NewRepository {
    pub(crate) repository: RepositoryId,
    pub(crate) location: String,
    pub(crate) holder: String,
    /// None if a passphrase opens it.
    pub(crate) key_file: Option<PathBuf>,
    probe: ProbeReport,
    /// None where the store has no end that it could run into.
    reserve: Option<Reserve>,
}

/// Whether there was room for the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reserve {
    Made,
    NoRoom,
}

/// Makes a repository with the usual parameters and keeps its first key.
pub(crate) fn create(url: &str, key: NewKey, holder: &str, context: &Context) -> Result<NewRepository, Failure> {
    create_with(url, key, holder, Parameters::default(), context)
}

fn create_with(
    url: &str,
    key: NewKey,
    holder: &str,
    parameters: Parameters,
    context: &Context,
) -> Result<NewRepository, Failure> {
    let what = || format!("make a repository at {}", shown::location(url));
    let place = StorePlace::open(url, context)?;
    let probe = probe_free_place(&place, &what(), context)?;
    let memory = PlaceMemory::of_place(&place, context)?;
    let StorePlace { location, store, .. } = place;
    let (how, reserved) = match key {
        NewKey::Passphrase(passphrase) => (NewHolder::Passphrase(passphrase), None),
        NewKey::File(path) => (NewHolder::KeyFile, Some((Reserved::beside(&path)?, Some(path)))),
        NewKey::DefaultFile => (NewHolder::KeyFile, Some((Reserved::in_folder(&places::keys()?)?, None))),
    };
    let options = InitOptions { parameters, created: Timestamp::now(), holder: holder.to_owned(), how };
    let created = context.wait(&what(), Repository::init(Arc::clone(&store), options))?;

    let key_file = match (reserved, created.key_file) {
        (Some((reserved, path)), Some(key)) => Some(keep(reserved, &key, path, &location)?),
        _ => None,
    };
    memory.remember_if_possible(created.id);
    let reserve = if location.is_bounded() { Some(make_reserve(&*store, created.id, context)) } else { None };
    Ok(NewRepository {
        repository: created.id,
        location: location.to_string(),
        holder: holder.to_owned(),
        key_file,
        probe,
        reserve,
    })
}

/// The repository is there and its key is kept: that there is no reserve is no failure, and the first prune tries again.
fn make_reserve(store: &dyn ObjectStore, id: RepositoryId, context: &Context) -> Reserve {
    match context.wait("make the reserve", reserve::make(store, id)) {
        Ok(true) => return Reserve::Made,
        Ok(false) => {}
        Err(failure) => tracing::warn!(%failure, "no reserve is made"),
    }
    Reserve::NoRoom
}

/// A repository whose key is lost is of no use to anybody, so the failure says to remove it.
fn keep(reserved: Reserved, key: &KeyFile, path: Option<PathBuf>, location: &Location) -> Result<PathBuf, Failure> {
    let path = path.map_or_else(|| places::key_of(key.repository()), Ok)?;
    let kept = reserved.keep(key, &path);
    let useless = |failure: Failure| {
        let folder = location.folder().map_or_else(|| location.to_string(), shell_word);
        failure.advise(format!(
            "the new repository has no key and is of no use: remove {folder} and run the command again"
        ))
    };
    kept.map_err(useless)?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}

/// What the store promises, if there is no repository yet.
fn probe_free_place(place: &StorePlace, what: &str, context: &Context) -> Result<ProbeReport, Failure> {
    let existing = context.wait(what, async {
        match Repository::read_config(&*place.store).await {
            Err(Error::NoRepository) => Ok(None),
            Err(error) => Err(error),
            Ok(config) => Ok(Some(config.repository)),
        }
    })?;
    if let Some(id) = existing {
        let next = format!("repository {id} lies there: use it as it is, or give another location");
        return Err(Failure::new(what, Error::Exists).advise(next));
    }
    context.wait(what, place.probe())
}

fn preview(args: &InitArgs, context: &Context) -> Result<Exit, Failure> {
    let what = format!("make a repository at {}", shown::location(&args.url));
    let probe = probe_free_place(&StorePlace::open(&args.url, context)?, &what, context)?;
    let exit = if probe.is_clean() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&Probed(probe))?;
    Ok(exit)
}

impl Answer for NewRepository {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "made repository {} at {}", self.repository, self.location)?;
        match self.probe.commits {
            Commits::Race if self.probe.is_clean() => {
                writeln!(out, "store: keeps all of its {} promises", self.probe.checks.len())?
            }
            Commits::Race => writeln!(out, "store: some promises are not kept, see `strongroom repo probe`")?,
            Commits::ControllerOnly => writeln!(
                out,
                "store: does not refuse to overwrite, so commits take a lock in it: let one machine write to this repository"
            )?,
        }
        if self.reserve == Some(Reserve::NoRoom) {
            writeln!(
                out,
                "WARNING: there is no room for the reserve of {}: if this store fills up, nothing can be pruned before room is made by other means",
                shown::size(reserve::RESERVE_BYTES)
            )?;
        }
        match &self.key_file {
            Some(path) => write_key_advice(out, path),
            None => writeln!(out, "key:   the passphrase of '{}'; without it nothing can be restored", self.holder),
        }
    }
}

pub(crate) fn write_key_advice(out: &mut dyn Write, path: &Path) -> io::Result<()> {
    writeln!(out, "key:   {}", path.display())?;
    writeln!(out, "       Without this key nothing can be restored. Keep a copy on another machine, or print one:")?;
    writeln!(out, "       strongroom key sheet --key {}", shell_word(path))
}
