//! Which frames are needed: those of every snapshot in force, and of the snapshots that open sessions build on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::sessions::Sessions;
use super::usage::{self, Condemned};
use crate::error::{Error, ErrorKind};
use crate::history::History;
use crate::ids::{ObjectId, SegmentNonce};
use crate::index::{FrameId, Index};
use crate::live::Live;
use crate::repository::Repository;
use crate::snapshot::Inventory;

/// Snapshots that are read at once: enough to hide a round trip, few enough for any server.
const READ_AT_ONCE: usize = 16;

/// The needed frames, and the snapshots that were asked.
#[derive(Debug)]
pub(super) struct Needed {
    /// What the snapshots in force need.
    pub(super) in_force: Live,
    /// That, and what may be needed beside it.
    pub(super) frames: Live,
    /// The snapshots in force, oldest commit first.
    pub(super) snapshots: Vec<ObjectId>,
}

/// Marks. A snapshot whose object cannot be read stops it: nobody knows what it needs.
pub(super) async fn mark(
    repository: &Arc<Repository>,
    index: &Index,
    history: &History,
    sessions: &Sessions,
) -> Result<Needed, Error> {
    let snapshots: Vec<ObjectId> = history.snapshots.iter().map(|added| added.snapshot).collect();
    let mut frames = Live::default();
    let inventories = stream::iter(snapshots.clone()).map(|id| inventory(repository, id)).buffered(READ_AT_ONCE);
    let merged = inventories.try_for_each(|inventory| {
        frames.merge(&inventory.live);
        std::future::ready(Ok(()))
    });
    merged.await?;
    let in_force = frames.clone();
    for parent in sessions.parents().filter(|parent| !history.has_snapshot(parent)) {
        match repository.snapshot_inventory(parent).await {
            Ok(inventory) => frames.merge(&inventory.live),
            // Forgotten and deleted before: its session will be told at its commit.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    add_other_places(index, &history.condemned, &mut frames);
    Ok(Needed { in_force, frames, snapshots })
}

/// The inventory of a snapshot in force. One that another prune has deleted since the history was read is no damage.
async fn inventory(repository: &Arc<Repository>, id: ObjectId) -> Result<Inventory, Error> {
    match repository.snapshot_inventory(id).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            repository.refresh().await?;
            if repository.history().has_snapshot(&id) {
                return Err(error);
            }
            Err(Error::Fenced("snapshots were forgotten meanwhile: run this prune again".into()))
        }
        done => done,
    }
}

/// A needed frame that only a condemned pack has may be damaged there. As long as it lies nowhere else, whatever else holds its chunks is needed, too: it is what restores read.
fn add_other_places(index: &Index, condemned: &Condemned, frames: &mut Live) {
    if condemned.is_empty() {
        return;
    }
    let doubtful = usage::needed_in(index, condemned, frames, |pack| condemned.contains_key(pack));
    if doubtful.is_empty() {
        return;
    }
    let doubtful: HashSet<FrameId> = doubtful.into_iter().collect();
    let of_doubtful = index.entries().filter(|(_, place)| doubtful.contains(&place.frame));
    let chunks: HashSet<[u8; 16]> = of_doubtful.map(|(prefix, _)| prefix).collect();
    for (_, place) in index.entries().filter(|(prefix, _)| chunks.contains(prefix)) {
        if let Some((segment, ordinal)) = index.lasting_name(place.frame) {
            frames.insert(segment, ordinal);
        }
    }
}

/// For each of some frames, how many snapshots back the newest one that needs it is.
pub(super) async fn ranks(
    repository: &Arc<Repository>,
    snapshots: &[ObjectId],
    frames: impl Iterator<Item = (SegmentNonce, u32)>,
) -> Result<HashMap<(SegmentNonce, u32), u32>, Error> {
    let mut waiting: Vec<(SegmentNonce, u32)> = frames.collect();
    let mut ranks = HashMap::with_capacity(waiting.len());
    for (rank, id) in snapshots.iter().rev().enumerate() {
        if waiting.is_empty() {
            break;
        }
        let live = inventory(repository, *id).await?.live;
        waiting.retain(|(segment, ordinal)| {
            let is_needed = live.contains(segment, *ordinal);
            if is_needed {
                ranks.insert((*segment, *ordinal), rank as u32);
            }
            !is_needed
        });
    }
    Ok(ranks)
}
