//! The code itself, piece by piece: a byte of a parity shard depends on the members' bytes at the same place alone.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use reed_solomon_simd::Error;
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};

use super::shape::{Shape, padded};
use crate::ids::{ObjectId, RepositoryId};
use crate::object::ObjectType;
use crate::parity::{HASH_SIZE, Subject, short_hash};

type Hash = [u8; HASH_SIZE];

/// What stands for a member's piece that lies wholly behind its end: zeros, and not worth a hash.
const BEYOND: Hash = [0; HASH_SIZE];

/// What each parity shard's object holds of some pieces, made from the members' bytes there.
pub(super) fn encode(shape: &Shape, pieces: Range<u64>, members: &[Bytes]) -> Result<Vec<Vec<u8>>, Error> {
    let (count, parity) = (members.len(), shape.parity as usize);
    let window = shape.piece(pieces.start);
    let mut encoder = HighRateEncoder::new(count, parity, width(&window), DefaultEngine::new(), None)?;
    let mut shards = vec![Vec::new(); parity];
    let mut hashes = Vec::with_capacity(shape.hashes_size());
    for piece in pieces.map(|number| shape.piece(number)) {
        encoder.reset(count, parity, width(&piece))?;
        hashes.clear();
        for (member, bytes) in shape.members.iter().zip(members) {
            let bytes = padded(bytes, (piece.start - window.start) as usize, width(&piece));
            hashes.extend_from_slice(&if piece.start < member.size { short_hash(&bytes) } else { BEYOND });
            encoder.add_original_shard(bytes)?;
        }
        for (shard, made) in shards.iter_mut().zip(encoder.encode()?.recovery_iter()) {
            shard.extend_from_slice(&hashes);
            shard.extend_from_slice(&short_hash(made));
            shard.extend_from_slice(made);
        }
    }
    Ok(shards)
}

/// The objects of a group whose packs are held in memory: small ones, in tests and samples.
pub(crate) fn objects(repository: &RepositoryId, packs: &[Bytes], parity: u32) -> Result<Vec<Vec<u8>>, Error> {
    let member = |bytes: &Bytes| Subject { kind: ObjectType::Pack, id: ObjectId::of(bytes), size: bytes.len() as u64 };
    let shape = Shape::of(packs.iter().map(member).collect(), parity);
    let mut objects: Vec<Vec<u8>> = (0..parity).map(|number| shape.head(repository, number)).collect();
    for pieces in shape.windows(shape.shard_size()) {
        let range = shape.piece(pieces.start).start as usize..shape.piece(pieces.end - 1).end as usize;
        let part = |pack: &Bytes| pack.slice(range.start.min(pack.len())..range.end.min(pack.len()));
        let members: Vec<Bytes> = packs.iter().map(part).collect();
        for (object, records) in objects.iter_mut().zip(encode(&shape, pieces, &members)?) {
            object.extend_from_slice(&records);
        }
    }
    Ok(objects)
}

/// Reads an object and uses it as if every pack were lost: whatever its bytes are, that makes nothing worse than wrong bytes.
pub(crate) fn use_up(object: &[u8]) {
    let Ok((shape, number)) = Shape::decode(object) else { return };
    if shape.object_size() == object.len() as u64 {
        let records = &object[shape.record_at(0) as usize..];
        let shards = vec![(number, Bytes::copy_from_slice(records))];
        let members = vec![None; shape.members.len()];
        for pieces in shape.windows(shape.shard_size()).take(1) {
            drop(decode(&shape, 0, &Window { pieces, members: members.clone(), shards: shards.clone() }));
        }
    }
}

fn width(piece: &Range<u64>) -> usize {
    (piece.end - piece.start) as usize
}

/// What could be read of some pieces: each member's bytes, and of each stored shard its number and what its object holds of them.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) pieces: Range<u64>,
    pub(super) members: Vec<Option<Bytes>>,
    pub(super) shards: Vec<(u32, Bytes)>,
}

/// The bytes of member `wanted` in a window, if there is enough of the others. They are no better than the shards that they are made from: only their name proves them.
pub(super) fn decode(shape: &Shape, wanted: usize, window: &Window) -> Option<Vec<u8>> {
    let (count, parity) = (shape.members.len(), shape.parity as usize);
    let width_max = width(&shape.piece(window.pieces.start));
    let mut decoder = HighRateDecoder::new(count, parity, width_max, DefaultEngine::new(), None).ok()?;
    let mut healed = Vec::new();
    for number in window.pieces.clone() {
        let piece = Piece::of(shape, window, number);
        if let Some(bytes) = piece.member(wanted) {
            healed.extend_from_slice(&bytes);
            continue;
        }
        decoder.reset(count, parity, piece.width).ok()?;
        for member in 0..count {
            if let Some(bytes) = piece.member(member) {
                decoder.add_original_shard(member, bytes).ok()?;
            }
        }
        for record in piece.records.iter().filter(|record| record.is_good()) {
            decoder.add_recovery_shard(record.number as usize, record.bytes).ok()?;
        }
        healed.extend_from_slice(decoder.decode().ok()?.restored_original(wanted)?);
    }
    Some(healed)
}

/// One piece of all members and stored shards.
struct Piece<'a> {
    shape: &'a Shape,
    window: &'a Window,
    /// Where it begins in its shard.
    start: u64,
    /// Where it begins in the window.
    place: usize,
    width: usize,
    records: Vec<Record<'a>>,
}

impl<'a> Piece<'a> {
    fn of(shape: &'a Shape, window: &'a Window, number: u64) -> Self {
        let piece = shape.piece(number);
        let place = (piece.start - shape.piece(window.pieces.start).start) as usize;
        let offset = (shape.record_at(number) - shape.record_at(window.pieces.start)) as usize;
        let record = |(shard, bytes): &'a (u32, Bytes)| {
            let (hashes, rest) = bytes.get(offset..)?.split_at_checked(shape.hashes_size())?;
            Some(Record { number: *shard, hashes: hashes.as_chunks().0, bytes: rest.get(..width(&piece))? })
        };
        let records = window.shards.iter().filter_map(record).collect();
        Self { shape, window, start: piece.start, place, width: width(&piece), records }
    }

    /// A member's bytes, if any of the shards says that they are what they were.
    fn member(&self, number: usize) -> Option<Cow<'a, [u8]>> {
        if self.start >= self.shape.members[number].size {
            return Some(Cow::Owned(vec![0; self.width]));
        }
        let bytes = padded(self.window.members[number].as_ref()?, self.place, self.width);
        let hash = short_hash(&bytes);
        self.records.iter().any(|record| record.hashes[number] == hash).then_some(bytes)
    }
}

/// What a shard's object holds of one piece.
struct Record<'a> {
    number: u32,
    /// Of the members' pieces, and last of its own.
    hashes: &'a [Hash],
    bytes: &'a [u8],
}

impl Record<'_> {
    fn is_good(&self) -> bool {
        self.hashes.last() == Some(&short_hash(self.bytes))
    }
}
