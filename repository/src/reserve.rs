//! The reserve: bytes that a repository keeps in its store for the day on which that is full.
//!
//! Making room needs room: forgetting writes a commit, and a prune writes its record, two or three commits and index runs before the first pack is deleted. On a store without a
//! free byte that room is here: whoever forgets or prunes and meets a full store deletes the reserve and goes on; the prune makes it anew from what came free.
//!
//! A reserve is an object of noise under a name of its own, so that no name is used twice and no file system stores it smaller. Nothing refers to it and nobody reads it:
//! several, none, or a damaged one are all right, and the room that it takes is all that it says.
//!
//! It is in no figure of what is stored, so that no quota is filled by it. A copy gets one with its first prune.
//!
//! Deliberately absent: backups do not touch it. A backup that finds the store full fails, and can be done again once there is room. And once it is given up nothing holds its
//! room: a backup that writes just then may take it, and the prune fails as it would have without a reserve.

use object_store::ObjectStore;

use crate::error::{Error, ErrorKind};
use crate::ids::{RepositoryId, SessionId};
use crate::index::Index;
use crate::keys::random;
use crate::object::{self, HEADER_SIZE, ObjectType};
use crate::repository::{Repository, list, put_new, remove};
use crate::scrub::examine::blocking;

/// The bytes of one reserve, 16 MiB: what a prune writes that moves nothing. A commit names a pack in some 34 sealed bytes, so that condemning and sweeping 100,000 packs
/// (6 TiB) takes 2 × 3.4 MB; its record and the hint take two blocks; that leaves 8 MiB for the first index run that is written anew, some 280,000 chunks at 28 bytes and
/// their frames. The others are paid by what came free before.
pub const RESERVE_BYTES: u64 = 16 << 20;

/// What of it is for index runs, in bytes.
pub(crate) const INDEX_BYTES: u64 = 8 << 20;

/// Where an index run is larger than that, there are several, but no more: 256 MiB, for the largest run that a prune makes (4 Mi chunks, 112 MiB and their frames).
const RESERVES_MAX: u64 = 16;

/// Whether a prune sees to it that there is a reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// It makes one at its end, where none is: for stores that have an end.
    Kept,
    /// It does not; one that is there is used all the same. A bucket is never full, and what lies in it is paid for.
    Left,
}

/// Makes a reserve in a repository's store. False if there is no room for it, which is no failure.
pub async fn make(store: &dyn ObjectStore, repository: RepositoryId) -> Result<bool, Error> {
    let name = format!("{}/{}", ObjectType::Reserve.folder(), SessionId(random()));
    let bytes = blocking(move || noise(&repository)).await?;
    match put_new(store, &name, bytes).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NoSpace => Ok(false),
        Err(error) => Err(error),
    }
}

fn noise(repository: &RepositoryId) -> Vec<u8> {
    let mut bytes = vec![0; RESERVE_BYTES as usize];
    let (head, rest) = bytes.split_at_mut(HEADER_SIZE);
    head.copy_from_slice(&object::header(ObjectType::Reserve, repository));
    blake3::Hasher::new_keyed(&random()).finalize_xof().fill(rest);
    bytes
}

/// Bytes that lie in reserve.
pub async fn bytes(store: &dyn ObjectStore) -> Result<u64, Error> {
    Ok(list(store, ObjectType::Reserve.folder()).await?.into_iter().map(|(_, bytes)| bytes).sum())
}

/// Deletes what lies in reserve, and says how many bytes that were.
pub(crate) async fn give_up(store: &dyn ObjectStore) -> Result<u64, Error> {
    let mut freed = 0;
    for (name, bytes) in list(store, ObjectType::Reserve.folder()).await? {
        remove(store, &name).await?;
        freed += bytes;
    }
    if freed > 0 {
        tracing::warn!(bytes = freed, "the store is full: the reserve is given up to make room");
    }
    Ok(freed)
}

/// Makes what is lacking, as far as there is room; says how many bytes lie in reserve then.
pub(crate) async fn top_up(repository: &Repository) -> Result<u64, Error> {
    let mut there = bytes(&*repository.store).await?;
    let wanted = wanted_bytes(&repository.current_index());
    while there < wanted && make(&*repository.store, repository.id()).await? {
        there += RESERVE_BYTES;
    }
    Ok(there)
}

/// One, or as many as the largest index run asks for.
fn wanted_bytes(index: &Index) -> u64 {
    let largest = index.runs().map(|(_, run)| run.stored_bytes()).max().unwrap_or(0);
    let reserves = (RESERVE_BYTES - INDEX_BYTES + largest).div_ceil(RESERVE_BYTES);
    reserves.clamp(1, RESERVES_MAX) * RESERVE_BYTES
}
