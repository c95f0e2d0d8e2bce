//! The controller's own state as a tree of files: for those who store it, and for those who begin again from it.
//!
//! ```text
//! controller.json   what it is of, and when (`About`)
//! site/             the site's directory, with its git repository if it is one
//! state/            the state folder: the journal as one consistent file, the SSH key, the hosts' keys, ledgers, records
//! keys/ID.json      the key files by which the controller opens its repositories
//! ```
//!
//! Deliberately absent: what is made anew (the cache, scan states, scratch directories, the socket), passphrases, and files elsewhere that the site only names.

mod gather;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_repository::RepositoryId;

pub(crate) use gather::{Gathered, Origins, gather};

/// The name of [`About`] in the tree.
pub(crate) const ABOUT: &str = "controller.json";
/// The site's directory in the tree.
pub(crate) const SITE: &str = "site";
/// The state folder in the tree.
pub(crate) const STATE: &str = "state";
/// The key files in the tree.
pub(crate) const KEYS: &str = "keys";

/// The version of the layout.
pub(crate) const LAYOUT: u32 = 1;

/// What a tree is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct About {
    /// The version of the layout; a newer one is refused.
    pub(crate) strongroom_controller: u32,
    /// Program and version.
    pub(crate) program: String,
    /// The controller's machine.
    pub(crate) machine: String,
    /// When it was gathered.
    pub(crate) time: Timestamp,
    pub(crate) site: SiteAbout,
    pub(crate) journal: JournalAbout,
    /// The repositories whose key files are in it.
    pub(crate) keys: Vec<RepositoryId>,
}

/// The site's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SiteAbout {
    pub(crate) name: String,
    /// Where they were.
    pub(crate) directory: String,
    /// BLAKE3 over them.
    pub(crate) version: String,
    /// The git commit, where the directory was a clean work tree.
    pub(crate) commit: Option<String>,
    /// The version that was in force, which may be an older one.
    pub(crate) in_force: String,
}

/// The journal's newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JournalAbout {
    pub(crate) entry: u64,
    pub(crate) hash: String,
}
