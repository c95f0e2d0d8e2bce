//! The repository of a job, opened by the way that its request says.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use strongroom_repository::store::{Limited, Space};
use strongroom_repository::{Credential, Error, ErrorKind, Repository, chain};
use strongroom_worker::backup::Room;

use super::Site;
use crate::direct::{self, DirectError};
use crate::gateway::GatewayStore;
use crate::ledger::FailureKind;
use crate::request::{Request, StorePlace};

/// Why there is no repository to work with.
pub(super) struct Unopened {
    pub(super) kind: FailureKind,
    pub(super) reason: String,
}

/// By which way, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) store: &'a StorePlace,
    pub(super) limit: Option<NonZeroU64>,
}

/// Opens a backup's repository.
pub(super) async fn open_for_backup(
    site: &Site,
    request: &Request,
    gateway: GatewayStore,
) -> Result<Arc<Repository>, Unopened> {
    let no_key = |error| Unopened { kind: FailureKind::Worker, reason: chain(&error) };
    let credential = site.keys.credential(request.repository).map_err(no_key)?;
    let way = Way { store: &request.store, limit: request.limits.upload_bytes_per_second };
    open(way, gateway, &credential, &site.cache_folder).await
}

/// Opens the repository. `gateway` is used unless the way leads to a place of its own.
pub(super) async fn open(
    way: Way<'_>,
    gateway: GatewayStore,
    credential: &Credential,
    cache: &Path,
) -> Result<Arc<Repository>, Unopened> {
    let store: Arc<dyn ObjectStore> = match way.store {
        StorePlace::Gateway => Arc::new(gateway),
        StorePlace::Directory(directory) => {
            let refused = |error| Unopened { kind: FailureKind::Store, reason: chain(&error) };
            Arc::new(direct::open(directory).await.map_err(refused)?)
        }
    };
    let store = match way.limit {
        Some(limit) => Arc::new(Limited::new(store, limit)),
        None => store,
    };
    let opened = Repository::open(store, credential, cache).await;
    opened.map_err(|error| Unopened { kind: kind_of_store(&error), reason: told(way.store, error) })
}

/// How much the job may store. What is not known refuses nothing.
pub(super) async fn room(request: &Request, gateway: &GatewayStore) -> Room {
    let known = match &request.store {
        StorePlace::Gateway => gateway.room().await,
        StorePlace::Directory(directory) => {
            let space = Space::of(directory.clone()).await.ok();
            space.map(|space| (space.free_bytes, space.usual_reserve_bytes()))
        }
    };
    let at = match &request.store {
        StorePlace::Gateway => "the repository".to_owned(),
        StorePlace::Directory(directory) => directory.display().to_string(),
    };
    known.map_or_else(Room::default, |(free, reserve_bytes)| Room {
        free_bytes: Some(free),
        reserve_bytes,
        at: Some(at),
        ..Room::default()
    })
}

/// A failure of the repository in words; of one that lies in a directory of this host, with what can be done here.
pub(super) fn told(place: &StorePlace, error: Error) -> String {
    match place {
        StorePlace::Gateway => chain(&error),
        StorePlace::Directory(directory) => chain(&DirectError::of(directory, error)),
    }
}

/// Whose fault it was.
pub(super) fn kind_of_store(error: &Error) -> FailureKind {
    match (error, error.kind()) {
        (Error::Cache { .. } | Error::Withheld(_), _) => FailureKind::Worker,
        (_, ErrorKind::Transient) => FailureKind::StoreUnreachable,
        _ => FailureKind::Store,
    }
}
