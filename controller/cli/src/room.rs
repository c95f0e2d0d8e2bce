//! How much room there is for a repository: on its file system, and below its quota.

use jiff::Timestamp;
use strongroom_controller::capacity::Measure;
use strongroom_repository::store::{Location, S3Store, SftpStore, Space};
use strongroom_repository::{Error, stats};
use strongroom_worker::backup::Room;

use crate::access::Opened;
use crate::context::Context;
use crate::failure::Failure;
use crate::place_memory::PlaceMemory;
use crate::store_place::StorePlace;

/// Stores that can be asked for more than their objects; a folder here needs nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Its room can be asked for.
    pub(crate) sftp: Option<SftpStore>,
    /// When its key and its server's certificate end; its objects' locks.
    pub(crate) s3: Option<S3Store>,
}

impl Measured {
    /// How many deletions have only hidden an object so far, because a bucket keeps versions.
    pub(crate) fn hidden_count(&self) -> u64 {
        self.s3.as_ref().map_or(0, S3Store::hidden_count)
    }
}

/// The room where a repository lies; nothing where its store cannot tell, as a bucket.
pub(crate) fn space(opened: &Opened, context: &Context) -> Result<Option<Space>, Failure> {
    space_at(&opened.location, &opened.measured, context)
}

/// The same where no repository need be.
pub(crate) fn of_place(place: &StorePlace, context: &Context) -> Result<Option<Space>, Failure> {
    space_at(&place.location, &place.measured, context)
}

fn space_at(location: &Location, measured: &Measured, context: &Context) -> Result<Option<Space>, Failure> {
    if let Some(folder) = location.folder() {
        let told = Space::of_folder(folder);
        // Whoever cannot be measured refuses nothing: the write itself will tell.
        return Ok(told.inspect_err(|error| tracing::debug!(%error, "the room is not known")).ok());
    }
    let Some(store) = &measured.sftp else { return Ok(None) };
    let what = format!("look at the room of {location}");
    context.wait(&what, async {
        let told = store.space().await;
        Ok::<_, Error>(told.unwrap_or_else(|error| {
            tracing::debug!(%error, "the room is not known");
            None
        }))
    })
}

/// What a backup may take. `reserve_bytes` is what is left free, if it is said.
pub(crate) fn for_backup(opened: &Opened, reserve_bytes: Option<u64>, context: &Context) -> Result<Room, Failure> {
    let memory = PlaceMemory::of(opened, context)?;
    let quota_bytes = memory.known(context)?.and_then(|known| known.quota_bytes);
    let stored_bytes = match quota_bytes {
        Some(_) => Some(stored(opened, context)?),
        None => None,
    };
    let at = Some(opened.location.to_string());
    let room = space(opened, context)?
        .map_or_else(Room::default, |space| {
            let usual = space.usual_reserve_bytes();
            Room {
                free_bytes: Some(space.free_bytes),
                reserve_bytes: reserve_bytes.unwrap_or(usual),
                ..Room::default()
            }
        })
        .with_quota(quota_bytes.zip(stored_bytes));
    Ok(Room { at, ..room })
}

/// What the repository holds, in bytes: one listing.
pub(crate) fn stored(opened: &Opened, context: &Context) -> Result<u64, Failure> {
    let what = format!("measure the repository at {}", opened.location);
    context.wait(&what, stats::stored_bytes(&opened.repository))
}

/// Notes the day's measure. `stored_bytes` is what was counted just now.
pub(crate) fn note(opened: &Opened, stored_bytes: Option<u64>, context: &Context) -> Result<Measure, Failure> {
    let space = space(opened, context)?;
    let measure = Measure {
        stored_bytes,
        free_bytes: space.map(|space| space.free_bytes),
        total_bytes: space.map(|space| space.total_bytes),
    };
    PlaceMemory::of(opened, context)?.note(Timestamp::now(), measure)?;
    Ok(measure)
}

/// The same after something else that matters more: what fails is told to the log.
pub(crate) fn note_if_possible(opened: &Opened, stored_bytes: Option<u64>, context: &Context) {
    if let Err(failure) = note(opened, stored_bytes, context) {
        tracing::warn!(%failure, "what was measured is not noted");
    }
}

/// After a backup: what was held before is known from the last count, and what came is known, so that nothing need be listed.
pub(crate) fn note_added(opened: &Opened, added_bytes: u64, context: &Context) {
    let before = PlaceMemory::of(opened, context).and_then(|memory| memory.measures());
    let stored = before.ok().and_then(|measures| measures.stored_last());
    note_if_possible(opened, stored.map(|stored| stored.saturating_add(added_bytes)), context);
}
