//! The forced command of the controller's key: joins the SSH channel to one of the daemon's sockets, and does nothing else.
//!
//! What the channel asked for is in `SSH_ORIGINAL_COMMAND`, and is a word out of two. Nothing is printed before the daemon is reached but on standard error; then comes the
//! greeting, so that noise of a shell can be told from the connection.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat};
use strongroom_proto::{GREETING, REFUSAL_EXIT};
use strongroom_repository::text::escape;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::{GATEWAY_SOCKET, WORKER_SOCKET};

/// What a channel gets through in one step; a quarter of a part of the gateway.
const BUFFER_BYTES: usize = 256 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody wants to do something else with the key.
    #[error("refused: {asked}. This key only connects to the worker: 'control' or 'gateway'")]
    Refused {
        /// What was asked for.
        asked: String,
    },
    /// The daemon is not there.
    #[error("the worker is not running: cannot connect to '{path}'")]
    NoDaemon {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The channel itself failed.
    #[error("the connection failed")]
    Channel(#[source] io::Error),
}

impl ConnectError {
    /// The exit code that says it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => REFUSAL_EXIT,
            Self::NoDaemon { .. } => 3,
            Self::Channel(_) => 1,
        }
    }
}

/// The socket that a command leads to.
pub fn socket_of(command: Option<&OsStr>) -> Result<&'static str, ConnectError> {
    match command.map(OsStr::as_encoded_bytes) {
        Some(b"control") => Ok(WORKER_SOCKET),
        Some(b"gateway") => Ok(GATEWAY_SOCKET),
        Some(other) => Err(ConnectError::Refused { asked: format!("'{}'", shortened(&escape(other))) }),
        None => Err(ConnectError::Refused { asked: "a session without a command".into() }),
    }
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Joins standard input and output to the socket that the command leads to, until the daemon hangs up or both ways have ended.
pub async fn run(command: Option<&OsStr>, run_folder: &Path) -> Result<(), ConnectError> {
    let path = run_folder.join(socket_of(command)?);
    let socket = UnixStream::connect(&path).await.map_err(|source| ConnectError::NoDaemon { path, source })?;
    let (input, mut output) = (input().map_err(ConnectError::Channel)?, output().map_err(ConnectError::Channel)?);
    let joined = async {
        output.write_all(GREETING.as_bytes()).await?;
        output.flush().await?;
        join(input, output, socket).await
    };
    joined.await.map_err(ConnectError::Channel)
}

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

async fn join(input: Input, mut output: Output, socket: UnixStream) -> io::Result<()> {
    let (from_daemon, mut to_daemon) = socket.into_split();
    let mut from_daemon = BufReader::with_capacity(BUFFER_BYTES, from_daemon);
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let up = async {
        copy_buf(&mut input, &mut to_daemon).await?;
        // The other side still gets its answers.
        to_daemon.shutdown().await?;
        std::future::pending::<io::Result<()>>().await
    };
    let down = async {
        copy_buf(&mut from_daemon, &mut output).await?;
        output.flush().await
    };
    tokio::select! {
        failed = up => failed,
        done = down => done,
    }
}

/// Standard input. The SSH server gives a pipe or a socket, which need no thread; anything else gets one.
fn input() -> io::Result<Input> {
    let fd = io::stdin();
    Ok(match file_type(fd.as_fd())? {
        FileType::Fifo => Box::new(pipe::Receiver::from_owned_fd(fd.as_fd().try_clone_to_owned()?)?),
        FileType::Socket => Box::new(socket(fd.as_fd())?),
        _ => Box::new(tokio::io::stdin()),
    })
}

fn output() -> io::Result<Output> {
    let fd = io::stdout();
    Ok(match file_type(fd.as_fd())? {
        FileType::Fifo => Box::new(pipe::Sender::from_owned_fd(fd.as_fd().try_clone_to_owned()?)?),
        FileType::Socket => Box::new(socket(fd.as_fd())?),
        _ => Box::new(tokio::io::stdout()),
    })
}

fn file_type(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

fn socket(fd: BorrowedFd<'_>) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(fd.try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: Option<&str>, expect: Result<&str, &str>) {
        let found = socket_of(command.map(OsStr::new)).map_err(|error| error.to_string());
        match expect {
            Ok(socket) => assert_eq!(found, Ok(socket)),
            Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn two_words_are_understood_and_nothing_else() {
        check(Some("control"), Ok("worker.sock"));
        check(Some("gateway"), Ok("gateway.sock"));
        check(None, Err("a session without a command"));
        check(Some(""), Err("''"));
        check(Some("control "), Err("'control '"));
        check(Some("gateway; id"), Err("'gateway; id'"));
        check(Some("scp -t /\u{1b}[2J"), Err("\\x1b[2J"));
        check(Some(&"x".repeat(5000)), Err("…"));
        let Err(error) = socket_of(Some(OsStr::new("id"))) else { panic!("not refused") };
        assert_eq!(error.exit_code(), REFUSAL_EXIT);
        assert!(!error.to_string().contains('\n'));
        assert!(format!("strongroom-worker: {error}").starts_with(strongroom_proto::REFUSAL));
    }
}
