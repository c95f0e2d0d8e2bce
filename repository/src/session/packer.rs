//! Filling packs, and sending the full ones away. At most one pack of each kind is being filled and one is on its way.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use object_store::PutPayload;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::keys::CannotOpen;
use crate::object::{self, ObjectType};
use crate::pack::{FinishedPack, PackBuilder, PackContents, StoredChunk};
use crate::repository::{Repository, put_new};

/// Packs on their way at once. With the one being filled, that is two packs of memory; the store is many times faster than compression.
const UPLOADS_AT_ONCE: usize = 1;

pub(crate) struct Packer {
    repository: Arc<Repository>,
    runtime: Handle,
    data: Mutex<PackBuilder>,
    pages: Mutex<PackBuilder>,
    /// Done when the session's record is durable: no pack leaves before.
    opened: Shared<BoxFuture<'static, Result<(), String>>>,
    permits: Arc<Semaphore>,
    uploads: Mutex<Vec<JoinHandle<Result<(), Error>>>>,
    finished: Mutex<Vec<PackContents>>,
    poison: OnceLock<String>,
}

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
        opened: JoinHandle<Result<(), Error>>,
    ) -> Result<Self, Error> {
        let opened = async move {
            match opened.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(crate::error::chain(&error)),
                Err(lost) => Err(lost.to_string()),
            }
        };
        Ok(Self {
            data: Mutex::new(new_builder(&repository, ObjectType::Pack)?),
            pages: Mutex::new(new_builder(&repository, ObjectType::PagePack)?),
            opened: opened.boxed().shared(),
            permits: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            uploads: Mutex::default(),
            finished: Mutex::default(),
            poison: OnceLock::new(),
            repository,
            runtime,
        })
    }

    fn builder(&self, kind: ObjectType) -> &Mutex<PackBuilder> {
        if kind == ObjectType::PagePack { &self.pages } else { &self.data }
    }

    /// Refuses everything from now on.
    pub(crate) fn poison(&self, why: &str) {
        // The first reason is the one that counts.
        let _ = self.poison.set(why.to_owned());
    }

    pub(crate) fn healthy(&self) -> Result<(), Error> {
        self.poison.get().map_or(Ok(()), |why| Err(Error::Poisoned(why.clone())))
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
        let FinishedPack { contents, parts } = full.finish(&self.repository.key.shared.inventory);
        let (repository, opened) = (Arc::clone(&self.repository), self.opened.clone());
        let name = object::hashed_name(contents.kind, &contents.id);
        lock(&self.finished).push(contents);
        let upload = self.runtime.spawn(async move {
            let done = upload(&repository, opened, &name, parts).await;
            drop(permit);
            done
        });
        let mut uploads = lock(&self.uploads);
        uploads.push(upload);
        let failed = uploads.iter_mut().filter(|upload| upload.is_finished()).find_map(|upload| upload.now_or_never());
        uploads.retain(|upload| !upload.is_finished());
        match failed {
            Some(Ok(Err(error))) => {
                self.poison(&crate::error::chain(&error));
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Sends what is left and waits until every pack is durable.
    pub(crate) async fn finish(&self) -> Result<Vec<PackContents>, Error> {
        self.healthy()?;
        let mut last = Vec::new();
        for kind in [ObjectType::Pack, ObjectType::PagePack] {
            let full = std::mem::replace(&mut *lock(self.builder(kind)), new_builder(&self.repository, kind)?);
            if !full.is_empty() {
                last.push(full.finish(&self.repository.key.shared.inventory));
            }
        }
        let earlier = std::mem::take(&mut *lock(&self.uploads));
        let last = last.into_iter().map(|FinishedPack { contents, parts }| {
            let name = object::hashed_name(contents.kind, &contents.id);
            lock(&self.finished).push(contents);
            let opened = self.opened.clone();
            async move { upload(&self.repository, opened, &name, parts).await }
        });
        futures::future::try_join_all(last).await?;
        for upload in earlier {
            upload.await.map_err(|lost| Error::Poisoned(lost.to_string()))??;
        }
        self.opened.clone().await.map_err(Error::Poisoned)?;
        Ok(std::mem::take(&mut *lock(&self.finished)))
    }
}

async fn upload(
    repository: &Repository,
    opened: Shared<BoxFuture<'static, Result<(), String>>>,
    name: &str,
    parts: Vec<Bytes>,
) -> Result<(), Error> {
    opened.await.map_err(Error::Poisoned)?;
    put_new(&*repository.store, name, PutPayload::from_iter(parts)).await.map(|_| ())
}
