//! What has been done of a change: one file for each record, made durable before it has its name.
//!
//! A file holds a line of JSON and a line with the BLAKE3 of the line before it in the previous file and of its own JSON, so that a record cannot be lost, added or changed in the middle.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attributes, Files, Moment, Node, Step};

/// One thing that was done, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Record {
    /// These steps are meant; nothing has been written but this.
    Begun { steps: Vec<Step> },
    /// What the steps replace is kept, and was read back.
    Kept,
    /// What is to come lies beside its places.
    Staged,
    /// From here on the paths change. Whoever does not confirm before the deadline has it undone.
    Intended { deadline: Moment },
    /// All paths are new, as a look at each has shown.
    Switched,
    /// New for good.
    Confirmed { by: String },
    /// All paths become old again.
    Reverting { why: String },
    /// All paths are old, as a look at each has shown.
    Reverted,
    /// Given up before any path had changed.
    Aborted { why: String },
    /// The revert was not able to make these paths as they were: the host is left as it is, and takes no further change.
    Inconsistent { left: Vec<PathBuf> },
}

/// A record, and when it was written by the host's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

/// The records of a change, of which there is at least one.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    first: Record,
    written: Vec<Written>,
    /// The check of the last one.
    check: String,
    /// A record may or may not be on the disk: nothing more is written on top of that.
    is_unsure: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read or written.
    #[error("cannot {doing} the journal at '{}'", .path.display())]
    Files { doing: &'static str, path: PathBuf, source: io::Error },
    /// A record is not as it was written, or one is missing.
    #[error("the journal is damaged at '{}': put what it describes in order by hand, then move the folder away", .0.display())]
    Damaged(PathBuf),
    /// The first record does not say what is meant.
    #[error("the journal of '{}' does not begin at the beginning", .0.display())]
    NoBeginning(PathBuf),
    /// An earlier record could not be made durable.
    #[error("what the journal at '{}' says is not known since a write failed: recover first", .0.display())]
    Unsure(PathBuf),
}

/// The name under which a record is written.
const NEW: &str = "new";

impl Record {
    /// Whether nothing follows it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Confirmed { .. } | Self::Reverted | Self::Aborted { .. })
    }

    /// What a change is after it, to go on after "it".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begun { .. } | Self::Kept => "is being prepared",
            Self::Staged => "is prepared, and not switched",
            Self::Intended { .. } => "is being switched",
            Self::Switched => "waits to be confirmed",
            Self::Confirmed { .. } => "is confirmed",
            Self::Reverting { .. } => "is being reverted",
            Self::Reverted => "is reverted",
            Self::Aborted { .. } => "was given up",
            Self::Inconsistent { .. } => "could not be undone",
        }
    }
}

impl Journal {
    /// Begins one, in a folder that is there and holds no record.
    pub(super) fn begin(files: &dyn Files, folder: &Path, at: Timestamp, first: Record) -> Result<Self, JournalError> {
        let mut journal = Self {
            folder: folder.to_owned(),
            first: first.clone(),
            written: Vec::new(),
            check: String::new(),
            is_unsure: false,
        };
        journal.write(files, at, first)?;
        Ok(journal)
    }

    /// Reads one; none if it has no record.
    pub(super) fn open(files: &dyn Files, folder: &Path) -> Result<Option<Self>, JournalError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Files { doing, path, source }
        };
        let names = files.names(folder).map_err(failed("list", folder))?;
        let (mut written, mut check) = (Vec::new(), String::new());
        for (number, name) in names.iter().filter(|name| *name != NEW).enumerate() {
            let path = folder.join(name);
            let bytes = files.read(&path).map_err(failed("read", &path))?;
            let record = (*name == self::name(number)).then(|| parse(&bytes, &check)).flatten();
            let (record, checked) = record.ok_or(JournalError::Damaged(path))?;
            written.push(record);
            check = checked;
        }
        let Some(first) = written.first().map(|first: &Written| first.record.clone()) else { return Ok(None) };
        Ok(Some(Self { folder: folder.to_owned(), first, written, check, is_unsure: false }))
    }

    /// Adds a record; it outlasts a power cut when this returns.
    pub(super) fn write(&mut self, files: &dyn Files, at: Timestamp, record: Record) -> Result<(), JournalError> {
        if self.is_unsure {
            return Err(JournalError::Unsure(self.folder.clone()));
        }
        let written = Written { at, record };
        // BUG: a record holds nothing that JSON cannot.
        let json = serde_json::to_string(&written).expect("a record is JSON");
        let check = check(&self.check, &json);
        let put = || {
            let (new, place) = (self.folder.join(NEW), self.folder.join(name(self.written.len())));
            if files.look(&new)? != Node::Absent {
                files.remove(&new)?;
            }
            files.create(&new, format!("{json}\n{check}\n").as_bytes(), &Attributes::private(0o600))?;
            files.flush(&new)?;
            files.rename(&new, &place)?;
            files.flush(&self.folder)
        };
        let put: io::Result<()> = put();
        if let Err(source) = put {
            self.is_unsure = true;
            return Err(JournalError::Files { doing: "write", path: self.folder.clone(), source });
        }
        self.written.push(written);
        self.check = check;
        Ok(())
    }

    pub(super) fn first(&self) -> &Record {
        &self.first
    }

    pub(super) fn last(&self) -> &Record {
        self.written.last().map_or(&self.first, |last| &last.record)
    }

    pub(super) fn records(&self) -> &[Written] {
        &self.written
    }
}

/// Sorts by number as long as there are fewer than ten thousand; a change has ten.
fn name(number: usize) -> String {
    format!("{number:04}")
}

fn check(before: &str, json: &str) -> String {
    super::set::hash(format!("{before}\n{json}").as_bytes())
}

fn parse(bytes: &[u8], before: &str) -> Option<(Written, String)> {
    let (json, checked) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once('\n')?;
    let written = serde_json::from_str(json).ok()?;
    (check(before, json) == checked).then(|| (written, checked.to_owned()))
}
