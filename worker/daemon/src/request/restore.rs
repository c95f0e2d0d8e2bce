//! What a restore is to do.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strongroom_repository::text::unescape;
use strongroom_repository::{ObjectId, RepositoryId};
use strongroom_worker::restore::{Overwrite, Owners, Replaced};

use super::{Around, Hook, Limits, REQUEST_BYTES_MAX, RequestFault, StorePlace, is_default};

/// A snapshot, or some of its paths, into a directory of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreRequest {
    /// Where from.
    pub repository: RepositoryId,
    /// By which way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub store: StorePlace,
    /// Which snapshot.
    pub snapshot: ObjectId,
    /// Its paths, escaped; none for everything.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths: Vec<String>,
    /// Where to, escaped.
    pub target: String,
    /// What becomes of files that are there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overwrite: Overwrite,
    /// What becomes of those that are replaced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replaced: Replaced,
    /// How owners are set.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owners: Owners,
    /// How much of the host and the line it may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Only look.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dry_run: bool,
    /// Run in the target once everything is in place.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checks: Vec<Hook>,
    /// Put what was restored at this place, escaped, instead of restoring it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub promote_to: Option<String>,
    /// What runs around it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub around: Around,
}

impl RestoreRequest {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), RequestFault> {
        if !self.target().is_absolute() {
            return Err(RequestFault::Relative(self.target.clone()));
        }
        if let StorePlace::Directory(path) = &self.store
            && !path.is_absolute()
        {
            return Err(RequestFault::Relative(path.display().to_string()));
        }
        if self.checks.iter().chain(self.around.hooks()).any(|hook| hook.arguments.first().is_none_or(String::is_empty))
        {
            return Err(RequestFault::NoProgram);
        }
        if let Some(place) = self.promote_to() {
            if !place.is_absolute() {
                return Err(RequestFault::Relative(place.display().to_string()));
            }
            if self.paths.len() != 1 {
                return Err(RequestFault::NotOnePath);
            }
        }
        if self.json().len() > REQUEST_BYTES_MAX { Err(RequestFault::TooLarge) } else { Ok(()) }
    }

    /// The directory to restore into.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        OsString::from_vec(unescape(&self.target)).into()
    }

    /// The place at which what was restored is put.
    #[must_use]
    pub fn promote_to(&self) -> Option<PathBuf> {
        self.promote_to.as_ref().map(|place| OsString::from_vec(unescape(place)).into())
    }

    /// The paths as the snapshot has them.
    #[must_use]
    pub fn raw_paths(&self) -> Vec<Vec<u8>> {
        self.paths.iter().map(|path| unescape(path)).collect()
    }

    /// BLAKE3 of the request, in hex: the same for the same request. One that goes on may go on faster or slower than it began.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let same = Self { limits: Limits::default(), ..self.clone() };
        blake3::hash(&same.json()).to_hex().to_string()
    }

    fn json(&self) -> Vec<u8> {
        // BUG if it fails: what is not text is escaped, and a store's path came from the wire, as UTF-8.
        serde_json::to_vec(self).expect("a request serialises")
    }
}
