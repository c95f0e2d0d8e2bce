//! Run records on disk, and the lock that lets one run of a plan go on at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use strongroom_controller::RunRecord;
use strongroom_plans::Name;
use strongroom_repository::FileLock;

use super::scratch::Scratch;
use crate::access::create_private;
use crate::failure::{Cause, Doing, Failure};

/// Held while a plan runs; the kernel lets go of it whatever happens to us.
#[derive(Debug)]
pub(super) struct PlanLock {
    plan: Name,
    _file: FileLock,
}

impl PlanLock {
    pub(super) fn take(state: &Path, plan: &Name) -> Result<Self, Failure> {
        let what = || format!("run the plan '{plan}'");
        let folder = folder(state, plan.as_str());
        create_private(&folder).doing(what)?;
        let path = folder.join("lock");
        let failed = |source| Cause::File { doing: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)
            .doing(what)?;
        let Some(lock) = FileLock::take(file).map_err(failed).doing(what)? else {
            let why = Cause::Program("another run of it is going on".into());
            return Err(Failure::new(what(), why).advise("wait until it is over"));
        };
        Ok(Self { plan: plan.clone(), _file: lock })
    }

    /// The scratch directory of this plan.
    pub(super) fn scratch(&self, state: &Path) -> Scratch {
        Scratch::at(state.join("scratch").join(self.plan.as_str()))
    }
}

fn folder(state: &Path, plan: &str) -> PathBuf {
    state.join("runs").join(plan)
}

/// Writes a record, whole or not at all, and says where it is.
pub(super) fn write(state: &Path, record: &RunRecord) -> Result<PathBuf, Failure> {
    let folder = folder(state, &record.plan);
    // To the microsecond, and sorted by name is sorted by time.
    let name = record.started.strftime("%Y-%m-%dT%H%M%S.%6fZ").to_string();
    let path = folder.join(format!("{name}.json"));
    let temporary = folder.join(format!(".{name}.new"));
    let written = write_synced(&temporary, record)
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| File::open(&folder)?.sync_all());
    let failed = |source| Cause::File { doing: "write", path: path.clone(), source };
    written.map_err(failed).doing(|| "write the record of the run".into())?;
    Ok(path)
}

fn write_synced(path: &Path, record: &RunRecord) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    serde_json::to_writer_pretty(&mut file, record)?;
    writeln!(file)?;
    file.sync_all()
}
