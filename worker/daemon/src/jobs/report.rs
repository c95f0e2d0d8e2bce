//! What came of a job, for the controller.

use serde::Serialize;
use serde_json::{Value, json};
use strongroom_worker::backup::BackupReport;

use super::hooks::HookResult;

/// How the report came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// By the run that ends.
    Now,
    /// By an earlier try, whose end was not seen.
    Earlier,
}

/// The engine's report as JSON, and beside its fields: `adopted`, whether an earlier try made the snapshot; `hooks`, what ran around it; and `after-failed`, the first
/// hook after the backup that failed. The backup counts all the same, since its data are safe, but somebody has to look at the host.
pub(super) fn report(report: &BackupReport, made: Made, hooks: &[HookResult]) -> Value {
    let failed = hooks.iter().find_map(|hook| hook.error.as_ref());
    let mut all = to_value(report);
    if let Value::Object(fields) = &mut all {
        fields.insert("adopted".into(), json!(made == Made::Earlier));
        fields.insert("hooks".into(), to_value(&hooks));
        fields.insert("after-failed".into(), json!(failed));
    }
    all
}

fn to_value(value: &impl Serialize) -> Value {
    // BUG if it fails: reports are strings, numbers and lists.
    serde_json::to_value(value).expect("a report serialises")
}
