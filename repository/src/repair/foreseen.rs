//! A repository as it will be when a plan is carried out, to tell what stays lost: its metadata are read through this store, in which what heals is whole. Nothing can be written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::heal::Bench;
use super::{How, RepairPlan};
use crate::error::Error;
use crate::repository::Repository;
use crate::scrub::Store;
use crate::store::{InMemory, refused};

/// Metadata that heal are held in memory up to here; beyond it, what they name counts as lost until they are in their place.
const HELD_BYTES_MAX: usize = 512 << 20;

/// The repository as it will be.
pub(super) async fn repository(bench: &Bench<'_>, plan: &RepairPlan) -> std::result::Result<Arc<Repository>, Error> {
    let healed = InMemory::new();
    let mut names = Vec::new();
    let mut held = 0;
    let is_metadata = |name: &str| ["pages/", "snapshots/", "index/"].iter().any(|folder| name.starts_with(folder));
    for item in plan.items.iter().filter(|item| is_metadata(&item.object) && item.how != How::Cannot) {
        let Some(bytes) = bench.bytes(&item.object, &item.how).await? else { continue };
        held += bytes.len();
        if held > HELD_BYTES_MAX {
            break;
        }
        let path = Path::from(item.object.as_str());
        let failed = |source| Error::Store { doing: "hold", name: item.object.clone(), source };
        healed.put(&path, bytes.into()).await.map_err(failed)?;
        names.push(path);
    }
    names.sort();
    Ok(bench.authority.seen_through(Arc::new(Foreseen { inner: Arc::clone(bench.store), healed, names })))
}

#[derive(Debug)]
struct Foreseen {
    inner: Store,
    healed: InMemory,
    /// What is in there, sorted.
    names: Vec<Path>,
}

impl Foreseen {
    fn of(&self, location: &Path) -> &dyn ObjectStore {
        if self.names.binary_search(location).is_ok() { &self.healed } else { &*self.inner }
    }
}

impl fmt::Display for Foreseen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Foreseen({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Foreseen {
    async fn put_opts(&self, _location: &Path, _payload: PutPayload, _opts: PutOptions) -> Result<PutResult> {
        Err(refused("write", self))
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.of(location).get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.of(location).get_ranges(location, ranges).await
    }

    fn delete_stream(&self, _locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let refusal = refused("delete", self);
        Box::pin(futures::stream::once(futures::future::ready(Err(refusal))))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}
