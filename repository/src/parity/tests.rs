use super::*;

const REPOSITORY: RepositoryId = RepositoryId([8; 16]);

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[1; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A pack's id, and its parity made from parts of odd lengths.
fn parity_of(pack: &[u8], percent: u32) -> (ObjectId, Vec<u8>) {
    let parts: Vec<Bytes> = pack.chunks(777).map(Bytes::copy_from_slice).collect();
    let subject = Subject { kind: ObjectType::Pack, id: ObjectId::of(pack), size: pack.len() as u64 };
    (subject.id, encode(&REPOSITORY, subject, &parts, percent).unwrap())
}

fn healed(pack: &ObjectId, object: &[u8], rotten: &[u8]) -> Option<Vec<u8>> {
    Parity::open(&REPOSITORY, pack, object).unwrap().heal(rotten)
}

/// Turns a byte in each of these places over.
fn rot(pack: &[u8], places: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut rotten = pack.to_vec();
    places.into_iter().for_each(|at| rotten[at] ^= 0x55);
    rotten
}

#[test]
fn a_burst_of_the_share_asked_for_heals_wherever_it_lies() {
    for size in [1, 900, 1024, 5000, 300_000, 3 << 20] {
        let pack = noise(size);
        let (id, object) = parity_of(&pack, 3);
        let burst = (size * 3 / 100).max(1);
        for start in [0, 1, size / 3 + 17, size - burst].into_iter().filter(|start| start + burst <= size) {
            let rotten = rot(&pack, start..start + burst);
            assert!(healed(&id, &object, &rotten) == Some(pack.clone()), "{burst} bytes at {start} of {size}");
        }
    }
}

#[test]
fn scattered_rot_heals_up_to_the_number_of_parity_shards_and_no_further() {
    let pack = noise(3 << 20);
    let (id, object) = parity_of(&pack, 3);
    let shape = Parity::decode(&object).unwrap().shape;
    let apart = shape.data as usize / (shape.parity as usize + 1) * shape.shard_size as usize;
    let places = |count: u32| (0..count as usize).map(move |at| at * apart + at);
    let rotten = rot(&pack, places(shape.parity));
    assert!(healed(&id, &object, &rotten) == Some(pack.clone()));
    let ranges = Parity::decode(&object).unwrap().rotten(&rotten);
    assert_eq!(ranges.len(), shape.parity as usize);
    assert!(ranges.iter().zip(places(shape.parity)).all(|(range, at)| range.contains(&(at as u64))));
    assert_eq!(healed(&id, &object, &rot(&pack, places(shape.parity + 1))), None);
}

#[test]
fn what_is_cut_off_or_grown_heals_too() {
    let pack = noise(200_000);
    let (id, object) = parity_of(&pack, 3);
    let grown = [&pack[..], b"more"].concat();
    assert_eq!(healed(&id, &object, &pack[..196_000]).as_ref(), Some(&pack));
    assert_eq!(healed(&id, &object, &grown).as_ref(), Some(&pack));
    assert_eq!(Parity::decode(&object).unwrap().rotten(&grown).first(), Some(&(200_000..200_004)));
    assert_eq!(healed(&id, &object, &pack[..100_000]), None);
    assert_eq!(healed(&id, &object, b""), None);
}

/// Rot in the parity itself costs what it touches, and is found.
#[test]
fn a_rotten_parity_still_heals_with_what_is_left_of_it() {
    let pack = noise(200_000);
    let (id, object) = parity_of(&pack, 3);
    let rotten = rot(&pack, [5]);
    for at in (HEAD_SIZE..object.len()).step_by(333) {
        let spoilt = rot(&object, [at]);
        let parity = Parity::open(&REPOSITORY, &id, &spoilt).unwrap();
        assert!(parity.check().is_err(), "byte {at}");
        assert_eq!(parity.heal(&rotten).as_ref(), Some(&pack), "byte {at}");
    }
}

/// Whoever may write a parity can choose every byte of it: what it heals has the pack's name, or is nothing.
#[test]
fn a_forged_parity_makes_nothing() {
    let (pack, other) = (noise(200_000), vec![3; 200_000]);
    let (id, _) = parity_of(&pack, 3);
    let subject = Subject { kind: ObjectType::Pack, id, size: 200_000 };
    let forged = encode(&REPOSITORY, subject, &[Bytes::from(other.clone())], 100).unwrap();
    assert!(Parity::open(&REPOSITORY, &id, &forged).unwrap().check().is_ok());
    assert_eq!(healed(&id, &forged, &rot(&pack, [5])), None);
    assert_eq!(healed(&id, &forged, &other), None);
    assert!(Parity::open(&RepositoryId([9; 16]), &id, &forged).is_err());
    assert!(Parity::open(&REPOSITORY, &ObjectId([1; 32]), &forged).is_err());
}

#[test]
fn a_gateway_tells_by_the_head_whose_it_says_to_be() {
    let (id, object) = parity_of(&noise(5000), 3);
    let length = object.len() as u64;
    let claims = |start: &[u8], length, pack| claims_to_be_of(start, length, &REPOSITORY, pack);
    assert!(claims(&object, length, &id) && claims(&object[..HEAD_SIZE], length, &id));
    assert!(!claims(&object, length + 1, &id) && !claims(&object, length, &ObjectId([1; 32])));
    assert!(!claims(&object[..HEAD_SIZE - 1], length, &id) && !claims(b"", 0, &id));
    assert!(!claims_to_be_of(&object, length, &RepositoryId([9; 16]), &id));
}

/// The bytes are part of the format: another release of the code must give the same. Counts that are no powers of two, a last shard that is not full, more than one column.
#[test]
fn the_code_gives_the_same_bytes_for_ever() {
    let (_, object) = parity_of(&noise(3 << 20), 3);
    assert_eq!((object.len(), Parity::decode(&object).unwrap().shape.parity), (130_656, 63));
    assert_eq!(ObjectId::of(&object).hex(), "752d7a93cf7af248807b27a927c057763eba6f91b9dfd05b852a1909be89176e");
}
