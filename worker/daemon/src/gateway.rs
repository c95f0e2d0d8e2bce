//! The repository's store as a host without credentials sees it: the controller's gateway, over whatever link there is.
//!
//! Links come and go; a [`GatewayStore`] does not. A call that loses its link waits for the next one and goes on: a put where the gateway says that the bytes end which
//! it holds, a get where the bytes ended that came. Only after [`PATIENCE`] without any progress does a call fail, as one that may be tried again.
//!
//! What holds:
//!
//! * A put that is answered with success is durable; one that is answered with `AlreadyExists` changed nothing, or, where the answer was lost and the object cannot be
//!   read, may be our own. The engine settles that by the object's name.
//! * Bytes are not copied to be sent again: parts are slices of the payload.
//!
//! Deliberately absent: deleting, overwriting, copying, which no gateway does for a host; and the hint, which the gateway writes itself.

mod error;
mod get;
mod links;
mod parts;
mod put;
mod retry;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use strongroom_proto::gateway::{RoomReply, RoomRequest};
use strongroom_repository::RepositoryId;
use strongroom_repository::store::{HINT, refused};
use tokio::sync::watch;

pub use links::{Link, Links};
pub(crate) use put::named_hash;
use retry::Retry;

/// How long a call waits for a link, or for one that gets it further. A controller that restarts, a reboot of a router, an upgrade: all are shorter.
pub const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// One repository behind the gateway. Clones share the links.
#[derive(Debug, Clone)]
pub struct GatewayStore {
    links: Links,
    repository: RepositoryId,
    patience: Duration,
    given_up: watch::Receiver<bool>,
    refusals: Refusals,
}

/// What it means where the gateway refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusals {
    /// That it always will.
    Final,
    /// That a controller which was restarted has not lent again yet what is read.
    Passing,
}

/// Ends all calls of a store, which otherwise wait for links that nobody needs any more.
#[derive(Debug)]
pub struct GiveUp(watch::Sender<bool>);

impl GiveUp {
    /// From now on every call fails, those that wait among them.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl GatewayStore {
    /// The store of a repository, and the means to end all of its calls.
    #[must_use]
    pub fn new(links: Links, repository: RepositoryId) -> (Self, GiveUp) {
        Self::with_patience(links, repository, PATIENCE)
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(links: Links, repository: RepositoryId, patience: Duration) -> (Self, GiveUp) {
        let (give_up, given_up) = watch::channel(false);
        (Self { links, repository, patience, given_up, refusals: Refusals::Final }, GiveUp(give_up))
    }

    /// The same for a restore, to which the controller lends what it reads.
    #[must_use]
    pub fn borrowing(self) -> Self {
        Self { refusals: Refusals::Passing, ..self }
    }

    /// How much may be stored: bytes that are free, and bytes of them that are to stay free. Nothing where nobody can tell, as behind a gateway of an older release.
    pub async fn room(&self) -> Option<(u64, u64)> {
        let mut retry = self.retry("the room");
        let mut link = retry.link().await.ok()?;
        let request = RoomRequest { repository: self.repository.hex() };
        let told = retry.unless_given_up(link.client.room(request)).await.ok()?;
        let RoomReply { free_bytes, reserve_bytes } = told.ok()?.into_inner();
        free_bytes.map(|free| (free, reserve_bytes))
    }

    fn retry(&self, name: &str) -> Retry {
        Retry::new(self.links.clone(), name, self.patience, self.given_up.clone()).taking(self.refusals)
    }
}

impl fmt::Display for GatewayStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Gateway({})", self.repository)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for GatewayStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let done = PutResult { e_tag: None, version: None, extensions: Default::default() };
        match opts.mode {
            PutMode::Create => self.put(location.as_ref(), &payload).await.map(|()| done),
            // The gateway leaves the hint with each commit.
            PutMode::Overwrite if location.as_ref() == HINT => Ok(done),
            PutMode::Overwrite | PutMode::Update(_) => Err(refused("overwrite", self)),
        }
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.get(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
            parts.push(self.get_opts(location, options).await?.bytes().await?);
        }
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations.map(move |location| location.and_then(|_| Err(refused("delete", &store)))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_folder(prefix.map_or_else(String::new, ToString::to_string))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let offset = offset.clone();
        self.list(prefix).try_filter(move |meta| futures::future::ready(meta.location > offset)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let all = self.list(prefix).try_collect().await?;
        Ok(get::one_level(prefix, all))
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}

/// Whether an object is there and is exactly this; an error counts as no.
async fn holds(store: &GatewayStore, name: &str, length: u64, blake3: &[u8; 32]) -> bool {
    let compare = async {
        let result = store.get_opts(&Path::from(name), GetOptions::new()).await?;
        if result.meta.size != length {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let mut stream = result.into_stream();
        while let Some(bytes) = stream.try_next().await? {
            hasher.update(&bytes);
        }
        Ok::<_, object_store::Error>(hasher.finalize() == *blake3)
    };
    compare.await.unwrap_or(false)
}
