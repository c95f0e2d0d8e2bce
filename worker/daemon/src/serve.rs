//! The daemon: two sockets, the jobs, and an end that loses nothing.
//!
//! On `worker.sock` the controller calls. On `gateway.sock` it is the other way round: each connection is a stream on whose far end the controller serves its gateway, and
//! the newest one is used.

mod sockets;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream;
use jiff::Timestamp;
use strongroom_proto::worker::worker_server::WorkerServer;
use strongroom_repository::FileLock;
use strongroom_worker::service_manager;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tonic::transport::Server;

pub use sockets::SocketError;

use crate::gateway::{Links, PATIENCE};
use crate::jobs::{Jobs, Site};
use crate::keys::{Keys, KeysError};
use crate::ledger::LedgerError;
use crate::service::Service;
use crate::{GATEWAY_SOCKET, WORKER_SOCKET, durable};

/// A request is at most a megabyte; the rest is its envelope.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// When all is done, a controller that does not notice is not waited for any longer.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(5);

/// Where the daemon lives.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Sockets.
    pub run: PathBuf,
    /// Ledger, keys, what is remembered of sources.
    pub state: PathBuf,
    /// What can be fetched again.
    pub cache: PathBuf,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another one uses the same folder.
    #[error("another strongroom-worker uses '{}'", .0.display())]
    Locked(PathBuf),
    /// A folder cannot be used.
    #[error("cannot use the folder '{path}'")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The ledger cannot be used.
    #[error("the ledger cannot be used")]
    Ledger(#[from] LedgerError),
    /// The keys cannot be used.
    #[error("the keys cannot be used")]
    Keys(#[from] KeysError),
    /// The service failed.
    #[error("the service failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `shutdown`; then finishes the current step of each job. Must run on a runtime with several threads.
pub async fn run(
    folders: &Folders,
    clock: fn() -> Timestamp,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let folder = |path: &Path| {
        let failed = |source| ServeError::Folder { path: path.into(), source };
        durable::create_folder(path).map_err(failed)
    };
    folder(&folders.state)?;
    folder(&folders.cache)?;
    let _lock = lock(&folders.state)?;
    let group = sockets::group(Path::new("/etc/group"), "strongroom");
    let (worker_path, gateway_path) = (folders.run.join(WORKER_SOCKET), folders.run.join(GATEWAY_SOCKET));
    let worker = sockets::listen(&worker_path, group)?;
    let gateway = sockets::listen(&gateway_path, group)?;
    let links = Links::default();
    let site = Site {
        keys: Keys::open(&folders.state.join("keys"))?,
        links: links.clone(),
        sources_folder: folders.state.join("sources"),
        cache_folder: folders.cache.clone(),
        clock,
        patience: PATIENCE,
    };
    let keys = site.keys.clone();
    let jobs = Jobs::open(site, folders.state.join("jobs"))?;
    let watchdog = service_manager::watchdog();
    service_manager::tell("READY=1");
    tracing::info!(run = %folders.run.display(), version = crate::PROGRAM, "serving");
    let (stopped, has_stopped) = oneshot::channel::<()>();
    let shutdown = {
        let jobs = jobs.clone();
        async move {
            shutdown.await;
            service_manager::tell("STOPPING=1");
            tracing::info!("stopping");
            jobs.stop().await;
            drop(stopped);
        }
    };
    let hung_up = async {
        drop(has_stopped.await);
        tokio::time::sleep(HANG_UP_PATIENCE).await;
    };
    let served = tokio::select! {
        served = serve_worker(worker, Service::new(jobs, keys, clock), shutdown) => served,
        () = accept_gateways(gateway, links) => Ok(()),
        () = hung_up => Ok(()),
    };
    drop(watchdog);
    sockets::remove(&[&worker_path, &gateway_path]);
    served.map_err(ServeError::from)
}

async fn serve_worker(
    listener: UnixListener,
    service: Service,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    let service = WorkerServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let incoming = stream::unfold(listener, |listener| async move {
        let accepted = accept(&listener).await;
        Some((Ok::<_, io::Error>(accepted), listener))
    });
    Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, shutdown).await
}

/// Uses each new connection in place of the one before.
async fn accept_gateways(listener: UnixListener, links: Links) {
    loop {
        let stream = accept(&listener).await;
        match links.attach(stream).await {
            Ok(()) => tracing::info!("the gateway is linked"),
            Err(error) => {
                tracing::warn!(error = strongroom_repository::chain(&error), "a connection of the gateway failed")
            }
        }
    }
}

/// The next connection. Running out of files, say, is no reason to end.
async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Between two failures to accept, so that they do not fill the log.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Two daemons on one ledger would run every job twice.
fn lock(state: &Path) -> Result<FileLock, ServeError> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = state.join("lock");
    let failed = |source| ServeError::Folder { path: path.clone(), source };
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    FileLock::take(file.map_err(failed)?).map_err(failed)?.ok_or_else(|| ServeError::Locked(state.into()))
}
