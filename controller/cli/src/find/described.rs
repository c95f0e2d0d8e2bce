//! What was found, in short: the same whether it was found here or by a controller.

use serde::{Deserialize, Serialize};
use strongroom_repository::inspect::describe_entry;
use strongroom_repository::{Entry, Time};

use crate::shown::entry_time;

/// Some of the fields of [`describe_entry`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Described {
    kind: String,
    /// Of a directory, of all that is below it.
    pub(super) size: Option<u64>,
    /// Seconds and nanoseconds, with a point in between.
    mtime: String,
    mode: String,
    user: String,
    group: String,
    blake3: Option<String>,
}

impl Described {
    pub(super) fn of(entry: &Entry, size: Option<u64>) -> Self {
        // BUG if it fails: it is made of the same fields.
        let described: Self =
            serde_json::from_value(describe_entry(b"", entry)).expect("an entry is described by these fields");
        Self { size, ..described }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == "directory"
    }

    pub(super) fn modified(&self) -> String {
        let time = self.mtime.split_once('.').and_then(|(seconds, nanoseconds)| {
            Some(Time { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? })
        });
        time.map_or_else(|| self.mtime.clone(), entry_time)
    }
}
