//! A prune that meets a full store.
//!
//! The reserve is deleted, and then what makes room comes before what takes some: packs that nobody needs go first, without a byte being moved. With what that frees the
//! reserve is made anew, and only what still fits is moved out of other packs.
//!
//! A kill in between leaves at worst a store without its reserve, with the reserve's room, or more, free for the next prune.

use std::sync::Arc;

use super::execute::{PruneReport, Room, run};
use super::plan::{PrunePlan, plan};
use super::{PruneOptions, PruneProgress};
use crate::error::{Error, ErrorKind};
use crate::repository::Repository;
use crate::reserve::{self, INDEX_BYTES, RESERVE_BYTES, Upkeep};

/// Of the room that came free this part at most is moved into: packs that are rewritten lie there twice until the old ones are swept, with parity and index beside them.
const MOVED_PART: u64 = 2;

/// Executes a plan, as far as the store has room for it. Whatever stops it, what was committed before stands, and the next prune goes on from there.
pub async fn execute(
    repository: &Arc<Repository>,
    plan: &PrunePlan,
    options: &PruneOptions,
    progress: &PruneProgress,
) -> Result<PruneReport, Error> {
    let mut report = PruneReport::default();
    match run((repository, plan), options, Room::Enough, progress, &mut report).await {
        Err(full) if full.kind() == ErrorKind::NoSpace => {
            report.reserve_used_bytes = reserve::give_up(&*repository.store).await?;
            if report.reserve_used_bytes == 0 {
                return Err(full);
            }
            make_room(repository, options, progress, &mut report).await?;
        }
        done => done?,
    }
    report.reserve_bytes = keep_reserve(repository, options).await;
    repository.keep_checkpoint().await;
    repository.drop_old_checkpoints().await;
    Ok(report)
}

/// What is wholly unneeded goes; then as much is moved as half of the new room.
async fn make_room(
    repository: &Arc<Repository>,
    options: &PruneOptions,
    progress: &PruneProgress,
    report: &mut PruneReport,
) -> Result<(), Error> {
    // What the first attempt has written or committed is known now.
    repository.refresh().await?;
    let moving_at_most = |bytes| PruneOptions { moved_bytes_max: Some(bytes), ..options.clone() };
    let lean = plan(repository, &moving_at_most(0)).await?;
    run((repository, &lean), options, Room::Bytes(INDEX_BYTES), progress, report).await?;
    keep_reserve(repository, options).await;
    let room = report.deleted_bytes.saturating_sub(RESERVE_BYTES) / MOVED_PART;
    let rest = plan(repository, &moving_at_most(options.moved_bytes_max.unwrap_or(u64::MAX).min(room))).await?;
    if rest.moved.bytes == 0 || rest.moved.bytes > room {
        return Ok(());
    }
    match run((repository, &rest), options, Room::Enough, progress, report).await {
        // Somebody else was faster with the room. What had to be done is done.
        Err(full) if full.kind() == ErrorKind::NoSpace => {
            tracing::warn!("the store is full again: nothing was moved; the next prune does that");
            Ok(())
        }
        done => done,
    }
}

/// Sees to it that there is a reserve again. That there is none is no reason to call a prune failed.
async fn keep_reserve(repository: &Repository, options: &PruneOptions) -> u64 {
    let there = match options.reserve {
        Upkeep::Kept => reserve::top_up(repository).await,
        Upkeep::Left => reserve::bytes(&*repository.store).await,
    };
    there.unwrap_or_else(|error| {
        tracing::warn!(%error, "nobody knows what lies in reserve");
        0
    })
}
