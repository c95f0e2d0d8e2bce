//! Opening snapshots: one, or all that can be.

use super::{FETCHES_AT_ONCE, Repository, get};
use crate::cache;
use crate::error::{Error, ErrorKind};
use crate::ids::ObjectId;
use crate::object::{self, ObjectType};
use crate::snapshot::{Inventory, Manifest, Sealed, Snapshot};

/// The snapshots in force.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Those that can be read, oldest first.
    pub readable: Vec<Snapshot>,
    /// Those whose object is lost or damaged, in the order of their commits.
    pub unreadable: Vec<Unreadable>,
}

/// A snapshot that cannot be opened.
#[derive(Debug)]
pub struct Unreadable {
    /// Its name.
    pub id: ObjectId,
    /// The commit that added it.
    pub commit: u64,
    /// Why not.
    pub error: Error,
}

impl Repository {
    /// All snapshots in force. One that is lost or damaged does not hide the others; a store that fails does.
    pub async fn snapshots(&self) -> Result<Snapshots, Error> {
        self.key.secrets("read snapshots")?;
        let history = self.history();
        let mut found = Snapshots { readable: Vec::with_capacity(history.snapshots.len()), unreadable: Vec::new() };
        for some in history.snapshots.chunks(FETCHES_AT_ONCE) {
            let opened = futures::future::join_all(some.iter().map(|added| self.snapshot(added.snapshot))).await;
            for (added, opened) in some.iter().zip(opened) {
                match opened {
                    Ok(snapshot) => found.readable.push(snapshot),
                    Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Key) => {
                        found.unreadable.push(Unreadable { id: added.snapshot, commit: added.commit, error });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        found.readable.sort_by_key(|snapshot| snapshot.manifest.time);
        Ok(found)
    }

    /// Opens one snapshot in force.
    pub async fn snapshot(&self, id: ObjectId) -> Result<Snapshot, Error> {
        let lent = self.lent_manifest(&id)?;
        let bytes = self.snapshot_bytes(&id).await?;
        let sealed = Sealed::check(&bytes, id, &self.id())?;
        let signer = self.signer_name(&sealed.signer).await?;
        let manifest = match lent {
            Some(manifest) => manifest,
            None => sealed.manifest(&self.id(), &self.key.secrets("read snapshots")?.epochs)?,
        };
        Ok(Snapshot { id: sealed.id, manifest, signer })
    }

    /// The manifest of the snapshot that was lent, if that is this one; none where all can be read.
    fn lent_manifest(&self, id: &ObjectId) -> Result<Option<Manifest>, Error> {
        match &self.key.loan {
            Some(loan) if loan.snapshot != *id => Err(Error::NotLent(format!("snapshot {id}"))),
            Some(loan) => Ok(Some(loan.manifest.clone())),
            None => self.key.secrets("read snapshots").map(|_| None),
        }
    }

    /// What garbage collection knows of a snapshot; needs no private key.
    pub async fn snapshot_inventory(&self, id: ObjectId) -> Result<Inventory, Error> {
        let bytes = self.snapshot_bytes(&id).await?;
        Sealed::check(&bytes, id, &self.id())?.inventory(&self.id(), &self.key.shared.inventory)
    }

    /// The object of a snapshot, as its writer signed it.
    pub(crate) async fn snapshot_bytes(&self, id: &ObjectId) -> Result<bytes::Bytes, Error> {
        // The cache holds the object as it is stored, still sealed: a writer's disk gives nothing away, and the hash checks it.
        let path = self.cache.join("snapshots").join(id.hex());
        if let Ok(bytes) = cache::read(&path)
            && ObjectId::of(&bytes) == *id
        {
            return Ok(bytes.into());
        }
        let bytes = match get(&*self.store, &object::hashed_name(ObjectType::Snapshot, id)).await {
            Err(error) => self.snapshot_from_standbys(id).await.ok_or(error)?,
            Ok(bytes) => bytes,
        };
        if let Err(error) = cache::write(&path, &bytes) {
            tracing::debug!(%error, "snapshot not cached");
        }
        Ok(bytes)
    }
}
