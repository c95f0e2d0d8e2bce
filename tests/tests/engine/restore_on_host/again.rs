//! What a store is asked for more than once: its ranges, not its sums, so that nothing depends on when a worker tells how far it is.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Ranges are kept in blocks of this size; one that is only touched counts.
const BLOCK_BYTES: u64 = 1 << 10;

/// What was given of each object, and what of it once more.
#[derive(Debug)]
struct Given {
    /// Of each block, after which cut it was given last, from 1.
    blocks: HashMap<Path, Vec<u8>>,
    /// Bytes given after each cut that had been given before it.
    again: Vec<u64>,
}

/// The store, for all the controllers of a scene.
#[derive(Debug, Clone)]
pub(super) struct Again {
    inner: Arc<dyn ObjectStore>,
    given: Arc<Mutex<Given>>,
}

impl Again {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, given: Arc::new(Mutex::new(Given { blocks: HashMap::new(), again: vec![0] })) }
    }

    /// From here on, what was given is given again.
    pub(super) fn cut(&self) {
        self.note(|given| given.again.push(0));
    }

    /// Bytes that came again after each cut; the first is what came twice without any.
    pub(super) fn counts(&self) -> Vec<u64> {
        self.note(|given| given.again.clone())
    }

    fn note<T>(&self, change: impl FnOnce(&mut Given) -> T) -> T {
        change(&mut self.given.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give(&self, name: &Path, range: &Range<u64>) {
        let (first, end) = ((range.start / BLOCK_BYTES) as usize, range.end.div_ceil(BLOCK_BYTES) as usize);
        self.note(|Given { blocks, again }| {
            let now = u8::try_from(again.len()).expect("fewer than 256 cuts");
            let blocks = blocks.entry(name.clone()).or_default();
            blocks.resize(blocks.len().max(end), 0);
            let twice = blocks[first..end].iter().filter(|block| (1..now).contains(*block)).count();
            *again.last_mut().expect("one for the beginning") += twice as u64 * BLOCK_BYTES;
            blocks[first..end].fill(now);
        });
    }
}

impl fmt::Display for Again {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Again({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Again {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, name: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(name, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        if !head {
            self.give(location, &result.range);
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().for_each(|range| self.give(location, range));
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
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

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
