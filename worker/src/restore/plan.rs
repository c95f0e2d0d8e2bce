//! The plan of a restore: what will happen, to be read before it does.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_repository::{Entry, ObjectId, Repository, Tree};

use super::options::{Overwrite, RestoreOptions};
use super::owners::OwnerMap;
use super::selection::Selection;

/// A plan, ready to be run. It holds no lock and changes nothing: what it found may be otherwise when it is run, and running it finds out.
#[derive(Debug)]
pub struct RestorePlan {
    /// What is shown.
    pub summary: PlanSummary,
    pub(super) repository: Arc<Repository>,
    pub(super) tree: Tree,
    pub(super) options: RestoreOptions,
    pub(super) selection: Selection,
    pub(super) owners: Arc<OwnerMap>,
    pub(super) staging: String,
    pub(super) decisions: Decisions,
}

/// What the target holds already, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    /// Paths that are not restored, because what is there is equal, is kept, or is in the way. If one is a directory in the snapshot, then with all
    /// below it.
    pub(super) skipped: HashSet<Vec<u8>>,
    /// Existing directories that get the snapshot's metadata when everything is in them, parents first.
    pub(super) merged: Vec<(Vec<u8>, Entry)>,
    /// What stands in the way, by escaped path.
    pub(super) conflicts: Vec<PathNote>,
}

/// A restore as it will be, in numbers and names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanSummary {
    /// Which snapshot.
    pub snapshot: ObjectId,
    /// The host that it is of, escaped.
    pub host: String,
    /// When it was taken.
    pub time: Timestamp,
    /// What of it, escaped; nothing means everything.
    pub paths: Vec<String>,
    /// Where to, escaped.
    pub target: String,
    /// The same with every link on the way followed, as far as it exists: an approval is of this place. None from earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_real: Option<String>,
    /// What to do about existing files.
    pub overwrite: Overwrite,
    /// Whether an interrupted run is continued.
    pub resumes: Resumes,
    /// Regular files, each once however many names it has.
    pub files: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links, fifos and devices.
    pub others: u64,
    /// Bytes of content to write, holes left out.
    pub bytes: u64,
    /// Existing nodes that will be replaced.
    pub replaced: u64,
    /// Existing nodes that are equal already.
    pub unchanged: u64,
    /// Existing nodes that will be left as they are.
    pub kept: u64,
    /// Packs to read from.
    pub packs: u64,
    /// Frames to fetch, and the bytes they have.
    pub frames: u64,
    /// Bytes to fetch.
    pub fetch_bytes: u64,
    /// Bytes that the target must have room for.
    pub needed_bytes: u64,
    /// Bytes that it has.
    pub free_bytes: u64,
    /// The first of the paths that will be replaced, escaped.
    pub replaced_paths: Vec<String>,
    /// The first of the paths that will be left as they are.
    pub kept_paths: Vec<String>,
    /// What to think about before it runs.
    pub warnings: Vec<Warning>,
}

/// A path and a word about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathNote {
    /// Escaped.
    pub path: String,
    /// What about it.
    pub note: String,
}

/// What an earlier run of the same request left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resumes {
    /// Nothing: this is the first run.
    Nothing,
    /// Files: the good ones are kept.
    Staging,
    /// Everything, verified: it only has to be put in place.
    Placing,
}

/// Something that the person who decides should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    /// The target has too little room.
    NoRoom,
    /// Who runs this may not set owners, make devices and more.
    NotRoot,
    /// Files that changed while they were backed up, the first hundred.
    Torn(Vec<String>),
    /// The index does not know chunks of these files, the first hundred: they cannot be restored.
    Lost(Vec<String>),
    /// Things in the target that are neither kept nor replaced: what belongs there cannot be restored.
    Conflicts(Vec<PathNote>),
    /// Other unfinished restores in the target.
    Unfinished(Vec<String>),
}

impl PlanSummary {
    /// Whether the target has too little room.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        self.needed_bytes > self.free_bytes
    }
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = &self.snapshot.hex()[..16];
        writeln!(out, "snapshot {short} of {} at {}", self.host, self.time)?;
        let what = if self.paths.is_empty() { "everything".to_owned() } else { self.paths.join(", ") };
        writeln!(out, "restore  {what}")?;
        writeln!(out, "into     {}", self.target)?;
        let Self { files, directories, hard_links, others, .. } = self;
        writeln!(
            out,
            "content  {files} files, {} bytes; {directories} directories, {hard_links} hard links, {others} others",
            self.bytes
        )?;
        writeln!(out, "fetch    {} bytes in {} frames of {} packs", self.fetch_bytes, self.frames, self.packs)?;
        writeln!(out, "room     {} bytes needed, {} free", self.needed_bytes, self.free_bytes)?;
        match self.resumes {
            Resumes::Nothing => {}
            Resumes::Staging => {
                writeln!(out, "resumes  an interrupted run: what it left is read back and kept where it is good")?
            }
            Resumes::Placing => {
                writeln!(out, "resumes  an interrupted run: everything is verified and only has to be put in place")?
            }
        }
        let existing =
            format!("{} replaced, {} equal already, {} kept as they are", self.replaced, self.unchanged, self.kept);
        writeln!(out, "existing {existing}")?;
        list(out, "  replace", &self.replaced_paths, self.replaced)?;
        list(out, "  keep   ", &self.kept_paths, self.kept)?;
        self.warnings.iter().try_for_each(|warning| warning.fmt(out))
    }
}

fn list(out: &mut fmt::Formatter<'_>, label: &str, paths: &[String], total: u64) -> fmt::Result {
    paths.iter().try_for_each(|path| writeln!(out, "{label} {path}"))?;
    let more = total.saturating_sub(paths.len() as u64);
    if more > 0 { writeln!(out, "{label} and {more} more") } else { Ok(()) }
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => writeln!(out, "warning  the target has too little room"),
            Self::NotRoot => writeln!(out, "warning  not root: owners, devices and some attributes cannot be set"),
            Self::Torn(paths) => {
                paths.iter().try_for_each(|path| writeln!(out, "warning  {path} changed while it was backed up"))
            }
            Self::Lost(paths) => paths
                .iter()
                .try_for_each(|path| writeln!(out, "warning  {path} is lost: the repository has not all of it")),
            Self::Conflicts(notes) => {
                notes.iter().try_for_each(|note| writeln!(out, "warning  {}: {}", note.path, note.note))
            }
            Self::Unfinished(names) => names
                .iter()
                .try_for_each(|name| writeln!(out, "warning  {name} is of another restore that was not finished")),
        }
    }
}
