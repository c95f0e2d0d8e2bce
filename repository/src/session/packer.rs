//! Filling packs, and sending the full ones away. One pack of each kind is being filled; how many are on their way is the caller's to say.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, try_join};
use object_store::PutPayload;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use crate::error::{Error, Failure};
use crate::keys::CannotOpen;
use crate::object::{self, ObjectType};
use crate::pack::{FinishedPack, PackBuilder, PackContents, StoredChunk};
use crate::parity::{self, Subject};
use crate::repository::{Repository, Written, put_new};

use super::notes::Notes;

pub(crate) struct Packer {
    repository: Arc<Repository>,
    runtime: Handle,
    data: Mutex<PackBuilder>,
    pages: Mutex<PackBuilder>,
    /// Done when the session's record is durable: no pack leaves before.
    opened: Opened,
    uploads_max: usize,
    permits: Arc<Semaphore>,
    /// What is on its way; a session that ends early takes it back.
    uploads: Mutex<JoinSet<Result<Option<PackContents>, Error>>>,
    finished: Mutex<Vec<PackContents>>,
    /// Where durable packs are noted, for a session that takes this one up; none where nobody asked for it, or where they cannot be kept.
    notes: Mutex<Option<Notes>>,
    poison: OnceLock<Failure>,
}

type Opened = Shared<BoxFuture<'static, Result<(), Failure>>>;

impl std::fmt::Debug for Packer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Packer({} packs done)", lock(&self.finished).len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_builder(repository: &Repository, kind: ObjectType) -> Result<PackBuilder, Error> {
    let (epoch, public) = repository.newest_epoch();
    PackBuilder::new(repository.id(), kind, (epoch, &public))
        .map_err(|CannotOpen| Error::Key(format!("the public key of epoch {epoch} is unusable")))
}

impl Packer {
    pub(crate) fn new(
        repository: Arc<Repository>,
        runtime: Handle,
        opened: impl Future<Output = Result<(), Error>> + Send + 'static,
        uploads_max: NonZeroUsize,
        (notes, left): (Option<Notes>, Vec<PackContents>),
    ) -> Result<Self, Error> {
        let opened = opened.map(|done| done.map_err(|error| Failure::from(&error))).boxed().shared();
        let mut uploads = JoinSet::new();
        // Its record begins its way at once; packs wait for it.
        uploads.spawn_on(opened.clone().map(|done| done.map(|()| None).map_err(Error::Poisoned)), &runtime);
        Ok(Self {
            data: Mutex::new(new_builder(&repository, ObjectType::Pack)?),
            pages: Mutex::new(new_builder(&repository, ObjectType::PagePack)?),
            opened,
            uploads_max: uploads_max.get(),
            permits: Arc::new(Semaphore::new(uploads_max.get())),
            uploads: Mutex::new(uploads),
            finished: Mutex::new(left),
            notes: Mutex::new(notes),
            poison: OnceLock::new(),
            repository,
            runtime,
        })
    }

    fn builder(&self, kind: ObjectType) -> &Mutex<PackBuilder> {
        if kind == ObjectType::PagePack { &self.pages } else { &self.data }
    }

    /// Refuses everything from now on.
    pub(crate) fn poison(&self, failure: impl Into<Failure>) {
        // The first reason is the one that counts.
        let _ = self.poison.set(failure.into());
    }

    pub(crate) fn healthy(&self) -> Result<(), Error> {
        self.poison.get().map_or(Ok(()), |failure| Err(Error::Poisoned(failure.clone())))
    }

    /// Seals a compressed frame into the pack of its kind; with `check` it is opened again and compared. A full pack is sent away, for which this may wait.
    /// Returns the sealed size. Not for async threads.
    pub(crate) fn append(
        &self,
        kind: ObjectType,
        compression: u8,
        payload: &[u8],
        chunks: &[StoredChunk],
        check: Option<&[u8]>,
    ) -> Result<usize, Error> {
        self.healthy()?;
        let mut builder = lock(self.builder(kind));
        let sealed = builder.append(compression, payload, chunks);
        if let Some(plain) = check
            && !builder.last_frame_holds(plain)
        {
            self.poison("a frame that was just sealed does not open to what went in: this machine's memory or processor is at fault");
            self.healthy()?;
        }
        if builder.size() >= self.repository.config.parameters.pack_target as usize {
            let full = std::mem::replace(&mut *builder, new_builder(&self.repository, kind)?);
            drop(builder);
            self.send(full)?;
        }
        Ok(sealed)
    }

    fn send(&self, full: PackBuilder) -> Result<(), Error> {
        let permit = self.runtime.block_on(Arc::clone(&self.permits).acquire_owned());
        let permit = permit.map_err(|_| Error::Poisoned("uploads were stopped".into()))?;
        self.healthy()?;
        let upload = self.upload(full);
        let mut uploads = lock(&self.uploads);
        uploads.spawn_on(
            async move {
                let done = upload.await;
                drop(permit);
                done
            },
            &self.runtime,
        );
        // Each one's end is looked at: a failed pack that nobody asks about would be missing from the snapshot. Beyond so many, some have ended or are about to: their permits
        // are free.
        while uploads.len() > self.uploads_max {
            let Some(ended) = self.runtime.block_on(uploads.join_next()) else { break };
            if let Some(pack) = self.ended(ended)? {
                self.note(&pack);
            }
        }
        Ok(())
    }

    fn ended(
        &self,
        ended: Result<Result<Option<PackContents>, Error>, JoinError>,
    ) -> Result<Option<PackContents>, Error> {
        let done = ended.unwrap_or_else(|lost| Err(Error::Poisoned(lost.to_string().into())));
        done.inspect_err(|error| self.poison(error))
    }

    fn note(&self, pack: &PackContents) {
        let mut notes = lock(&self.notes);
        if let Some(Err(error)) = notes.as_mut().map(|notes| notes.add(pack)) {
            tracing::debug!(%error, "what is stored is not noted any more: a run that takes this one up will send it again");
            *notes = None;
        }
    }

    /// Takes no more, and stops what is on its way. What has arrived is noted.
    pub(super) async fn stop(&self) {
        self.poison("its run has ended");
        let mut uploads = std::mem::take(&mut *lock(&self.uploads));
        while let Some(ended) = uploads.try_join_next() {
            if let Ok(Ok(Some(pack))) = ended {
                self.note(&pack);
            }
        }
        uploads.shutdown().await;
    }

    /// The session is committed: nothing is left to take up.
    pub(crate) fn forget_notes(&self) {
        if let Some(notes) = lock(&self.notes).take() {
            notes.discard();
        }
    }

    /// Sends what is left and waits until every pack is durable.
    pub(crate) async fn finish(&self) -> Result<Vec<PackContents>, Error> {
        self.healthy()?;
        let mut uploads = std::mem::take(&mut *lock(&self.uploads));
        for kind in [ObjectType::Pack, ObjectType::PagePack] {
            let full = std::mem::replace(&mut *lock(self.builder(kind)), new_builder(&self.repository, kind)?);
            if !full.is_empty() {
                uploads.spawn_on(self.upload(full), &self.runtime);
            }
        }
        while let Some(ended) = uploads.join_next().await {
            if let Err(error) = self.ended(ended) {
                uploads.shutdown().await;
                return Err(error);
            }
        }
        Ok(std::mem::take(&mut *lock(&self.finished)))
    }

    /// Brings a pack that is sealed already to the store. Says whether it was new there: one of its name that is there may be about to be deleted.
    pub(super) async fn put_sealed(&self, FinishedPack { contents, parts }: FinishedPack) -> Result<Written, Error> {
        self.healthy()?;
        self.opened.clone().await.map_err(Error::Poisoned)?;
        let name = object::hashed_name(contents.kind, &contents.id);
        let written = put_new(&*self.repository.store, &name, PutPayload::from_iter(parts.iter().cloned())).await?;
        if written == Written::Created {
            put_parity(&self.repository, &contents, parts).await?;
            self.note(&contents);
            lock(&self.finished).push(contents);
        }
        Ok(written)
    }

    /// What is durable so far, in the order of its upload.
    pub(super) fn finished_so_far(&self) -> Vec<PackContents> {
        lock(&self.finished).clone()
    }

    /// Counts no longer on some of them.
    pub(super) fn leave_out(&self, which: impl Fn(&PackContents) -> bool) {
        lock(&self.finished).retain(|pack| !which(pack));
    }

    /// Seals a pack; what is returned brings it to the store, as soon as the session's record is durable.
    fn upload(&self, full: PackBuilder) -> impl Future<Output = Result<Option<PackContents>, Error>> + Send + use<> {
        let FinishedPack { contents, parts } = full.finish(&self.repository.key.shared.inventory);
        let (repository, opened) = (Arc::clone(&self.repository), self.opened.clone());
        let name = object::hashed_name(contents.kind, &contents.id);
        lock(&self.finished).push(contents.clone());
        async move {
            opened.await.map_err(Error::Poisoned)?;
            let parity = put_parity(&repository, &contents, parts.clone());
            let pack = put_new(&*repository.store, &name, PutPayload::from_iter(parts));
            // Both are durable before anybody counts on the pack.
            try_join(pack, parity).await.map(|_| Some(contents))
        }
    }
}

/// Puts a pack's parity beside it, if this repository has parity.
pub(crate) async fn put_parity(
    repository: &Repository,
    contents: &PackContents,
    parts: Vec<Bytes>,
) -> Result<(), Error> {
    let (id, percent) = (repository.id(), repository.config.parameters.parity_percent);
    if percent == 0 {
        return Ok(());
    }
    let pack = Subject { kind: contents.kind, id: contents.id, size: contents.size };
    #[expect(
        clippy::disallowed_methods,
        reason = "coding 64 MiB is CPU work; as many at once as packs may be on their way"
    )]
    let made = tokio::task::spawn_blocking(move || parity::encode(&id, pack, &parts, percent));
    let made = made.await.map_err(|lost| Error::Poisoned(lost.to_string().into()))??;
    // One that is there already is of the same pack: whether it is good is told when it is used.
    put_new(&*repository.store, &parity::name_of(&pack.id), made).await.map(|_| ())
}
