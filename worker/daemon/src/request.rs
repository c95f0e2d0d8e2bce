//! What a job is to do: checked once, when it arrives, and kept in the ledger as JSON.
//!
//! Values that are not given are not written, so that a release that adds one still recognises the requests of the release before it by their fingerprint.

mod around;
mod restore;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_repository::RepositoryId;
use strongroom_worker::command::{HOOK_TIME, OUTPUT_TIME};

pub use around::{Around, Probe};
pub use restore::RestoreRequest;

/// Nothing that is still of use takes longer.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// One source into one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// Where to.
    pub repository: RepositoryId,
    /// By which way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub store: StorePlace,
    /// Every byte is read again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub full: bool,
    /// Whose data they are.
    pub host: String,
    /// Labels of the snapshot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tags: BTreeMap<String, String>,
    /// What to back up.
    pub source: Source,
    /// How much of the host it may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Commands before it, in this order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub before: Vec<Hook>,
    /// Commands after it, in this order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after: Vec<Hook>,
}

/// Where the repository's store is for this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorePlace {
    /// Behind the controller's gateway.
    #[default]
    Gateway,
    /// In a directory of this host, which the worker writes to itself.
    Directory(PathBuf),
}

/// Where the data come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Source {
    /// Files and directories.
    Files {
        /// Absolute paths.
        paths: Vec<PathBuf>,
        /// Patterns of what is left out.
        #[serde(default, skip_serializing_if = "is_default")]
        excludes: Vec<String>,
        /// Directories with a CACHEDIR.TAG are left out.
        #[serde(default, skip_serializing_if = "is_default")]
        exclude_caches: bool,
        /// Other file systems below the paths are left out.
        #[serde(default, skip_serializing_if = "is_default")]
        one_file_system: bool,
        /// Larger files are left out.
        #[serde(default, skip_serializing_if = "is_default")]
        larger_than: Option<u64>,
    },
    /// What a command prints.
    Command {
        /// Where the file stands in the snapshot.
        name: PathBuf,
        /// Program and arguments.
        arguments: Vec<String>,
        /// How long it may run; none for a day.
        #[serde(default, skip_serializing_if = "is_default")]
        seconds_max: Option<NonZeroU64>,
    },
}

/// How much of the host a job may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Limits {
    /// To the store, and from it.
    #[serde(skip_serializing_if = "is_default")]
    pub upload_bytes_per_second: Option<NonZeroU64>,
    /// From the source.
    #[serde(skip_serializing_if = "is_default")]
    pub read_bytes_per_second: Option<NonZeroU64>,
    /// Threads; none for one for each processor.
    #[serde(skip_serializing_if = "is_default")]
    pub threads: Option<NonZeroU64>,
    /// From the store, to a restore.
    #[serde(skip_serializing_if = "is_default")]
    pub download_bytes_per_second: Option<NonZeroU64>,
}

/// A command around the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hook {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// How long it may run; none for ten minutes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seconds_max: Option<NonZeroU64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The repository's id.
    #[error("'{}' is not the id of a repository", .0.escape_default())]
    Repository(String),
    /// The snapshot's id.
    #[error("'{}' is not the id of a snapshot", .0.escape_default())]
    Snapshot(String),
    /// A way to treat existing files that a newer release knows.
    #[error("the request says to treat existing files in a way ({0}) that this worker does not know")]
    Overwrite(i32),
    /// No host.
    #[error("the request names no host")]
    NoHost,
    /// A store of its own, but none that this release knows.
    #[error("the request has no store that this worker can open: {} is older than the controller", crate::PROGRAM)]
    NoStore,
    /// No source, or one that a newer release knows.
    #[error("the request has no source that this worker knows")]
    NoSource,
    /// Nothing to back up.
    #[error("the request names no path")]
    NoPath,
    /// A path that depends on a working directory.
    #[error("the path '{}' is not absolute", .0.escape_default())]
    Relative(String),
    /// Nothing that could be put at one place.
    #[error("a restore of other than one path is put at no place")]
    NotOnePath,
    /// No program.
    #[error("a command without a program")]
    NoProgram,
    /// No room for its ledger.
    #[error("the request is larger than {REQUEST_BYTES_MAX} bytes")]
    TooLarge,
}

/// A plan is some kilobytes; what is larger is a mistake, and the ledger keeps thousands.
const REQUEST_BYTES_MAX: usize = 1 << 20;

impl Request {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), RequestFault> {
        if self.host.is_empty() {
            return Err(RequestFault::NoHost);
        }
        if let StorePlace::Directory(path) = &self.store
            && !path.is_absolute()
        {
            return Err(RequestFault::Relative(path.display().to_string()));
        }
        match &self.source {
            Source::Files { paths, .. } if paths.is_empty() => return Err(RequestFault::NoPath),
            Source::Files { paths, .. } => {
                if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                    return Err(RequestFault::Relative(path.display().to_string()));
                }
            }
            Source::Command { name, .. } if name.as_os_str().is_empty() => return Err(RequestFault::NoPath),
            Source::Command { .. } => {}
        }
        if self.commands().any(|arguments| arguments.first().is_none_or(String::is_empty)) {
            return Err(RequestFault::NoProgram);
        }
        if self.json().len() > REQUEST_BYTES_MAX { Err(RequestFault::TooLarge) } else { Ok(()) }
    }

    fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        let source = match &self.source {
            Source::Command { arguments, .. } => Some(arguments),
            Source::Files { .. } => None,
        };
        source.into_iter().chain(self.before.iter().chain(&self.after).map(|hook| &hook.arguments))
    }

    /// BLAKE3 of the request, in hex: the same for the same request.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        blake3::hash(&self.json()).to_hex().to_string()
    }

    /// What two jobs must not work on at the same time.
    #[must_use]
    pub fn subject(&self) -> String {
        let what = match &self.source {
            Source::Files { paths, .. } => format!("{paths:?}"),
            Source::Command { name, .. } => format!("{name:?}"),
        };
        format!("{} {:?} {what}", self.repository, self.host)
    }

    fn json(&self) -> Vec<u8> {
        // BUG if it fails: paths come from the wire, as UTF-8, and everything else serialises.
        serde_json::to_vec(self).expect("a request serialises")
    }
}

impl Hook {
    /// How long it may run.
    #[must_use]
    pub fn time_max(&self) -> Duration {
        bounded(self.seconds_max, HOOK_TIME)
    }
}

/// How long a source's command may run.
#[must_use]
pub fn command_time_max(seconds_max: Option<NonZeroU64>) -> Duration {
    bounded(seconds_max, OUTPUT_TIME)
}

fn bounded(seconds: Option<NonZeroU64>, default: Duration) -> Duration {
    seconds.map_or(default, |seconds| Duration::from_secs(seconds.get()).min(TIME_MAX))
}

#[cfg(test)]
mod tests;
