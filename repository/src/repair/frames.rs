//! The third rung: what is needed of packs that are beyond repair, frame by frame, from wherever it is good. A copy that was pruned by itself has the same frames in packs of
//! other names, and what is good in a damaged pack is as good as ever.
//!
//! Deliberately absent: frames that no snapshot needs; they go with their pack.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::heal::Bench;
use super::{FromWhere, How, RepairPlan};
use crate::carry;
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::{FrameId, FrameInfo, Index};
use crate::live::Live;
use crate::object::ObjectType;
use crate::pack::StoredChunk;
use crate::prune::usage::sealed_bytes;
use crate::read::{FrameName, NameOf};
use crate::repository::Repository;
use crate::scrub::{is_about_one_object, pack_id};

/// Sealed bytes that are fetched and opened at once; beside them lies the pack that is being filled.
const BATCH_BYTES: u64 = 32 << 20;
/// What the report calls the damaged packs themselves.
const ITSELF: &str = "what is good in it";

/// A frame that will be brought into a new pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) frame: FrameName,
    pub(super) kind: ObjectType,
    /// Where from, among the sources.
    pub(super) source: usize,
    pub(super) sealed_bytes: u64,
}

/// The frames that a plan brings into new packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Takes(pub(super) Vec<Take>);

/// Somewhere that has some of the wanted frames.
pub(super) struct Source {
    location: String,
    repository: Arc<Repository>,
    index: Arc<Index>,
    places: HashMap<FrameName, FrameId>,
    chunks: HashMap<FrameId, Vec<StoredChunk>>,
}

/// A good frame, and all that its new pack says of it.
pub(super) struct Good<'a> {
    pub(super) info: FrameInfo,
    pub(super) chunks: &'a [StoredChunk],
    pub(super) sealed: Bytes,
}

/// A frame that is needed and has no home but packs that are beyond repair.
struct Wanted {
    frame: FrameName,
    /// The pack that it lay in; none if the index knows of none.
    pack: Option<ObjectId>,
}

/// The copies, opened; one that cannot be opened has nothing to give.
pub(super) async fn open_copies(bench: &Bench<'_>) -> Vec<Option<Arc<Repository>>> {
    let authority = bench.authority;
    let cache = authority.cache.parent().unwrap_or(&authority.cache);
    let mut opened = Vec::with_capacity(bench.copies.len());
    for copy in bench.copies {
        let repository = authority.open_copy(Arc::clone(&copy.store), cache).await;
        let warn = |error: &Error| tracing::warn!("no frames are taken from {}: {}", copy.location, chain(error));
        opened.push(repository.inspect_err(warn).ok());
    }
    opened
}

/// Lets the foreseen repository read from the copies what will be taken from them.
pub(super) fn stand_by(foreseen: &Repository, copies: &[Option<Arc<Repository>>], bench: &Bench<'_>) {
    for (copy, opened) in bench.copies.iter().zip(copies) {
        if let Some(opened) = opened {
            foreseen.stand_by(copy.location.clone(), Arc::clone(opened), (Duration::ZERO, Duration::ZERO));
        }
    }
}

/// Finds for every pack that cannot be repaired how much of it can be had, by trying it out; the items of the plan say so afterwards.
pub(super) async fn plan(
    bench: &Bench<'_>,
    foreseen: &Arc<Repository>,
    copies: &[Option<Arc<Repository>>],
    plan: &mut RepairPlan,
) -> Result<(), Error> {
    let hopeless: BTreeSet<ObjectId> =
        plan.items.iter().filter(|item| item.how == How::Cannot).filter_map(|item| pack_id(&item.object)).collect();
    let index = match foreseen.open_whole_index().await {
        _ if hopeless.is_empty() => return Ok(()),
        Ok(index) => index,
        // Made anew first: until then nobody knows which frames have no other home.
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
        Err(error) => return Err(error),
    };
    let known: BTreeSet<ObjectId> = index.packs().map(|pack| pack.id).collect();
    let condemned = &bench.authority.history().condemned;
    plan.condemn =
        hopeless.iter().filter(|pack| known.contains(*pack) && !condemned.contains_key(*pack)).copied().collect();
    let wanted = wanted(foreseen, &index, &hopeless).await?;
    let names: HashSet<FrameName> = wanted.iter().map(|wanted| wanted.frame).collect();
    let sources = sources(bench, copies, &names, &hopeless).await?;
    let found = find(&sources, &names).await?;
    // Frames that no pack of the index has lay in one that the index does not know.
    let homeless = hopeless.iter().find(|pack| !known.contains(*pack)).or(hopeless.first()).copied();
    for item in plan.items.iter_mut().filter(|item| item.how == How::Cannot) {
        let Some(pack) = pack_id(&item.object) else { continue };
        let of_pack = wanted.iter().filter(|wanted| wanted.pack.or(homeless) == Some(pack));
        let (had, lost): (Vec<_>, Vec<_>) =
            of_pack.map(|wanted| found.get(&wanted.frame)).partition(|take| take.is_some());
        let had: Vec<Take> = had.into_iter().flatten().copied().collect();
        if had.is_empty() && !lost.is_empty() {
            continue;
        }
        item.how = How::Repacked { from: told(&sources, &had), lost_frames: lost.len() as u64 };
        plan.takes.0.extend(had);
    }
    plan.takes.0.sort_by_key(|take| (take.kind, take.source));
    Ok(())
}

/// What the snapshots need and no other pack has, by the pack that had it.
async fn wanted(
    foreseen: &Arc<Repository>,
    index: &Index,
    hopeless: &BTreeSet<ObjectId>,
) -> Result<Vec<Wanted>, Error> {
    let mut needed = Live::default();
    for added in &foreseen.history().snapshots {
        match foreseen.snapshot_inventory(added.snapshot).await {
            Ok(inventory) => needed.merge(&inventory.live),
            // What it needs, nobody can tell; no prune runs, and no pack goes, until it is made good or forgotten.
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    for (_, info) in index.frames(|pack| !hopeless.contains(&pack.id)) {
        needed.remove(&info.segment.nonce, info.row.ordinal);
    }
    let mut wanted = Vec::new();
    for (_, info) in index.frames(|pack| hopeless.contains(&pack.id)) {
        if needed.remove(&info.segment.nonce, info.row.ordinal) {
            let frame = (info.segment.nonce, info.row.ordinal);
            wanted.push(Wanted { frame, pack: Some(info.pack.id) });
        }
    }
    wanted.extend(needed.iter().map(|(segment, ordinal)| Wanted { frame: (*segment, ordinal), pack: None }));
    Ok(wanted)
}

/// Everything that has some of these frames: the packs themselves, which cost no transfer, and then the copies in their order.
pub(super) async fn sources(
    bench: &Bench<'_>,
    copies: &[Option<Arc<Repository>>],
    names: &HashSet<FrameName>,
    own: &BTreeSet<ObjectId>,
) -> Result<Vec<Source>, Error> {
    let index = bench.authority.open_index().await?;
    let mut sources = vec![Source::new(ITSELF.into(), bench.authority, index, names, |pack| own.contains(pack))];
    for (copy, opened) in bench.copies.iter().zip(copies) {
        let Some(repository) = opened else { continue };
        match repository.open_index().await {
            Ok(index) => sources.push(Source::new(copy.location.clone(), repository, index, names, |_| true)),
            Err(error) => tracing::warn!("no frames are taken from {}: {}", copy.location, chain(&error)),
        }
    }
    Ok(sources)
}

/// The first source that has each frame, good.
async fn find(sources: &[Source], names: &HashSet<FrameName>) -> Result<HashMap<FrameName, Take>, Error> {
    let mut found = HashMap::new();
    let mut waiting = names.clone();
    for (number, source) in sources.iter().enumerate() {
        let asked: Vec<FrameName> = waiting.iter().copied().collect();
        for batch in source.batches(&asked) {
            for (frame, good) in source.good(&batch).await? {
                waiting.remove(&frame);
                let sealed_bytes = good.sealed.len() as u64;
                found.insert(frame, Take { frame, kind: good.info.pack.kind, source: number, sealed_bytes });
            }
        }
    }
    Ok(found)
}

fn told(sources: &[Source], takes: &[Take]) -> Vec<FromWhere> {
    let of = |(number, source): (usize, &Source)| {
        let taken = takes.iter().filter(|take| take.source == number);
        let frames = taken.clone().count() as u64;
        let bytes = taken.map(|take| take.sealed_bytes).sum();
        (frames > 0).then(|| FromWhere { location: source.location.clone(), frames, bytes })
    };
    sources.iter().enumerate().filter_map(of).collect()
}

impl Source {
    fn new(
        location: String,
        repository: &Arc<Repository>,
        index: Arc<Index>,
        names: &HashSet<FrameName>,
        of: impl Fn(&ObjectId) -> bool,
    ) -> Self {
        let named = |(id, info): (FrameId, FrameInfo)| ((info.segment.nonce, info.row.ordinal), id);
        let places: HashMap<FrameName, FrameId> =
            index.frames(|pack| of(&pack.id)).map(named).filter(|(name, _)| names.contains(name)).collect();
        let frames: Vec<FrameId> = places.values().copied().collect();
        let chunks = carry::chunks_of(&index, &frames);
        Self { location, repository: Arc::clone(repository), index, places, chunks }
    }

    /// Those of the frames that it should have, so many as may be held at once, those that lie near each other together.
    pub(super) fn batches(&self, names: &[FrameName]) -> Vec<Vec<FrameId>> {
        let mut frames: Vec<FrameId> = names.iter().filter_map(|name| self.places.get(name)).copied().collect();
        frames.sort_unstable();
        let mut batches: Vec<Vec<FrameId>> = Vec::new();
        let mut bytes = 0;
        for frame in frames {
            let size = self.index.frame(frame).map_or(0, |info| sealed_bytes(&info));
            match batches.last_mut() {
                Some(batch) if bytes + size <= BATCH_BYTES => batch.push(frame),
                _ => {
                    bytes = 0;
                    batches.push(vec![frame]);
                }
            }
            bytes += size;
        }
        batches
    }

    /// The frames that are good: each is opened, and its chunks are compared with their names. A source that fails gives nothing; the next one may.
    pub(super) async fn good(&self, frames: &[FrameId]) -> Result<Vec<(FrameName, Good<'_>)>, Error> {
        let sealed = match self.read(frames.to_vec()).await {
            Err(error) if frames.len() > 1 && is_about_one_object(&error) => self.one_by_one(frames).await,
            Err(error) => {
                tracing::warn!("{}: {}", self.location, chain(&error));
                HashMap::new()
            }
            Ok(sealed) => sealed,
        };
        let good = |(frame, sealed): (FrameId, Bytes)| {
            let info = self.index.frame(frame)?;
            let chunks = self.chunks.get(&frame).map(Vec::as_slice).unwrap_or_default();
            Some(((info.segment.nonce, info.row.ordinal), Good { info, chunks, sealed }))
        };
        Ok(sealed.into_iter().filter_map(good).collect())
    }

    async fn read(&self, frames: Vec<FrameId>) -> Result<HashMap<FrameId, Bytes>, Error> {
        let (judge, index) = (Arc::clone(&self.repository), Arc::clone(&self.index));
        let chunks: HashMap<FrameId, Vec<StoredChunk>> =
            frames.iter().filter_map(|frame| Some((*frame, self.chunks.get(frame)?.clone()))).collect();
        let accept = move |frame: FrameId, plain: &[u8]| {
            let kind = index.frame(frame).map_or(ObjectType::Pack, |info| info.pack.kind);
            let chunks = chunks.get(&frame).map(Vec::as_slice).unwrap_or_default();
            compare(&judge, kind, chunks, plain)
        };
        let mut faults = Vec::new();
        let good = carry::good_frames_that(&self.repository, &self.index, frames, accept, &mut faults).await?;
        faults.iter().for_each(|fault| tracing::debug!("{}: {fault}", self.location));
        Ok(good)
    }

    /// Where a disk has unreadable places, the frames beside them may be whole.
    async fn one_by_one(&self, frames: &[FrameId]) -> HashMap<FrameId, Bytes> {
        let mut good = HashMap::with_capacity(frames.len());
        for frame in frames {
            match self.read(vec![*frame]).await {
                Ok(one) => good.extend(one),
                Err(error) => tracing::debug!("{}: {}", self.location, chain(&error)),
            }
        }
        good
    }
}

/// Whether a plain frame is these chunks, one after the other.
fn compare(judge: &Repository, kind: ObjectType, chunks: &[StoredChunk], plain: &[u8]) -> Result<(), Error> {
    let of = if kind == ObjectType::PagePack { NameOf::Page } else { NameOf::Chunk };
    let mut rest = plain;
    for chunk in chunks {
        let whole = rest.split_at_checked(chunk.length as usize);
        let (bytes, after) = whole.ok_or_else(|| Error::damaged("a frame", "it is shorter than its chunks"))?;
        if judge.name(of, blake3::hash(bytes).as_bytes()).prefix() != chunk.prefix {
            return Err(Error::damaged("a frame", "one of its chunks does not match its name"));
        }
        rest = after;
    }
    Ok(())
}
