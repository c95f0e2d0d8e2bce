//! Parity of a pack (FORMAT.md, Parity): a few Reed-Solomon shards beside it, from which ranges that rotted are made anew.
//!
//! A parity object is named after its pack, so that it is found without the index, and it carries a hash of every shard, so that whoever has no key can still say which
//! ranges of the pack rotted. It is never believed: what is made from it counts only if its BLAKE3 is the pack's name. So a parity that is wrong, by rot or by somebody's
//! intent, is useless and does no harm.
//!
//! Deliberately absent: a pack that is lost whole. Its parity is a thirtieth of it; [`crate::group`] has more.

mod code;

use std::ops::Range;

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::error::Error;
use crate::ids::{ObjectId, RepositoryId};
use crate::object::{self, HEADER_SIZE, ObjectType};

/// Bytes before the hashes: all that [`claims_to_be_of`] looks at.
pub const HEAD_SIZE: usize = 80;
/// Bytes of a shard's truncated BLAKE3.
pub(crate) const HASH_SIZE: usize = 16;
/// Bytes of the BLAKE3 of everything before, at the end.
const SEAL_SIZE: usize = 32;
/// No shard is smaller: its hash is a sixty-fourth of it.
const SHARD_MIN: u64 = 1 << 10;
/// A pack of 64 MiB has this many shards, of 32 KiB: each separate rotten place costs one of its 63 parity shards. Twice as many take a fifth longer to code.
const SHARDS_MAX: u64 = 2048;
/// What the code, over a field of 2^16 elements, can have of data and parity together.
const CODE_MAX: u64 = 1 << 16;

/// How a pack is cut into shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Bytes of the pack.
    pack_size: u64,
    /// Bytes of each shard; the last of the pack is filled up with zeros.
    shard_size: u32,
    data: u32,
    parity: u32,
}

impl Shape {
    /// One parity shard more than the share asked for: a rotten range rarely begins where a shard does.
    fn of(pack_size: u64, percent: u32) -> Self {
        let shard_size = pack_size.div_ceil(SHARDS_MAX).max(SHARD_MIN).next_multiple_of(64);
        let data = pack_size.div_ceil(shard_size);
        let parity = (data * u64::from(percent)).div_ceil(100) + 1;
        Self { pack_size, shard_size: shard_size as u32, data: data as u32, parity: parity as u32 }
    }

    fn is_possible(&self) -> bool {
        let covered = u64::from(self.shard_size) * u64::from(self.data);
        let fits = covered >= self.pack_size && covered - self.pack_size < u64::from(self.shard_size);
        let code = u64::from(self.parity).next_power_of_two() + u64::from(self.data);
        fits && self.shard_size.is_multiple_of(64) && self.data > 0 && self.parity > 0 && code <= CODE_MAX
    }

    /// Bytes of the whole object.
    fn object_size(&self) -> u64 {
        let hashes = (u64::from(self.data) + u64::from(self.parity)) * HASH_SIZE as u64;
        HEAD_SIZE as u64 + hashes + u64::from(self.parity) * u64::from(self.shard_size) + SEAL_SIZE as u64
    }
}

/// The pack that a parity belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) kind: ObjectType,
    pub(crate) id: ObjectId,
    pub(crate) size: u64,
}

/// The name of a pack's parity.
#[must_use]
pub fn name_of(pack: &ObjectId) -> String {
    object::hashed_name(ObjectType::Parity, pack)
}

/// Makes the parity of a pack whose bytes come in parts. CPU work: not for async threads.
pub(crate) fn encode(
    repository: &RepositoryId,
    pack: Subject,
    parts: &[Bytes],
    percent: u32,
) -> Result<Vec<u8>, Error> {
    let shape = Shape::of(pack.size, percent);
    let mut object = head(repository, pack, &shape);
    let pieces = code::Pieces::new(parts);
    object.reserve(usize::try_from(shape.object_size()).unwrap_or(0));
    let mut shard = vec![0; shape.shard_size as usize];
    for number in 0..shape.data {
        let start = u64::from(number) * u64::from(shape.shard_size);
        object.extend_from_slice(&short_hash(pieces.get(start, &mut shard)));
    }
    let parity = code::parity(&shape, &pieces)
        .map_err(|error| Error::Poisoned(format!("parity cannot be made: {error}").into()))?;
    for shard in parity.chunks(shape.shard_size as usize) {
        object.extend_from_slice(&short_hash(shard));
    }
    object.extend_from_slice(&parity);
    let seal = blake3::hash(&object);
    object.extend_from_slice(seal.as_bytes());
    Ok(object)
}

fn head(repository: &RepositoryId, pack: Subject, shape: &Shape) -> Vec<u8> {
    let mut head = object::header(ObjectType::Parity, repository).to_vec();
    head.extend_from_slice(&pack.id.0);
    head.extend_from_slice(&shape.pack_size.to_le_bytes());
    for number in [shape.shard_size, shape.data, shape.parity, pack.kind as u32] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head
}

pub(crate) fn short_hash(bytes: &[u8]) -> [u8; HASH_SIZE] {
    let mut short = [0; HASH_SIZE];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..HASH_SIZE]);
    short
}

/// Whether what begins with `start` and is `length` bytes long says of itself that it is the parity of this pack. All that can be checked without the pack, and for nothing: a
/// gateway asks.
#[must_use]
pub fn claims_to_be_of(start: &[u8], length: u64, repository: &RepositoryId, pack: &ObjectId) -> bool {
    let whose = object::body(start, ObjectType::Parity, repository, "parity")
        .and_then(|body| take_head(&mut Reader::new(body)).map_err(Error::malformed("parity")));
    whose.is_ok_and(|(subject, shape)| subject.id == *pack && shape.object_size() == length)
}

fn take_head(from: &mut Reader<'_>) -> Result<(Subject, Shape), Malformed> {
    let id = ObjectId(from.array("pack id")?);
    let pack_size = from.u64("pack size")?;
    let (shard_size, data) = (from.u32("shard size")?, from.u32("data shards")?);
    let shape = Shape { pack_size, shard_size, data, parity: from.u32("parity shards")? };
    let kind = take_kind(from)?;
    if !shape.is_possible() {
        return Err(from.malformed("shards"));
    }
    Ok((Subject { kind, id, size: pack_size }, shape))
}

/// The type byte of a pack, in 32 bits.
pub(crate) fn take_kind(from: &mut Reader<'_>) -> Result<ObjectType, Malformed> {
    match from.u32("pack type")? {
        kind if kind == ObjectType::Pack as u32 => Ok(ObjectType::Pack),
        kind if kind == ObjectType::PagePack as u32 => Ok(ObjectType::PagePack),
        _ => Err(from.malformed("pack type")),
    }
}

/// A parity object, read. Rotten parts of it are left aside when it is used.
#[derive(Debug, Clone)]
pub struct Parity<'a> {
    pub(crate) pack: Subject,
    shape: Shape,
    data_hashes: &'a [[u8; HASH_SIZE]],
    parity_hashes: &'a [[u8; HASH_SIZE]],
    shards: &'a [u8],
    is_whole: bool,
}

impl<'a> Parity<'a> {
    /// Reads what follows the header.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        from.take(HEADER_SIZE, "header")?;
        let (pack, shape) = take_head(&mut from)?;
        if shape.object_size() != bytes.len() as u64 {
            return Err(from.malformed("parity"));
        }
        let data_hashes = from.take(shape.data as usize * HASH_SIZE, "hashes")?.as_chunks().0;
        let parity_hashes = from.take(shape.parity as usize * HASH_SIZE, "hashes")?.as_chunks().0;
        let shards = from.take(shape.parity as usize * shape.shard_size as usize, "parity shards")?;
        let sealed = &bytes[..from.position()];
        let is_whole = from.array::<SEAL_SIZE>("hash")? == *blake3::hash(sealed).as_bytes();
        Ok(Self { pack, shape, data_hashes, parity_hashes, shards, is_whole })
    }

    /// The parity of `pack`, as far as it can be used.
    pub(crate) fn open(repository: &RepositoryId, pack: &ObjectId, bytes: &'a [u8]) -> Result<Self, Error> {
        let name = name_of(pack);
        object::body(bytes, ObjectType::Parity, repository, &name)?;
        let parity = Self::decode(bytes).map_err(Error::malformed(&name))?;
        if parity.pack.id != *pack {
            return Err(Error::damaged(name, "it is the parity of another pack"));
        }
        Ok(parity)
    }

    /// Fails if a single byte of it rotted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.is_whole {
            true => Ok(()),
            false => Err(Error::damaged(name_of(&self.pack.id), "its bytes do not match its hash")),
        }
    }

    /// The ranges of the pack, in bytes, that are not what they were; neighbours in one.
    pub(crate) fn rotten(&self, pack: &[u8]) -> Vec<Range<u64>> {
        let size = u64::from(self.shape.shard_size);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for number in self.bad_data(pack) {
            let start = number as u64 * size;
            let end = (start + size).min(self.shape.pack_size);
            match ranges.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => ranges.push(start..end),
            }
        }
        if pack.len() as u64 > self.shape.pack_size {
            ranges.push(self.shape.pack_size..pack.len() as u64);
        }
        ranges
    }

    /// The pack as it was, if there is parity enough; it is the pack, as its name confirms.
    pub(crate) fn heal(&self, pack: &[u8]) -> Option<Vec<u8>> {
        let bad = self.bad_data(pack);
        let size = self.shape.shard_size as usize;
        let good_parity: Vec<usize> = (0..self.shape.parity as usize)
            .filter(|at| short_hash(&self.shards[at * size..(at + 1) * size]) == self.parity_hashes[*at])
            .collect();
        if bad.len() > good_parity.len() {
            return None;
        }
        let healed = code::healed(&self.shape, pack, &bad, (self.shards, &good_parity)).ok()?;
        (ObjectId::of(&healed) == self.pack.id).then_some(healed)
    }

    /// Numbers of the shards that are not what they were.
    fn bad_data(&self, pack: &[u8]) -> Vec<usize> {
        let size = self.shape.shard_size as usize;
        let mut shard = vec![0; size];
        let mut is_bad = |at: usize| {
            code::read_padded(pack, at * size, self.shape.pack_size as usize, &mut shard);
            let is_there = pack.len() >= ((at + 1) * size).min(self.shape.pack_size as usize);
            !is_there || short_hash(&shard) != self.data_hashes[at]
        };
        (0..self.shape.data as usize).filter(|at| is_bad(*at)).collect()
    }
}

#[cfg(test)]
#[path = "parity/tests.rs"]
mod tests;
