//! A put, over as many links as it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::PutPayload;
use strongroom_proto::gateway::{PutHeader, PutPart};
use strongroom_repository::object::ObjectType;
use strongroom_repository::{ObjectId, store};
use tonic::{Code, Status};

use super::error::GatewayError;
use super::links::Link;
use super::parts::{PART_BYTES, parts};
use super::retry::Retry;
use super::{GatewayStore, holds};

/// How often, on one link, the gateway may find that it holds something else than it said, or that what arrived is not what was sent, before that counts as its answer.
const MISTAKES_MAX: u32 = 5;

impl GatewayStore {
    pub(super) async fn put(&self, name: &str, payload: &PutPayload) -> object_store::Result<()> {
        let length = payload.content_length() as u64;
        let blake3 = hash(name, payload).await;
        let header = PutHeader {
            repository: self.repository.hex(),
            name: name.to_owned(),
            length,
            blake3: blake3.to_vec().into(),
            offset: 0,
        };
        let mut put = Put {
            header,
            payload,
            retry: self.retry(name),
            furthest: 0,
            mistakes: (0, 0),
            is_first: true,
            sent: Arc::default(),
        };
        match put.run().await {
            // An earlier try may have been ours to succeed, its answer lost on the way.
            Err(error) if !put.is_first && store::kind(&error) == store::ErrorKind::AlreadyExists => {
                if holds(self, name, length, &blake3).await { Ok(()) } else { Err(error) }
            }
            other => other,
        }
    }
}

/// How often, and how soon, the gateway is asked again when it holds nothing of what was sent: it may not have seen yet that the link before is gone.
const NOTHING_HELD_MAX: u32 = 5;
const NOTHING_HELD_PAUSE: Duration = Duration::from_millis(100);

struct Put<'a> {
    header: PutHeader,
    payload: &'a PutPayload,
    retry: Retry,
    furthest: u64,
    /// On that link.
    mistakes: (u64, u32),
    is_first: bool,
    /// Bytes that went to the link before.
    sent: Arc<AtomicU64>,
}

impl Put<'_> {
    async fn run(&mut self) -> object_store::Result<()> {
        loop {
            let mut link = self.retry.link().await?;
            let Err(status) = self.attempt(&mut link).await? else { return Ok(()) };
            if matches!(status.code(), Code::FailedPrecondition | Code::DataLoss) {
                let before = if self.mistakes.0 == link.number() { self.mistakes.1 } else { 0 };
                self.mistakes = (link.number(), before + 1);
                if before + 1 > MISTAKES_MAX {
                    return Err(self.retry.fail(GatewayError::Answer(status)));
                }
                self.retry.again(&link, status);
            } else {
                self.retry.failed(&link, status)?;
            }
            self.is_first = false;
        }
    }

    async fn attempt(&mut self, link: &mut Link) -> object_store::Result<Result<(), Status>> {
        let offset = match self.offset(link).await? {
            Ok(offset) => offset,
            Err(status) => return Ok(Err(status)),
        };
        if offset > self.furthest {
            self.furthest = offset;
            self.retry.progressed();
        }
        let (sent, parts) = (Arc::default(), parts(PutHeader { offset, ..self.header.clone() }, self.payload));
        self.sent = Arc::clone(&sent);
        let count = move |part: &PutPart| {
            sent.fetch_add(part.bytes.len() as u64, Ordering::Relaxed);
        };
        let parts = parts.inspect(count);
        let call = link.client.put(futures::stream::iter(parts));
        Ok(self.retry.unless_given_up(call).await?.map(drop))
    }
}

impl Put<'_> {
    /// Where to go on.
    async fn offset(&mut self, link: &mut Link) -> object_store::Result<Result<u64, Status>> {
        if self.is_first {
            return Ok(Ok(0));
        }
        let mut nothing = 0;
        loop {
            let held = match self.retry.unless_given_up(link.client.held(self.header.clone())).await? {
                Ok(held) => held.into_inner().length,
                Err(status) => return Ok(Err(status)),
            };
            nothing += 1;
            if held == 0 && self.sent.load(Ordering::Relaxed) > 0 && nothing < NOTHING_HELD_MAX {
                self.retry.unless_given_up(tokio::time::sleep(NOTHING_HELD_PAUSE)).await?;
                continue;
            }
            // More than there is to send is nonsense: from the beginning, then.
            return Ok(Ok(Some(held).filter(|held| *held <= self.header.length).unwrap_or(0)));
        }
    }
}

/// BLAKE3 of the payload: where that is the object's name, the name says it, and the gateway checks it.
async fn hash(name: &str, payload: &PutPayload) -> [u8; 32] {
    if let Some(id) = named_hash(name) {
        return id.0;
    }
    let mut hasher = blake3::Hasher::new();
    for bytes in payload {
        for piece in bytes.chunks(PART_BYTES) {
            hasher.update(piece);
            // A large object must not keep a thread of the runtime.
            tokio::task::yield_now().await;
        }
    }
    *hasher.finalize().as_bytes()
}

/// The hash that a name says, where it is one.
pub(crate) fn named_hash(name: &str) -> Option<ObjectId> {
    let (folder, rest) = name.split_once('/')?;
    let kinds = [ObjectType::Pack, ObjectType::PagePack, ObjectType::Index, ObjectType::Snapshot];
    kinds.iter().find(|kind| kind.folder() == folder)?;
    rest.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_name_says_the_hash_where_it_is_one() {
        let hex = "ab".repeat(32);
        let check = async |name: &str, expect: [u8; 32]| {
            assert_eq!(hash(name, &PutPayload::from_static(b"content")).await, expect, "{name}");
        };
        for name in
            [format!("packs/ab/{hex}"), format!("pages/ab/{hex}"), format!("index/{hex}"), format!("snapshots/{hex}")]
        {
            check(&name, [0xab; 32]).await;
        }
        for name in [&format!("keys/{hex}"), "commits/0000000000000001", "packs/ab/one", "config"] {
            check(name, *blake3::hash(b"content").as_bytes()).await;
        }
    }
}
