//! Gets and lists, over as many links as they take.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ListResult, ObjectMeta};
use strongroom_proto::gateway::{self as wire, GetPart, GetRequest, ListRequest};
use tonic::{Status, Streaming};

use super::GatewayStore;
use super::error::GatewayError;
use super::links::Link;
use super::retry::Retry;

impl GatewayStore {
    pub(super) async fn get(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let name = location.as_ref();
        let request = request(self.repository.hex(), name, &options);
        let mut retry = self.retry(name);
        let answer = open(&mut retry, &request).await?;
        let meta =
            meta(&answer.meta).ok_or_else(|| retry.fail(GatewayError::Nonsense("a description that cannot be")))?;
        options.check_preconditions(&meta)?;
        let range = answer.range.clone();
        let payload = match options.head {
            true => stream::empty().boxed(),
            false => Get { retry, request, answer, came: 0 }.into_stream(),
        };
        let payload = GetResultPayload::Stream(payload);
        Ok(GetResult { payload, meta, range, attributes: Default::default(), extensions: Default::default() })
    }

    pub(super) fn list_folder(&self, folder: String) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (store, mut retry) = (self.clone(), self.retry(&folder));
        let all = async move {
            let request = ListRequest { repository: store.repository.hex(), folder };
            loop {
                let mut link = retry.link().await?;
                match retry.unless_given_up(list(&mut link, &request)).await? {
                    Ok(found) => {
                        let found: Option<Vec<ObjectMeta>> = found.iter().map(meta).collect();
                        return found.ok_or_else(|| retry.fail(GatewayError::Nonsense("a list that cannot be")));
                    }
                    Err(status) => retry.failed(&link, status)?,
                }
            }
        };
        stream::once(all).map_ok(|found| stream::iter(found.into_iter().map(Ok))).try_flatten().boxed()
    }
}

async fn list(link: &mut Link, request: &ListRequest) -> Result<Vec<wire::ObjectMeta>, Status> {
    let mut parts = link.client.list(request.clone()).await?.into_inner();
    let mut found = Vec::new();
    while let Some(part) = parts.message().await? {
        found.extend(part.objects);
    }
    Ok(found)
}

/// What is directly below a folder, out of everything below it.
pub(super) fn one_level(prefix: Option<&Path>, all: Vec<ObjectMeta>) -> ListResult {
    let root = Path::default();
    let prefix = prefix.unwrap_or(&root);
    let mut folders = BTreeSet::new();
    let mut objects = Vec::new();
    for meta in all {
        let below: Option<Vec<_>> = meta.location.prefix_match(prefix).map(Iterator::collect);
        match below.as_deref() {
            Some([_]) => objects.push(meta),
            Some([folder, _, ..]) => drop(folders.insert(prefix.clone().join(folder.clone()))),
            Some([]) | None => {}
        }
    }
    ListResult { common_prefixes: folders.into_iter().collect(), objects, extensions: Default::default() }
}

fn request(repository: String, name: &str, options: &GetOptions) -> GetRequest {
    let mut request = GetRequest { repository, name: name.to_owned(), head: options.head, ..GetRequest::default() };
    match &options.range {
        None => {}
        Some(GetRange::Bounded(range)) => (request.start, request.end) = (Some(range.start), Some(range.end)),
        Some(GetRange::Offset(start)) => request.start = Some(*start),
        Some(GetRange::Suffix(length)) => request.suffix = Some(*length),
    }
    request
}

/// An object as the store's interface has it. Objects never change, so its length and time name its content.
fn meta(meta: &wire::ObjectMeta) -> Option<ObjectMeta> {
    Some(ObjectMeta {
        location: Path::parse(&meta.name).ok()?,
        last_modified: chrono::DateTime::from_timestamp_nanos(meta.modified_ns),
        size: meta.length,
        e_tag: Some(format!("{:x}-{:x}", meta.length, meta.modified_ns)),
        version: None,
    })
}

/// The begin of an answer, and where the rest comes from.
struct Answer {
    meta: wire::ObjectMeta,
    range: Range<u64>,
    parts: Streaming<GetPart>,
    /// Bytes that came with the first part.
    first: Bytes,
    link: Link,
}

/// Asks until there is an answer.
async fn open(retry: &mut Retry, request: &GetRequest) -> object_store::Result<Answer> {
    loop {
        let mut link = retry.link().await?;
        let call = async {
            let mut parts = link.client.get(request.clone()).await?.into_inner();
            let first = parts.message().await?;
            Ok((parts, first))
        };
        let outcome: Result<_, Status> = retry.unless_given_up(call).await?;
        match outcome {
            Ok((parts, Some(GetPart { meta: Some(meta), start, end, bytes }))) => {
                if start > end || end > meta.length {
                    return Err(retry.fail(GatewayError::Nonsense("a range that the object does not have")));
                }
                return Ok(Answer { meta, range: start..end, parts, first: bytes, link });
            }
            // A link that is cut before the first part can look like an answer of none.
            Ok(_) => retry.failed(&link, Status::unavailable("the answer has no beginning"))?,
            Err(status) => retry.failed(&link, status)?,
        }
    }
}

/// The bytes of a get, wherever they come from.
struct Get {
    retry: Retry,
    request: GetRequest,
    answer: Answer,
    came: u64,
}

impl Get {
    fn into_stream(self) -> BoxStream<'static, object_store::Result<Bytes>> {
        stream::try_unfold(self, |mut get| async move { Ok(get.next().await?.map(|bytes| (bytes, get))) }).boxed()
    }

    async fn next(&mut self) -> object_store::Result<Option<Bytes>> {
        let wanted = self.answer.range.end - self.answer.range.start;
        while self.came < wanted {
            let bytes = match std::mem::take(&mut self.answer.first) {
                first if !first.is_empty() => Ok(Some(first)),
                _ => self.part().await?,
            };
            match bytes {
                Ok(Some(bytes)) if bytes.len() as u64 > wanted - self.came => {
                    return Err(self.retry.fail(GatewayError::Nonsense("more than was asked for")));
                }
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => {
                    self.came += bytes.len() as u64;
                    self.retry.progressed();
                    return Ok(Some(bytes));
                }
                Ok(None) => self.go_on(Status::unavailable("the answer ended early")).await?,
                Err(status) => self.go_on(status).await?,
            }
        }
        Ok(None)
    }

    async fn part(&mut self) -> object_store::Result<Result<Option<Bytes>, Status>> {
        let part = self.retry.unless_given_up(self.answer.parts.message()).await?;
        Ok(part.map(|part| part.map(|part| part.bytes)))
    }

    /// Asks for the rest.
    async fn go_on(&mut self, status: Status) -> object_store::Result<()> {
        self.retry.failed(&self.answer.link, status)?;
        let Range { start, end } = self.answer.range;
        let rest = GetRequest { start: Some(start + self.came), end: Some(end), suffix: None, ..self.request.clone() };
        let answer = open(&mut self.retry, &rest).await?;
        if answer.meta != self.answer.meta || answer.range != (start + self.came..end) {
            return Err(self.retry.fail(GatewayError::Changed));
        }
        self.answer = Answer { range: start..end, ..answer };
        Ok(())
    }
}
