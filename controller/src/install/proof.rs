//! Tries everything that the controller's key must not be able to do, each over a connection of its own.
//!
//! A host counts as restricted only where each attempt was seen to fail in the way that a restriction makes it fail. What was neither refused nor granted is
//! [`Outcome::Unclear`], and that is not good enough: it could be a socket that is not there, or a command that is slow.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure};
use strongroom_proto::{REFUSAL, REFUSAL_EXIT};
use tokio::time::timeout;

use crate::ssh::connection::accepted;
use crate::ssh::greeting::{Heard, Listener};
use crate::ssh::stream::GREETING_TIMEOUT;
use crate::ssh::{Connection, SshError, Target, connect};

/// What a shell would make of it is `strongroom-42`, which stands nowhere in the words that are sent.
const COMMAND: &str = "id; echo strongroom-$((6*7))";
const COMMAND_RAN: [&str; 2] = ["uid=", "strongroom-42"];
/// The first packet of SFTP: version 3.
const SFTP_HELLO: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
/// The kind of packet that answers it, behind its length.
const SFTP_VERSION: (usize, u8) = (4, 2);
/// sshd answers a request that it refuses at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// What is quoted of an unclear answer.
const QUOTED_CHARACTERS_MAX: usize = 200;

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What, as in "run a command".
    pub what: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is forbidden; how that showed.
    Refused(String),
    /// It works.
    Allowed(String),
    /// Nobody can tell.
    Unclear(String),
}

impl Outcome {
    /// Only this is a proof.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Refused(how) => write!(out, "{}: refused ({how})", self.what),
            Outcome::Allowed(how) => write!(out, "{}: allowed ({how})", self.what),
            Outcome::Unclear(why) => write!(out, "{}: unclear ({why})", self.what),
        }
    }
}

/// Tries all of it. `sockets` are Unix sockets on the host to which every user of it can connect, as an administrator has seen.
pub async fn prove(target: &Target, sockets: &[&str]) -> Result<Vec<Attempt>, SshError> {
    let mut attempts = vec![
        Attempt { what: "run a command", outcome: command(&connect(target).await?).await? },
        Attempt { what: "open a shell", outcome: shell(&connect(target).await?).await? },
        Attempt { what: "use SFTP", outcome: sftp(&connect(target).await?).await? },
        Attempt { what: "get a terminal", outcome: terminal(&connect(target).await?).await? },
        Attempt { what: "forward an agent", outcome: agent(&connect(target).await?).await? },
        Attempt { what: "forward X11", outcome: x11(&connect(target).await?).await? },
        Attempt { what: "connect to a port through the host", outcome: local_port(&connect(target).await?).await },
        Attempt { what: "listen on a port of the host", outcome: remote_port(&connect(target).await?).await },
        Attempt { what: "listen on a socket of the host", outcome: remote_socket(&connect(target).await?).await },
    ];
    let what = "connect to a socket of the host";
    for socket in sockets {
        let outcome = local_socket(&connect(target).await?, socket).await;
        attempts.push(Attempt { what, outcome });
    }
    if sockets.is_empty() {
        let outcome = Outcome::Unclear("the host has no socket to try it with".to_owned());
        attempts.push(Attempt { what, outcome });
    }
    Ok(attempts)
}

async fn command(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    connection.sent(channel.exec(true, COMMAND).await)?;
    Ok(match granted(&mut channel).await {
        Ok(()) => listen(&mut channel, ran).await,
        Err(outcome) => outcome,
    })
}

async fn shell(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    connection.sent(channel.request_shell(true).await)?;
    Ok(match granted(&mut channel).await {
        Ok(()) => {
            let typed = format!("{COMMAND}\nexit\n");
            // Whatever runs there may have ended before it read this.
            let _ = channel.data(typed.as_bytes()).await;
            listen(&mut channel, ran).await
        }
        Err(outcome) => outcome,
    })
}

async fn sftp(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    connection.sent(channel.request_subsystem(true, "sftp").await)?;
    Ok(match granted(&mut channel).await {
        Ok(()) => {
            let _ = channel.data(&SFTP_HELLO[..]).await;
            listen(&mut channel, speaks_sftp).await
        }
        Err(outcome) => outcome,
    })
}

async fn terminal(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    connection.sent(channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await)?;
    Ok(only_granted(&mut channel).await)
}

async fn agent(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    connection.sent(channel.agent_forward(true).await)?;
    Ok(only_granted(&mut channel).await)
}

async fn x11(connection: &Connection) -> Result<Outcome, SshError> {
    let mut channel = connection.session().await?;
    let cookie = "00000000000000000000000000000000";
    connection.sent(channel.request_x11(true, false, "MIT-MAGIC-COOKIE-1", cookie, 0).await)?;
    Ok(only_granted(&mut channel).await)
}

/// sshd that forbids it says so. Any other failure comes from having tried.
async fn local_port(connection: &Connection) -> Outcome {
    match timeout(ANSWER_TIMEOUT, connection.open_tcp("127.0.0.1", 22)).await {
        Ok(Ok(_)) => Outcome::Allowed("port 22 of the host answered".to_owned()),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => by_sshd(),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => {
            Outcome::Allowed("the host tried to connect".to_owned())
        }
        Ok(Err(error)) => Outcome::Unclear(error.to_string()),
        Err(_) => slow(),
    }
}

/// sshd does not tell a forbidden socket from a missing one. This one is there, and open to all.
async fn local_socket(connection: &Connection, socket: &str) -> Outcome {
    match timeout(ANSWER_TIMEOUT, connection.handle().channel_open_direct_streamlocal(socket)).await {
        Ok(Ok(_)) => Outcome::Allowed(format!("{socket} answered")),
        Ok(Err(russh::Error::ChannelOpenFailure(_))) => by_sshd(),
        Ok(Err(error)) => Outcome::Unclear(error.to_string()),
        Err(_) => slow(),
    }
}

async fn remote_port(connection: &Connection) -> Outcome {
    match timeout(ANSWER_TIMEOUT, connection.handle().tcpip_forward("127.0.0.1", 0)).await {
        Ok(Ok(port)) => Outcome::Allowed(format!("the host listened on port {port}")),
        Ok(Err(russh::Error::RequestDenied)) => by_sshd(),
        Ok(Err(error)) => Outcome::Unclear(error.to_string()),
        Err(_) => slow(),
    }
}

async fn remote_socket(connection: &Connection) -> Outcome {
    // A name that nobody has used: where one is there, sshd refuses it for that reason, and nothing would be proven.
    let mut number = [0; 8];
    if rand::fill(&mut number).is_err() {
        return Outcome::Unclear("this machine gives no random numbers".to_owned());
    }
    let socket = format!("/tmp/strongroom-proof-{:016x}", u64::from_le_bytes(number));
    let allowed = match timeout(ANSWER_TIMEOUT, connection.handle().streamlocal_forward(socket.as_str())).await {
        Ok(Ok(())) => Outcome::Allowed(format!("the host listened on {socket}")),
        Ok(Err(russh::Error::RequestDenied)) => return by_sshd(),
        Ok(Err(error)) => return Outcome::Unclear(error.to_string()),
        Err(_) => return slow(),
    };
    // It is not left there.
    let _ = connection.handle().cancel_streamlocal_forward(socket.as_str()).await;
    allowed
}

/// A request that nothing but a restriction refuses.
async fn only_granted(channel: &mut Channel<Msg>) -> Outcome {
    match granted(channel).await {
        Ok(()) => Outcome::Allowed("sshd agreed".to_owned()),
        Err(outcome) => outcome,
    }
}

async fn granted(channel: &mut Channel<Msg>) -> Result<(), Outcome> {
    match timeout(ANSWER_TIMEOUT, accepted(channel)).await {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(by_sshd()),
        Ok(None) => Err(Outcome::Unclear("the connection ended".to_owned())),
        Err(_) => Err(slow()),
    }
}

/// Listens until it is clear who speaks: the worker, which is what the key is for, or what was asked for.
async fn listen(channel: &mut Channel<Msg>, allowed: fn(&[u8]) -> bool) -> Outcome {
    let mut heard = Vec::new();
    let mut listener = Listener::default();
    let mut exit = None;
    let listening = async {
        while let Some(message) = channel.wait().await {
            if let ChannelMsg::ExitStatus { exit_status } = message {
                exit = Some(exit_status);
            }
            let (ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) = message else { continue };
            heard.extend_from_slice(&data);
            if allowed(&heard) {
                return Some(Outcome::Allowed(quote(&heard)));
            }
            match listener.hear(&data) {
                Heard::Nothing => {}
                Heard::Greeting(_) => return Some(Outcome::Refused("the worker answered instead".to_owned())),
                // The refusal is told apart at its end.
                Heard::OtherVersion(_) | Heard::Noise if refuses(&heard) => {}
                Heard::OtherVersion(_) | Heard::Noise => return Some(Outcome::Unclear(quote(&heard))),
            }
        }
        None
    };
    match timeout(GREETING_TIMEOUT, listening).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) if exit == Some(REFUSAL_EXIT.into()) && (heard.is_empty() || refuses(&heard)) => {
            Outcome::Refused("by the worker".to_owned())
        }
        Ok(None) if heard.is_empty() => Outcome::Unclear("it ended without a word".to_owned()),
        Ok(None) => Outcome::Unclear(quote(&heard)),
        Err(_) => slow(),
    }
}

fn refuses(heard: &[u8]) -> bool {
    heard.starts_with(&REFUSAL.as_bytes()[..heard.len().min(REFUSAL.len())])
}

fn ran(heard: &[u8]) -> bool {
    let heard = String::from_utf8_lossy(heard);
    COMMAND_RAN.iter().any(|evidence| heard.contains(evidence))
}

fn speaks_sftp(heard: &[u8]) -> bool {
    let (at, kind) = SFTP_VERSION;
    heard.first() == Some(&0) && heard.get(at) == Some(&kind)
}

fn by_sshd() -> Outcome {
    Outcome::Refused("by sshd".to_owned())
}

fn slow() -> Outcome {
    Outcome::Unclear("no answer".to_owned())
}

fn quote(heard: &[u8]) -> String {
    let start: String = String::from_utf8_lossy(heard).trim().chars().take(QUOTED_CHARACTERS_MAX).collect();
    format!("it answered {start:?}")
}
