//! A store that keeps account of what was asked of it, so that tests can assert the cost.
//!
//! The names of all operations are kept: for tests and measurements, not for months of service.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::error::refused;
use super::payload::with_stream;

/// What was asked of one kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often, failures included.
    pub calls: u64,
    /// Bytes sent by puts, or delivered by gets.
    pub bytes: u64,
    /// The object, or the folder listed, of each call.
    pub names: Vec<String>,
}

impl Tally {
    fn call(&mut self, name: &str, bytes: u64) {
        self.calls += 1;
        self.bytes += bytes;
        self.names.push(name.into());
    }
}

/// Everything that was asked of a store. Several ranges of one get count as that many calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the operations")]
pub struct Record {
    pub put: Tally,
    pub get: Tally,
    pub head: Tally,
    pub list: Tally,
    pub delete: Tally,
}

/// The wrapper.
#[derive(Debug, Clone)]
pub struct Recording {
    inner: Arc<dyn ObjectStore>,
    record: Arc<Mutex<Record>>,
}

impl Recording {
    /// Wraps `inner`. Clones share one record.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, record: Arc::default() }
    }

    /// What was asked since the beginning, or since the last reset.
    #[must_use]
    pub fn snapshot(&self) -> Record {
        self.note(|record| record.clone())
    }

    /// Begins anew, and returns what was recorded before.
    pub fn reset(&self) -> Record {
        self.note(std::mem::take)
    }

    fn note<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_list(&self, prefix: Option<&Path>) {
        self.note(|record| record.list.call(prefix.map_or("", Path::as_ref), 0));
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Recording({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Recording {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let size = payload.content_length() as u64;
        self.note(|record| record.put.call(location.as_ref(), size));
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            self.note(|record| record.head.call(location.as_ref(), 0));
            return self.inner.get_opts(location, options).await;
        }
        self.note(|record| record.get.call(location.as_ref(), 0));
        let result = self.inner.get_opts(location, options).await?;
        let counter = self.clone();
        let count = move |bytes: &Bytes| counter.note(|record| record.get.bytes += bytes.len() as u64);
        Ok(with_stream(result, |stream| stream.inspect_ok(count).boxed()))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.note(|record| ranges.iter().for_each(|_| record.get.call(location.as_ref(), 0)));
        let parts = self.inner.get_ranges(location, ranges).await?;
        let delivered: usize = parts.iter().map(Bytes::len).sum();
        self.note(|record| record.get.bytes += delivered as u64);
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let counter = self.clone();
        let count = move |name: &Path| counter.note(|record| record.delete.call(name.as_ref(), 0));
        self.inner.delete_stream(locations.inspect_ok(count).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note_list(prefix);
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note_list(prefix);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note_list(prefix);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    #[tokio::test]
    async fn every_operation_is_counted_with_its_bytes_and_name() {
        let store = Recording::new(Arc::new(InMemory::new()));
        let name = Path::from("packs/aa/one");
        store.put(&name, vec![7; 100].into()).await.expect("put");
        store.get(&name).await.expect("get").bytes().await.expect("bytes");
        store.get_range(&name, 10..30).await.expect("range");
        store.get_ranges(&name, &[0..1, 50..54]).await.expect("ranges");
        store.get(&Path::from("absent")).await.expect_err("absent");
        store.head(&name).await.expect("head");
        store.list(Some(&Path::from("packs"))).try_collect::<Vec<_>>().await.expect("list");
        store.list_with_delimiter(None).await.expect("list");
        store.delete(&name).await.expect("delete");

        let record = store.reset();
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<String>>();
        let tally = |calls, bytes, of: &[&str]| Tally { calls, bytes, names: names(of) };
        let one = name.as_ref();
        assert_eq!(record.put, tally(1, 100, &[one]));
        assert_eq!(record.get, tally(5, 125, &[one, one, one, one, "absent"]));
        assert_eq!(record.head, tally(1, 0, &[one]));
        assert_eq!(record.list, tally(2, 0, &["packs", ""]));
        assert_eq!(record.delete, tally(1, 0, &[one]));
        assert_eq!(store.snapshot(), Record::default());
    }
}
