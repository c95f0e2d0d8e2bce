//! A pack made anew from its group, whatever of it is left.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::code::{Window, decode};
use super::make::{is_of_member, read_part};
use super::shape::Shape;
use super::{FETCHES_AT_ONCE, Group, name_of};
use crate::error::Error;
use crate::ids::ObjectId;
use crate::object;
use crate::parity::Subject;
use crate::repository::{get_range, size};
use crate::scrub::Store;
use crate::scrub::examine::blocking;

/// The bytes of a pack, if the rest of its group is enough. Whether they are the pack, its name says.
pub(crate) async fn heal(store: &Store, group: &Group, pack: &ObjectId) -> Result<Option<Vec<u8>>, Error> {
    let shape = Arc::new(group.shape.clone());
    let Some(wanted) = shape.members.iter().position(|member| member.id == *pack) else { return Ok(None) };
    let there = members_there(store, &shape).await?;
    let absent = there.iter().filter(|member| member.is_none()).count();
    if absent > group.shards.len() {
        return Ok(None);
    }
    let length = shape.members[wanted].size;
    // No longer than a shard's object, which is stored.
    let mut healed = Vec::with_capacity(usize::try_from(shape.shard_size()).unwrap_or(0));
    for pieces in shape.windows(length) {
        let window = fetch(store, &shape, (&there, group), pieces).await?;
        let shape = Arc::clone(&shape);
        match blocking(move || decode(&shape, wanted, &window)).await? {
            Some(bytes) => healed.extend_from_slice(&bytes),
            None => return Ok(None),
        }
    }
    healed.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(Some(healed))
}

/// Those of the members that are stored, whatever is left of them.
async fn members_there(store: &Store, shape: &Shape) -> Result<Vec<Option<Subject>>, Error> {
    let look = |member: Subject| async move {
        let found = size(&**store, &object::hashed_name(member.kind, &member.id)).await?;
        Ok::<_, Error>(found.map(|_| member))
    };
    stream::iter(shape.members.iter().copied().map(look)).buffered(FETCHES_AT_ONCE).try_collect().await
}

async fn fetch(
    store: &Store,
    shape: &Shape,
    (there, group): (&[Option<Subject>], &Group),
    pieces: std::ops::Range<u64>,
) -> Result<Window, Error> {
    let range = shape.piece(pieces.start).start..shape.piece(pieces.end - 1).end;
    let records = shape.record_at(pieces.start)..shape.record_at(pieces.end);
    let of_members = there.iter().map(|member| {
        let range = range.clone();
        async move {
            match member {
                Some(member) => unless_lost(read_part(store, *member, range).await),
                None => Ok(None),
            }
        }
    });
    let members = stream::iter(of_members).buffered(FETCHES_AT_ONCE).try_collect().await?;
    let of_shards = group.shards.iter().map(|(number, id)| {
        let records = records.clone();
        async move { Ok((*number, unless_lost(get_range(&**store, &name_of(id), records).await)?)) }
    });
    let shards: Vec<(u32, Option<Bytes>)> =
        stream::iter(of_shards).buffered(FETCHES_AT_ONCE).try_collect::<Vec<_>>().await?;
    let shards = shards.into_iter().filter_map(|(number, bytes)| Some((number, bytes?))).collect();
    Ok(Window { pieces, members, shards })
}

fn unless_lost(read: Result<Bytes, Error>) -> Result<Option<Bytes>, Error> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_of_member(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
