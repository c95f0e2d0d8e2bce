//! Putting what was restored at the place where it is used, if it still is what was verified.
//!
//! Whether it is, the engine's own look says: it reads every file that lies there and compares it with the snapshot. Directories get the snapshot's metadata again: checks and probes
//! that ran in them have changed their times at least. The directory's number is in the ledger before it is moved, so a try
//! after a restart knows a directory that has arrived, and does not take it back.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_repository::{chain, text::escape};
use strongroom_worker::promote;
use strongroom_worker::restore::{self, PlanSummary, RestorePlan};

use super::job::Job;
use crate::request::RestoreRequest;

/// Where from and where to.
#[derive(Debug)]
pub(super) struct Promotion {
    job: Arc<Job>,
    from: PathBuf,
    to: PathBuf,
}

/// Why nothing is put anywhere.
#[derive(Debug)]
pub(super) enum NotPromoted {
    /// Somebody has asked for the job's end.
    Asked,
    /// It cannot be, or must not.
    Refused(String),
}

impl Promotion {
    /// What a job is to put in place, if that is what it is for.
    pub(super) fn of(job: &Arc<Job>, request: &RestoreRequest) -> Option<Self> {
        use std::os::unix::ffi::OsStringExt;
        let (to, path) = (request.promote_to()?, request.raw_paths().into_iter().next()?);
        let path = path.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(path);
        let from = request.target().join(std::ffi::OsString::from_vec(path));
        Some(Self { job: Arc::clone(job), from, to })
    }

    /// The report of an earlier try that came so far. Blocking.
    pub(super) fn done(&self) -> Option<Value> {
        let noted = self.job.with(|entry| entry.placed.clone())?;
        let arrived = promote::inode(&self.to).ok().flatten()?;
        (noted["inode"] == arrived).then(|| self.report(noted["replaces"] == true))
    }

    /// Puts it there; `plan` is what the engine has just seen. Blocking.
    pub(super) fn carry_out(&self, plan: &RestorePlan) -> Result<Value, NotPromoted> {
        self.refuse_changed(&plan.summary)?;
        self.refuse_used()?;
        self.settle_directories(plan)?;
        let look = |place| promote::inode(place).map_err(|error| NotPromoted::Refused(chain(&error)));
        let inode = look(&self.from)?;
        let replaces = look(&self.to)?.is_some();
        let note = json!({ "inode": inode, "replaces": replaces });
        let noted = || self.job.record(|entry| entry.placed = Some(note)).map_err(|error| chain(&error));
        self.job.control().commit(noted).map_err(|reason| match self.job.control().wish() {
            Some(_) => NotPromoted::Asked,
            None => NotPromoted::Refused(reason),
        })?;
        let moved = promote::promote(&self.from, &self.to);
        moved.map_err(|error| NotPromoted::Refused(chain(&error)))?;
        tracing::info!(job = %self.job.id(), replaces, "what was restored is put in place");
        Ok(self.report(replaces))
    }

    fn refuse_changed(&self, seen: &PlanSummary) -> Result<(), NotPromoted> {
        let missing = seen.files + seen.hard_links + seen.others;
        let there = promote::count(&self.from)
            .map_err(|error| NotPromoted::Refused(format!("cannot read '{}': {error}", self.shown(&self.from))))?;
        if (missing, seen.replaced, seen.kept) == (0, 0, 0) && there == seen.unchanged {
            return Ok(());
        }
        Err(NotPromoted::Refused(format!(
            "what lies in '{}' is not what was verified any more: of its files {} are as in the snapshot, {} differ or are missing, and {} lie there in all. Restore anew",
            self.shown(&self.from),
            seen.unchanged,
            missing.max(seen.replaced),
            there
        )))
    }

    /// While it still lies where it was restored, so that the rename puts all of it in place, or nothing.
    fn settle_directories(&self, plan: &RestorePlan) -> Result<(), NotPromoted> {
        let settled = restore::settle_directories(plan).map_err(|error| NotPromoted::Refused(chain(&error)))?;
        let Some(first) = settled.first() else { return Ok(()) };
        Err(NotPromoted::Refused(format!(
            "of {} directories in '{}' the metadata is not as in the snapshot, and cannot be made so: {first}",
            settled.len(),
            self.shown(&self.from)
        )))
    }

    fn refuse_used(&self) -> Result<(), NotPromoted> {
        let used = promote::writer_below(&self.to).map(|used| format!("{used}: stop that, and promote again"));
        used.map_or(Ok(()), |why| Err(NotPromoted::Refused(why)))
    }

    fn report(&self, replaces: bool) -> Value {
        let from = self.shown(&self.from);
        json!({ "promoted": self.shown(&self.to), "aside": replaces.then_some(from) })
    }

    fn shown(&self, path: &std::path::Path) -> String {
        escape(path.as_os_str().as_encoded_bytes())
    }
}
