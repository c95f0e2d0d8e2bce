//! Which groups stand, which are made, and which shards go. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use super::size::GroupSize;
use super::{Catalog, Group};
use crate::ids::ObjectId;
use crate::parity::Subject;

/// Of a group's shards, one in so many may be spent on members that are gone before its packs are grouped anew: with two, one. Reading sixteen packs for each that is pruned would be
/// dear, and a pack that bears one loss more is still better off than with its own parity alone.
const SPENT_PART: u32 = 2;

/// What there is.
pub(super) struct Scene<'a> {
    pub(super) catalog: &'a Catalog,
    /// Packs that the index names.
    pub(super) needed: &'a BTreeSet<ObjectId>,
    /// Those that can be members: stored, and not condemned.
    pub(super) usable: &'a BTreeMap<ObjectId, Subject>,
    /// Objects of groups that were found damaged.
    pub(super) damaged: &'a BTreeSet<ObjectId>,
}

/// Shards to be made of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Make {
    pub(super) shape: Shape,
    /// Which; the others are there.
    pub(super) numbers: BTreeSet<u32>,
}

/// What is to be.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Groups that stay, or are completed.
    pub(super) kept: Vec<Shape>,
    pub(super) makes: Vec<Make>,
}

/// Keeps what stands, completes what lacks shards, and groups all other packs, those of like size together so that little of a shard is filled up. Small groups are joined with new packs
/// as the digits of a counter are: a pack is read again for each doubling of its group, not for each new pack.
pub(super) fn choose(scene: &Scene<'_>, size: GroupSize) -> Choice {
    let mut choice = Choice::default();
    let mut covered: BTreeSet<ObjectId> = BTreeSet::new();
    let mut groups: Vec<&Group> = scene.catalog.groups.iter().filter(|group| scene.stands(group, size)).collect();
    groups.sort_by_key(|group| Reverse(scene.live(&group.shape).count()));
    let mut complete = Vec::new();
    for group in groups {
        if scene.live(&group.shape).all(|member| covered.contains(&member)) {
            continue;
        }
        let missing = scene.missing(group);
        if missing.is_empty() {
            complete.push(&group.shape);
        } else if scene.is_whole(&group.shape) {
            choice.kept.push(group.shape.clone());
            choice.makes.push(Make { shape: group.shape.clone(), numbers: missing });
        } else {
            continue;
        }
        covered.extend(scene.live(&group.shape));
    }
    let mut new: Vec<Subject> = scene.usable.values().filter(|pack| !covered.contains(&pack.id)).copied().collect();
    choice.kept.extend(join_small(scene, complete, &mut new, size).into_iter().cloned());
    new.sort_by_key(|pack| (Reverse(pack.size), pack.id));
    choice.makes.extend(new.chunks(size.members as usize).map(|members| {
        let shape = Shape::of(members.to_vec(), size.parity);
        Make { numbers: (0..size.parity).collect(), shape }
    }));
    choice
}

/// Adds the packs of small groups to those that are to be grouped, as long as there are as many of these; returns the groups that stay.
fn join_small<'a>(
    scene: &Scene<'_>,
    complete: Vec<&'a Shape>,
    new: &mut Vec<Subject>,
    size: GroupSize,
) -> Vec<&'a Shape> {
    let live = |shape: &Shape| scene.live(shape).count();
    let is_small = |shape: &Shape| {
        live(shape) < size.members as usize && scene.live(shape).all(|id| scene.usable.contains_key(&id))
    };
    let (mut small, mut kept): (Vec<&Shape>, Vec<&Shape>) = complete.into_iter().partition(|shape| is_small(shape));
    small.sort_by_key(|shape| live(shape));
    for shape in small {
        // Those that fill whole groups are none of its business.
        let rest = new.len() % size.members as usize;
        if live(shape) > rest {
            kept.push(shape);
            continue;
        }
        let known: BTreeSet<ObjectId> = new.iter().map(|pack| pack.id).collect();
        new.extend(scene.live(shape).filter(|id| !known.contains(id)).filter_map(|id| scene.usable.get(&id)));
    }
    kept
}

impl Scene<'_> {
    /// The members that anybody needs still.
    fn live<'a>(&'a self, shape: &'a Shape) -> impl Iterator<Item = ObjectId> + 'a {
        shape.members.iter().map(|member| member.id).filter(|id| self.needed.contains(id))
    }

    /// Whether a group is as large as it should be, and not too much of it is spent on packs that are gone.
    fn stands(&self, group: &Group, size: GroupSize) -> bool {
        let (live, shape) = (self.live(&group.shape).count(), &group.shape);
        let gone = shape.members.len() - live;
        (1..=size.members as usize).contains(&live)
            && shape.parity >= size.parity
            && gone <= (shape.parity / SPENT_PART) as usize
    }

    /// Its shards that are not there, or damaged.
    fn missing(&self, group: &Group) -> BTreeSet<u32> {
        let is_good = |number: &u32| group.shards.get(number).is_some_and(|id| !self.damaged.contains(id));
        (0..group.shape.parity).filter(|number| !is_good(number)).collect()
    }

    /// Whether all members are there to make its shards from.
    fn is_whole(&self, shape: &Shape) -> bool {
        shape.members.iter().all(|member| self.usable.contains_key(&member.id))
    }

    /// Objects that nobody misses when these groups are complete: of groups whose needed packs are all in one of them, and of groups that nothing is needed of. Those of groups that
    /// are `kept` stay.
    pub(super) fn superseded(&self, complete: &BTreeSet<&Shape>, kept: &BTreeSet<&Shape>) -> Vec<(ObjectId, u64)> {
        let covered: BTreeSet<ObjectId> =
            complete.iter().flat_map(|shape| shape.members.iter().map(|member| member.id)).collect();
        let goes = |group: &&Group| {
            !kept.contains(&group.shape) && self.live(&group.shape).all(|member| covered.contains(&member))
        };
        let of_group = |group: &Group| {
            let size = group.shape.object_size();
            group.shards.values().map(move |id| (*id, size)).collect::<Vec<_>>()
        };
        let unreadable = self.catalog.unreadable.iter().filter(|(id, _)| self.damaged.contains(id)).copied();
        self.catalog.groups.iter().filter(goes).flat_map(of_group).chain(unreadable).collect()
    }
}

#[cfg(test)]
#[path = "choose/tests.rs"]
mod tests;
