//! Who uses how much of what is stored: each stored byte belongs to those whose snapshots need it, to nobody, or to the repository itself.
//!
//! The snapshots say by themselves which frames they need, so this walks no tree and opens no data: one listing, the index, and the snapshots' own objects. What several need is split
//! evenly among them, to the byte, so that all shares and all that is nobody's sum up to what the store holds.

mod count;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::ids::ObjectId;
use crate::index::Index;
use crate::live::Live;
use crate::object::ObjectType;
use crate::repository::{Repository, store_error};
use crate::snapshot::Manifest;
use count::Count;

/// What some snapshots use together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Share {
    /// What they have in common; nothing for those that do not say.
    pub name: Option<String>,
    /// How many they are.
    pub snapshots: u64,
    /// When the newest of them was begun.
    pub newest: Option<Timestamp>,
    /// Stored bytes that nobody else needs: they come free if all of these go.
    pub unique_bytes: u64,
    /// Stored bytes that others need, too.
    pub shared_bytes: u64,
    /// The unique bytes, and an even part of the shared ones.
    pub fair_bytes: u64,
}

/// Every byte of a repository, by whom it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shares {
    /// Those that need something, the largest fair share first.
    pub shares: Vec<Share>,
    /// Bytes in packs that no snapshot needs: a prune frees them, sooner or later.
    pub unused_bytes: u64,
    /// Bytes of objects that nothing refers to: of backups that go on, or broke off.
    pub unreferred_bytes: u64,
    /// Bytes that are for all: by folder of the repository, and `tables` for what packs hold beside their frames.
    pub overhead: BTreeMap<String, u64>,
    /// Bytes of all objects.
    pub stored_bytes: u64,
    /// Snapshots that cannot be read. What only they need counts as unused here, and no prune removes it.
    pub unreadable: Vec<ObjectId>,
}

impl Shares {
    /// Bytes that are for all.
    #[must_use]
    pub fn overhead_bytes(&self) -> u64 {
        self.overhead.values().sum()
    }

    /// What all of it comes to: exactly the stored bytes, unless the store changed meanwhile.
    #[must_use]
    pub fn sum_bytes(&self) -> u64 {
        let fair: u64 = self.shares.iter().map(|share| share.fair_bytes).sum();
        fair + self.unused_bytes + self.unreferred_bytes + self.overhead_bytes()
    }
}

/// Snapshots that belong together.
#[derive(Debug, Default)]
struct Group {
    snapshots: u64,
    newest: Option<Timestamp>,
    /// Bytes of their own objects.
    own_bytes: u64,
    live: Live,
}

/// Finds out who uses what, with snapshots grouped by what `name` says of them. Needs a reader's key.
pub async fn gather(repository: &Arc<Repository>, name: impl Fn(&Manifest) -> Option<String>) -> Result<Shares, Error> {
    let listed = list_all(repository).await?;
    repository.refresh().await?;
    let index = repository.open_index().await?;
    let (groups, unreadable) = group(repository, &listed, name).await?;
    let mut shares = Shares { unreadable, ..weigh(repository, &index, &listed) };
    let mut count = Count::default();
    shares.unused_bytes = count.find_homes(&index, &repository.history().condemned, |pack| listed.packs.contains(pack));
    groups.values().for_each(|group| count.add_need(&group.live));
    shares.unused_bytes += count.needed_by_nobody();
    shares.shares = groups.into_iter().map(|(name, group)| share(&mut count, name, &group)).collect();
    shares
        .shares
        .sort_by(|left, right| right.fair_bytes.cmp(&left.fair_bytes).then_with(|| left.name.cmp(&right.name)));
    Ok(shares)
}

/// Bytes that some snapshots need, whoever else needs them, too. Reads no listing, and needs a reader's key.
pub async fn needed_bytes(repository: &Arc<Repository>, belongs: impl Fn(&Manifest) -> bool) -> Result<u64, Error> {
    repository.refresh().await?;
    let index = repository.open_index().await?;
    let (groups, _) = group(repository, &Listed::default(), |manifest| belongs(manifest).then(String::new)).await?;
    let Some(group) = groups.get(&Some(String::new())) else { return Ok(0) };
    let mut count = Count::default();
    count.find_homes(&index, &repository.history().condemned, |_| true);
    count.add_need(&group.live);
    Ok(count.parts_of(&group.live).unique)
}

fn share(count: &mut Count, name: Option<String>, group: &Group) -> Share {
    let parts = count.parts_of(&group.live);
    Share {
        name,
        snapshots: group.snapshots,
        newest: group.newest,
        unique_bytes: parts.unique + group.own_bytes,
        shared_bytes: parts.shared,
        fair_bytes: parts.fair + group.own_bytes,
    }
}

/// What is in the store.
#[derive(Debug, Default)]
struct Listed {
    objects: Vec<Object>,
    packs: HashSet<ObjectId>,
}

#[derive(Debug)]
struct Object {
    folder: String,
    id: Option<ObjectId>,
    bytes: u64,
}

async fn list_all(repository: &Repository) -> Result<Listed, Error> {
    let mut listed = Listed::default();
    let mut listing = repository.store.list(None);
    while let Some(meta) = listing.try_next().await.map_err(store_error("list", "the repository"))? {
        let name = meta.location.as_ref();
        let folder = name.split_once('/').map_or("config", |(folder, _)| folder).to_owned();
        let id = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok());
        let is_pack = [ObjectType::Pack, ObjectType::PagePack].iter().any(|kind| kind.folder() == folder);
        listed.packs.extend(id.filter(|_| is_pack));
        listed.objects.push(Object { folder, id, bytes: meta.size });
    }
    Ok(listed)
}

type Groups = BTreeMap<Option<String>, Group>;

/// Reads the snapshots. One that cannot be read is named and hides nothing of the others.
async fn group(
    repository: &Arc<Repository>,
    listed: &Listed,
    name: impl Fn(&Manifest) -> Option<String>,
) -> Result<(Groups, Vec<ObjectId>), Error> {
    let found = repository.snapshots().await?;
    let mut unreadable: Vec<ObjectId> = found.unreadable.iter().map(|lost| lost.id).collect();
    let folder = ObjectType::Snapshot.folder();
    let own = listed.objects.iter().filter(|object| object.folder == folder);
    let own: BTreeMap<ObjectId, u64> = own.filter_map(|object| Some((object.id?, object.bytes))).collect();
    let mut groups = Groups::new();
    for snapshot in &found.readable {
        let inventory = match repository.snapshot_inventory(snapshot.id).await {
            Ok(inventory) => inventory,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                unreadable.push(snapshot.id);
                continue;
            }
            Err(error) => return Err(error),
        };
        let group = groups.entry(name(&snapshot.manifest)).or_default();
        group.snapshots += 1;
        group.newest = group.newest.max(Some(snapshot.manifest.time));
        group.own_bytes += own.get(&snapshot.id).copied().unwrap_or(0);
        group.live.merge(&inventory.live);
    }
    Ok((groups, unreadable))
}

/// What is no frame: by folder, and what nothing refers to. The objects of readable snapshots are their groups' own.
fn weigh(repository: &Repository, index: &Index, listed: &Listed) -> Shares {
    let history = repository.history();
    let packs: HashSet<ObjectId> = index.packs().map(|pack| pack.id).collect();
    let mut shares = Shares::default();
    for Object { folder, id, bytes } in &listed.objects {
        shares.stored_bytes += bytes;
        let is = |kind: ObjectType| kind.folder() == folder;
        let is_referred = |id: &ObjectId| match () {
            () if is(ObjectType::Index) => history.index.contains(id),
            () if is(ObjectType::Snapshot) => history.has_snapshot(id),
            () if is(ObjectType::Pack) || is(ObjectType::PagePack) || is(ObjectType::Parity) => packs.contains(id),
            () => true,
        };
        let is_own = is(ObjectType::Snapshot) || is(ObjectType::Pack) || is(ObjectType::PagePack);
        match id {
            Some(id) if !is_referred(id) => shares.unreferred_bytes += bytes,
            Some(_) if is_own => {}
            _ => *shares.overhead.entry(folder.clone()).or_default() += bytes,
        }
    }
    *shares.overhead.entry("tables".into()).or_default() += count::tables(index, &listed.packs);
    shares
}
