//! What the command line asks of a running controller, over its unix socket.
//!
//! Nothing is decided here: each call passes the [`Gate`], becomes a [`Request`] to the loop that owns the state, and its answer a document. Who asks is read from the socket.

mod request;
mod service;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::BoxStream;
use rustix::process::geteuid;
use strongroom_plans::Site;
use strongroom_proto::operator::operator_server::OperatorServer;
use strongroom_proto::operator::{Document, RestoreRequest};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request as Call, Response, Status};

pub use self::request::{DrillWish, Going, Mode, Refused, Reply, Request, document};
use crate::finds::FindAsked;
use crate::gate::Gate;
use crate::going::Board;
use crate::journal::Who;
use crate::requests::{Desk, Wish};
use crate::restores::RestoreAsked;
use crate::run::Clock;

/// News of a restore that nobody has read yet: beyond it, progress is left out.
const NEWS_MAX: usize = 16;

/// Listens on a socket that only its owner can open, until [`open_to`] says otherwise.
pub fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "another controller listens on it")),
        // What a killed controller left.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::fs::remove_file(socket)?,
        Err(_) => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(socket);
    rustix::process::umask(before);
    listener
}

/// Where a site names people, everybody may open the socket, and the gate decides; otherwise its owner alone.
pub fn open_to(socket: &Path, site: &Site) -> std::io::Result<()> {
    let mode = if site.people().is_empty() { 0o600 } else { 0o666 };
    std::fs::set_permissions(socket, Permissions::from_mode(mode))
}

/// Answers on a socket until `shutdown`.
pub async fn serve<C: Clock + Clone + Send + Sync + 'static>(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    gate: Gate<C>,
    restores: mpsc::UnboundedSender<RestoreAsked>,
    finds: mpsc::UnboundedSender<FindAsked>,
    records: PathBuf,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (desk, board) = (Desk::new(gate.clone()), Board::default());
    let service = OperatorServer::new(Operator { requests, desk, gate, restores, board, finds, records });
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown)
        .await
}

/// What is told of a restore, one document after another.
type Told = BoxStream<'static, Result<Document, Status>>;

struct Operator<C> {
    requests: mpsc::Sender<Request>,
    gate: Gate<C>,
    desk: Desk<C>,
    restores: mpsc::UnboundedSender<RestoreAsked>,
    /// Restores that go on.
    board: Board,
    finds: mpsc::UnboundedSender<FindAsked>,
    /// The folder of all records.
    records: PathBuf,
}

impl<C: Clock> Operator<C> {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Request) -> Result<T, Status> {
        let ends = |_| Status::unavailable("the controller is about to end");
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| ends(()))?;
        Ok(answer.await.map_err(|_| ends(()))??)
    }

    async fn document(&self, request: impl FnOnce(Reply) -> Request) -> Result<Response<Document>, Status> {
        self.ask(request).await.map(|json| Response::new(Document { json }))
    }

    /// Hands an order to whoever restores, and passes on what is told of it; those who watch are told too.
    fn pass_on(&self, by: Who, request: RestoreRequest, source: String, wish: Wish) -> Result<Response<Told>, Status> {
        let (news, told) = mpsc::channel(NEWS_MAX);
        let number = match &wish {
            Wish::Run(request) | Wish::Promote(request) => Some(request.number),
            Wish::Restore | Wish::File { .. } => None,
        };
        let is_watched = !request.dry_run && !matches!(wish, Wish::File { .. });
        let pinned = is_watched.then(|| self.board.pin(number, &source, &request.host));
        let asked = RestoreAsked { request, source, by, wish, news };
        self.restores.send(asked).map_err(|_| Status::unavailable("the controller is about to end"))?;
        let told = ReceiverStream::new(told).map(move |news| {
            pinned.iter().for_each(|pinned| pinned.tell(&news));
            Ok(Document { json: document(&news?)? })
        });
        Ok(Response::new(told.boxed()))
    }

    /// The other end of the socket.
    fn who<T>(&self, call: &Call<T>) -> Result<Who, Status> {
        let peer = call.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let uid = peer.ok_or_else(|| Status::unauthenticated("the socket does not say who asks"))?.uid();
        Ok(self.gate.identify(account(uid)))
    }
}

/// The name of a user of this machine, from its own list; who comes from elsewhere has a number alone.
#[must_use]
pub fn user_name(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let found = users.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()));
    found.and_then(|line| line.split(':').next()).map(str::to_owned)
}

/// The user as whom this process acts.
#[must_use]
pub fn oneself() -> Who {
    account(geteuid().as_raw())
}

fn account(uid: u32) -> Who {
    Who { uid, name: user_name(uid), person: None, organisation: None }
}
