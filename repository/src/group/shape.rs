//! The head of a group's parity object: who the members are, and how their bytes are coded (FORMAT.md, Parity across packs).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::codec::{Malformed, Reader};
use crate::error::Error;
use crate::ids::{ObjectId, RepositoryId};
use crate::object::{self, HEADER_SIZE, ObjectType};
use crate::parity::{HASH_SIZE, Subject, take_kind};

/// So many packs make a group at most: all of them are read to make one of them anew.
pub(super) const MEMBERS_MAX: u32 = 64;
/// So many parity shards a group has at most.
pub(super) const PARITY_MAX: u32 = 16;
/// Bytes before the members.
const FIXED_SIZE: usize = HEADER_SIZE + 24;
/// Bytes that a member takes: id, size, type.
const MEMBER_SIZE: usize = 44;
/// Bytes of the BLAKE3 of the head.
const SEAL_SIZE: usize = 32;
/// No head is longer.
pub(super) const HEAD_SIZE_MAX: u64 = (FIXED_SIZE + MEMBERS_MAX as usize * MEMBER_SIZE + SEAL_SIZE) as u64;
/// A shard has about so many pieces: each separate rotten place costs one of them.
const PIECES: u64 = 256;
/// Decoding a piece has a fixed cost of a millisecond, so that smaller ones do not pay.
const PIECE_SIZE_MIN: u64 = 4 << 10;
/// What is coded at once stays in a core's cache: with 16 + 2, 4.5 MiB.
const PIECE_SIZE_MAX: u64 = 256 << 10;
/// What is held of all members at once. Each gives 1 MiB of it with 16 of them, from which size on a local store reads past the page cache.
const WINDOW_BYTES: u64 = 16 << 20;

/// Which packs are coded together, in which order, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(super) members: Vec<Subject>,
    /// How many parity shards the group has.
    pub(super) parity: u32,
    /// What is coded at once; the last piece of a shard may be shorter.
    piece_size: u32,
    /// Bytes of each shard: the longest member, and a multiple of 64. Shorter members are filled up with zeros.
    shard_size: u64,
}

impl Shape {
    pub(super) fn of(members: Vec<Subject>, parity: u32) -> Self {
        let shard_size = shard_size(&members);
        let piece = shard_size.div_ceil(PIECES).next_multiple_of(64).clamp(PIECE_SIZE_MIN, PIECE_SIZE_MAX);
        Self { members, parity, piece_size: piece as u32, shard_size }
    }

    fn is_possible(&self) -> bool {
        let ids: BTreeSet<ObjectId> = self.members.iter().map(|member| member.id).collect();
        let piece_size = u64::from(self.piece_size);
        ids.len() == self.members.len()
            && !ids.is_empty()
            && self.members.iter().all(|member| member.size > 0 && member.size <= u64::from(u32::MAX))
            && (1..=PARITY_MAX).contains(&self.parity)
            && self.shard_size == shard_size(&self.members)
            && (64..=PIECE_SIZE_MAX).contains(&piece_size)
            && piece_size.is_multiple_of(64)
    }

    /// What the object of parity shard `number` begins with.
    pub(super) fn head(&self, repository: &RepositoryId, number: u32) -> Vec<u8> {
        let mut head = object::header(ObjectType::Group, repository).to_vec();
        for field in [self.members.len() as u32, self.parity, number, self.piece_size] {
            head.extend_from_slice(&field.to_le_bytes());
        }
        head.extend_from_slice(&self.shard_size.to_le_bytes());
        for member in &self.members {
            head.extend_from_slice(&member.id.0);
            head.extend_from_slice(&member.size.to_le_bytes());
            head.extend_from_slice(&(member.kind as u32).to_le_bytes());
        }
        let seal = blake3::hash(&head);
        head.extend_from_slice(seal.as_bytes());
        head
    }

    /// Reads the head of an object, which may be followed by anything; with the number of its shard.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, u32), Malformed> {
        let mut from = Reader::new(bytes);
        from.take(HEADER_SIZE, "header")?;
        let count = from.u32("members")?;
        let (parity, number) = (from.u32("parity shards")?, from.u32("number")?);
        let (piece_size, shard_size) = (from.u32("piece size")?, from.u64("shard size")?);
        if count > MEMBERS_MAX {
            return Err(from.malformed("members"));
        }
        let members = (0..count).map(|_| take_member(&mut from)).collect::<Result<_, _>>()?;
        let sealed = &bytes[..from.position()];
        if from.array::<SEAL_SIZE>("hash")? != *blake3::hash(sealed).as_bytes() {
            return Err(from.malformed("head"));
        }
        let shape = Self { members, parity, piece_size, shard_size };
        match shape.is_possible() && number < parity {
            true => Ok((shape, number)),
            false => Err(from.malformed("group")),
        }
    }

    /// The same, of an object of this repository.
    pub(super) fn open(repository: &RepositoryId, name: &str, bytes: &[u8]) -> Result<(Self, u32), Error> {
        object::body(bytes, ObjectType::Group, repository, name)?;
        Self::decode(bytes).map_err(Error::malformed(name))
    }

    /// Bytes of the packs together.
    pub(super) fn member_bytes(&self) -> u64 {
        self.members.iter().map(|member| member.size).sum()
    }

    /// Bytes of each of its objects.
    pub(crate) fn object_size(&self) -> u64 {
        self.record_at(self.pieces())
    }

    fn pieces(&self) -> u64 {
        self.shard_size.div_ceil(u64::from(self.piece_size))
    }

    /// Where a piece lies in its shard, and in its pack.
    pub(super) fn piece(&self, number: u64) -> Range<u64> {
        let place = |number: u64| (number * u64::from(self.piece_size)).min(self.shard_size);
        place(number)..place(number + 1)
    }

    /// Bytes of the hashes before each piece in an object: one of each member's piece, and one of its own.
    pub(super) fn hashes_size(&self) -> usize {
        (self.members.len() + 1) * HASH_SIZE
    }

    /// Where in an object the hashes of a piece begin, and then the piece.
    pub(super) fn record_at(&self, piece: u64) -> u64 {
        let head = FIXED_SIZE + self.members.len() * MEMBER_SIZE + SEAL_SIZE;
        head as u64 + piece * self.hashes_size() as u64 + self.piece(piece).start
    }

    /// Pieces that are worked on at once, one range after the other, as far as the first `bytes` of a shard reach.
    pub(super) fn windows(&self, bytes: u64) -> impl Iterator<Item = Range<u64>> + use<> {
        let end = bytes.div_ceil(u64::from(self.piece_size));
        let step = (WINDOW_BYTES / (self.members.len() as u64 * u64::from(self.piece_size))).max(1);
        (0..end).step_by(step as usize).map(move |start| start..end.min(start + step))
    }

    /// Bytes of each shard.
    pub(super) fn shard_size(&self) -> u64 {
        self.shard_size
    }
}

fn shard_size(members: &[Subject]) -> u64 {
    members.iter().map(|member| member.size).max().unwrap_or(0).next_multiple_of(64)
}

fn take_member(from: &mut Reader<'_>) -> Result<Subject, Malformed> {
    let id = ObjectId(from.array("member")?);
    let size = from.u64("member size")?;
    Ok(Subject { kind: take_kind(from)?, id, size })
}

/// So many bytes from `offset` on, with zeros beyond the end.
pub(super) fn padded(bytes: &[u8], offset: usize, width: usize) -> Cow<'_, [u8]> {
    let rest = bytes.get(offset..).unwrap_or_default();
    match rest.get(..width) {
        Some(whole) => Cow::Borrowed(whole),
        None => {
            let mut filled = rest.to_vec();
            filled.resize(width, 0);
            Cow::Owned(filled)
        }
    }
}
