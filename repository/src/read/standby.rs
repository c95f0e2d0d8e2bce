//! Other copies of the repository that a reader turns to: for speed where they are nearer, and for whatever the opened one has lost.
//!
//! Frames are named by segment and ordinal, which are the same in every copy, and are sealed alike; so a frame may come from any copy, and is opened and compared as always.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::OnceCell;

use super::FrameName;
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::{FrameId, Index};
use crate::repository::Repository;

/// A copy is asked first where its answers take less than this part of our own store's time.
const NEARER: u32 = 2;

/// What one copy has served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Served {
    /// Where the copy is.
    pub location: String,
    /// Frames that came from it.
    pub frames: u64,
    /// Their sealed bytes.
    pub bytes: u64,
}

/// How much has come from a copy.
#[derive(Debug, Default)]
struct Tally {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    fn add(&self, sealed: &Bytes) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
    }

    fn as_of(&self, location: &str) -> Served {
        let (frames, bytes) = (self.frames.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        Served { location: location.to_owned(), frames, bytes }
    }
}

/// Another copy.
#[derive(Debug)]
pub(crate) struct Standby {
    location: String,
    pub(crate) repository: Arc<Repository>,
    is_nearer: bool,
    names: OnceCell<Arc<Names>>,
    served: Tally,
    is_out: AtomicBool,
}

/// Where a copy has each frame.
#[derive(Debug)]
struct Names {
    index: Arc<Index>,
    frames: HashMap<FrameName, FrameId>,
}

/// The copies that stand by, and what came from where.
#[derive(Debug, Default)]
pub(crate) struct Standbys {
    copies: RwLock<Vec<Arc<Standby>>>,
    own: Tally,
    /// Set when our own store has failed and there is another copy: its time-outs are not waited for again.
    own_is_out: AtomicBool,
}

impl Standbys {
    pub(crate) fn all(&self) -> Vec<Arc<Standby>> {
        self.copies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count_own(&self, sealed: &[Bytes]) {
        sealed.iter().for_each(|sealed| self.own.add(sealed));
    }

    pub(crate) fn own_is_out(&self) -> bool {
        self.own_is_out.load(Ordering::Relaxed)
    }

    /// Notes that our own store fails, where that is what the error says.
    pub(crate) fn note_own(&self, error: &Error) {
        let is_lost = !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Key);
        if is_lost && !self.all().is_empty() && !self.own_is_out.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}: the other copies are read from now on", chain(error));
        }
    }
}

impl Standby {
    /// Counts a chunk that came from it by itself.
    pub(crate) fn count(&self, bytes: &Bytes) {
        self.served.add(bytes);
    }

    async fn names(&self) -> Result<&Arc<Names>, Error> {
        let load = async || {
            let index = self.repository.open_index().await?;
            let frames =
                index.frames(|_| true).map(|(id, info)| ((info.segment.nonce, info.row.ordinal), id)).collect();
            Ok(Arc::new(Names { index, frames }))
        };
        self.names.get_or_try_init(load).await
    }

    /// As many of the frames as it has and can read; the others stay nothing.
    async fn fill(&self, wanted: &[FrameName], found: &mut [Option<Bytes>]) {
        if self.is_out.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.try_to_fill(wanted, found).await {
            tracing::warn!("the copy at {} does not serve: {}", self.location, chain(&error));
            if !matches!(error.kind(), ErrorKind::Corrupt) {
                self.is_out.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn try_to_fill(&self, wanted: &[FrameName], found: &mut [Option<Bytes>]) -> Result<(), Error> {
        let names = self.names().await?;
        let has = |at: &usize| Some((*names.frames.get(&wanted[*at])?, *at));
        let missing = (0..wanted.len()).filter(|at| found[*at].is_none());
        let mut places: Vec<(FrameId, usize)> = missing.filter_map(|at| has(&at)).collect();
        places.sort_unstable();
        let ids: Vec<FrameId> = places.iter().map(|(frame, _)| *frame).collect();
        let sealed = Box::pin(self.repository.fetch_frames_of(&names.index, &ids)).await?;
        for ((_, at), sealed) in places.into_iter().zip(sealed) {
            self.served.add(&sealed);
            found[at] = Some(sealed);
        }
        Ok(())
    }
}

impl Repository {
    /// Lets another copy stand by for this one. `distances` are how long a small answer takes from our own store, and from the copy's.
    pub fn stand_by(&self, location: String, copy: Arc<Self>, distances: (Duration, Duration)) {
        let is_nearer = distances.1 * NEARER < distances.0;
        let standby = Standby {
            location,
            repository: copy,
            is_nearer,
            names: OnceCell::new(),
            served: Tally::default(),
            is_out: AtomicBool::new(false),
        };
        self.standbys.copies.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(standby));
    }

    /// What came from our own store, which is at `location`, and from each copy that stands by.
    #[must_use]
    pub fn served(&self, location: &str) -> Vec<Served> {
        let copies = self.standbys.all();
        let others = copies.iter().map(|standby| standby.served.as_of(&standby.location));
        std::iter::once(self.standbys.own.as_of(location)).chain(others).collect()
    }

    /// How long our own store takes for a small answer.
    pub async fn distance(&self) -> Result<Duration, Error> {
        let begun = std::time::Instant::now();
        Self::read_config(&*self.store).await?;
        Ok(begun.elapsed())
    }

    /// Frames from copies that stand by: from nearer ones before our own store is asked, from all of them after it failed. Those that none can give stay nothing.
    pub(super) async fn ask_standbys(&self, names: &[FrameName], only_nearer: bool) -> Vec<Option<Bytes>> {
        let mut found = vec![None; names.len()];
        for standby in self.standbys.all() {
            if (!only_nearer || standby.is_nearer) && found.iter().any(Option::is_none) {
                standby.fill(names, &mut found).await;
            }
        }
        found
    }

    /// The object of a snapshot from any copy that stands by.
    pub(crate) async fn snapshot_from_standbys(&self, id: &ObjectId) -> Option<Bytes> {
        for standby in self.standbys.all() {
            if let Ok(bytes) = Box::pin(standby.repository.snapshot_bytes(id)).await {
                return Some(bytes);
            }
        }
        None
    }
}
