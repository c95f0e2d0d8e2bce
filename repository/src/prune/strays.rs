//! Objects that nothing refers to: what sessions left that ended early, and what sweeps took out of the index.
//!
//! So are shards of groups that can heal nothing any more, because their packs were pruned.
//!
//! A stray may belong to a session that is still open, so it is deleted only once every session has ended that was open when it was first seen. Which these were is
//! remembered in the local cache; where that is lost, the wait begins anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::plan::When;
use super::sessions::{SessionFate, Sessions};
use crate::cache;
use crate::error::{Error, ErrorKind};
use crate::group::{self, Catalog};
use crate::history::History;
use crate::ids::{ObjectId, SessionId};
use crate::object::ObjectType;
use crate::repository::{Repository, list};

/// An object that nothing refers to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stray {
    /// Its name.
    pub name: String,
    #[serde(skip)]
    pub(super) id: ObjectId,
    #[serde(skip)]
    pub(super) kind: ObjectType,
    /// Its size.
    pub bytes: u64,
    /// When it is deleted.
    pub when: When,
}

/// The objects that may be strays.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Their names and sizes.
    objects: Vec<(ObjectType, ObjectId, String, u64)>,
    /// Whom those of groups are for.
    pub(super) groups: Catalog,
}

/// The kinds of object that only the history makes count; a parity counts as long as its pack does, whose id it has.
const KINDS: [ObjectType; 5] =
    [ObjectType::Pack, ObjectType::PagePack, ObjectType::Index, ObjectType::Snapshot, ObjectType::Parity];

/// Lists them. Before the sessions are read: see there.
pub(super) async fn list_objects(repository: &Arc<Repository>) -> Result<Listed, Error> {
    let groups = Catalog::read(&repository.store, &repository.id()).await?;
    let shards = groups.objects().map(|(id, bytes)| (ObjectType::Group, id, group::name_of(&id), bytes));
    let mut objects: Vec<_> = shards.collect();
    for kind in KINDS {
        for (name, bytes) in list(&*repository.store, kind.folder()).await? {
            // What has no object's name is none of ours, and stays.
            if let Some(id) = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok()) {
                objects.push((kind, id, name, bytes));
            }
        }
    }
    Ok(Listed { objects, groups })
}

/// Which sessions were open when a stray was first seen.
pub(super) type Sightings = BTreeMap<String, BTreeSet<SessionId>>;

/// Finds the strays among what was listed.
pub(super) fn find(listed: &Listed, repository: &Repository, sessions: &Sessions, sightings: &Path) -> Vec<Stray> {
    if repository.history().newest == 0 {
        // Without a commit nothing says what is needed.
        return Vec::new();
    }
    let referred = referred(repository, sessions, &listed.groups);
    let seen = read_sightings(sightings);
    let open: BTreeSet<SessionId> =
        sessions.open.iter().filter(|open| open.fate != SessionFate::Fenced).map(|open| open.session).collect();
    let strays = listed.objects.iter().filter(|(_, id, ..)| !referred.contains(id));
    let stray = |(kind, id, name, bytes): &(ObjectType, ObjectId, String, u64)| {
        let waits: Vec<SessionId> = match seen.get(name) {
            Some(then) => then.intersection(&open).copied().collect(),
            None => open.iter().copied().collect(),
        };
        let when = if waits.is_empty() { When::Now } else { When::After(waits) };
        Stray { name: name.clone(), id: *id, kind: *kind, bytes: *bytes, when }
    };
    strays.map(stray).collect()
}

/// Everything that the history refers to, or an open session builds on; and what protects any of it.
pub(super) fn referred(repository: &Repository, sessions: &Sessions, groups: &Catalog) -> HashSet<ObjectId> {
    let history = repository.history();
    let packs: HashSet<ObjectId> = repository.current_index().packs().map(|pack| pack.id).collect();
    let shards: Vec<ObjectId> = groups.in_use(|pack| packs.contains(pack)).collect();
    let snapshots = history.snapshots.iter().map(|added| added.snapshot);
    packs
        .into_iter()
        .chain(shards)
        .chain(history.index.iter().copied())
        .chain(snapshots)
        .chain(sessions.parents())
        .collect()
}

fn read_sightings(path: &Path) -> Sightings {
    let remembered = cache::read(path).ok();
    remembered.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Remembers those that wait, and for whom.
pub(super) fn remember(strays: &[Stray], sightings: &Path) {
    let waiting = strays.iter().filter_map(|stray| match &stray.when {
        When::After(sessions) => Some((stray.name.clone(), sessions.iter().copied().collect())),
        When::Now => None,
    });
    let waiting: Sightings = waiting.collect();
    let saved = serde_json::to_vec(&waiting).map_err(std::io::Error::other);
    if let Err(error) = saved.and_then(|json| cache::write(sightings, &json)) {
        tracing::debug!(%error, "strays not remembered: their wait begins anew");
    }
}

/// Leaves out what may still be wanted under its name. A pack never is: who brings it again from another copy finds that it was discarded, and packs its frames anew. A snapshot
/// has but one name: it goes if it was forgotten here, or if the session that made it can commit it no more. One that was to be copied here stays, until it is.
pub(super) async fn for_nobody(repository: &Repository, strays: Vec<Stray>) -> Result<Vec<Stray>, Error> {
    if !strays.iter().any(|stray| stray.kind == ObjectType::Snapshot) {
        return Ok(strays);
    }
    let (gone, history) = (repository.gone().await?, repository.history());
    let mut going = Vec::with_capacity(strays.len());
    for stray in strays {
        if stray.kind != ObjectType::Snapshot
            || gone.has(&stray.id)
            || is_abandoned(repository, &stray, &history).await?
        {
            going.push(stray);
        }
    }
    Ok(going)
}

/// Whether nobody can commit a snapshot that is no part of the history: its own session is fenced, or it is damaged.
async fn is_abandoned(repository: &Repository, stray: &Stray, history: &History) -> Result<bool, Error> {
    match repository.snapshot_inventory(stray.id).await {
        Ok(inventory) => Ok(history.fenced.contains(&inventory.session)),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => Ok(true),
        Err(error) => Err(error),
    }
}
