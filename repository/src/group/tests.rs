use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;

use super::*;
use crate::object::ObjectType;
use crate::parity::Subject;
use crate::store::InMemory;

const REPOSITORY: RepositoryId = RepositoryId([8; 16]);

fn noise(seed: u8, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes.into()
}

/// Packs of these lengths, and their group, in a store.
struct Scene {
    store: Store,
    packs: Vec<Bytes>,
}

impl Scene {
    async fn new(lengths: &[usize], parity: u32) -> Self {
        let packs: Vec<Bytes> = (1..).zip(lengths).map(|(seed, length)| noise(seed, *length)).collect();
        let scene = Self { store: Arc::new(InMemory::new()), packs };
        for pack in &scene.packs {
            scene.put(&pack_name(pack), pack.to_vec()).await;
        }
        for object in objects(&REPOSITORY, &scene.packs, parity).unwrap() {
            scene.put(&name_of(&ObjectId::of(&object)), object).await;
        }
        scene
    }

    async fn put(&self, name: &str, bytes: Vec<u8>) {
        self.store.put(&name.into(), bytes.into()).await.unwrap();
    }

    async fn lose(&self, name: &str) {
        self.store.delete(&name.into()).await.unwrap();
    }

    /// Turns a byte in each of these places over.
    async fn rot(&self, name: &str, places: impl IntoIterator<Item = usize>) {
        let mut bytes = self.store.get(&name.into()).await.unwrap().bytes().await.unwrap().to_vec();
        places.into_iter().for_each(|at| bytes[at] ^= 0x55);
        self.put(name, bytes).await;
    }

    async fn catalog(&self) -> Catalog {
        Catalog::read(&self.store, &REPOSITORY).await.unwrap()
    }

    async fn shards(&self) -> Vec<String> {
        self.catalog().await.groups[0].shards.values().map(name_of).collect()
    }

    async fn heals(&self, number: usize) -> bool {
        let catalog = self.catalog().await;
        let id = ObjectId::of(&self.packs[number]);
        let Some(group) = catalog.of(&id).next() else { return false };
        let healed = heal(&self.store, group, &id).await.unwrap();
        assert!(
            healed.as_ref().is_none_or(|healed| ObjectId::of(healed) == id),
            "pack {number} is made as another one"
        );
        healed.is_some()
    }
}

fn pack_name(pack: &[u8]) -> String {
    object::hashed_name(ObjectType::Pack, &ObjectId::of(pack))
}

/// Lengths that are no multiples of anything, one that is tiny, and more than one window.
const LENGTHS: [usize; 5] = [3_000_001, 64, 2_999_999, 1, 700_000];

#[tokio::test]
async fn as_many_lost_packs_come_back_as_there_is_parity() {
    for lost in 0..LENGTHS.len() {
        let scene = Scene::new(&LENGTHS, 2).await;
        let next = (lost + 1) % LENGTHS.len();
        for pack in [lost, next] {
            scene.lose(&pack_name(&scene.packs[pack])).await;
        }
        assert!(scene.heals(lost).await && scene.heals(next).await, "{lost} and {next}");
        scene.lose(&pack_name(&scene.packs[(lost + 2) % LENGTHS.len()])).await;
        assert!(!scene.heals(lost).await && !scene.heals(next).await, "{lost}, {next} and another one");
    }
}

#[tokio::test]
async fn a_lost_shard_is_one_loss_less_to_give() {
    for shard in 0..2 {
        let scene = Scene::new(&LENGTHS, 2).await;
        scene.lose(&scene.shards().await[shard]).await;
        scene.lose(&pack_name(&scene.packs[0])).await;
        assert!(scene.heals(0).await, "without shard {shard}");
        scene.lose(&pack_name(&scene.packs[1])).await;
        assert!(!scene.heals(0).await, "without shard {shard}");
    }
}

/// Rot costs the pieces that it touches: here each pack and each shard has some, in places of their own, and one pack is lost besides.
#[tokio::test]
async fn what_rotted_in_different_places_comes_back() {
    let scene = Scene::new(&[400_000; 6], 2).await;
    scene.lose(&pack_name(&scene.packs[5])).await;
    for (number, pack) in scene.packs[..4].iter().enumerate() {
        scene.rot(&pack_name(pack), [number * 20_000, number * 20_000 + 100_000]).await;
    }
    scene.rot(&scene.shards().await[0], [300_000]).await;
    for number in 0..6 {
        assert!(scene.heals(number).await, "pack {number}");
    }
    // The same place in two more packs than there is parity for.
    for pack in &scene.packs[..2] {
        scene.rot(&pack_name(pack), [390_000]).await;
    }
    assert!(!scene.heals(5).await);
}

#[tokio::test]
async fn a_truncated_and_a_grown_pack_come_back() {
    let scene = Scene::new(&LENGTHS, 1).await;
    let name = pack_name(&scene.packs[0]);
    for bytes in [scene.packs[0][..1_000_000].to_vec(), [&scene.packs[0][..], b"more"].concat(), Vec::new()] {
        scene.put(&name, bytes).await;
        assert!(scene.heals(0).await);
    }
}

/// Rot in a hash of one shard's object is outvoted by the other's; in a head it costs the shard.
#[tokio::test]
async fn rotten_shards_give_what_is_left_of_them() {
    let scene = Scene::new(&[50_000; 4], 2).await;
    scene.lose(&pack_name(&scene.packs[0])).await;
    let head = scene.catalog().await.groups[0].shape.record_at(0) as usize;
    let shard = scene.shards().await.remove(0);
    for at in [head + 17, head + 33] {
        scene.rot(&shard, [at]).await;
        assert!(scene.heals(0).await, "byte {at}");
        scene.rot(&shard, [at]).await;
    }
    for at in 0..head {
        scene.rot(&shard, [at]).await;
        let catalog = scene.catalog().await;
        let is_of_newer_release = at == 4;
        assert_eq!(catalog.unreadable.len(), usize::from(!is_of_newer_release), "byte {at}");
        assert_eq!(catalog.groups[0].shards.len(), 1, "byte {at}");
        assert!(scene.heals(0).await, "byte {at}");
        scene.rot(&shard, [at]).await;
    }
}

/// Whoever may write a group can choose every byte of it: what it makes has not the pack's name, and is not taken.
#[tokio::test]
async fn a_forged_group_makes_nothing() {
    let scene = Scene::new(&[5000; 3], 2).await;
    let member = |bytes: &Bytes| Subject { kind: ObjectType::Pack, id: ObjectId::of(bytes), size: 5000 };
    let shape = Shape::of(scene.packs.iter().map(member).collect(), 2);
    let other: Vec<Bytes> = (7..10).map(|seed| noise(seed, 5000)).collect();
    for shard in scene.shards().await {
        scene.lose(&shard).await;
    }
    for (number, records) in (0..).zip(code::encode(&shape, 0..2, &other).unwrap()) {
        let object = [shape.head(&REPOSITORY, number), records].concat();
        scene.put(&name_of(&ObjectId::of(&object)), object).await;
    }
    scene.lose(&pack_name(&scene.packs[0])).await;
    let (catalog, id) = (scene.catalog().await, ObjectId::of(&scene.packs[0]));
    let made = heal(&scene.store, &catalog.groups[0], &id).await.unwrap();
    assert!(made.is_none_or(|bytes| ObjectId::of(&bytes) != id));
    assert!(Catalog::read(&scene.store, &RepositoryId([9; 16])).await.unwrap().groups.is_empty());
}

#[test]
fn heads_that_cannot_be_are_refused() {
    let member = |seed: u8, size| Subject { kind: ObjectType::Pack, id: ObjectId([seed; 32]), size };
    let head = |members: Vec<Subject>, parity, number| Shape::of(members, parity).head(&REPOSITORY, number);
    let is_good = |head: &[u8]| Shape::decode(head).is_ok();
    assert!(is_good(&head(vec![member(1, 5), member(2, 7)], 2, 1)));
    assert!(!is_good(&head(vec![member(1, 5), member(2, 7)], 2, 2)), "a shard beyond the last");
    assert!(!is_good(&head(vec![member(1, 5), member(1, 5)], 2, 1)), "a pack twice");
    assert!(!is_good(&head(vec![member(1, 0)], 2, 1)), "an empty pack");
    assert!(!is_good(&head(Vec::new(), 2, 1)), "no pack");
    assert!(!is_good(&head(vec![member(1, 5)], 17, 1)), "too much parity");
    assert!(!is_good(&head((0..65).map(|seed| member(seed, 5)).collect(), 2, 1)), "too many packs");
    assert!(!is_good(&head(vec![member(1, 1 << 40)], 2, 1)), "a pack that cannot be");
}

#[tokio::test]
async fn protection_counts_what_is_gone() {
    let scene = Scene::new(&[5000; 4], 2).await;
    let catalog = scene.catalog().await;
    let ids: BTreeSet<ObjectId> = scene.packs.iter().map(|pack| ObjectId::of(pack)).collect();
    let losses = |packs: &BTreeSet<ObjectId>| catalog.protection(packs).by_losses.into_iter().collect::<Vec<_>>();
    assert_eq!(losses(&ids), [(2, 4)]);
    let mut fewer = ids.clone();
    fewer.pop_first();
    assert_eq!(losses(&fewer), [(1, 3)]);
    fewer.insert(ObjectId([1; 32]));
    assert_eq!(losses(&fewer), [(0, 1), (1, 3)]);
    assert_eq!(catalog.in_use(|pack| fewer.contains(pack)).count(), 2);
    fewer.pop_last();
    fewer.pop_last();
    assert_eq!(catalog.in_use(|pack| fewer.contains(pack)).count(), 0, "it can heal nothing any more");
}

/// The bytes are part of the format: another release of the code must give the same.
#[test]
fn the_code_gives_the_same_bytes_for_ever() {
    let packs: Vec<Bytes> = (1..).zip(LENGTHS).map(|(seed, length)| noise(seed, length)).collect();
    let objects = objects(&REPOSITORY, &packs, 3).unwrap();
    let hashes: Vec<String> = objects.iter().map(|object| ObjectId::of(object).hex()[..16].to_owned()).collect();
    assert_eq!(objects[0].len(), 3_024_844);
    assert_eq!(hashes, ["b52023f15bbda330", "5f6818556063bb6d", "256637d36aeecfb8"]);
}
