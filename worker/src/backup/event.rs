//! What a run tells while it goes on.

use strongroom_repository::{History, ObjectId};

use super::BackupReport;
use crate::remarks::Remark;
use crate::state::StateError;

/// Something that happened during a backup.
#[derive(Debug)]
pub enum BackupEvent {
    /// The state of the last run is used: what it saw unchanged since is not read.
    StateUsed {
        /// The snapshot that it describes.
        parent: ObjectId,
    },
    /// It is not used; the run is slower and no less right.
    StateLeftAside(StateError),
    /// It could not become visible as it was, and is done once more.
    BeginsAgain {
        /// Why.
        why: String,
    },
    /// Something about one path.
    Remark(Remark),
    /// The backup is durable and visible.
    Committed {
        /// The snapshot.
        snapshot: ObjectId,
    },
    /// The state of this run could not be kept; the next run will be slower.
    StateNotKept(StateError),
}

/// Receives events, on the thread of the run: it should not take long.
pub type EventSink = Box<dyn FnMut(BackupEvent) + Send>;

/// Decides, on the thread of the run, whether a backup that is durable becomes visible. It gets the history that the commit would follow, and the report as it
/// will be, but with 0 for the commit's number. It may be asked again, with a longer history, when another writer came first. What it refuses ends the run with
/// [`Error::Withheld`](strongroom_repository::Error::Withheld).
pub type CommitGate = Box<dyn FnMut(&History, &BackupReport) -> Result<(), String> + Send>;
