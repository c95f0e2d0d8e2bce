//! Files of a host changed together, with a way back.
//!
//! A [`ChangeSet`] says what is to be at each of its paths. In this order:
//!
//! 1. [`plan`]: what is there now, what differs, and everything that speaks against it. Nothing is written.
//! 2. [`Changes::prepare`]: what is there now is kept and read back; what is to come is staged beside its place. Nothing has changed for anybody else.
//! 3. [`Change::switch`]: all paths become new, by renames. From the [`Record::Intended`] before it on, only a confirmation ends the change forwards.
//! 4. [`Change::confirm`], or [`Change::revert`]: all new for good, or all old again, compared path by path.
//!
//! What holds everywhere: a crash at any instruction leaves a change that [`Changes::recover`] ends with every path old or every path new, and the last record of its [journal](journal) says
//! which. Whatever was not confirmed goes back. A path that somebody else has changed meanwhile is kept before it is put back.
//!
//! Deliberately absent: what gives the orders, validators, services and probes; contents of more than [`CONTENT_BYTES_MAX`]; and times, which no configuration depends on.

mod error;
mod files;
mod id;
mod journal;
mod keep;
mod moment;
mod node;
mod on_disk;
mod plan;
mod prepare;
mod recover;
mod revert;
mod set;
mod switch;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use error::ChangeError;
pub use files::Files;
pub use id::{BadChangeId, ChangeId};
pub use journal::{Journal, JournalError, Record, Written};
pub use moment::Moment;
pub use node::{Attributes, Node};
pub use on_disk::OnDisk;
pub use plan::{Plan, Refusal, Step, plan};
pub use recover::Recovered;
pub use set::{ChangeSet, Content, Wanted};

/// Configuration is small; what is larger is not configuration, and is neither kept in memory nor twice on the disk for it. In bytes.
pub const CONTENT_BYTES_MAX: u64 = 16 << 20;

/// All changes of a host, each in a folder of its own below one home.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    files: &'a dyn Files,
    home: &'a Path,
    now: &'a dyn Fn() -> Timestamp,
}

/// One change that has been prepared.
pub struct Change<'a> {
    changes: Changes<'a>,
    id: ChangeId,
    steps: Vec<Step>,
    journal: Journal,
}

impl<'a> Changes<'a> {
    /// Those whose records lie in `home`, which is made when it is needed.
    pub fn new(files: &'a dyn Files, home: &'a Path, now: &'a dyn Fn() -> Timestamp) -> Self {
        Self { files, home, now }
    }

    /// The one that has not ended, if there is one.
    pub fn under_way(&self) -> Result<Option<Change<'a>>, ChangeError> {
        for id in self.ids()? {
            let change = self.change(id)?;
            if change.as_ref().is_some_and(|change| !change.has_ended()) {
                return Ok(change);
            }
        }
        Ok(None)
    }

    /// One by its id; none if it is not known, or did not come as far as its first record.
    pub fn change(&self, id: ChangeId) -> Result<Option<Change<'a>>, ChangeError> {
        let Some(journal) = Journal::open(self.files, &self.folder(&id).join(JOURNAL))? else { return Ok(None) };
        let Record::Begun { steps } = journal.first().clone() else {
            return Err(JournalError::NoBeginning(self.folder(&id)).into());
        };
        Ok(Some(Change { changes: *self, id, steps, journal }))
    }

    /// All that have a folder, the names that are none of ours left out.
    pub fn ids(&self) -> Result<Vec<ChangeId>, ChangeError> {
        let names = self.files.names(self.home).map_err(|source| ChangeError::files("list", self.home, source))?;
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn folder(&self, id: &ChangeId) -> PathBuf {
        self.home.join(id.as_str())
    }
}

/// The folder of the records, in that of the change.
const JOURNAL: &str = "journal";

impl Change<'_> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ChangeId {
        &self.id
    }

    /// What it does, in the order in which it is done.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What has been written of it, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Written] {
        self.journal.records()
    }

    fn write(&mut self, record: Record) -> Result<(), ChangeError> {
        Ok(self.journal.write(self.changes.files, (self.changes.now)(), record)?)
    }

    fn folder(&self) -> PathBuf {
        self.changes.folder(&self.id)
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.journal.last().is_end()
    }
}
