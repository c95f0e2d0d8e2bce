//! Gets and lists: what a writer may read, sent in parts.

use std::ops::Range;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use strongroom_proto::gateway::{GetPart, GetRequest, ListPart, ListRequest, ObjectMeta};
use strongroom_repository::Repository;
use strongroom_repository::keys::KeyRecord;
use tonic::Status;

use super::lent::count;
use super::policy::{self, Readable};
use super::put::no_business;
use super::{Gateway, status};

/// One part of an answer: large enough that its frame costs nothing, small enough for every buffer on the way.
const PART_BYTES: usize = 1 << 20;
/// Names in one part of a list.
const LIST_AT_ONCE: usize = 1000;

pub(super) type Parts<T> = BoxStream<'static, Result<T, Status>>;

impl Gateway {
    pub(super) async fn get(&self, host: &str, request: GetRequest) -> Result<Parts<GetPart>, Status> {
        let repository = self.repository(&request.repository)?;
        let mut loan = None;
        match policy::readable(&request.name).ok_or_else(|| no_business("read", &request.name))? {
            Readable::Freely => {}
            Readable::LookedAt if request.head => {}
            Readable::LookedAt => loan = Some(self.lent(host, repository, &request.name).await?),
            Readable::IfWriterKey if is_writer_key(repository, &request.name).await? => {}
            // The same answer as for a key that is not there: which holders there are is no host's business.
            Readable::IfWriterKey => return Err(Status::not_found(request.name)),
        }
        let options = GetOptions { range: range(&request)?, head: request.head, ..GetOptions::default() };
        let result = repository.store().get_opts(&Path::from(&*request.name), options).await;
        let result = result.map_err(|error| status(&error))?;
        let Range { start, end } = result.range.clone();
        let first = GetPart { meta: Some(meta(&result.meta)), start, end, bytes: bytes::Bytes::new() };
        let first = stream::once(future::ready(Ok(first)));
        if request.head {
            return Ok(first.boxed());
        }
        let bytes = result.into_stream().map_err(|error| status(&error));
        let parts = bytes.map_ok(|bytes| stream::iter(cut(bytes)).map(Ok)).try_flatten();
        let parts = parts.map_ok(|bytes| GetPart { bytes, ..GetPart::default() });
        let allowed = move |part: GetPart| {
            future::ready(loan.as_ref().map_or(Ok(()), |loan| count(loan, part.bytes.len())).map(|()| part))
        };
        Ok(first.chain(parts.and_then(allowed)).boxed())
    }

    /// Only its own session could interest a writer, and that it knows: lists are for the history alone.
    pub(super) fn list(&self, request: &ListRequest) -> Result<Parts<ListPart>, Status> {
        if request.folder != "commits" {
            return Err(no_business("list", &request.folder));
        }
        let store = Arc::clone(self.store(&request.repository)?);
        Ok(list(&store, &request.folder).boxed())
    }
}

fn list(store: &Arc<dyn ObjectStore>, folder: &str) -> impl Stream<Item = Result<ListPart, Status>> + use<> {
    let found = store.list(Some(&Path::from(folder)));
    found.chunks(LIST_AT_ONCE).map(|found| {
        let objects = found.into_iter().map(|found| found.map(|found| meta(&found)).map_err(|error| status(&error)));
        Ok(ListPart { objects: objects.collect::<Result<_, _>>()? })
    })
}

async fn is_writer_key(repository: &Repository, name: &str) -> Result<bool, Status> {
    let records = repository.key_records().await;
    let records = records.map_err(|error| Status::unavailable(strongroom_repository::chain(&error)))?;
    Ok(records.iter().any(|(found, record)| found == name && matches!(record, KeyRecord::Writer(_))))
}

fn range(request: &GetRequest) -> Result<Option<GetRange>, Status> {
    match (request.start, request.end, request.suffix) {
        (None, None, None) => Ok(None),
        (Some(start), Some(end), None) if start < end => Ok(Some(GetRange::Bounded(start..end))),
        (Some(start), None, None) => Ok(Some(GetRange::Offset(start))),
        (None, None, Some(suffix)) => Ok(Some(GetRange::Suffix(suffix))),
        _ => Err(Status::invalid_argument("a range that is none")),
    }
}

fn cut(mut bytes: bytes::Bytes) -> Vec<bytes::Bytes> {
    let mut parts = Vec::with_capacity(bytes.len() / PART_BYTES + 1);
    while bytes.len() > PART_BYTES {
        parts.push(bytes.split_to(PART_BYTES));
    }
    parts.push(bytes);
    parts
}

fn meta(meta: &object_store::ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.location.to_string(),
        length: meta.size,
        modified_ns: meta.last_modified.timestamp_nanos_opt().unwrap_or(0),
    }
}
