//! A gateway for tests: it keeps what it is given in a store of its own, and holds what it has of interrupted puts. Without the controller's rules about names.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use strongroom_proto::gateway::gateway_server::{Gateway as Service, GatewayServer};
use strongroom_proto::gateway::{
    GetPart, GetRequest, HeldReply, ListPart, ListRequest, ObjectMeta, PutHeader, PutPart, PutReply, RoomReply,
    RoomRequest,
};
use strongroom_repository::store::{ErrorKind, kind};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use crate::Store;

const WINDOW_BYTES: u32 = 8 << 20;

/// The gateway; clones are the same.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) store: Store,
    held: Arc<Mutex<HashMap<Key, Arriving>>>,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    lends: Arc<AtomicBool>,
    commits: Arc<Mutex<Option<mpsc::UnboundedSender<Paused>>>>,
}

type Key = (String, Bytes);

/// What has arrived of an object. Each put of it, and each question what is held, supersedes the put before, whose link is gone whether it knows it or not.
#[derive(Default)]
struct Arriving {
    turn: u64,
    bytes: BytesMut,
}

/// A commit that has arrived and is not stored yet. It is stored when told so, and only then answered; never, if this is dropped.
pub(crate) struct Paused {
    pub(crate) go_on: oneshot::Sender<()>,
    pub(crate) stored: oneshot::Receiver<()>,
}

impl Gateway {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            held: Arc::default(),
            received: Arc::default(),
            sent: Arc::default(),
            lends: Arc::new(AtomicBool::new(true)),
            commits: Arc::default(),
        }
    }

    /// Bytes of objects that have arrived.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes of packs and pages that were read.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether packs and pages may be read.
    pub(crate) fn lend(&self, lends: bool) {
        self.lends.store(lends, Ordering::Relaxed);
    }

    /// From now on commits wait for a word.
    pub(crate) fn pause_commits(&self) -> mpsc::UnboundedReceiver<Paused> {
        let (send, receive) = mpsc::unbounded_channel();
        *self.commits.lock().unwrap() = Some(send);
        receive
    }

    /// Serves one stream until it ends.
    pub(crate) async fn serve<S: Connected + AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, io: S) {
        let (closed, wait) = oneshot::channel();
        let io = Closing { io, _closed: closed };
        let one = stream::once(async { Ok::<_, Infallible>(io) }).chain(stream::pending());
        let server =
            Server::builder().initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let server = { server }.add_service(GatewayServer::new(self).max_decoding_message_size(2 << 20));
        // However it ends, its stream is over.
        drop(server.serve_with_incoming_shutdown(one, async { drop(wait.await) }).await);
    }

    fn supersede<T>(&self, key: &Key, look: impl FnOnce(&mut Arriving) -> T) -> T {
        let mut held = self.held.lock().unwrap();
        let arriving = held.entry(key.clone()).or_default();
        arriving.turn += 1;
        look(arriving)
    }

    fn extend(&self, key: &Key, turn: u64, bytes: &[u8]) -> Result<u64, Status> {
        let mut held = self.held.lock().unwrap();
        let arriving = held.get_mut(key).filter(|arriving| arriving.turn == turn);
        let arriving = arriving.ok_or_else(|| Status::aborted("superseded"))?;
        arriving.bytes.extend_from_slice(bytes);
        Ok(arriving.bytes.len() as u64)
    }

    async fn store(&self, name: String, payload: Bytes) -> Result<(), Status> {
        let waiting = self.commits.lock().unwrap().clone().filter(|_| name.starts_with("commits/"));
        let stored = match waiting {
            None => None,
            Some(waiting) => {
                let (go_on, may_go_on) = oneshot::channel();
                let (tell, stored) = oneshot::channel();
                waiting.send(Paused { go_on, stored }).ok();
                may_go_on.await.map_err(|_| Status::unavailable("lost"))?;
                Some(tell)
            }
        };
        let options = PutOptions::from(PutMode::Create);
        let put =
            self.store.put_opts(&Path::from(&*name), payload.into(), options).await.map_err(|error| status(&error));
        if put.is_ok()
            && let Some(number) = name.strip_prefix("commits/").filter(|number| number.len() == 16)
        {
            let number = u64::from_str_radix(number, 16).unwrap_or(1);
            self.store.put(&Path::from("hint"), number.to_string().into_bytes().into()).await.ok();
        }
        stored.map(|tell| tell.send(()));
        put.map(drop)
    }
}

fn status(error: &object_store::Error) -> Status {
    match kind(error) {
        ErrorKind::NotFound => Status::not_found(error.to_string()),
        ErrorKind::AlreadyExists => Status::already_exists(error.to_string()),
        ErrorKind::NoSpace => Status::resource_exhausted(error.to_string()),
        ErrorKind::Transient => Status::unavailable(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

fn meta(meta: &object_store::ObjectMeta) -> ObjectMeta {
    let modified_ns = meta.last_modified.timestamp_nanos_opt().unwrap();
    ObjectMeta { name: meta.location.to_string(), length: meta.size, modified_ns }
}

#[tonic::async_trait]
impl Service for Gateway {
    type GetStream = BoxStream<'static, Result<GetPart, Status>>;
    type ListStream = BoxStream<'static, Result<ListPart, Status>>;

    async fn put(&self, request: Request<Streaming<PutPart>>) -> Result<Response<PutReply>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.ok_or_else(|| Status::invalid_argument("no part"))?;
        let header = first.header.ok_or_else(|| Status::invalid_argument("no header"))?;
        if self.store.head(&Path::from(&*header.name)).await.is_ok() {
            return Err(Status::already_exists(header.name));
        }
        let key = (header.name.clone(), header.blake3.clone());
        let turn = self.supersede(&key, |arriving| {
            if header.offset == 0 {
                arriving.bytes.clear();
            }
            (arriving.bytes.len() as u64 == header.offset).then_some(arriving.turn)
        });
        let turn = turn.ok_or_else(|| Status::failed_precondition("ask again what is held"))?;
        while let Some(part) = parts.message().await? {
            self.received.fetch_add(part.bytes.len() as u64, Ordering::Relaxed);
            self.extend(&key, turn, &part.bytes)?;
        }
        let arrived = self.extend(&key, turn, &[])?;
        if arrived < header.length {
            return Err(Status::unavailable("not all came"));
        }
        let arrived = self.held.lock().unwrap().remove(&key).unwrap_or_default().bytes;
        if *blake3::hash(&arrived).as_bytes() != *header.blake3 {
            return Err(Status::data_loss("not what was sent"));
        }
        // What has arrived is stored even if the link goes.
        let (gateway, arrived) = (self.clone(), arrived.freeze());
        tokio::spawn(async move { gateway.store(header.name, arrived).await })
            .await
            .expect("the put does not panic")?;
        Ok(Response::new(PutReply {}))
    }

    async fn held(&self, request: Request<PutHeader>) -> Result<Response<HeldReply>, Status> {
        let header = request.into_inner();
        let held = self.supersede(&(header.name, header.blake3), |arriving| arriving.bytes.len() as u64);
        Ok(Response::new(HeldReply { length: held }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        let request = request.into_inner();
        let range = match (request.start, request.end, request.suffix) {
            (None, None, None) => None,
            (Some(start), Some(end), None) => Some(GetRange::Bounded(start..end)),
            (Some(start), None, None) => Some(GetRange::Offset(start)),
            (None, None, Some(suffix)) => Some(GetRange::Suffix(suffix)),
            _ => return Err(Status::invalid_argument("no range")),
        };
        let is_data = !request.head && (request.name.starts_with("packs/") || request.name.starts_with("pages/"));
        if is_data && !self.lends.load(Ordering::Relaxed) {
            return Err(Status::permission_denied("not lent"));
        }
        let options = GetOptions { range, head: request.head, ..GetOptions::default() };
        let result = self.store.get_opts(&Path::from(&*request.name), options).await.map_err(|error| status(&error))?;
        let range = result.range.clone();
        let first = GetPart { meta: Some(meta(&result.meta)), start: range.start, end: range.end, bytes: Bytes::new() };
        let bytes = if request.head { Bytes::new() } else { result.bytes().await.map_err(|error| status(&error))? };
        if is_data {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        let starts = (0..bytes.len()).step_by(1 << 20);
        let parts: Vec<GetPart> = starts
            .map(|start| GetPart {
                bytes: bytes.slice(start..bytes.len().min(start + (1 << 20))),
                ..GetPart::default()
            })
            .collect();
        Ok(Response::new(stream::iter([first].into_iter().chain(parts).map(Ok)).boxed()))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let folder = request.into_inner().folder;
        let folder = (!folder.is_empty()).then(|| Path::from(folder));
        let found: Vec<_> = self.store.list(folder.as_ref()).try_collect().await.map_err(|error| status(&error))?;
        let parts: Vec<_> =
            found.chunks(2).map(|some| Ok(ListPart { objects: some.iter().map(meta).collect() })).collect();
        Ok(Response::new(stream::iter(parts).boxed()))
    }

    async fn room(&self, _: Request<RoomRequest>) -> Result<Response<RoomReply>, Status> {
        Ok(Response::new(RoomReply::default()))
    }
}

/// A stream whose end is told.
struct Closing<S> {
    io: S,
    _closed: oneshot::Sender<()>,
}

impl<S: Connected> Connected for Closing<S> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

crate::cut::pass_on!(Closing);

/// Both ends of a connection: the gateway's is served already.
pub(crate) fn connection(gateway: &Gateway) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::spawn(gateway.clone().serve(far));
    near
}
