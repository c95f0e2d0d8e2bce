//! Parity across packs (FORMAT.md, Parity across packs): groups of packs with a few Reed-Solomon shards as long as the longest of them, from which as many whole packs are made anew.
//!
//! Nothing of it is made while a backup runs: [`plan`] groups packs that the index names, the least protected first, and [`run`] reads them and makes the shards, group after group, so
//! that a run that is cut off has lost one group's work. A shard is named by its bytes, needs no key, and is never believed: what is made from it counts only if its BLAKE3 is
//! the pack's name. So it can be made, ignored and deleted at any time, beside whatever else is done.
//!
//! A prune takes members away, and a member that is gone is a loss that the group has to bear. A group stands as long as no more are gone than half of its shards; then its packs are
//! grouped anew, and the old shards go once each of their packs is in a complete group. Until then [`Protection`] says how many packs bear how many losses. A group that can heal nothing
//! any more is a stray to a prune.
//!
//! How large groups are is said by whoever makes them, and by each group of itself; the configuration, which is written once, knows nothing of it. Deliberately absent: repairing, which
//! [`crate::repair`] does, and making damaged shards good in their place: the next run makes them anew.

mod choose;
mod code;
mod heal;
mod make;
mod protect;
mod shape;
mod size;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::ids::{ObjectId, RepositoryId};
use crate::object::{self, ObjectType};
use crate::repository::{get_range, list};
use crate::scrub::Store;

pub(crate) use code::{objects, use_up};
pub(crate) use heal::heal;
pub use protect::{ProtectOptions, ProtectPlan, ProtectReport, plan, run};
pub(crate) use shape::Shape;
pub use size::{BadGroupSize, GroupSize};

/// Heads that are fetched at once.
const FETCHES_AT_ONCE: usize = 16;

/// Packs that are coded together, and which of the shards are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) shape: Shape,
    /// The objects of its parity shards, by number.
    pub(crate) shards: BTreeMap<u32, ObjectId>,
}

impl Group {
    /// How many whole members it can make anew when only these are there.
    fn heals(&self, is_there: impl Fn(&ObjectId) -> bool) -> u32 {
        let gone = self.shape.members.iter().filter(|member| !is_there(&member.id)).count();
        (self.shards.len() as u32).saturating_sub(gone as u32)
    }

    /// Whether it may ever heal anything, when these packs are those that anybody needs.
    fn is_of_use(&self, is_needed: impl Fn(&ObjectId) -> bool) -> bool {
        self.shape.members.iter().any(|member| is_needed(&member.id)) && self.heals(is_needed) > 0
    }
}

/// The groups of a store, as their objects tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    pub(crate) groups: Vec<Group>,
    /// Objects whose head cannot be read, with their sizes.
    pub(crate) unreadable: Vec<(ObjectId, u64)>,
}

impl Catalog {
    /// Lists them and reads their heads. Objects of newer releases are left alone.
    pub(crate) async fn read(store: &Store, repository: &RepositoryId) -> Result<Self, Error> {
        let named = list(&**store, ObjectType::Group.folder()).await?.into_iter().filter_map(|(name, size)| {
            let id = name.rsplit('/').next()?.parse::<ObjectId>().ok()?;
            Some((id, size))
        });
        let heads = stream::iter(named.map(|(id, size)| async move {
            let head = read_head(store, repository, &id, size).await;
            head.map(|head| (id, size, head))
        }));
        let heads: Vec<_> = heads.buffer_unordered(FETCHES_AT_ONCE).try_collect().await?;
        let mut groups: BTreeMap<Shape, BTreeMap<u32, ObjectId>> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for (id, size, head) in heads {
            match head {
                Head::Of(shape, number) => drop(groups.entry(shape).or_default().insert(number, id)),
                Head::Unreadable => unreadable.push((id, size)),
                Head::NotOurs => {}
            }
        }
        unreadable.sort_unstable();
        Ok(Self { groups: groups.into_iter().map(|(shape, shards)| Group { shape, shards }).collect(), unreadable })
    }

    /// The groups that a pack is in.
    pub(crate) fn of(&self, pack: &ObjectId) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.shape.members.iter().any(|member| member.id == *pack))
    }

    /// The objects that are to stay while these packs are needed; those that cannot be read among them, since nobody knows what they are for.
    pub(crate) fn in_use(&self, needed: impl Fn(&ObjectId) -> bool) -> impl Iterator<Item = ObjectId> {
        let used = self.groups.iter().filter(move |group| group.is_of_use(&needed));
        let shards = used.flat_map(|group| group.shards.values().copied());
        shards.chain(self.unreadable.iter().map(|(id, _)| *id))
    }

    /// All objects of groups, with their sizes.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (ObjectId, u64)> {
        let of_group = |group: &Group| {
            let size = group.shape.object_size();
            group.shards.values().map(move |id| (*id, size)).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).chain(self.unreadable.iter().copied())
    }

    /// From how many losses in its group each of these packs comes back.
    pub(crate) fn losses_borne(&self, packs: &BTreeSet<ObjectId>) -> BTreeMap<ObjectId, u32> {
        let mut borne: BTreeMap<ObjectId, u32> = packs.iter().map(|pack| (*pack, 0)).collect();
        for group in &self.groups {
            let heals = group.heals(|member| packs.contains(member));
            for member in &group.shape.members {
                if let Some(losses) = borne.get_mut(&member.id) {
                    *losses = heals.max(*losses);
                }
            }
        }
        borne
    }

    /// How these packs are protected.
    pub(crate) fn protection(&self, packs: &BTreeSet<ObjectId>) -> Protection {
        let mut protection = Protection { packs: packs.len() as u64, ..Protection::default() };
        for losses in self.losses_borne(packs).into_values() {
            *protection.by_losses.entry(losses).or_default() += 1;
        }
        protection.groups = self.groups.len() as u64;
        protection.bytes = self.objects().map(|(_, size)| size).sum();
        protection
    }
}

/// What an object says of itself.
enum Head {
    Of(Shape, u32),
    Unreadable,
    /// It is gone, or of a newer release.
    NotOurs,
}

async fn read_head(store: &Store, repository: &RepositoryId, id: &ObjectId, size: u64) -> Result<Head, Error> {
    let name = name_of(id);
    let head = get_range(&**store, &name, 0..size.min(shape::HEAD_SIZE_MAX)).await;
    match head.and_then(|head| Shape::open(repository, &name, &head)) {
        Ok((shape, number)) if shape.object_size() == size => Ok(Head::Of(shape, number)),
        Err(Error::Missing { .. } | Error::TooNew { .. }) => Ok(Head::NotOurs),
        Err(error) if error.kind() != ErrorKind::Corrupt && !crate::scrub::is_about_one_object(&error) => Err(error),
        _ => Ok(Head::Unreadable),
    }
}

/// The name of an object of a group.
pub(crate) fn name_of(id: &ObjectId) -> String {
    object::hashed_name(ObjectType::Group, id)
}

/// How many packs come back from how many losses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Protection {
    /// Packs that the index names and the store has.
    pub packs: u64,
    /// How many of them come back if so many packs of their group are lost at once, they among them. 0: no group makes them anew.
    pub by_losses: BTreeMap<u32, u64>,
    /// Groups.
    pub groups: u64,
    /// Bytes of all objects of groups.
    pub bytes: u64,
}

#[cfg(test)]
#[path = "group/tests.rs"]
mod tests;
