use super::*;

pub(super) fn pack(seed: u8, chunks: u32) -> PackContents {
    let id = |n: u32| ChunkId(*blake3::hash(&[&[seed][..], &n.to_le_bytes()].concat()).as_bytes());
    let frame =
        |ordinal, offset| FrameRow { segment: 0, ordinal, offset, sealed_length: 50, plain_length: 0, compression: 1 };
    PackContents {
        id: ObjectId([seed; 32]),
        kind: ObjectType::Pack,
        size: 1000,
        segments: vec![SegmentRow { nonce: SegmentNonce([seed; 16]), epoch: 1, sealed_key: [0; 80] }],
        frames: vec![(frame(0, 24), chunks.saturating_sub(1)), (frame(1, 100), chunks.min(1))],
        chunks: (0..chunks).map(|n| StoredChunk { prefix: id(n).prefix(), length: 10 + n % 5000 }).collect(),
    }
}

/// An id that begins as a stored one: look-ups go by the prefix.
fn full(chunk: &StoredChunk) -> ChunkId {
    let mut id = [0; 32];
    id[..16].copy_from_slice(&chunk.prefix);
    ChunkId(id)
}

#[test]
fn every_chunk_is_found_where_it_lies_and_no_other() {
    let packs = [pack(1, 5000), pack(2, 3)];
    let run = Run::open(Arc::new(encode(&packs))).unwrap();
    for (number, pack) in packs.iter().enumerate() {
        let last = pack.chunks.last().unwrap();
        let hit = run.find(&full(last)).next().unwrap();
        assert_eq!((hit.offset, hit.length), (0, last.length));
        let (found, row) = run.frame(hit.frame).unwrap();
        assert_eq!((found, row.ordinal, row.segment as usize), (number, 1, number));
        assert!(pack.chunks.iter().all(|chunk| run.find(&full(chunk)).any(|hit| hit.length == chunk.length)));
    }
    assert_eq!(run.find(&ChunkId([0; 32])).next(), None);
    assert_eq!(run.find(&ChunkId([0xff; 32])).next(), None);
}

#[test]
fn a_chunk_that_lies_twice_is_found_twice() {
    let mut packs = [pack(1, 2000), pack(2, 2000)];
    packs[1].chunks[7].prefix = packs[0].chunks[1999].prefix;
    let run = Run::open(Arc::new(encode(&packs))).unwrap();
    let mut found: Vec<Hit> = run.find(&full(&packs[1].chunks[7])).collect();
    found.sort_by_key(|hit| hit.frame);
    assert_eq!(found.iter().map(|hit| (hit.frame, hit.length)).collect::<Vec<_>>(), [(1, 2009), (2, 17)]);
    assert_eq!(run.find(&full(&packs[0].chunks[3])).count(), 1);
}

#[test]
fn a_run_says_again_what_it_was_made_of() {
    let packs = [pack(1, 500), pack(2, 3)];
    let run = Run::open(Arc::new(encode(&packs))).unwrap();
    let again = run.contents();
    for (before, after) in packs.iter().zip(&again) {
        assert_eq!((before.id, before.kind, before.size), (after.id, after.kind, after.size));
        assert_eq!((&before.segments, &before.frames, &before.chunks), (&after.segments, &after.frames, &after.chunks));
    }
    assert_eq!(encode(&again), encode(&packs));
}

#[test]
fn a_run_that_promises_too_much_is_refused() {
    let bytes = encode(&[pack(1, 50)]);
    for cut in 0..bytes.len() {
        assert!(Run::open(Arc::new(bytes[..cut].to_vec())).is_err(), "cut at {cut}");
    }
}
