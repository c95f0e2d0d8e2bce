//! Rebuilding the answers to get requests.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::{GetResult, GetResultPayload, Result};

/// The same answer with its bytes passed through `change`.
pub(super) fn with_stream(
    result: GetResult,
    change: impl FnOnce(BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>>,
) -> GetResult {
    let meta = result.meta.clone();
    let range = result.range.clone();
    let attributes = result.attributes.clone();
    let extensions = result.extensions.clone();
    let payload = GetResultPayload::Stream(change(result.into_stream()));
    GetResult { payload, meta, range, attributes, extensions }
}

/// A stream of one item.
pub(super) fn once(bytes: Bytes) -> BoxStream<'static, Result<Bytes>> {
    stream::once(futures::future::ready(Ok(bytes))).boxed()
}
