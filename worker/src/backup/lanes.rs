//! Threads that read, compress and seal beside the thread of the run.

use strongroom_repository::Lane;

use super::BackupError;
use crate::read::{Desk, run_lane};

/// Runs `body` while so many lanes work beside it, and waits until they have stored everything.
pub(super) fn with_lanes<T>(
    desk: Desk<'_>,
    count: usize,
    body: impl FnOnce() -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    let lanes: Vec<Lane> = (0..count).map(|_| desk.session.lane()).collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(move || run_lane(desk, lane))).collect();
        let result = body();
        if result.is_ok() {
            desk.pool.close();
        } else {
            desk.pool.abandon();
        }
        let mut flushed = Ok(());
        for thread in threads {
            let ended = thread
                .join()
                .map_err(|_| BackupError::Thread)
                .and_then(|stored| stored.map_err(BackupError::Repository));
            flushed = flushed.and(ended);
        }
        // The first fault is the cause; a lane that could not flush after it is a consequence.
        let result = result?;
        flushed.map(|()| result)
    })
}
