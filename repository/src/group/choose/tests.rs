use super::*;
use crate::object::ObjectType;

const SIZE: GroupSize = GroupSize { members: 4, parity: 2 };

fn pack(number: u8) -> Subject {
    Subject { kind: ObjectType::Pack, id: ObjectId([number; 32]), size: 1000 - u64::from(number) }
}

/// What there is, by numbers.
#[derive(Default)]
struct World {
    catalog: Catalog,
    needed: BTreeSet<ObjectId>,
    usable: BTreeMap<ObjectId, Subject>,
    damaged: BTreeSet<ObjectId>,
}

impl World {
    fn of(packs: impl IntoIterator<Item = u8>) -> Self {
        let mut world = Self::default();
        world.add(packs);
        world
    }

    fn add(&mut self, packs: impl IntoIterator<Item = u8>) {
        for pack in packs.into_iter().map(pack) {
            self.needed.insert(pack.id);
            self.usable.insert(pack.id, pack);
        }
    }

    fn prune(&mut self, packs: impl IntoIterator<Item = u8>) {
        for pack in packs.into_iter().map(pack) {
            self.needed.remove(&pack.id);
            self.usable.remove(&pack.id);
        }
    }

    /// A group of these; its shards are named after its first pack.
    fn group(mut self, members: impl IntoIterator<Item = u8>) -> Self {
        let shape = Shape::of(members.into_iter().map(pack).collect(), SIZE.parity);
        self.store(&shape);
        self
    }

    fn store(&mut self, shape: &Shape) {
        let name = |number: u32| ObjectId([200 + shape.members[0].id.0[0] * 2 % 50 + number as u8; 32]);
        let shards = (0..shape.parity).map(|number| (number, name(number))).collect();
        self.catalog.groups.retain(|group| group.shape != *shape);
        self.catalog.groups.push(Group { shape: shape.clone(), shards });
    }

    fn scene(&self) -> Scene<'_> {
        Scene { catalog: &self.catalog, needed: &self.needed, usable: &self.usable, damaged: &self.damaged }
    }

    /// The packs of each group that is made, and which shards.
    fn makes(&self) -> Vec<(Vec<u8>, Vec<u32>)> {
        let numbers = |shape: &Shape| shape.members.iter().map(|member| member.id.0[0]).collect();
        let makes = choose(&self.scene(), SIZE).makes;
        makes.iter().map(|make| (numbers(&make.shape), make.numbers.iter().copied().collect())).collect()
    }

    /// Makes everything, and lets go what nobody misses; returns how many packs were read.
    fn run(&mut self) -> usize {
        let Choice { kept, makes } = choose(&self.scene(), SIZE);
        makes.iter().for_each(|make| self.store(&make.shape));
        let shapes: BTreeSet<&Shape> = kept.iter().chain(makes.iter().map(|make| &make.shape)).collect();
        let gone: Vec<ObjectId> = self.scene().superseded(&shapes, &shapes).iter().map(|(id, _)| *id).collect();
        self.catalog
            .groups
            .retain(|group| shapes.contains(&group.shape) || !group.shards.values().all(|id| gone.contains(id)));
        makes.iter().map(|make| make.shape.members.len()).sum()
    }
}

fn both(members: impl IntoIterator<Item = u8>) -> (Vec<u8>, Vec<u32>) {
    (members.into_iter().collect(), vec![0, 1])
}

#[test]
fn packs_of_like_size_are_grouped_and_what_stands_is_left_alone() {
    let mut world = World::of(0..10);
    assert_eq!(world.makes(), [both(0..4), both(4..8), both(8..10)]);
    world.run();
    assert_eq!(world.makes(), []);
    world.prune([1, 5]);
    assert_eq!(world.makes(), [], "one of two shards may be spent");
    world.prune([2]);
    assert_eq!(world.makes(), [both([0, 3, 8, 9])], "the small group fits with what is left of the first");
}

#[test]
fn a_group_that_lacks_a_shard_gets_that_one() {
    let mut world = World::of(0..4).group(0..4);
    world.damaged.insert(world.catalog.groups[0].shards[&1]);
    assert_eq!(world.makes(), [((0..4).collect(), vec![1])]);
    world.catalog.groups[0].shards.remove(&0);
    assert_eq!(world.makes(), [both(0..4)]);
    // Not where a member is lost: it may come back from what there is.
    world.usable.remove(&pack(3).id);
    assert_eq!(world.makes(), [both(0..3)]);
}

/// A pack is read again for each doubling of its group, not for each night.
#[test]
fn packs_that_come_one_by_one_are_joined_like_digits() {
    let mut world = World::default();
    let read: usize = (0..64)
        .map(|number| {
            world.add([number]);
            world.run()
        })
        .sum();
    assert_eq!((world.catalog.groups.len(), read), (16, 64 * 2));
    assert!(world.catalog.groups.iter().all(|group| group.shape.members.len() == 4));
}

#[test]
fn the_old_goes_when_all_that_is_needed_of_it_is_in_something_complete() {
    let mut world = World::of(0..6).group(0..4);
    let goes = |world: &World, complete: &[Shape]| {
        let complete = complete.iter().collect();
        world.scene().superseded(&complete, &complete).len()
    };
    let shape = |members: &[u8]| Shape::of(members.iter().copied().map(pack).collect(), 2);
    assert_eq!(goes(&world, &[]), 0);
    assert_eq!(goes(&world, &[shape(&[0, 1, 2, 5])]), 0);
    assert_eq!(goes(&world, &[shape(&[0, 1, 2, 3])]), 0, "it is that itself");
    assert_eq!(goes(&world, &[shape(&[0, 1]), shape(&[2, 3])]), 2);
    // A pack that is lost and needed comes back from nowhere else.
    world.usable.remove(&pack(3).id);
    assert_eq!(goes(&world, &[shape(&[0, 1, 2, 5])]), 0);
    world.prune([3]);
    assert_eq!(goes(&world, &[shape(&[0, 1, 2, 5])]), 2);
    world.prune(0..4);
    assert_eq!(goes(&world, &[]), 2);
}

#[test]
fn other_sizes_are_grouped_anew_where_they_protect_less() {
    let world = World::of(0..4).group(0..4);
    let makes = |members, parity| choose(&world.scene(), GroupSize { members, parity }).makes.len();
    assert_eq!((makes(4, 1), makes(4, 2), makes(16, 2)), (0, 0, 0));
    assert_eq!((makes(4, 3), makes(2, 2)), (1, 2));
}
