//! Refusing a backup that surely cannot fit, before a byte of it is written.
//!
//! What is new or changed since the last run is looked at, not read: that is what may be stored at most. Only if that does not fit, a sample of it is read, to see how much of it the
//! repository has already, and how far it can be compressed. Copies of one file count once. So a run is refused only if it would not end well, and an ordinary run pays for a walk of
//! metadata at most.
//!
//! Deliberately absent: any promise that a run will fit. Others may take the room meanwhile; then the store says that it is full, and nothing half is visible.

mod estimate;
mod sample;

use std::fmt;

use super::run::{Files, Runner};
use super::{BackupError, Input};
use crate::state::State;

/// How much a backup may store. What is not known refuses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Where that is, for messages.
    pub at: Option<String>,
    /// Bytes that are free where the repository lies.
    pub free_bytes: Option<u64>,
    /// Bytes of them that are to stay free.
    pub reserve_bytes: u64,
    /// The limit that was declared, and what is taken of it, in bytes.
    pub quota: Option<Quota>,
}

/// A declared limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How much there may be.
    pub limit_bytes: u64,
    /// How much there is.
    pub taken_bytes: u64,
}

impl Room {
    /// The same with a limit and what is taken of it, if there is one.
    #[must_use]
    pub fn with_quota(self, quota: Option<(u64, u64)>) -> Self {
        let quota = quota.map(|(limit_bytes, taken_bytes)| Quota { limit_bytes, taken_bytes });
        Self { quota, ..self }
    }

    /// Bytes that may be stored.
    #[must_use]
    pub fn left_bytes(&self) -> Option<u64> {
        let free = self.free_bytes.map(|free| free.saturating_sub(self.reserve_bytes));
        let quota = self.quota.map(|quota| quota.limit_bytes.saturating_sub(quota.taken_bytes));
        free.into_iter().chain(quota).min()
    }
}

/// Why a backup was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NoRoom {
    /// Bytes that it needs at least; nothing where nobody can know, as of a stream.
    pub needed_bytes: Option<u64>,
    /// What there is.
    pub room: Room,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = shown(self.room.left_bytes().unwrap_or_default());
        let at = self.room.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        match self.needed_bytes {
            Some(needed) => write!(out, "no space{at}: it needs {} or more, and {left} may be stored", shown(needed))?,
            None => write!(out, "no space{at}: {left} may be stored")?,
        }
        let Room { free_bytes, reserve_bytes, quota, .. } = &self.room;
        if let Some(free) = free_bytes {
            write!(out, " ({} are free, of which {} stay free)", shown(*free), shown(*reserve_bytes))?;
        }
        if let Some(Quota { limit_bytes, taken_bytes }) = quota {
            write!(out, " ({} of the quota of {} are taken)", shown(*taken_bytes), shown(*limit_bytes))?;
        }
        Ok(())
    }
}

/// `1.3 GiB`.
fn shown(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let step = (bytes.ilog2() / 10).clamp(1, UNITS.len() as u32);
    format!("{:.1} {}", bytes as f64 / f64::from(1024u32).powi(step.cast_signed()), UNITS[step as usize - 1])
}

impl Runner {
    /// Fails if a backup of files surely cannot fit.
    pub(super) fn check_room(&self, files: &Files, room: &Room) -> Result<(), BackupError> {
        let Some(left) = room.left_bytes() else { return Ok(()) };
        // An interrupted run has stored some of it, and nobody knows which files that was.
        let notes = files.key.session_notes(&files.state_folder);
        if notes.metadata().is_ok_and(|notes| notes.len() > 0) {
            return Ok(());
        }
        let state = State::open(&files.state_folder, &files.key).ok();
        let state = state.filter(|state| self.repository.history().has_snapshot(&state.snapshot()));
        let new = estimate::look(files, state.as_ref(), &self.stop)?;
        if new.bytes() <= left {
            return Ok(());
        }
        let index = self.runtime.block_on(self.repository.open_index())?;
        let needed_bytes = new.needed(&files.root, &self.repository, &index);
        if needed_bytes <= left {
            return Ok(());
        }
        Err(NoRoom { needed_bytes: Some(needed_bytes), room: room.clone() }.into())
    }
}

/// Fails if not even a byte of a stream may be stored.
pub(super) fn check_stream(input: &Input, room: &Room) -> Result<(), BackupError> {
    match (input, room.left_bytes()) {
        (Input::Stream { .. }, Some(0)) => Err(NoRoom { needed_bytes: None, room: room.clone() }.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_place_decides_and_is_told() {
        let room = Room { free_bytes: Some(1 << 30), reserve_bytes: 1 << 20, ..Room::default() };
        let named = |room: Room| Room { at: Some("/srv".into()), ..room };
        assert_eq!(Room::default().left_bytes(), None);
        assert_eq!(room.left_bytes(), Some((1 << 30) - (1 << 20)));
        let narrow = room.clone().with_quota(Some((5 << 20, 3 << 20)));
        assert_eq!(narrow.left_bytes(), Some(2 << 20));
        assert_eq!(room.with_quota(Some((1, 5))).left_bytes(), Some(0));
        let told = NoRoom { needed_bytes: Some(3 << 20), room: named(narrow) }.to_string();
        assert_eq!(
            told,
            "no space at /srv: it needs 3.0 MiB or more, and 2.0 MiB may be stored (1.0 GiB are free, of which 1.0 MiB stay free) (3.0 MiB of the quota of 5.0 MiB are taken)"
        );
        assert_eq!(
            [shown(0), shown(1023), shown(1024), shown(u64::MAX)],
            ["0 bytes", "1023 bytes", "1.0 KiB", "16384.0 PiB"]
        );
    }
}
