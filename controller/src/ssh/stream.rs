//! The stream of a worker's command, behind its greeting.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelStream};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::command::{Exit, STDERR, exit, shortened};
use super::connection::Connection;
use super::error::SshError;
use super::greeting::{Heard, Listener, NOISE_BYTES_MAX};

/// How long a worker may take to greet: a host that is short of memory starts a program slowly.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a shell answers when it does not find a command, or may not start it.
const NOT_FOUND: [u32; 2] = [126, 127];

/// Bytes from and to a command, behind its greeting. Its standard error is not part of it.
pub struct Stream {
    connection: Connection,
    /// What came together with the greeting.
    behind: Vec<u8>,
    at: usize,
    channel: ChannelStream<Msg>,
}

impl Stream {
    /// The connection that carries it.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Connection {
    /// Starts a worker's command and returns its stream, which begins behind the greeting.
    pub async fn open(&self, command: &str) -> Result<Stream, SshError> {
        self.open_within(command, GREETING_TIMEOUT).await
    }

    /// The same with another patience for the greeting.
    pub async fn open_within(&self, command: &str, patience: Duration) -> Result<Stream, SshError> {
        let end = Instant::now() + patience;
        let timed_out = || SshError::TimedOut { place: self.place().to_owned(), doing: "greet", after: patience };
        let mut channel = timeout_at(end, self.exec(command)).await.map_err(|_| timed_out())??;
        let mut greeter = Greeter::default();
        match timeout_at(end, greeter.wait(&mut channel)).await {
            Ok(Greeted::Yes(behind)) => {
                Ok(Stream { connection: self.clone(), behind, at: 0, channel: channel.into_stream() })
            }
            Ok(Greeted::OtherVersion(version)) => {
                Err(SshError::OtherGreeting { place: self.place().to_owned(), version })
            }
            Ok(Greeted::No) => Err(self.no_greeting(&greeter)),
            Err(_) if greeter.listener.noise().is_empty() => Err(timed_out()),
            Err(_) => Err(self.no_greeting(&greeter)),
        }
    }

    fn no_greeting(&self, greeter: &Greeter) -> SshError {
        let place = self.place().to_owned();
        let (heard, said) = (greeter.listener.noise(), shortened(&greeter.stderr));
        match &greeter.exit {
            Some(Exit::Code(code)) if NOT_FOUND.contains(code) => SshError::NoWorker { place, said },
            _ if !heard.is_empty() => SshError::NoGreeting { place, heard, said },
            Some(_) => SshError::WorkerDown { place, said },
            None => SshError::lost(&place, None),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at < self.behind.len() {
            let end = self.behind.len().min(self.at + buffer.remaining());
            buffer.put_slice(&self.behind[self.at..end]);
            self.at = end;
            return Poll::Ready(Ok(()));
        }
        let (filled, room) = (buffer.filled().len(), buffer.remaining());
        ready!(Pin::new(&mut self.channel).poll_read(context, buffer))?;
        // The channel ends in the same way whether the command closed it or the link is gone.
        let ended = room > 0 && buffer.filled().len() == filled;
        match ended && self.connection.is_closed() {
            true => Poll::Ready(Err(link_lost(&self.connection))),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(context)
    }
}

/// An [`SshError`] inside, for whoever asks the error whether to try again.
fn link_lost(connection: &Connection) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, SshError::lost(connection.place(), None))
}

/// Waits for a greeting.
#[derive(Default)]
struct Greeter {
    listener: Listener,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

enum Greeted {
    Yes(Vec<u8>),
    OtherVersion(String),
    No,
}

impl Greeter {
    async fn wait(&mut self, channel: &mut Channel<Msg>) -> Greeted {
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => match self.listener.hear(&data) {
                    Heard::Nothing => {}
                    Heard::Greeting(behind) => return Greeted::Yes(behind),
                    Heard::OtherVersion(version) => return Greeted::OtherVersion(version),
                    Heard::Noise => return Greeted::No,
                },
                ChannelMsg::ExtendedData { data, ext: STDERR } => {
                    let room = NOISE_BYTES_MAX.saturating_sub(self.stderr.len());
                    self.stderr.extend_from_slice(&data[..room.min(data.len())]);
                }
                other => self.exit = exit(other).or(self.exit.take()),
            }
        }
        Greeted::No
    }
}
