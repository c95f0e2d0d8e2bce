//! Making the parity shards of one group: its members are read once, a window of all of them at a time, and the shards grow in files of the cache that have no name.
//!
//! Each member is hashed on the way. What is coded is what its name says, or nothing is made of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::join;
use futures::{StreamExt, stream};

use super::shape::Shape;
use super::{FETCHES_AT_ONCE, code};
use crate::cache;
use crate::error::{Error, ErrorKind};
use crate::ids::ObjectId;
use crate::object;
use crate::parity::Subject;
use crate::repository::{Repository, get_range};
use crate::scrub::examine::blocking;
use crate::scrub::{Store, is_about_one_object};

/// What came of it.
pub(super) enum Made {
    /// The shards that were asked for.
    Shards(Vec<MadeShard>),
    /// Nothing: these members are not there, or are not what they were.
    Without(BTreeSet<ObjectId>),
}

/// A shard's object, in a file.
pub(super) struct MadeShard {
    pub(super) id: ObjectId,
    size: u64,
    file: File,
    folder: PathBuf,
}

impl MadeShard {
    /// Its bytes, read back and compared with its name.
    pub(super) async fn bytes(mut self) -> Result<Bytes, Error> {
        blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
            let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut bytes));
            read.map_err(scratch_error(&self.folder))?;
            match ObjectId::of(&bytes) == self.id {
                true => Ok(bytes.into()),
                false => Err(scratch_error(&self.folder)(io::ErrorKind::InvalidData.into())),
            }
        })
        .await?
    }
}

fn scratch_error(folder: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
    let path = folder.to_owned();
    move |source| Error::Cache { doing: "keep parity in", path, source }
}

/// Reads the members and makes the shards of these numbers; counts the bytes that were read.
pub(super) async fn make(
    repository: &Arc<Repository>,
    shape: &Shape,
    numbers: &BTreeSet<u32>,
    read: &AtomicU64,
) -> Result<Made, Error> {
    let (id, folder) = (repository.id(), repository.cache.clone());
    let (begun, wanted) = (shape.clone(), numbers.clone());
    let mut coding =
        blocking(move || Coding::begin(&id, begun, &wanted, &folder).map_err(scratch_error(&folder))).await??;
    let mut windows = shape.windows(shape.shard_size());
    let mut next = windows.next();
    let mut fetched = fetch(&repository.store, shape, next.clone()).await?;
    while let Some(pieces) = next {
        let members = match fetched {
            Ok(members) => members,
            Err(bad) => return Ok(Made::Without(bad)),
        };
        read.fetch_add(members.iter().map(|bytes| bytes.len() as u64).sum(), Ordering::Relaxed);
        next = windows.next();
        // One window is coded while the next is on its way.
        let adding = blocking(move || coding.add(pieces, &members));
        let (coded, on_its_way) = join(adding, fetch(&repository.store, shape, next.clone())).await;
        (coding, fetched) = (coded??, on_its_way?);
    }
    Ok(coding.finish())
}

type Fetched = Result<Vec<Bytes>, BTreeSet<ObjectId>>;

/// What lies there of each member; or which of them cannot be read.
async fn fetch(store: &Store, shape: &Shape, pieces: Option<Range<u64>>) -> Result<Fetched, Error> {
    let Some(pieces) = pieces else { return Ok(Ok(Vec::new())) };
    let range = shape.piece(pieces.start).start..shape.piece(pieces.end - 1).end;
    let reads = shape.members.iter().map(|member| read_member(store, *member, range.clone()));
    let read: Vec<(ObjectId, Result<Bytes, Error>)> = stream::iter(reads).buffered(FETCHES_AT_ONCE).collect().await;
    let (mut members, mut bad) = (Vec::with_capacity(read.len()), BTreeSet::new());
    let mut unreadable = None;
    for (id, bytes) in read {
        match bytes {
            Ok(bytes) => members.push(bytes),
            Err(error) if is_of_member(&error) => {
                bad.insert(id);
                unreadable = Some(error).filter(is_about_one_object).or(unreadable);
            }
            Err(error) => return Err(error),
        }
    }
    match unreadable {
        // Where nothing can be read it is the store that fails.
        Some(error) if members.is_empty() => Err(error),
        _ if bad.is_empty() => Ok(Ok(members)),
        _ => Ok(Err(bad)),
    }
}

async fn read_member(store: &Store, member: Subject, range: Range<u64>) -> (ObjectId, Result<Bytes, Error>) {
    (member.id, read_part(store, member, range).await)
}

/// A part of a member, as far as it reaches.
pub(super) async fn read_part(store: &Store, member: Subject, range: Range<u64>) -> Result<Bytes, Error> {
    let range = range.start.min(member.size)..range.end.min(member.size);
    match range.is_empty() {
        true => Ok(Bytes::new()),
        false => get_range(&**store, &object::hashed_name(member.kind, &member.id), range).await,
    }
}

/// Whether a failure to read says that this member is lost or damaged, rather than that the store fails.
pub(super) fn is_of_member(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupt || is_about_one_object(error)
}

/// The shards so far.
struct Coding {
    shape: Shape,
    folder: PathBuf,
    members: Vec<blake3::Hasher>,
    outputs: Vec<Output>,
}

/// One of them.
struct Output {
    number: u32,
    file: File,
    hasher: blake3::Hasher,
}

impl Output {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

impl Coding {
    fn begin(
        repository: &crate::ids::RepositoryId,
        shape: Shape,
        numbers: &BTreeSet<u32>,
        folder: &std::path::Path,
    ) -> io::Result<Self> {
        let output = |number: &u32| {
            let mut output = Output { number: *number, file: cache::scratch(folder)?, hasher: blake3::Hasher::new() };
            output.add(&shape.head(repository, *number))?;
            Ok(output)
        };
        let outputs = numbers.iter().map(output).collect::<io::Result<_>>()?;
        let members = vec![blake3::Hasher::new(); shape.members.len()];
        Ok(Self { shape, folder: folder.to_owned(), members, outputs })
    }

    fn add(mut self, pieces: Range<u64>, members: &[Bytes]) -> Result<Self, Error> {
        for (hasher, bytes) in self.members.iter_mut().zip(members) {
            hasher.update(bytes);
        }
        let shards = code::encode(&self.shape, pieces, members)
            .map_err(|error| Error::Poisoned(format!("parity cannot be made: {error}").into()))?;
        for output in &mut self.outputs {
            // BUG if there is none: its number is one of the shape's.
            let records = shards.get(output.number as usize).expect("each shard is coded");
            output.add(records).map_err(scratch_error(&self.folder))?;
        }
        Ok(self)
    }

    fn finish(self) -> Made {
        let members = self.shape.members.iter().zip(&self.members);
        let bad: BTreeSet<ObjectId> = members
            .filter(|(member, hasher)| *hasher.finalize().as_bytes() != member.id.0)
            .map(|(member, _)| member.id)
            .collect();
        if !bad.is_empty() {
            return Made::Without(bad);
        }
        let (folder, size) = (self.folder, self.shape.object_size());
        let made = |Output { file, hasher, .. }| MadeShard {
            id: ObjectId(*hasher.finalize().as_bytes()),
            size,
            file,
            folder: folder.clone(),
        };
        Made::Shards(self.outputs.into_iter().map(made).collect())
    }
}
