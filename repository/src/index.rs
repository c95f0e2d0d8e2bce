//! The index: where each chunk and page lies. A cache of the packs' footers, in immutable sorted runs that are mapped from a local folder.

mod filter;
mod run;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cache;
use crate::error::Error;
use crate::ids::{ChunkId, ObjectId, RepositoryId, SegmentNonce};
use crate::keys::Secret;
use crate::keys::inventory::{self, Binding};
use crate::mapped::Mapped;
use crate::object::{self, ObjectType};
use crate::pack::{FrameRow, PackContents, SegmentRow};
use filter::Filter;
pub use run::PackRow;
#[cfg(test)]
pub(crate) use run::synthetic;
pub(crate) use run::{Hit, Run};

/// After so many searches in runs, the pages that they touched are let go of. Each may leave five pieces of 64 KiB (which is what the kernel maps around a page that is touched), or of
/// 2 MiB where it holds the file in such: some 30 MiB in all, however large the index is. Letting go costs a microsecond a search.
const SEARCHES_HELD: u32 = 8;

/// A frame of the repository, as long as the index that named it lives. Frames sort by run, pack and position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    run: u32,
    frame: u32,
}

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The frame that holds it.
    pub frame: FrameId,
    /// Where it begins in the plain frame.
    pub offset: u32,
    /// Its plain length.
    pub length: u32,
}

/// Everything about a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameInfo {
    pub(crate) pack: PackRow,
    pub(crate) row: FrameRow,
    pub(crate) segment: SegmentRow,
}

/// All runs of a repository at one commit.
#[derive(Debug, Default)]
pub struct Index {
    runs: Vec<(ObjectId, Run, Filter)>,
    /// The runs that are mapped, to let go of what searches touched.
    maps: Vec<Arc<Mapped>>,
    searches: AtomicU32,
    /// What lies in these packs is the last resort of readers, and absent to writers.
    condemned: HashSet<ObjectId>,
}

/// An index run as an object: its name and bytes, and its plain content.
pub(crate) struct SealedRun {
    pub(crate) id: ObjectId,
    pub(crate) object: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

/// Builds the run of newly written packs.
pub(crate) fn seal_run(inventory_key: &Secret, repository: &RepositoryId, packs: &[PackContents]) -> SealedRun {
    let content = run::encode(packs);
    let binding = Binding { repository, kind: ObjectType::Index, name: b"" };
    let blob = inventory::seal(inventory_key, binding, &content);
    let object = [&object::header(ObjectType::Index, repository)[..], &blob].concat();
    SealedRun { id: ObjectId::of(&object), object, content }
}

/// Opens a run's object and returns its content.
pub(crate) fn open_run(
    inventory_key: &Secret,
    repository: &RepositoryId,
    id: &ObjectId,
    bytes: &[u8],
) -> Result<Vec<u8>, Error> {
    let name = object::hashed_name(ObjectType::Index, id);
    if ObjectId::of(bytes) != *id {
        return Err(Error::damaged(name, "its bytes do not match its name"));
    }
    let blob = object::body(bytes, ObjectType::Index, repository, &name)?;
    let binding = Binding { repository, kind: ObjectType::Index, name: b"" };
    inventory::open(inventory_key, binding, blob).map_err(|bad| Error::damaged(name, bad.to_string()))
}

/// The cache file of a run.
pub(crate) fn cache_path(cache: &Path, id: &ObjectId) -> PathBuf {
    cache.join("index").join(id.hex())
}

/// For measurements only: puts a run of these packs into a cache folder, as if it had been fetched.
#[doc(hidden)]
pub fn cache_run(cache: &Path, packs: &[PackContents]) -> Result<ObjectId, Error> {
    let content = run::encode(packs);
    let (id, failed) = (ObjectId::of(&content), |path, source| Error::Cache { doing: "write", path, source });
    let path = cache_path(cache, &id);
    cache::write(&path, &content).map_err(|source| failed(path, source)).map(|()| id)
}

impl Index {
    /// For measurements only: the index of runs that lie in a cache folder.
    #[doc(hidden)]
    pub fn of_cache(cache: &Path, runs: &[ObjectId]) -> Result<Self, Error> {
        let mut index = Self::default();
        runs.iter().try_for_each(|id| index.add_cached(cache, *id))?;
        Ok(index)
    }

    /// An empty index that knows which packs are condemned.
    pub(crate) fn knowing(condemned: impl IntoIterator<Item = ObjectId>) -> Self {
        Self { condemned: condemned.into_iter().collect(), ..Self::default() }
    }

    /// Adds the run at its cache path; an error means that the file is absent or unusable and must be fetched again.
    pub(crate) fn add_cached(&mut self, cache: &Path, id: ObjectId) -> Result<(), Error> {
        let path = cache_path(cache, &id);
        let mapped = Mapped::open(&path).map_err(|source| Error::Cache { doing: "map", path: path.clone(), source })?;
        let mapped = Arc::new(mapped);
        self.add(id, Arc::clone(&mapped) as _, &path)?;
        self.maps.push(mapped);
        Ok(())
    }

    /// Adds a run from memory, and caches it if possible.
    pub(crate) fn add_content(&mut self, cache: &Path, id: ObjectId, content: Vec<u8>) -> Result<(), Error> {
        let path = cache_path(cache, &id);
        match cache::write(&path, &content) {
            Ok(()) => self.add_cached(cache, id),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "index run not cached: it stays in memory");
                self.add(id, Arc::new(content), &path)
            }
        }
    }

    fn add(&mut self, id: ObjectId, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, path: &Path) -> Result<(), Error> {
        let run = Run::open(bytes).map_err(Error::malformed(object::hashed_name(ObjectType::Index, &id)))?;
        let filter = Filter::of(&run, &path.with_extension("filters"));
        self.runs.push((id, run, filter));
        Ok(())
    }

    /// Where a chunk or page lies: in a pack that is not condemned if there is one.
    #[must_use]
    pub fn find(&self, id: &ChunkId) -> Option<Place> {
        self.usable(id).or_else(|| self.everywhere(id).next())
    }

    /// Where a chunk or page lies that may be built upon.
    pub(crate) fn usable(&self, id: &ChunkId) -> Option<Place> {
        self.everywhere(id).find(|place| !self.is_condemned(place.frame))
    }

    /// Every place of a chunk or page, those in condemned packs last.
    pub fn places(&self, id: &ChunkId) -> Vec<Place> {
        let mut places: Vec<Place> = self.everywhere(id).collect();
        places.sort_by_key(|place| self.is_condemned(place.frame));
        places
    }

    /// In newer runs first.
    fn everywhere(&self, id: &ChunkId) -> impl Iterator<Item = Place> {
        let runs = self.runs.iter().enumerate().rev();
        let holding = runs.filter(move |(_, (_, _, filter))| filter.may_hold(id));
        holding.flat_map(move |(number, (_, run, _))| {
            let place = move |Hit { frame, offset, length }| Place {
                frame: FrameId { run: number as u32, frame },
                offset,
                length,
            };
            self.count_search();
            run.find(id).map(place)
        })
    }

    fn count_search(&self) {
        if self.searches.fetch_add(1, Ordering::Relaxed) % SEARCHES_HELD == SEARCHES_HELD - 1 {
            self.maps.iter().for_each(|mapped| mapped.let_go());
        }
    }

    fn is_condemned(&self, frame: FrameId) -> bool {
        !self.condemned.is_empty() && self.frame(frame).is_some_and(|frame| self.condemned.contains(&frame.pack.id))
    }

    pub(crate) fn frame(&self, id: FrameId) -> Option<FrameInfo> {
        let (_, run, _) = self.runs.get(id.run as usize)?;
        let (pack, row) = run.frame(id.frame)?;
        Some(FrameInfo { pack: run.pack(pack)?, row, segment: run.segment(row.segment)? })
    }

    /// The lasting name of a frame: its segment and ordinal.
    #[must_use]
    pub fn lasting_name(&self, id: FrameId) -> Option<(SegmentNonce, u32)> {
        self.frame(id).map(|frame| (frame.segment.nonce, frame.row.ordinal))
    }

    /// The frame that lies behind this one in its pack.
    pub(crate) fn frame_after(&self, id: FrameId) -> Option<FrameId> {
        let next = FrameId { frame: id.frame.checked_add(1)?, ..id };
        (self.frame(next)?.pack.id == self.frame(id)?.pack.id).then_some(next)
    }

    /// The lasting name of every frame, those in several packs more than once.
    pub(crate) fn frame_names(&self) -> impl Iterator<Item = (SegmentNonce, u32)> + '_ {
        self.runs.iter().flat_map(|(_, run, _)| run.frame_names())
    }

    /// Every frame of the packs that `of` picks. Where several runs name a pack, its frames come once.
    pub(crate) fn frames(&self, of: impl Fn(&PackRow) -> bool) -> impl Iterator<Item = (FrameId, FrameInfo)> {
        let mut seen = HashSet::new();
        self.runs.iter().enumerate().flat_map(move |(number, (_, run, _))| {
            let picked: Vec<bool> = run.packs().map(|pack| of(&pack) && seen.insert(pack.id)).collect();
            (0..run.frame_count() as u32).filter_map(move |frame| {
                let (pack, row) = run.frame(frame)?;
                picked.get(pack).filter(|picked| **picked)?;
                let info = FrameInfo { pack: run.pack(pack)?, row, segment: run.segment(row.segment)? };
                Some((FrameId { run: number as u32, frame }, info))
            })
        })
    }

    /// The runs, oldest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&ObjectId, &Run)> {
        self.runs.iter().map(|(id, run, _)| (id, run))
    }

    /// Every pack of every run.
    pub fn packs(&self) -> impl Iterator<Item = PackRow> + '_ {
        self.runs.iter().flat_map(|(_, run, _)| run.packs())
    }

    /// Number of chunks and pages, those in several runs counted in each.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.runs.iter().map(|(_, run, _)| run.chunk_count() as u64).sum()
    }

    /// Every entry: id prefix and place.
    pub(crate) fn entries(&self) -> impl Iterator<Item = ([u8; 16], Place)> + '_ {
        self.runs.iter().enumerate().flat_map(|(number, (_, run, _))| {
            (0..run.chunk_count()).map(move |at| {
                let hit = run.hit(at);
                let frame = FrameId { run: number as u32, frame: hit.frame };
                (run.prefix(at), Place { frame, offset: hit.offset, length: hit.length })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_of_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let packs = [synthetic(1, 20_000), synthetic(2, 300)];
        let runs = packs.each_ref().map(|pack| cache_run(folder.path(), std::slice::from_ref(pack)).unwrap());
        let index = Index::of_cache(folder.path(), &runs).unwrap();
        let chunks = || packs.iter().flat_map(|pack| &pack.chunks);
        for _ in 0..2 {
            for chunk in chunks() {
                let mut id = ChunkId([0; 32]);
                id.0[..16].copy_from_slice(&chunk.prefix);
                assert_eq!(index.find(&id).map(|place| place.length), Some(chunk.length));
            }
        }
        assert!(index.searches.load(Ordering::Relaxed) > 2 * SEARCHES_HELD && index.maps.len() == 2);
    }
}
