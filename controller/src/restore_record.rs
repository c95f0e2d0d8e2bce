//! The record of a restore: who wanted what and why, what was done, what was proven, in a form that whoever reads it years later can check without this program.
//!
//! 1. `compose`: entries of the journal become a [`RestoreRecord`]; pure.
//! 2. `form`, `page`: the same for people, as text and as a page, in English and Chinese.
//! 3. [`seal`]: its files, the list of their hashes, and the signature over that list.
//! 4. [`check`]: whether a record still is what was signed, and if not, where it was changed. Needs the public key alone.
//! 5. [`shelf`]: the folder of all records, and which are owed: an end that stands in the journal and has no record yet gets it at the next start.
//!
//! A record is files because it outlives the journal's database: it is handed to auditors, printed, and backed up with the controller. The journal holds the hash of each.

pub mod check;
mod compose;
mod form;
mod page;
mod part_checks;
mod plan_checks;
pub mod seal;
pub mod shelf;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::{EntryHash, Who};
use crate::requests::Request;
use crate::restores::{RestoreEnding, RestoreScope};

pub use compose::{Incomplete, Setting, compose};
pub use form::Language;

/// The form of the document. A field may be added; anything else makes another number.
pub const FORMAT: &str = "strongroom restore record 1";

/// What is told of one restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreRecord {
    /// [`FORMAT`].
    pub format: String,
    /// The restore's name.
    pub restore: String,
    /// The site.
    pub site: String,
    /// The zone in which the pages show times.
    pub zone: String,
    /// The program that wrote this.
    pub program: String,
    /// What was asked for and who agreed, where others had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What came of it.
    pub ending: RestoreEnding,
    /// Why, where it did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Who had it done.
    pub by: Who,
    /// Why.
    pub reason: String,
    /// What, from when, and where to.
    pub order: RestoreScope,
    /// When, and how long.
    pub times: Times,
    /// What was expected, and what was found.
    pub checks: Vec<Check>,
    /// What is not as in the snapshot, or not there: the first of it.
    pub findings: Vec<String>,
    /// The host's report, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<serde_json::Value>,
    /// The journal's entries about it, as they were written.
    pub journal: Vec<Evidence>,
}

/// When a restore went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Times {
    /// When the data are from.
    pub data: Timestamp,
    /// When it began, at first.
    pub began: Timestamp,
    /// How often it was taken up again.
    pub resumed: u64,
    /// When it was over.
    pub ended: Timestamp,
    /// From begin to end: the measured recovery time.
    pub recovery_seconds: i64,
    /// From the data to the begin: what was written in that time is not in the restore point.
    pub loss_seconds: i64,
    /// How long the host took for each part, in milliseconds.
    pub phases: Vec<(String, u64)>,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What.
    pub check: Checked,
    /// The command, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How it should be.
    pub expected: String,
    /// How it is.
    pub actual: String,
    /// What follows.
    pub verdict: CheckVerdict,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// Files that were read back from the target's disk and compared with the hashes taken at the source.
    Content,
    /// Files that came back different.
    Mismatches,
    /// Paths that could not be restored.
    Missing,
    /// Nodes that stood in the target already, and were left as they are.
    Kept,
    /// Owners, modes, times and attributes that are not as at the source.
    Metadata,
    /// Whether what was read back came from the disk.
    Medium,
    /// A command of the plan that made the snapshot.
    Command,
    /// A command of a restore plan, before or after it.
    Hook,
    /// A probe of a restore plan.
    Probe,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// Nobody looked, or the look shows nothing.
    NotProven,
}

/// An entry of the journal, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Its number.
    pub number: u64,
    /// Its time.
    pub time: Timestamp,
    /// What it says.
    pub text: String,
    /// The hash of the entry before.
    pub previous: EntryHash,
    /// Its own.
    pub hash: EntryHash,
}
