//! A location and a key become an open repository.

use std::env;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use strongroom_plans::RepositorySpec;
use strongroom_repository::reserve::Upkeep;
use strongroom_repository::store::{Limited, Location};
use strongroom_repository::{Credential, Error, KeyFile, Repository, RepositoryId};

use crate::context::Context;
use crate::copies::{self, CopiesArgs};
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::place_memory::PlaceMemory;
use crate::repo::NewKey;
use crate::room::Measured;
use crate::store_place::StorePlace;
use crate::{key_file, passphrase, places, shown};

/// Which repository, and how to open it.
#[derive(Debug, Args)]
pub(crate) struct RepositoryArgs {
    /// The repository: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: String,
    #[command(flatten)]
    key: KeyArgs,
}

/// The same for commands that take the repository as their argument.
#[derive(Debug, Args)]
pub(crate) struct LocatedArgs {
    /// The repository: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    url: String,
    #[command(flatten)]
    key: KeyArgs,
}

/// How a repository is opened. What is said on the command line comes before the environment, and both before the default key file.
#[derive(Debug, Default, Args)]
pub(crate) struct KeyArgs {
    /// The key file [env: STRONGROOM_KEY] [default: ${XDG_CONFIG_HOME:-~/.config}/strongroom/keys/REPOSITORY-ID.json]
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    key: Option<PathBuf>,

    /// A file whose first line is the passphrase [env: STRONGROOM_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "key", help_heading = "Key")]
    passphrase_file: Option<PathBuf>,

    /// Ask for the passphrase on the terminal
    #[arg(long, conflicts_with_all = ["key", "passphrase_file"], help_heading = "Key")]
    ask_passphrase: bool,
}

/// Where the secret is to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeySource {
    File(PathBuf),
    PassphraseFile(PathBuf),
    Terminal,
    Default,
}

impl KeyArgs {
    fn source(&self) -> KeySource {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let said = self.key.clone().map(KeySource::File);
        let said = said.or_else(|| self.passphrase_file.clone().map(KeySource::PassphraseFile));
        let said = said.or_else(|| self.ask_passphrase.then_some(KeySource::Terminal));
        let meant = said.or_else(|| variable("STRONGROOM_KEY").map(KeySource::File));
        let meant = meant.or_else(|| variable("STRONGROOM_PASSPHRASE_FILE").map(KeySource::PassphraseFile));
        meant.unwrap_or(KeySource::Default)
    }

    /// How a repository that is made now will be opened, so that the same options open it afterwards.
    pub(crate) fn for_new(&self) -> Result<NewKey, Failure> {
        Ok(match self.source() {
            KeySource::File(path) => NewKey::File(path),
            KeySource::PassphraseFile(path) => NewKey::Passphrase(passphrase::from_file(&path)?),
            KeySource::Terminal => NewKey::Passphrase(passphrase::ask_new()?),
            KeySource::Default => NewKey::DefaultFile,
        })
    }

    /// The key file that would be used, if it is one.
    pub(crate) fn file_for(&self, repository: RepositoryId) -> Result<Option<PathBuf>, Failure> {
        match self.source() {
            KeySource::File(path) => Ok(Some(path)),
            KeySource::PassphraseFile(_) | KeySource::Terminal => Ok(None),
            KeySource::Default => places::key_of(repository).map(Some),
        }
    }

    /// The key file that was named, on the command line or in the environment.
    pub(crate) fn named_file(&self) -> Option<PathBuf> {
        match self.source() {
            KeySource::File(path) => Some(path),
            _ => None,
        }
    }

    fn credential(&self, repository: RepositoryId) -> Result<Credential, Failure> {
        match self.source() {
            KeySource::File(path) => key_file::read(&path).map(Credential::File),
            KeySource::PassphraseFile(path) => passphrase::from_file(&path).map(Credential::Passphrase),
            KeySource::Terminal => passphrase::ask("passphrase: ").map(Credential::Passphrase),
            KeySource::Default => default_credential(repository),
        }
    }
}

fn default_credential(repository: RepositoryId) -> Result<Credential, Failure> {
    let path = places::key_of(repository)?;
    if path.exists() {
        return key_file::read(&path).map(Credential::File);
    }
    if passphrase::can_ask() {
        return passphrase::ask(&format!("passphrase of repository {repository}: ")).map(Credential::Passphrase);
    }
    let why = Cause::Key(format!("no key was given, and {} does not exist", path.display()));
    Err(Failure::new(format!("unlock repository {repository}"), why)
        .advise("give --key FILE or --passphrase-file FILE"))
}

/// An open repository and where it is.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) repository: Arc<Repository>,
    pub(crate) location: Location,
    /// What beside the location decides which store it is.
    pub(crate) reached_by: String,
    /// Whom to ask for its room.
    pub(crate) measured: Measured,
}

impl Opened {
    /// Whether a prune sees to it that there is a reserve.
    pub(crate) fn reserve_upkeep(&self) -> Upkeep {
        if self.location.is_bounded() { Upkeep::Kept } else { Upkeep::Left }
    }
}

impl RepositoryArgs {
    pub(crate) fn open(&self, context: &Context) -> Result<Opened, Failure> {
        open(&self.repo, &self.key, context)
    }

    /// The same with other copies standing by.
    pub(crate) fn open_with(&self, copies: &CopiesArgs, context: &Context) -> Result<Opened, Failure> {
        copies::open_with(&self.repo, copies, &self.key, context)
    }

    pub(crate) fn url(&self) -> &str {
        &self.repo
    }
}

impl LocatedArgs {
    pub(crate) fn open(&self, context: &Context) -> Result<Opened, Failure> {
        open(&self.url, &self.key, context)
    }

    /// Opens another copy of the repository with the same key.
    pub(crate) fn open_copy(&self, url: &str, context: &Context) -> Result<Opened, Failure> {
        open(url, &self.key, context)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Opens the repository at `url`.
pub(crate) fn open(url: &str, key: &KeyArgs, context: &Context) -> Result<Opened, Failure> {
    open_limited(url, key, None, context)
}

/// The same, with a bound of bytes a second to it and from it.
pub(crate) fn open_limited(
    url: &str,
    key: &KeyArgs,
    bytes_per_second: Option<NonZeroU64>,
    context: &Context,
) -> Result<Opened, Failure> {
    let mut place = StorePlace::open(url, context)?;
    if let Some(limit) = bytes_per_second {
        place.store = Arc::new(Limited::new(place.store, limit));
    }
    open_in(place, |repository| key.credential(repository), context)
}

/// The same with a key that is at hand.
pub(crate) fn open_with_key(url: &str, key: KeyFile, context: &Context) -> Result<Opened, Failure> {
    open_in(StorePlace::open(url, context)?, |_| Ok(Credential::File(key)), context)
}

/// Opens a repository that a site declares.
pub(crate) fn open_declared(spec: &RepositorySpec, key: &KeyArgs, context: &Context) -> Result<Opened, Failure> {
    open_in(StorePlace::open_by(&spec.location(), spec.reach(), context)?, |id| key.credential(id), context)
}

fn open_in(
    place: StorePlace,
    credential: impl FnOnce(RepositoryId) -> Result<Credential, Failure>,
    context: &Context,
) -> Result<Opened, Failure> {
    let memory = PlaceMemory::of_place(&place, context)?;
    let StorePlace { location, store, reached_by, measured, .. } = place;
    let what = || format!("open the repository at {}", shown::location(&location.to_string()));
    let config = context.wait(&what(), async {
        match Repository::read_config(&*store).await {
            Ok(config) => Ok(Some(config)),
            Err(Error::NoRepository) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    let Some(config) = config else {
        memory.check_absent(context)?;
        return Err(Failure::new(what(), Error::NoRepository));
    };
    let cache = cache_folder(context)?;
    let opened = credential(config.repository)
        .and_then(|credential| context.wait(&what(), Repository::open(store, &credential, &cache)));
    // A key that does not fit another repository than the one that was there is not what is wrong.
    let repository = opened.or_else(|failure| match failure.exit() {
        Exit::Denied => memory.check_known(config.repository, context).and(Err(failure)),
        _ => Err(failure),
    })?;
    Ok(Opened { repository, location, reached_by, measured })
}

/// The cache, readable by its owner alone.
pub(crate) fn cache_folder(context: &Context) -> Result<PathBuf, Failure> {
    let folder = context.cache_dir()?;
    create_private(&folder).doing(|| "prepare the cache folder".into())?;
    let tag = folder.join("CACHEDIR.TAG");
    if !tag.exists() {
        // Only other tools care, and a cache that cannot be tagged is still a cache.
        let _ = std::fs::write(tag, CACHE_TAG);
    }
    Ok(folder)
}

/// By this, backups know that they need not keep it (bford.info/cachedir).
const CACHE_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Strongroom's cache of repositories: safe to delete\n";

/// Creates a folder for its owner alone; one that exists stays as it is.
pub(crate) fn create_private(folder: &Path) -> Result<(), Cause> {
    use std::os::unix::fs::DirBuilderExt;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|source| Cause::File { doing: "create", path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_before_the_default() {
        let key = |key: Option<&str>, file: Option<&str>, ask_passphrase| KeyArgs {
            key: key.map(PathBuf::from),
            passphrase_file: file.map(PathBuf::from),
            ask_passphrase,
        };
        assert_eq!(key(Some("k"), None, false).source(), KeySource::File("k".into()));
        assert_eq!(key(None, Some("p"), false).source(), KeySource::PassphraseFile("p".into()));
        assert_eq!(key(None, None, true).source(), KeySource::Terminal);
    }
}
