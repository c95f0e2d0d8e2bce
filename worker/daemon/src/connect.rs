//! The forced command of the controller's key: joins the SSH channel to one of the daemon's sockets, and does nothing else.
//!
//! What the channel asked for is in `SSH_ORIGINAL_COMMAND`, and is a word out of two. Nothing is printed before the daemon is reached but on standard error; then comes the
//! greeting, so that noise of a shell can be told from the connection.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use strongroom_proto::{GREETING, REFUSAL_EXIT};
use strongroom_repository::text::escape;

use crate::{GATEWAY_SOCKET, WORKER_SOCKET};

/// What a channel gets through in one step: a part of the gateway.
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

/// Joins standard input and output to the socket that the command leads to, until the daemon hangs up. Blocks.
pub fn run(command: Option<&OsStr>, run_folder: &Path) -> Result<(), ConnectError> {
    let path = run_folder.join(socket_of(command)?);
    let socket = UnixStream::connect(&path).map_err(|source| ConnectError::NoDaemon { path, source })?;
    join(socket).map_err(ConnectError::Channel)
}

fn join(from_daemon: UnixStream) -> io::Result<()> {
    let (mut input, mut output) = (own(io::stdin().as_fd())?, own(io::stdout().as_fd())?);
    let mut to_daemon = from_daemon.try_clone()?;
    output.write_all(GREETING.as_bytes())?;
    // It goes with the process when the daemon hangs up first.
    thread::Builder::new().name("to-daemon".into()).spawn(move || {
        let copied = copy(&mut input, &mut to_daemon);
        // At an end of input the other side still gets its answers; after an error there is nobody to give them to.
        to_daemon.shutdown(if copied.is_ok() { Shutdown::Write } else { Shutdown::Both })
    })?;
    match FileType::from_raw_mode(fstat(&output)?.st_mode) {
        FileType::Fifo => move_into_pipe(&from_daemon, &output),
        _ => copy(&mut &from_daemon, &mut output),
    }
}

/// Not `io::copy`, which splices: it would hold a pipe of the SSH server while it waits for the other side.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A backup goes this way: the kernel hands the bytes on, and nothing is copied through this process.
fn move_into_pipe(from: &UnixStream, to: &File) -> io::Result<()> {
    loop {
        // A splice that waits for bytes keeps the pipe locked meanwhile, for its reader too: it is called only when there are some.
        match poll(&mut [PollFd::new(from, PollFlags::IN)], None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        match splice(from, None, to, None, BUFFER_BYTES, SpliceFlags::MOVE) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Without the buffer that standard input and output come with; and whoever made it, it waits.
fn own(fd: BorrowedFd<'_>) -> io::Result<File> {
    rustix::io::ioctl_fionbio(fd, false)?;
    Ok(File::from(fd.try_clone_to_owned()?))
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
