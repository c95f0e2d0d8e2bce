//! A session: one open writer. Lanes compress side by side, packs fill one after the other, and nothing is visible before the commit.

mod commit;
mod copied;
mod lane;
pub(crate) mod notes;
mod packer;
mod pages;
mod rest;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

pub use commit::{AboutToCommit, Committed};
pub(crate) use copied::Arrived;
pub use lane::Lane;
use notes::{Left, Notes};
use packer::Packer;
pub(crate) use packer::put_parity;

use crate::error::Error;
use crate::ids::{ChunkId, ObjectId, RepositoryId, SessionId};
use crate::index::Index;
use crate::keys::random;
use crate::object;
use crate::pack::PackContents;
use crate::repository::{Repository, put_new, size};

/// The body of a session object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its id.
    pub session: SessionId,
    /// The newest commit when it began: packs condemned later cannot be swept before it ends.
    pub base: u64,
    /// The snapshot whose chunks it takes over, which pins them.
    pub parent: Option<ObjectId>,
    /// When it began, by the writer's clock.
    pub started: Timestamp,
}

/// How a session begins.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// The snapshot whose unchanged parts will be taken over.
    pub parent: Option<ObjectId>,
    /// Now.
    pub started: Timestamp,
    /// A file in which it is noted what is stored, so that the next session with the same file goes on where this one ended early. One at a time has it.
    pub notes: Option<&'a Path>,
    /// How many full packs are on their way to the store at once; each takes a pack's memory (64 MiB). One keeps up with a local disk; two hide the time in which a store
    /// behind a line makes the last one durable.
    pub uploads: NonZeroUsize,
}

/// Plain and stored bytes of what a session added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredBytes {
    /// Plain bytes that the repository did not have.
    pub plain: u64,
    /// What they take, sealed, metadata included.
    pub sealed: u64,
}

/// One open writer; shared by its lanes.
#[derive(Debug)]
pub struct Session {
    pub(crate) repository: Arc<Repository>,
    id: SessionId,
    /// The newest commit when it began: what was in the index then may be gone.
    base: u64,
    runtime: Handle,
    /// Loaded at the first chunk that might be known: an unchanged run needs no index.
    index: OnceLock<Arc<Index>>,
    /// Id prefixes of what this session stores, by their first byte, so that lanes rarely wait for each other.
    seen: Vec<Mutex<HashSet<[u8; 16]>>>,
    packer: Packer,
    pages: pages::Pages,
    new_plain_bytes: AtomicU64,
    new_sealed_bytes: AtomicU64,
}

/// Enough that two lanes meet in one lock every 16th chunk.
const SEEN_SHARDS: usize = 16;

/// Questions about noted packs at once: enough to hide a round trip, few enough for any server.
const LOOKS_AT_ONCE: usize = 16;

/// The part of a session's ids in which one belongs.
fn shard<'a>(seen: &'a [Mutex<HashSet<[u8; 16]>>], prefix: &[u8; 16]) -> MutexGuard<'a, HashSet<[u8; 16]>> {
    seen[usize::from(prefix[0]) % SEEN_SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repository {
    /// Begins a session. Its record is written at the same time as the caller's first work; nothing is uploaded before it is durable.
    ///
    /// Not for async threads: notes are read from their file meanwhile.
    pub async fn begin(self: &Arc<Self>, begin: Begin<'_>) -> Result<Arc<Session>, Error> {
        if let Some(parent) = begin.parent.filter(|parent| !self.history().has_snapshot(parent)) {
            return Err(Error::ParentGone(parent));
        }
        let base = self.history().newest;
        if base == 0 {
            // Otherwise a repository that lost all its commits would begin another history, in which nothing of the lost one counts.
            self.refuse_if_went_back().await?;
        }
        let fresh = SessionRecord { session: SessionId(random()), base, parent: begin.parent, started: begin.started };
        let fresh_id = fresh.session;
        let (record, notes, left) = self.take_up(begin.notes, fresh);
        let left = self.still_stored(left).await?;
        let seen: Vec<Mutex<HashSet<[u8; 16]>>> = (0..SEEN_SHARDS).map(|_| Mutex::default()).collect();
        let (mut plain, mut sealed) = (0, 0);
        for pack in &left {
            sealed += pack.size;
            for chunk in &pack.chunks {
                plain += u64::from(chunk.length);
                shard(&seen, &chunk.prefix).insert(chunk.prefix);
            }
        }
        let (id, base, runtime) = (record.session, record.base, Handle::current());
        if id != fresh_id {
            self.wake(&id).await;
        }
        let opened = write_record(Arc::clone(self), record);
        Ok(Arc::new(Session {
            repository: Arc::clone(self),
            id,
            base,
            packer: Packer::new(Arc::clone(self), runtime.clone(), opened, begin.uploads, (notes, left))?,
            pages: pages::Pages::default(),
            runtime,
            index: OnceLock::new(),
            seen,
            new_plain_bytes: AtomicU64::new(plain),
            new_sealed_bytes: AtomicU64::new(sealed),
        }))
    }

    /// Those that the store still has: it may be another one than then, or an older copy of it.
    async fn still_stored(&self, noted: Vec<PackContents>) -> Result<Vec<PackContents>, Error> {
        let look = |pack: PackContents| async move {
            let size = size(&*self.store, &object::hashed_name(pack.kind, &pack.id)).await?;
            Ok((size == Some(pack.size)).then_some(pack))
        };
        stream::iter(noted.into_iter().map(look)).buffered(LOOKS_AT_ONCE).try_filter_map(future::ok).try_collect().await
    }

    /// The session that left these notes, if it may go on; else the fresh one. Without notes it is merely slower to take it up.
    fn take_up(&self, notes: Option<&Path>, fresh: SessionRecord) -> (SessionRecord, Option<Notes>, Vec<PackContents>) {
        let Some(path) = notes else { return (fresh, None, Vec::new()) };
        let history = self.history();
        let fits = |repository: &RepositoryId, record: &SessionRecord| {
            *repository == self.id() && notes::may_go_on(record, fresh.parent, &history)
        };
        let taken = Notes::take(path, fits).and_then(|taken| match taken {
            Some((mut notes, None)) => notes.begin(self.id(), &fresh).map(|()| Some((notes, None))),
            other => Ok(other),
        });
        match taken {
            Ok(Some((notes, Some(Left { record, mut packs })))) => {
                packs.retain(|pack| !history.condemned.contains_key(&pack.id));
                tracing::info!(session = %record.session, packs = packs.len(), "goes on where a run ended early");
                (record, Some(notes), packs)
            }
            Ok(Some((notes, None))) => (fresh, Some(notes), Vec::new()),
            Ok(None) => (fresh, None, Vec::new()),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "what is stored cannot be noted");
                (fresh, None, Vec::new())
            }
        }
    }
}

async fn write_record(repository: Arc<Repository>, record: SessionRecord) -> Result<(), Error> {
    put_session(&repository, &record).await
}

/// Writes a session's record.
pub(crate) async fn put_session(repository: &Repository, record: &SessionRecord) -> Result<(), Error> {
    let bytes = repository.seal_session(record);
    put_new(&*repository.store, &object::session_name(&record.session), bytes).await.map(|_| ())
}

impl Session {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What was added so far.
    #[must_use]
    pub fn stored_bytes(&self) -> StoredBytes {
        StoredBytes {
            plain: self.new_plain_bytes.load(Ordering::Relaxed),
            sealed: self.new_sealed_bytes.load(Ordering::Relaxed),
        }
    }

    fn count(&self, plain: usize, sealed: usize) {
        self.new_plain_bytes.fetch_add(plain as u64, Ordering::Relaxed);
        self.new_sealed_bytes.fetch_add(sealed as u64, Ordering::Relaxed);
    }

    /// The index as it was when first needed. Called from lanes, which are threads of their own.
    fn index(&self) -> Result<&Arc<Index>, Error> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = self.runtime.block_on(self.repository.open_whole_index())?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Whether the caller must store this chunk: true once for each chunk that neither the repository nor this session has.
    pub(crate) fn claim(&self, id: &ChunkId) -> Result<bool, Error> {
        if self.is_stored(id)? {
            return Ok(false);
        }
        let prefix = id.prefix();
        Ok(shard(&self.seen, &prefix).insert(prefix))
    }

    /// Whether the repository holds the chunk in a pack that is not condemned.
    fn is_stored(&self, id: &ChunkId) -> Result<bool, Error> {
        Ok(!self.repository.history().index.is_empty() && self.index()?.usable(id).is_some())
    }
}
