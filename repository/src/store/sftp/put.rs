//! Putting one object: durable under a temporary name first, then visible under its own.

use std::sync::{Arc, PoisonError};

use futures::future::join;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, PutPayload, PutResult};

use super::error::SftpError;
use super::session::Session;
use super::{SftpStore, pool};
use crate::store::ErrorKind;
use crate::store::local::names;

/// How a finished file gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish {
    /// Unless something has it.
    New,
    /// In place of whatever has it.
    Over,
}

/// The folder of a path; none for the root.
pub(super) fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (folder, _) => Some(folder),
    }
}

impl SftpStore {
    pub(super) async fn put(
        &self,
        location: &Path,
        payload: &PutPayload,
        publish: Publish,
    ) -> Result<PutResult, SftpError> {
        let path = self.file(location)?;
        let (mut attempt, mut is_uncertain) = (0, false);
        loop {
            attempt += 1;
            let put = self.pool.once(|session| {
                let (store, path, payload) = (self.clone(), path.clone(), payload.clone());
                async move { store.put_by(&session, &path, &payload, publish).await }
            });
            match put.await {
                Err(SftpError::Exists { .. }) if is_uncertain && self.holds(location, payload).await => break,
                Err(error) if error.kind() == ErrorKind::Transient && attempt < pool::TRIES_MAX => {
                    tracing::info!(%location, attempt, "trying again: {}", crate::error::chain(&error));
                    is_uncertain |= matches!(error, SftpError::Lost(_));
                    pool::pause(attempt).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    /// Whether the object is what a lost try of ours has put.
    async fn holds(&self, location: &Path, payload: &PutPayload) -> bool {
        let Ok(found) = self.get_opts(location, GetOptions::default()).await else { return false };
        if found.meta.size != payload.content_length() as u64 {
            return false;
        }
        let Ok(bytes) = found.bytes().await else { return false };
        let mut rest = &bytes[..];
        payload.iter().all(|part| rest.split_off(..part.len()).is_some_and(|same| same == part))
    }

    async fn put_by(
        &self,
        session: &Arc<Session>,
        path: &str,
        payload: &PutPayload,
        publish: Publish,
    ) -> Result<(), SftpError> {
        let folder = parent(path).unwrap_or("/");
        let temporaries = format!("{}/{}", self.root(), names::TEMPORARY);
        self.ensure_folder(session, &temporaries).await?;
        self.ensure_folder(session, folder).await?;
        let name = data_encoding::HEXLOWER.encode(&crate::keys::random::<16>());
        let temporary = format!("{temporaries}/{name}");
        let mut opened = None;
        let put = async {
            // On a long way every answer counts: the folder is opened beside the file.
            let (written, flushable) = join(write(session, &temporary, payload), session.open_folder(folder)).await;
            opened = flushable?;
            written?;
            match publish {
                Publish::New => session.publish_new(&temporary, path).await,
                Publish::Over => session.publish_over(&temporary, path).await,
            }
        };
        let put = put.await;
        let flush = async {
            match opened {
                Some(handle) if put.is_ok() => session.flush_open_folder(handle, folder).await,
                Some(handle) => session.close(handle, folder).await,
                None => Ok(()),
            }
        };
        // Renamed, it is not there any more; lost with the session, it stays, under a name that nobody looks for.
        let (removed, flushed) = join(session.remove(&temporary), flush).await;
        if let Err(error) = put {
            return Err(session.explained(error, &temporaries, payload.content_length() as u64).await);
        }
        removed.and(flushed)
    }

    /// Makes a folder and those above it, each once in the life of a store.
    async fn ensure_folder(&self, session: &Arc<Session>, folder: &str) -> Result<(), SftpError> {
        let known = |folder: &str| self.folders.lock().unwrap_or_else(PoisonError::into_inner).contains(folder);
        let mut missing = Vec::new();
        let mut next = Some(folder);
        while let Some(folder) = next.filter(|folder| !known(folder)) {
            missing.push(folder);
            // What lies above the store's own folder is the business of who made it, if it is there.
            next = parent(folder).filter(|_| folder != self.place.folder());
        }
        if missing.last() == Some(&self.place.folder()) && !session.is_folder(self.place.folder()).await {
            let mut next = parent(self.place.folder());
            while let Some(folder) = next {
                if session.is_folder(folder).await {
                    break;
                }
                missing.push(folder);
                next = parent(folder);
            }
        }
        for folder in missing.into_iter().rev() {
            session.make_folder(folder).await?;
            if let Some(parent) = parent(folder) {
                session.flush_folder(parent).await?;
            }
            self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
        }
        Ok(())
    }
}

async fn write(session: &Arc<Session>, path: &str, payload: &PutPayload) -> Result<(), SftpError> {
    let handle = session.create(path).await?;
    let written = async {
        session.write(&handle, path, payload).await?;
        session.flush(&handle, path).await
    };
    let written = written.await;
    if written.is_ok() && session.can_flush() {
        session.close_later(handle, path);
        return Ok(());
    }
    let closed = session.close(handle, path).await;
    written.and(closed)
}
