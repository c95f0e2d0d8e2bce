//! The store of hosts that have no credentials: their workers hand sealed objects to the controller, which keeps them.
//!
//! The connection is the controller's (a second channel of the SSH connection that it opened); on it, the worker is the client. A host can create objects and read what a
//! writer needs, no more: [`policy`] says what that is. Interrupted puts are resumed: what has arrived is held for a while (`held`).
//!
//! What holds:
//!
//! * Nothing is overwritten or deleted for a host. The one object that is overwritten, the hint, is written here and never taken from a host.
//! * An object that is named by its hash is stored under no other name; a commit follows the one before it, so that no host can leave a gap that stops the others.
//! * What a backup stored is read by no host, but for what a restore needs that the controller has it do, as long as a [`Lent`] stands.
//! * A put that was answered is durable. One that has arrived whole is stored whether its host is still there or not.
//! * What is on its way is in memory, up to a bound; a store may be a folder, a bucket or another machine.
//!
//! Deliberately absent: any look into what is stored, which needs keys that no gateway has; and any trust in what a host says of itself: which host speaks is known from the
//! connection.

mod answer;
mod held;
mod lent;
mod policy;
mod put;
mod serve;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::ObjectStore;
use strongroom_proto::gateway::{RoomReply, RoomRequest};
use strongroom_repository::store::Space;
use strongroom_repository::{Repository, RepositoryId, chain};
use tonic::Status;

pub use held::Held;
pub use lent::Lent;
pub use serve::serve;

/// The repositories that hosts may add to, and what is held of their interrupted puts. One for all hosts.
#[derive(Debug, Default)]
pub struct Gateway {
    repositories: HashMap<RepositoryId, Arc<Repository>>,
    held: Held,
    received_bytes: AtomicU64,
    /// Where they lie, of those that lie in a folder here.
    folders: HashMap<RepositoryId, PathBuf>,
    loans: lent::Loans,
}

impl Gateway {
    /// A gateway to these repositories.
    #[must_use]
    pub fn new(repositories: impl IntoIterator<Item = Arc<Repository>>) -> Self {
        let repositories = repositories.into_iter().map(|repository| (repository.id(), repository)).collect();
        Self { repositories, ..Self::default() }
    }

    /// The same, with the folders of repositories that lie on this machine: their room is told to hosts that ask.
    #[must_use]
    pub fn with_folders(self, folders: impl IntoIterator<Item = (RepositoryId, PathBuf)>) -> Self {
        Self { folders: folders.into_iter().collect(), ..self }
    }

    /// How much may be stored, as far as anybody can tell.
    async fn room(&self, request: &RoomRequest) -> Result<RoomReply, Status> {
        let Some(folder) = self.folders.get(&self.repository(&request.repository)?.id()) else {
            return Ok(RoomReply::default());
        };
        let space = Space::of(folder.clone()).await.map_err(|error| status(&error))?;
        Ok(RoomReply { free_bytes: Some(space.free_bytes), reserve_bytes: space.usual_reserve_bytes() })
    }

    /// Bytes of objects that hosts have sent since the start, those of interrupted puts included.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    fn repository(&self, id: &str) -> Result<&Arc<Repository>, Status> {
        let known = id.parse().ok().and_then(|id: RepositoryId| self.repositories.get(&id));
        known.ok_or_else(|| Status::not_found("the gateway leads to no such repository"))
    }

    fn store(&self, id: &str) -> Result<&Arc<dyn ObjectStore>, Status> {
        self.repository(id).map(|repository| repository.store())
    }
}

/// What went wrong with a store, as the worker must see it: whether to try again, and whose fault it is.
fn status(error: &object_store::Error) -> Status {
    use strongroom_repository::store::ErrorKind;
    let text = chain(error);
    match strongroom_repository::store::kind(error) {
        ErrorKind::NotFound => Status::not_found(text),
        ErrorKind::AlreadyExists => Status::already_exists(text),
        ErrorKind::NoSpace => Status::resource_exhausted(text),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnly => Status::failed_precondition(text),
        ErrorKind::Transient => Status::unavailable(text),
        ErrorKind::NoStore | ErrorKind::Other => Status::internal(text),
    }
}
