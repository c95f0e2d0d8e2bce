//! A host's SFTP subsystem, or its worker in place of that, for repositories that lie there.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use russh::ChannelStream;
use russh::client::Msg;
use strongroom_repository::store::{ErrorKind, SftpConnector, SftpError, SftpStream};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::{Connection, accepted};
use super::dial::connect;
use super::error::{SshError, SshErrorKind};
use super::quoting::quoted;
use super::target::Target;

/// For sshd to start its SFTP program, or the worker.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// One server, reached by one connection for all of its streams, which is made anew when it is lost.
pub struct SftpServer {
    target: Target,
    /// Instead of sshd's own program.
    command: Option<String>,
    connection: Mutex<Option<Connection>>,
}

impl std::fmt::Debug for SftpServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SftpServer({})", self.target.place())
    }
}

impl SftpServer {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, command: None, connection: Mutex::default() }
    }

    /// The same at a storage host whose worker serves this folder.
    #[must_use]
    pub fn of_worker(target: Target, folder: &str) -> Self {
        let command = format!("strongroom-worker store {}", quoted(folder));
        Self { command: Some(command), ..Self::new(target) }
    }

    async fn open(&self) -> Result<Stream, SshError> {
        let connection = self.connection().await?;
        let mut channel = connection.session().await?;
        connection.sent(match &self.command {
            Some(command) => channel.exec(true, command.as_bytes()).await,
            None => channel.request_subsystem(true, "sftp").await,
        })?;
        let place = || connection.place().to_owned();
        match timeout(START_TIMEOUT, accepted(&mut channel)).await {
            Ok(Some(true)) => Ok(Stream { inner: channel.into_stream(), _connection: connection }),
            Ok(Some(false)) => Err(SshError::Refused { place: place(), what: "to start SFTP", source: None }),
            Ok(None) => Err(SshError::lost(&place(), None)),
            Err(_) => Err(SshError::TimedOut { place: place(), doing: "start SFTP", after: START_TIMEOUT }),
        }
    }

    async fn connection(&self) -> Result<Connection, SshError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = connect(&self.target).await?;
        Ok(kept.insert(connection).clone())
    }
}

#[async_trait]
impl SftpConnector for SftpServer {
    async fn connect(&self) -> Result<Box<dyn SftpStream>, SftpError> {
        match self.open().await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(said(error)),
        }
    }
}

/// An unknown host in the words of who opens a repository: there is no `host add` for a server that only stores.
#[derive(Debug, thiserror::Error)]
#[error("{place} is not known: it shows {seen}, and {file} has no key of it")]
struct Unknown {
    place: String,
    seen: super::ShownKey,
    file: String,
}

fn said(error: SshError) -> SftpError {
    let (kind, remedy) = meaning(error.kind());
    match error {
        SshError::UnknownHost { place, seen, file, .. } => {
            SftpError::connect(Unknown { place, seen, file }, kind, remedy)
        }
        error => SftpError::connect(error, kind, remedy),
    }
}

fn meaning(kind: SshErrorKind) -> (ErrorKind, Option<&'static str>) {
    match kind {
        SshErrorKind::Unreachable | SshErrorKind::Lost | SshErrorKind::TimedOut | SshErrorKind::WorkerDown => (
            ErrorKind::Transient,
            Some("check the address, the network and the server's sshd, then run the same command again"),
        ),
        SshErrorKind::HostKey => (
            ErrorKind::PermissionDenied,
            Some(
                "compare the fingerprint with the server's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there), then \
                 record its key in known_hosts (`ssh-keyscan`), or name the right file in STRONGROOM_SSH_KNOWN_HOSTS",
            ),
        ),
        SshErrorKind::Refused => (
            ErrorKind::PermissionDenied,
            Some(
                "let one of these keys in at the server (its authorized_keys), or name the right key in STRONGROOM_SSH_KEY",
            ),
        ),
        SshErrorKind::NoWorker | SshErrorKind::Local | SshErrorKind::Host => (ErrorKind::Other, None),
    }
}

/// A stream that keeps its connection.
struct Stream {
    inner: ChannelStream<Msg>,
    _connection: Connection,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
