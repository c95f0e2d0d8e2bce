//! Plan files on disk.

use std::path::Path;

use strongroom_plans::{BackupPlan, decode, parse};

use crate::failure::{Cause, Doing, Failure};

/// A plan and the text that it was read from.
#[derive(Debug)]
pub(crate) struct PlanFile {
    /// Its bytes, as they were hashed for the record.
    pub(crate) text: Vec<u8>,
    /// What they come to.
    pub(crate) plan: BackupPlan,
}

/// Reads a plan; `what` completes "cannot …".
pub(crate) fn load(path: &Path, what: &str) -> Result<PlanFile, Failure> {
    let text = read(path, what)?;
    let shown = path.display().to_string();
    let plan = decode(&shown, &text).and_then(|text| parse(&shown, text)).doing(|| what.into())?;
    Ok(PlanFile { text, plan })
}

/// Reads a plan's bytes.
pub(crate) fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let failed = |source| Cause::File { doing: "read", path: path.to_owned(), source };
    std::fs::read(path).map_err(failed).doing(|| what.into())
}
