//! A bucket as a store, through `object_store`'s client with our own HTTP below it.
//!
//! What is ours, and why:
//!
//! * Puts that create are tried again here and not in the client: a first try whose answer was lost may have created the object, and the second would then be
//!   told that the name is taken. Where that can be, the object is read back, and if it holds our bytes the put has succeeded.
//! * Time-outs watch for progress (see `bodies`), since a total cannot fit both a pack on a slow line and a small object.
//! * Errors keep an answer's code and nothing else of it (see `error`).
//! * Locks of objects are read from the headers of answers, and made longer by requests of our own (see `lock`): the client has no words for them.
//!
//! Every upload carries its SHA-256, twice: the signature covers it, and `x-amz-checksum-sha256` makes the server check and keep it.
//!
//! Packs go up in one PUT. Uploads in parts would allow objects above 5 GiB, of which there are none, and parallel parts of one object, where the engine sends
//! several packs at once anyway; they cost two requests more, leave invisible parts behind that are paid for when a writer dies, and few look-alikes honour a
//! condition on their completion.
//!
//! Whether the server honours conditions at all is not known here: see [`Guarded`](crate::store::Guarded).

mod bodies;
mod certificate;
mod credentials;
mod error;
mod ini;
mod lock;
mod options;
mod request;
mod transport;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    RetryConfig,
};
use tokio::time::Instant;

use self::credentials::Credentials;
pub use self::credentials::{AccessKey, CredentialSource};
pub use self::error::{Meaning, S3Error};
pub use self::lock::{LockMode, ObjectLock};
pub use self::options::{Addressing, S3Options, S3Said};
use self::transport::Transport;
use super::error::{overwrite_refused, refused};
use super::payload::with_stream;
use super::{ErrorKind, HINT, S3Place, StoreError, kind};

/// A request is tried so often before its failure is told.
const TRIES_MAX: usize = 6;

/// The pause before the second try, which doubles each time. Each pause is a random part of it, so that lanes which failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: all of them come to at most 15 s beside the time that the tries themselves take.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// No try begins later than this after the first.
const TRIES_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// Deletions under way at once: with 10 ms each, 2000 a second.
const DELETIONS_AT_ONCE: usize = 20;

/// Ranges of one object under way at once.
const RANGES_AT_ONCE: usize = 8;

/// Objects below a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct S3Store {
    place: S3Place,
    /// Does not try again, so that it is known here whether a first try can have had its effect.
    creating: PrefixStore<AmazonS3>,
    /// For requests that may be repeated as they are.
    asking: PrefixStore<AmazonS3>,
    credentials: Arc<Credentials>,
    transport: Transport,
    /// With the bucket in it.
    url: Arc<str>,
    region: Arc<str>,
}

impl S3Store {
    /// Opens a place in a bucket; nothing is asked of it yet.
    pub fn open(place: &S3Place, options: &S3Options) -> std::result::Result<Self, StoreError> {
        let (url, endpoint) = options.endpoint(place.bucket())?;
        let transport = Transport::new(&endpoint)?;
        Self::over(place, options, &url, &transport)
    }

    fn over(
        place: &S3Place,
        options: &S3Options,
        url: &str,
        transport: &Transport,
    ) -> std::result::Result<Self, StoreError> {
        let credentials = Arc::new(Credentials::new(options.credentials.clone()));
        let client = |tries: usize| {
            let backoff = BackoffConfig { init_backoff: PAUSE, max_backoff: PAUSE_MAX, base: 2.0 };
            let retry = RetryConfig { backoff, max_retries: tries - 1, retry_timeout: TRIES_TIME_MAX };
            let built = AmazonS3Builder::new()
                .with_bucket_name(place.bucket())
                .with_region(&options.region)
                // The whole address; "virtual" says that the bucket's name is already in it.
                .with_endpoint(url)
                .with_virtual_hosted_style_request(true)
                .with_allow_http(true)
                .with_credentials(Arc::clone(&credentials) as _)
                .with_checksum_algorithm(Checksum::SHA256)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                // Not every look-alike knows deletions in bulk, and only single ones say why each failed.
                .with_disable_bulk_delete(true)
                .with_retry(retry)
                .with_http_connector(transport.clone())
                .build();
            let built = built.map_err(|source| StoreError::Client { source: Box::new(source) });
            built.map(|client| PrefixStore::new(client, place.prefix()))
        };
        Ok(Self {
            place: place.clone(),
            creating: client(1)?,
            asking: client(TRIES_MAX)?,
            credentials,
            transport: transport.clone(),
            url: url.into(),
            region: options.region.as_str().into(),
        })
    }

    /// When the access key ends; nothing for one that does not say. One that a command gives is renewed before.
    pub async fn key_expires(&self) -> Result<Option<Timestamp>> {
        self.credentials.expires().await
    }

    /// When the server's certificate ends; nothing without TLS.
    pub async fn certificate_expires(&self) -> Option<Timestamp> {
        certificate::expires(&self.transport.certificate(&self.url).await?)
    }

    /// How many deletions of this store and its clones the server has answered by hiding the object: its bucket keeps versions.
    #[must_use]
    pub fn hidden_count(&self) -> u64 {
        self.transport.hidden_count()
    }

    async fn create(&self, location: &Path, payload: &PutPayload) -> Result<PutResult> {
        let begun = Instant::now();
        let mut is_uncertain = false;
        for attempt in 1.. {
            let put = self.creating.put_opts(location, payload.clone(), PutMode::Create.into()).await;
            let Err(error) = put else { return put };
            is_uncertain |= S3Error::find(&error).is_some_and(S3Error::is_uncertain);
            let error = said(error, location);
            if kind(&error) == ErrorKind::AlreadyExists && is_uncertain {
                return self.ours_or(location, payload, error).await;
            }
            if !is_tried_again(&error, location, attempt, begun).await {
                return Err(error);
            }
        }
        unreachable!("the last try returns")
    }

    /// A put that is told the name is taken, after a try whose answer was lost: the object may be our own.
    async fn ours_or(&self, location: &Path, payload: &PutPayload, taken: object_store::Error) -> Result<PutResult> {
        let found = self.get_opts(location, GetOptions::default()).await?;
        let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        if found.meta.size != payload.content_length() as u64 {
            return Err(taken);
        }
        let bytes = found.bytes().await?;
        let mut rest = &bytes[..];
        let is_ours = payload.iter().all(|part| rest.split_off(..part.len()).is_some_and(|same| same == part));
        if is_ours { Ok(PutResult { e_tag, version, extensions: Default::default() }) } else { Err(taken) }
    }

    async fn delete_one(&self, location: &Path) -> Result<()> {
        match self.asking.delete(location).await.map_err(|error| said(error, location)) {
            // Amazon's is content with it; not every look-alike is.
            Err(error) if kind(&error) == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn listed(&self, found: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let place = Path::from(self.place.prefix());
        found.map_err(move |error| said(error, &place)).boxed()
    }
}

/// Whether there is to be another try after this error; waits until it is time for that.
async fn is_tried_again(error: &object_store::Error, location: &Path, attempt: usize, begun: Instant) -> bool {
    if kind(error) != ErrorKind::Transient || attempt >= TRIES_MAX || begun.elapsed() >= TRIES_TIME_MAX {
        return false;
    }
    tracing::info!(%location, attempt, "trying again: {}", crate::error::chain(error));
    tokio::time::sleep(pause(attempt)).await;
    true
}

/// A random part of the time that doubles with each attempt.
fn pause(attempt: usize) -> Duration {
    let whole = PAUSE_MAX.min(PAUSE * (1 << attempt.min(8)));
    let mut random = [0; 4];
    // Without randomness the pause is whole: jitter is a courtesy, not a promise.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        return whole;
    }
    whole.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
}

/// The error as every store says it, if it is the bucket's; else as the client said it.
fn said(error: object_store::Error, location: &Path) -> object_store::Error {
    let found = S3Error::find(&error).cloned();
    // A condition of ours is always "only if there is none".
    match found.map(|found| found.into_store(location.as_ref())) {
        Some(object_store::Error::Precondition { path, source }) => object_store::Error::AlreadyExists { path, source },
        Some(said) => said,
        None => error,
    }
}

impl fmt::Display for S3Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "S3Store({})", self.place)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for S3Store {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if !opts.attributes.is_empty() || !opts.tags.encoded().is_empty() {
            return Err(refused("keep attributes or tags", self));
        }
        match opts.mode {
            PutMode::Create => self.create(location, &payload).await,
            PutMode::Overwrite if location.as_ref() == HINT => {
                self.asking.put_opts(location, payload, opts).await.map_err(|error| said(error, location))
            }
            PutMode::Overwrite => Err(overwrite_refused()),
            PutMode::Update(_) => Err(refused("update", self)),
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
        let found = self.asking.get_opts(location, options).await.map_err(|error| said(error, location))?;
        let location = location.clone();
        Ok(with_stream(found, |stream| stream.map_err(move |error| said(error, &location)).boxed()))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = |range: Range<u64>| async move {
            let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
            self.get_opts(location, options).await?.bytes().await
        };
        futures::stream::iter(ranges.to_vec()).map(get).buffered(RANGES_AT_ONCE).try_collect().await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.delete_one(&location).await.map(|()| location)
            }
        };
        locations.map(delete).buffered(DELETIONS_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.asking.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.asking.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let place = Path::from(self.place.prefix());
        self.asking.list_with_delimiter(prefix).await.map_err(|error| said(error, &place))
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}

#[cfg(test)]
#[path = "s3/tests.rs"]
mod tests;
