//! What a run tells while it goes on.

use strongroom_repository::ObjectId;

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
