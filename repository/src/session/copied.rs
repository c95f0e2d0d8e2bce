//! A session that brings what another copy of the repository has: packs that are sealed already, and a snapshot that somebody signed there.

use bytes::Bytes;

use super::Session;
use crate::error::Error;
use crate::history::{History, Operation};
use crate::ids::ObjectId;
use crate::live::Live;
use crate::object::{self, ObjectType};
use crate::pack::{FinishedPack, PackContents};
use crate::repository::{Written, put_new};

/// A snapshot of another copy for which everything is here by now.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) id: ObjectId,
    pub(crate) object: Bytes,
    pub(crate) live: &'a Live,
}

impl Session {
    /// Stores a pack as it is, durable when this returns. Says whether it was new here.
    pub(crate) async fn put_sealed(&self, pack: FinishedPack) -> Result<Written, Error> {
        self.packer.put_sealed(pack).await
    }

    /// The packs that it has stored, those of the session that it took up among them.
    pub(crate) fn packs_so_far(&self) -> Vec<PackContents> {
        self.packer.finished_so_far()
    }

    /// Counts no longer on some of them.
    pub(crate) fn leave_out(&self, which: impl Fn(&PackContents) -> bool) {
        self.packer.leave_out(which);
    }

    /// Ends a session that will not be committed, unless it has stored what the next one can take up: nobody need wait for it.
    pub(crate) async fn end_if_empty(&self) -> Result<(), Error> {
        if self.packs_so_far().is_empty() && self.packer.finish().await?.is_empty() {
            self.repository.end_maintenance(self.id()).await;
            self.packer.forget_notes();
        }
        Ok(())
    }

    /// Makes the snapshot part of this copy's history, if `agrees` to the history that it would follow.
    pub(crate) async fn commit_arrived(
        &self,
        arrived: Arrived<'_>,
        agrees: impl FnMut(&History) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let (new_run, index) = self.put_index(self.packer.finish().await?).await?.unzip();
        let name = object::hashed_name(ObjectType::Snapshot, &arrived.id);
        put_new(&*self.repository.store, &name, arrived.object).await?;
        let index = index.into_iter().collect();
        let operation = Operation::AddSnapshot { snapshot: arrived.id, session: self.id(), index };
        let commit = self.commit_standing(operation, arrived.live, new_run.as_ref(), agrees).await?;
        self.packer.forget_notes();
        Ok(commit)
    }
}
