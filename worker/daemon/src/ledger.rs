//! What this worker was asked to do and how far it came, on disk: one file for each job.
//!
//! An entry is durable before what it says is done: a job is in the ledger before it runs, and the snapshot's id is there before the snapshot can become visible.
//! So after a crash at any instruction the ledger says which jobs to take up again, and which snapshots to look for first.
//!
//! Deliberately absent: progress, which is not worth a flush; and any decision, which is [`crate::jobs`]'.

mod entry;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

pub use entry::{Entry, FailureKind, Recorded};

use crate::durable;
use crate::job_id::JobId;

/// Ended jobs are remembered for as long as a controller may be away and still ask.
pub const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Hourly runs of a dozen plans for those thirty days.
pub const REMEMBERED_MAX: usize = 10_000;
/// A request of one megabyte, and reports with a thousand problems each.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} '{path}'")]
pub struct LedgerError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The folder of entries.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// The ledger in a folder, which is made if it is not there, and everything that it holds. What cannot be read is set aside.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Entry>), LedgerError> {
        let ledger = Self { folder: folder.into() };
        durable::create_folder(folder).map_err(ledger.failed("create", folder))?;
        let mut entries = Vec::new();
        for file in fs::read_dir(folder).map_err(ledger.failed("list", folder))? {
            let name = file.map_err(ledger.failed("list", folder))?.file_name();
            let Some(job) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            let path = folder.join(&name);
            match read(&path, job) {
                Ok(entry) => entries.push(entry),
                Err(why) => ledger.set_aside(&path, &why)?,
            }
        }
        Ok((ledger, entries))
    }

    /// Keeps an entry in place of the job's earlier one; durable when this returns.
    pub fn write(&self, entry: &Entry) -> Result<(), LedgerError> {
        let name = format!("{}.json", entry.job);
        // BUG if it fails: what came in as JSON or as text goes out again.
        let text = serde_json::to_vec_pretty(entry).expect("an entry serialises");
        durable::replace(&self.folder, &name, &text).map_err(self.failed("write", &self.folder.join(&name)))
    }

    /// Forgets a job.
    pub fn forget(&self, job: &JobId) -> Result<(), LedgerError> {
        let path = self.folder.join(format!("{job}.json"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// A damaged entry is kept for whoever looks into it, under a name that is no job's.
    fn set_aside(&self, path: &Path, why: &str) -> Result<(), LedgerError> {
        let aside = path.with_extension("damaged");
        tracing::error!(path = %path.display(), aside = %aside.display(), why, "a job's ledger entry cannot be read and is set aside: the job is forgotten");
        fs::rename(path, &aside).map_err(self.failed("set aside", path))
    }

    fn failed(&self, doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError + use<> {
        let path = path.to_owned();
        move |source| LedgerError { doing, path, source }
    }
}

fn read(path: &Path, job: &str) -> Result<Entry, String> {
    let size = fs::symlink_metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes"));
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let entry: Entry = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    match () {
        () if entry.version != entry::VERSION => Err(format!("it has version {}", entry.version)),
        () if entry.job.as_str() != job => Err(format!("it is of job '{}'", entry.job)),
        () => Ok(entry),
    }
}

/// Which of the ended jobs are to be forgotten, given all of them with the time of their end.
#[must_use]
pub fn outlived<'a>(ended: impl IntoIterator<Item = (&'a JobId, Timestamp)>, now: Timestamp) -> Vec<JobId> {
    let mut ended: Vec<(&JobId, Timestamp)> = ended.into_iter().collect();
    ended.sort_by_key(|(job, at)| (*at, (*job).clone()));
    let surplus = ended.len().saturating_sub(REMEMBERED_MAX);
    let is_old = |at: Timestamp| now.duration_since(at) > REMEMBERED_FOR;
    let gone = ended.iter().enumerate().filter(|(place, (_, at))| *place < surplus || is_old(*at));
    gone.map(|(_, (job, _))| (*job).clone()).collect()
}

#[cfg(test)]
mod tests;
