//! A session: one open writer. Lanes compress side by side, packs fill one after the other, and nothing is visible before the commit.

mod commit;
mod lane;
mod packer;
mod pages;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

pub use commit::{AboutToCommit, Committed};
pub use lane::Lane;
use packer::Packer;

use crate::error::Error;
use crate::ids::{ChunkId, ObjectId, SessionId};
use crate::index::Index;
use crate::keys::inventory::{self, Binding};
use crate::keys::random;
use crate::object::{self, ObjectType};
use crate::repository::{Repository, put_new};

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
pub struct Begin {
    /// The snapshot whose unchanged parts will be taken over.
    pub parent: Option<ObjectId>,
    /// Now.
    pub started: Timestamp,
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

impl Repository {
    /// Begins a session. Its record is written at the same time as the caller's first work; nothing is uploaded before it is durable.
    pub async fn begin(self: &Arc<Self>, begin: Begin) -> Result<Arc<Session>, Error> {
        if let Some(parent) = begin.parent.filter(|parent| !self.history().has_snapshot(parent)) {
            return Err(Error::ParentGone(parent));
        }
        let id = SessionId(random());
        let record =
            SessionRecord { session: id, base: self.history().newest, parent: begin.parent, started: begin.started };
        let runtime = Handle::current();
        let opened = write_record(Arc::clone(self), record);
        Ok(Arc::new(Session {
            repository: Arc::clone(self),
            id,
            packer: Packer::new(Arc::clone(self), runtime.clone(), opened)?,
            pages: pages::Pages::default(),
            runtime,
            index: OnceLock::new(),
            seen: (0..SEEN_SHARDS).map(|_| Mutex::default()).collect(),
            new_plain_bytes: AtomicU64::new(0),
            new_sealed_bytes: AtomicU64::new(0),
        }))
    }
}

async fn write_record(repository: Arc<Repository>, record: SessionRecord) -> Result<(), Error> {
    let binding = Binding { repository: &repository.id(), kind: ObjectType::Session, name: &record.session.0 };
    // BUG if it fails: a session record serialises.
    let json = serde_json::to_vec(&record).expect("a session record serialises");
    let blob = inventory::seal(&repository.key.shared.inventory, binding, &json);
    let bytes = object::sign(ObjectType::Session, &repository.id(), &repository.key.signer, &record.session.0, &blob);
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
        let shard = &self.seen[usize::from(id.0[16]) % SEEN_SHARDS];
        Ok(shard.lock().unwrap_or_else(PoisonError::into_inner).insert(id.prefix()))
    }

    /// Whether the repository holds the chunk in a pack that is not condemned.
    fn is_stored(&self, id: &ChunkId) -> Result<bool, Error> {
        let history = self.repository.history();
        if history.index.is_empty() {
            return Ok(false);
        }
        let index = self.index()?;
        let Some(place) = index.find(id) else { return Ok(false) };
        let pack = index.frame(place.frame).map(|frame| frame.pack.id);
        Ok(pack.is_some_and(|pack| !history.condemned.contains_key(&pack)))
    }
}
