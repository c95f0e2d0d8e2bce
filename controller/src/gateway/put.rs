//! One put: the parts are collected, checked against what the header promised, and created as one object.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use strongroom_proto::gateway::{PutHeader, PutPart, PutReply};
use strongroom_repository::object::{HINT, commit_name};
use strongroom_repository::store::{self, ErrorKind};
use strongroom_repository::{Repository, parity};
use tonic::{Status, Streaming};

use super::held::{Arrived, Begun, Key, Turn};
use super::policy::{self, Creatable};
use super::{Gateway, status};

/// A pack is about 64 MiB, an index run of a first backup can be larger; nothing that a writer makes comes near this.
const OBJECT_BYTES_MAX: u64 = 1 << 30;

impl Gateway {
    pub(super) async fn put(&self, host: &str, mut parts: Streaming<PutPart>) -> Result<PutReply, Status> {
        let first = parts.message().await?.ok_or_else(|| Status::invalid_argument("a put without a part"))?;
        let header = first.header.as_ref().ok_or_else(|| Status::invalid_argument("a put without its header"))?;
        let kind = policy::creatable(&header.name).ok_or_else(|| no_business("create", &header.name))?;
        let repository = Arc::clone(self.repository(&header.repository)?);
        let key = key_of(host, header)?;
        if let Creatable::Hashed(id) = kind
            && id.0 != key.blake3
        {
            return Err(Status::invalid_argument(format!("{} is not the name of these bytes", key.name)));
        }
        let turn = self.begin(&**repository.store(), &key, header.offset).await?;
        let hash = self.collect(first, &mut parts, (&key, turn)).await?;
        let (arrived, storing) = self.held.finish(&key, turn).ok_or_else(ask_again)?;
        if hash != key.blake3 {
            return Err(Status::data_loss(format!("{} did not arrive as it was sent", key.name)));
        }
        if let Creatable::Parity(pack) = kind
            && !parity::claims_to_be_of(&beginning(&arrived.parts), key.length, &repository.id(), &pack)
        {
            return Err(Status::invalid_argument(format!("{} is not the parity of this pack", key.name)));
        }
        // On a task of its own: all is there, so it is stored also when the host's line breaks meanwhile, and its next put of it waits for that.
        let stored = tokio::spawn(async move {
            let created = create(&repository, &key, kind, arrived).await;
            drop(storing);
            created
        });
        stored.await.map_err(|error| Status::internal(format!("the gateway gave up storing it: {error}")))?
    }

    /// When it is this put's turn.
    async fn begin(&self, store: &dyn ObjectStore, key: &Key, offset: u64) -> Result<Turn, Status> {
        loop {
            // Before the bytes are sent, so that a resumed put of what was stored long ago costs nothing.
            if store.head(&Path::from(&*key.name)).await.is_ok() {
                return Err(Status::already_exists(key.name.clone()));
            }
            match self.held.begin(key, offset) {
                Begun::Turn(turn) => return Ok(turn),
                Begun::Elsewhere => return Err(ask_again()),
                Begun::Full => return Err(Status::unavailable("the gateway has no memory for another object now")),
                // It never changes: it closes.
                Begun::Storing(mut until) => drop(until.changed().await),
            }
        }
    }

    /// Until all is there; its BLAKE3. What has arrived is held also when the stream breaks, and while nobody knows yet that it did.
    ///
    /// It is hashed as it comes, a part at a time: that keeps up with any line, and no call to this service waits for a whole pack's hash.
    async fn collect(
        &self,
        first: PutPart,
        parts: &mut Streaming<PutPart>,
        (key, turn): (&Key, Turn),
    ) -> Result<[u8; 32], Status> {
        let mut length = first.header.as_ref().map_or(0, |header| header.offset);
        let mut hasher = blake3::Hasher::new();
        for part in self.held.parts(key, turn).ok_or_else(ask_again)? {
            hasher.update(&part);
            // Of a put that goes on there may be a whole pack.
            tokio::task::yield_now().await;
        }
        let mut next = Some(first);
        while let Some(part) = next {
            length += part.bytes.len() as u64;
            self.received_bytes.fetch_add(part.bytes.len() as u64, Ordering::Relaxed);
            if length > key.length {
                return Err(Status::invalid_argument("more bytes than the header promised"));
            }
            hasher.update(&part.bytes);
            if !self.held.extend(key, turn, part.bytes) {
                return Err(ask_again());
            }
            next = parts.message().await?;
        }
        // A call that was given up looks like one that ended: what has arrived stays held.
        match length == key.length {
            true => Ok(*hasher.finalize().as_bytes()),
            false => Err(Status::invalid_argument(format!("{length} of {} bytes came", key.length))),
        }
    }

    /// How much of an interrupted put is held.
    pub(super) fn held_of(&self, host: &str, header: &PutHeader) -> Result<u64, Status> {
        key_of(host, header).map(|key| self.held.length(&key))
    }
}

async fn create(repository: &Repository, key: &Key, kind: Creatable, arrived: Arrived) -> Result<PutReply, Status> {
    let store = &**repository.store();
    if let Creatable::Commit(number) = kind {
        follows(store, number).await?;
    }
    let payload = PutPayload::from_iter(arrived.parts);
    let created = store.put_opts(&Path::from(&*key.name), payload, PutOptions::from(PutMode::Create)).await;
    created.map_err(|error| status(&error))?;
    if let Creatable::Commit(number) = kind {
        // Only a hint: whoever opens the repository next is slower without it, and no less right.
        let _ = store.put(&Path::from(HINT), number.to_string().into_bytes().into()).await;
        repository.checkpoint_at(number).await;
    }
    tracing::debug!(host = %key.host, name = %key.name, bytes = key.length, "stored for a host");
    Ok(PutReply {})
}

/// Enough of an object to see what it says of itself.
fn beginning(parts: &[Bytes]) -> Vec<u8> {
    parts.iter().flatten().copied().take(parity::HEAD_SIZE).collect()
}

fn ask_again() -> Status {
    Status::failed_precondition("something else is held than was skipped: ask again what is held")
}

/// A gap in the history would stop every writer.
async fn follows(store: &dyn ObjectStore, number: u64) -> Result<(), Status> {
    if number == 1 {
        return Ok(());
    }
    match store.head(&Path::from(commit_name(number - 1))).await {
        Ok(_) => Ok(()),
        Err(error) if store::kind(&error) == ErrorKind::NotFound => {
            Err(Status::invalid_argument(format!("commit {number} does not follow the newest one")))
        }
        Err(error) => Err(status(&error)),
    }
}

fn key_of(host: &str, header: &PutHeader) -> Result<Key, Status> {
    if header.length > OBJECT_BYTES_MAX {
        return Err(Status::invalid_argument(format!("an object of {} bytes is none of a backup's", header.length)));
    }
    let blake3 = <[u8; 32]>::try_from(header.blake3.as_ref());
    Ok(Key {
        host: host.to_owned(),
        repository: header.repository.clone(),
        name: header.name.clone(),
        length: header.length,
        blake3: blake3.map_err(|_| Status::invalid_argument("a BLAKE3 has 32 bytes"))?,
    })
}

pub(super) fn no_business(doing: &str, name: &str) -> Status {
    Status::permission_denied(format!("a host has no business to {doing} '{}'", name.escape_default()))
}
