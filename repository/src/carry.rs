//! Frames on their way from one pack to another, by a prune or into another copy. They stay sealed; each is opened on the way all the same, since what cannot be opened must not
//! pass for what it was.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::PutPayload;

use crate::error::{Error, ErrorKind, chain};
use crate::index::{FrameId, Index};
use crate::object;
use crate::pack::{FinishedPack, MovedPack, PackContents, StoredChunk};
use crate::repository::{Repository, put_new};
use crate::scrub::examine::blocking;
use crate::session::put_parity;

/// The chunks of each frame, in their order.
pub(crate) fn chunks_of(index: &Index, frames: &[FrameId]) -> HashMap<FrameId, Vec<StoredChunk>> {
    let wanted: HashSet<FrameId> = frames.iter().copied().collect();
    let mut found: HashMap<FrameId, Vec<(u32, StoredChunk)>> = HashMap::with_capacity(frames.len());
    for (prefix, place) in index.entries().filter(|(_, place)| wanted.contains(&place.frame)) {
        found.entry(place.frame).or_default().push((place.offset, StoredChunk { prefix, length: place.length }));
    }
    let in_order = |(frame, mut chunks): (FrameId, Vec<(u32, StoredChunk)>)| {
        chunks.sort_by_key(|(offset, _)| *offset);
        (frame, chunks.into_iter().map(|(_, chunk)| chunk).collect())
    };
    found.into_iter().map(in_order).collect()
}

/// The sealed bytes of some frames, as far as they are good; what is wrong with the others is added to `faults`. Needs a reader's key.
pub(crate) async fn good_frames(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    frames: Vec<FrameId>,
    faults: &mut Vec<String>,
) -> Result<HashMap<FrameId, Bytes>, Error> {
    good_frames_that(repository, index, frames, |_, _| Ok(()), faults).await
}

/// The same, of those whose plain bytes are accepted.
pub(crate) async fn good_frames_that(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    mut frames: Vec<FrameId>,
    accept: impl Fn(FrameId, &[u8]) -> Result<(), Error> + Send + 'static,
    faults: &mut Vec<String>,
) -> Result<HashMap<FrameId, Bytes>, Error> {
    frames.sort_unstable();
    let fetched: Vec<(FrameId, Result<Bytes, Error>)> = match repository.fetch_frames_of(index, &frames).await {
        Ok(sealed) => frames.into_iter().zip(sealed.into_iter().map(Ok)).collect(),
        Err(error) if error.kind() == ErrorKind::Corrupt => one_by_one(repository, index, frames).await?,
        Err(error) => return Err(error),
    };
    let (opener, table) = (Arc::clone(repository), Arc::clone(index));
    let opened = blocking(move || {
        let open = |(frame, sealed): (FrameId, Result<Bytes, Error>)| {
            let checked = sealed.and_then(|sealed| {
                accept(frame, &opener.open_frame_of(&table, frame, &sealed)?)?;
                Ok(sealed)
            });
            (frame, checked)
        };
        fetched.into_iter().map(open).collect::<Vec<_>>()
    });
    let opened = opened.await?;
    let mut good = HashMap::with_capacity(opened.len());
    for (frame, checked) in opened {
        match checked {
            Ok(sealed) => drop(good.insert(frame, sealed)),
            Err(error) if error.kind() == ErrorKind::Corrupt => faults.push(chain(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(good)
}

async fn one_by_one(
    repository: &Repository,
    index: &Index,
    frames: Vec<FrameId>,
) -> Result<Vec<(FrameId, Result<Bytes, Error>)>, Error> {
    let mut fetched = Vec::with_capacity(frames.len());
    for frame in frames {
        match repository.fetch_frames_of(index, &[frame]).await {
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            done => fetched.push((frame, done.map(|sealed| sealed.concat().into()))),
        }
    }
    Ok(fetched)
}

/// Seals the footer of a pack of such frames and names it.
pub(crate) async fn finish(repository: &Arc<Repository>, pack: MovedPack) -> Result<FinishedPack, Error> {
    let finisher = Arc::clone(repository);
    blocking(move || pack.finish(&finisher.key.shared.inventory)).await
}

/// Finishes a pack of such frames and stores it, its parity first; durable when this returns.
pub(crate) async fn store(repository: &Arc<Repository>, pack: MovedPack) -> Result<PackContents, Error> {
    let FinishedPack { contents, parts } = finish(repository, pack).await?;
    let name = object::hashed_name(contents.kind, &contents.id);
    put_parity(repository, &contents, parts.clone()).await?;
    put_new(&*repository.store, &name, PutPayload::from_iter(parts)).await?;
    Ok(contents)
}
