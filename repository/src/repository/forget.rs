//! Forgetting snapshots, and holding them.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Repository, get};
use crate::error::{Error, ErrorKind};
use crate::history::{History, Operation};
use crate::ids::ObjectId;
use crate::object;
use crate::reserve;

/// Snapshots that are no longer in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The commit that dropped them.
    pub commit: u64,
    /// Bytes of the reserve that was given up because the store was full; 0 if it was not. A prune makes it anew.
    pub reserve_used_bytes: u64,
}

impl Repository {
    /// Drops snapshots from the history, all or none; what only they needed goes with the next prune. Refused for one that is held or not there.
    /// On a full store the reserve makes the room for it.
    pub async fn forget(&self, snapshots: &[ObjectId]) -> Result<Forgotten, Error> {
        self.key.secrets("forget snapshots")?;
        match self.drop_snapshots(snapshots).await {
            Err(full) if full.kind() == ErrorKind::NoSpace => {
                let reserve_used_bytes = reserve::give_up(&*self.store).await?;
                if reserve_used_bytes == 0 {
                    return Err(full);
                }
                let commit = self.drop_snapshots(snapshots).await?;
                Ok(Forgotten { commit, reserve_used_bytes })
            }
            done => {
                let commit = done?;
                self.keep_checkpoint().await;
                Ok(Forgotten { commit, reserve_used_bytes: 0 })
            }
        }
    }

    async fn drop_snapshots(&self, snapshots: &[ObjectId]) -> Result<u64, Error> {
        let going: HashSet<ObjectId> = snapshots.iter().copied().collect();
        let operations = snapshots.iter().map(|snapshot| Operation::DropSnapshot { snapshot: *snapshot }).collect();
        self.commit_when(operations, |history| may_go(history, &going, now())).await
    }

    /// When the newest commit was made, by its writer's clock; nothing in an empty history.
    pub async fn newest_commit_time(&self) -> Result<Option<Timestamp>, Error> {
        let newest = self.history().newest;
        if newest == 0 {
            return Ok(None);
        }
        let bytes = get(&*self.store, &object::commit_name(newest)).await?;
        self.open_commit(newest, &bytes).map(|(commit, _)| Some(commit.time))
    }

    /// Keeps a snapshot whatever retention says, until `until` or until it is released. The same name again replaces the hold. Returns the commit.
    pub async fn hold(
        &self,
        snapshot: ObjectId,
        name: &str,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<u64, Error> {
        self.key.secrets("hold snapshots")?;
        let operation = Operation::Hold { snapshot, name: name.into(), reason: reason.into(), until };
        self.commit_when(vec![operation], |history| is_there(history, &snapshot)).await
    }

    /// Ends a hold. Returns the commit.
    pub async fn release(&self, snapshot: ObjectId, name: &str, reason: &str) -> Result<u64, Error> {
        self.key.secrets("release snapshots")?;
        let operation = Operation::Release { snapshot, name: name.into(), reason: reason.into() };
        let is_held = |history: &History| match history.holds.get(&snapshot).and_then(|holds| holds.get(name)) {
            Some(_) => Ok(()),
            None => Err(Error::NoSnapshot(format!("no hold '{name}' is on snapshot {snapshot}"))),
        };
        self.commit_when(vec![operation], is_held).await
    }
}

fn is_there(history: &History, snapshot: &ObjectId) -> Result<(), Error> {
    match history.has_snapshot(snapshot) {
        true => Ok(()),
        false => Err(Error::NoSnapshot(format!(
            "snapshot {snapshot} is not in the repository: it was forgotten, or never there"
        ))),
    }
}

fn may_go(history: &History, going: &HashSet<ObjectId>, now: Timestamp) -> Result<(), Error> {
    for snapshot in going {
        is_there(history, snapshot)?;
        if let Some((name, held)) = history.holds_on(snapshot, now).next() {
            return Err(Error::Held { snapshot: *snapshot, name: name.to_owned(), reason: held.reason.clone() });
        }
    }
    Ok(())
}

/// The clock of whoever forgets: it says whether a hold has ended by itself.
fn now() -> Timestamp {
    Timestamp::now()
}
