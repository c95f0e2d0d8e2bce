//! The least that reading a repository's packs through S3 costs: each byte got once, with as many requests under way and as long as a restore has them, and let go.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use strongroom_repository::store::{AccessKey, CredentialSource, Location, S3Options, S3Store};
use tokio::runtime::Handle;

use crate::tool::Bucket;

/// As in `worker/src/restore/fetch.rs`.
const REQUEST_BYTES: u64 = 4 << 20;
const REQUESTS_AHEAD: usize = 8;

/// Bytes of all data packs, and the time to get them.
pub(super) fn get_packs(runtime: &Handle, bucket: &Bucket, prefix: &str) -> Result<(u64, Duration)> {
    let key =
        AccessKey { id: bucket.access_key.clone(), secret: bucket.secret_key.clone().into(), session_token: None };
    let mut options = S3Options::new(Some(bucket.endpoint.clone()), CredentialSource::Key(key));
    options.region = bucket.region.clone();
    let Location::S3(place) = Location::parse(&format!("s3://{}/{prefix}", bucket.name))? else {
        anyhow::bail!("no place in a bucket")
    };
    let store = S3Store::open(&place, &options)?;
    runtime.block_on(async {
        let packs: Vec<_> = store.list(Some(&Path::from("packs"))).try_collect().await?;
        let ranges = packs.iter().flat_map(|pack| {
            let starts = (0..pack.size).step_by(REQUEST_BYTES as usize);
            starts.map(|start| (pack.location.clone(), start..pack.size.min(start + REQUEST_BYTES)))
        });
        let begun = Instant::now();
        let reads = futures::stream::iter(ranges).map(|(location, range)| {
            let store = store.clone();
            async move { store.get_range(&location, range).await.map(|bytes| bytes.len() as u64) }
        });
        let bytes = reads.buffer_unordered(REQUESTS_AHEAD).try_fold(0, async |sum, bytes| Ok(sum + bytes)).await?;
        Ok((bytes, begun.elapsed()))
    })
}
