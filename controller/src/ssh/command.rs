//! Commands that run to their end.

use std::convert::Infallible;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelWriteHalf};
use tokio::io::{self, AsyncRead, AsyncReadExt};

use super::connection::Connection;
use super::error::SshError;

/// The most that [`Connection::run`] keeps of either output.
pub const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// What is read from a command's input at once.
const FEED_BYTES: usize = 64 << 10;
/// The kind of extended data that is standard error.
pub(super) const STDERR: u32 = 1;
/// The most that a message quotes.
const QUOTED_BYTES_MAX: usize = 4 << 10;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(u32),
    /// By a signal, such as `KILL`.
    Signal(String),
}

/// A command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// What it wrote to standard error, for a message.
    #[must_use]
    pub fn complaint(&self) -> String {
        shortened(&self.stderr)
    }
}

impl Connection {
    /// Runs a command to its end. How long that takes is the caller's business.
    pub async fn run(&self, command: &str, stdin: &[u8]) -> Result<Finished, SshError> {
        self.run_fed(command, &mut &*stdin).await.map(|(finished, _)| finished)
    }

    /// The same with input from elsewhere. Says how much of that was sent, or why no more of it; nothing if the command ended first.
    pub(super) async fn run_fed(
        &self,
        command: &str,
        stdin: &mut (impl AsyncRead + Unpin),
    ) -> Result<(Finished, Option<io::Result<u64>>), SshError> {
        let channel = self.exec(command).await?;
        let (mut from, to) = channel.split();
        let mut gathered = Gathered::default();
        let gathering = async {
            while let Some(message) = from.wait().await {
                if gathered.take(message) {
                    return Err(SshError::TooMuchOutput {
                        place: self.place().to_owned(),
                        most_bytes: OUTPUT_BYTES_MAX,
                    });
                }
            }
            Ok(())
        };
        let mut fed = None;
        let feeding = async {
            fed = Some(feed(&to, stdin).await);
            std::future::pending::<Infallible>().await
        };
        // The command's end is the end, whatever of its input is still on the way.
        tokio::select! {
            ended = gathering => ended?,
            never = feeding => match never {},
        }
        let exit = gathered.exit.ok_or_else(|| SshError::lost(self.place(), None))?;
        Ok((Finished { exit, stdout: gathered.stdout, stderr: gathered.stderr }, fed))
    }
}

/// What a command printed, and how it ended.
#[derive(Default)]
struct Gathered {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

impl Gathered {
    /// Says whether it is too much.
    fn take(&mut self, message: ChannelMsg) -> bool {
        match message {
            ChannelMsg::Data { data } => self.stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, ext: STDERR } => self.stderr.extend_from_slice(&data),
            other => self.exit = exit(other).or(self.exit.take()),
        }
        self.stdout.len().max(self.stderr.len()) > OUTPUT_BYTES_MAX
    }
}

pub(super) fn exit(message: ChannelMsg) -> Option<Exit> {
    match message {
        ChannelMsg::ExitStatus { exit_status } => Some(Exit::Code(exit_status)),
        ChannelMsg::ExitSignal { signal_name, .. } => Some(Exit::Signal(format!("{signal_name:?}"))),
        _ => None,
    }
}

/// Writes a command's input and ends it, also where the source failed: what the command makes of that is for the caller to refuse.
async fn feed(to: &ChannelWriteHalf<Msg>, stdin: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut sent = 0;
    let mut buffer = vec![0; FEED_BYTES];
    let result = loop {
        match stdin.read(&mut buffer).await {
            Ok(0) => break Ok(sent),
            Ok(read) => match to.data(&buffer[..read]).await {
                Ok(()) => sent += read as u64,
                Err(error) => break Err(io::Error::new(io::ErrorKind::BrokenPipe, error)),
            },
            Err(error) => break Err(error),
        }
    };
    let _ = to.eof().await;
    result
}

/// The start of what a command wrote, on one line.
pub(super) fn shortened(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(QUOTED_BYTES_MAX)];
    String::from_utf8_lossy(bytes).lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
