//! A store that moves only so many bytes a second, both directions together.
//!
//! Time is tokio's, so that a test which pauses it waits for nothing.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use tokio::time::{Instant, sleep_until};

use super::error::refused;
use super::payload::with_stream;

/// What an idle time earns at most: enough to keep small objects from waiting for the timer, too
/// little to be noticed on a line.
const BURST: Duration = Duration::from_millis(100);

/// The wrapper.
#[derive(Debug)]
pub struct Limited {
    inner: Arc<dyn ObjectStore>,
    bucket: Arc<Bucket>,
}

impl Limited {
    /// Wraps `inner`. A transfer waits for all of its bytes before the first of them moves.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, bytes_per_second: NonZeroU64) -> Self {
        Self { inner, bucket: Arc::new(Bucket { bytes_per_second, paid_until: Mutex::new(None) }) }
    }
}

/// A token bucket, kept as the instant at which all bytes taken so far are paid for.
#[derive(Debug)]
struct Bucket {
    bytes_per_second: NonZeroU64,
    paid_until: Mutex<Option<Instant>>,
}

impl Bucket {
    async fn take(&self, bytes: u64) {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let price = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let paid_until = {
            let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let next = paid_until.map_or(earliest, |paid| paid.max(earliest)) + price;
            *paid_until.insert(next)
        };
        sleep_until(paid_until).await;
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Limited({}, {} B/s)", self.inner, self.bucket.bytes_per_second)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Limited {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.bucket.take(payload.content_length() as u64).await;
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
        let is_head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        if is_head {
            return Ok(result);
        }
        let bucket = Arc::clone(&self.bucket);
        let delay = move |bytes: Bytes| {
            let bucket = Arc::clone(&bucket);
            async move {
                bucket.take(bytes.len() as u64).await;
                Ok(bytes)
            }
        };
        Ok(with_stream(result, |stream| stream.and_then(delay).boxed()))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let parts = self.inner.get_ranges(location, ranges).await?;
        let delivered: usize = parts.iter().map(Bytes::len).sum();
        self.bucket.take(delivered as u64).await;
        Ok(parts)
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

    fn limited(bytes_per_second: u64) -> Limited {
        let rate = NonZeroU64::new(bytes_per_second).expect("a rate");
        Limited::new(Arc::new(InMemory::new()), rate)
    }

    /// Runs `work` and checks how long it took by the paused clock.
    async fn check(work: impl Future<Output = ()>, expect_ms: u128) {
        let start = Instant::now();
        work.await;
        let took_ms = start.elapsed().as_millis();
        // The timer's grain is a millisecond.
        assert!(took_ms.abs_diff(expect_ms) <= 2, "took {took_ms} ms, expected {expect_ms} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_take_their_time_both_ways() {
        let store = limited(1000);
        let name = Path::from("one");
        let put = async { drop(store.put(&name, vec![0; 5000].into()).await.expect("put")) };
        check(put, 4900).await; // 5 s less the burst
        let get = async { drop(store.get(&name).await.expect("get").bytes().await.expect("bytes")) };
        check(get, 5000).await;
        let ranges = async { drop(store.get_ranges(&name, &[0..500, 4000..4500]).await.expect("get")) };
        check(ranges, 1000).await;
        let head = async { drop(store.head(&name).await.expect("head")) };
        check(head, 0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_transfers_share_the_rate() {
        let store = limited(1000);
        let names: Vec<_> = (0..10).map(|number| Path::from(format!("{number}"))).collect();
        let puts = names.iter().map(|name| store.put(name, vec![0; 1000].into()));
        let all = async { drop(futures::future::try_join_all(puts).await.expect("puts")) };
        check(all, 9900).await;
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_earns_a_burst_and_no_more() {
        let store = limited(1000);
        let name = Path::from("one");
        let put = async || drop(store.put(&name, vec![0; 100].into()).await.expect("put"));
        check(put(), 0).await;
        check(put(), 100).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        check(put(), 0).await;
        check(put(), 100).await;
    }
}
