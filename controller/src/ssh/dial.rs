//! From a target to a connection: transport, host key, login.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Config, Handle, Handler, Msg};
use russh::keys::Algorithm;
use russh::{ChannelOpenFailure, ChannelStream, cipher};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Connection;
use super::error::SshError;
use super::known_hosts::{CHECKED, KnownHosts, Name};
use super::login::log_in;
use super::target::{Target, place};
use super::trust::{Fault, Trust};

/// A round trip of 50 ms fills 16 MiB at 320 MB/s; the default of 2 MiB would hold a host's stream to 19 MiB/s there.
const WINDOW_BYTES: u32 = 16 << 20;
/// Twice the default: half the packets, each of which costs its own seal.
const PACKET_BYTES_MAX: u32 = 64 << 10;
/// A host that answers none of three probes is gone: a dead link is noticed within a minute.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_UNANSWERED_MAX: usize = 3;
/// What a jump host gets to answer a command that it may well refuse.
const PRIME_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects and logs in. Jump hosts get a connection of their own each, which lives as long as this one.
pub async fn connect(target: &Target) -> Result<Connection, SshError> {
    let name = Name::new(&target.address, target.port);
    let known = KnownHosts::load(&target.known_hosts, &name).await?;
    let config = Arc::new(config(&known, &name, target)?);
    let jump = jump(target.jump.as_deref()).await?;
    let transport = reach(&target.address, target.port, jump.as_ref(), target.connect_timeout).await?;
    let trust = Trust { place: target.place(), name: name.clone(), known: known.clone() };
    let shaking = transport.shake_hands(config, trust);
    let shaken = within(target.connect_timeout, &target.place(), "agree on keys", shaking).await?;
    let mut handle = shaken.map_err(|fault| handshake_error(fault, target, &known, &name))?;
    within(target.connect_timeout, &target.place(), "log in", log_in(&mut handle, target)).await??;
    Ok(Connection::new(handle, jump, target.place()))
}

/// Connects to a jump host, and has its sshd send small packets at once: it does so only where a session was opened, and without it every upload through the
/// host would wait 40 ms again and again for an acknowledgement. A host that refuses the command has begun the session all the same.
pub(super) async fn jump(target: Option<&Target>) -> Result<Option<Connection>, SshError> {
    let Some(target) = target else { return Ok(None) };
    let failed = |source| SshError::Jump { jump: target.place(), source: Box::new(source) };
    let jump = Box::pin(connect(target)).await.map_err(failed)?;
    let _ = timeout(PRIME_TIMEOUT, jump.run("true", b"")).await;
    Ok(Some(jump))
}

/// Bytes to a host's sshd and back.
pub(super) enum Transport {
    Tcp(TcpStream),
    Jump(Box<ChannelStream<Msg>>),
}

impl Transport {
    pub(super) async fn shake_hands<H>(self, config: Arc<Config>, handler: H) -> Result<Handle<H>, H::Error>
    where
        H: Handler + 'static,
    {
        match self {
            Self::Tcp(stream) => client::connect_stream(config, stream, handler).await,
            Self::Jump(stream) => client::connect_stream(config, *stream, handler).await,
        }
    }
}

/// Opens the transport: TCP from here, or from the jump host.
pub(super) async fn reach(
    address: &str,
    port: u16,
    jump: Option<&Connection>,
    patience: Duration,
) -> Result<Transport, SshError> {
    let place = place(address, port);
    match jump {
        None => {
            let dialled = within(patience, &place, "answer", TcpStream::connect((address, port))).await?;
            let undelayed = |stream: TcpStream| -> io::Result<_> {
                stream.set_nodelay(true)?;
                Ok(Transport::Tcp(stream))
            };
            dialled.and_then(undelayed).map_err(|source| SshError::Unreachable { place, source })
        }
        Some(jump) => {
            let dialled = within(patience, &place, "answer", jump.open_tcp(address, port)).await?;
            let channel = dialled.map_err(|source| match source {
                russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                    SshError::RefusedBehind { place, jump: jump.place().to_owned(), source: Box::new(source) }
                }
                russh::Error::ChannelOpenFailure(_) => {
                    SshError::UnreachableBehind { place, jump: jump.place().to_owned(), source: Box::new(source) }
                }
                lost => SshError::Jump {
                    jump: jump.place().to_owned(),
                    source: Box::new(SshError::lost(jump.place(), lost)),
                },
            })?;
            Ok(Transport::Jump(Box::new(channel.into_stream())))
        }
    }
}

/// What every connection has in common.
pub(super) fn base_config() -> Config {
    let mut config = Config {
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES_MAX,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_UNANSWERED_MAX,
        nodelay: true,
        ..Config::default()
    };
    // AES-GCM takes two fifths of ChaCha20's time on processors that know AES. CTR with a separate MAC takes seven times as long, and every sshd has one of these.
    config.preferred.cipher = Cow::Borrowed(&[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305]);
    config
}

fn config(known: &KnownHosts, name: &Name, target: &Target) -> Result<Config, SshError> {
    let kinds = known.kinds(name);
    let authorities = known.authorities(name);
    if kinds.is_empty() && !authorities {
        return Err(SshError::UncheckedKind { place: target.place(), recorded: known.recorded(name) });
    }
    let mut config = base_config();
    config.preferred.key = Cow::Owned(kinds);
    config.preferred.host_key_certificates = match authorities {
        true => Cow::Owned::<[Algorithm]>(CHECKED.to_vec()),
        false => Cow::Borrowed(&[]),
    };
    Ok(config)
}

fn handshake_error(fault: Fault, target: &Target, known: &KnownHosts, name: &Name) -> SshError {
    let place = target.place();
    match fault {
        Fault::Distrust(error) => *error,
        Fault::Protocol(source @ russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. }) => {
            SshError::NoRecordedKind { place, recorded: known.recorded(name), source: Box::new(source) }
        }
        Fault::Protocol(source @ russh::Error::NoCommonAlgo { .. }) => {
            SshError::NoAgreement { place, source: Box::new(source) }
        }
        Fault::Protocol(source @ russh::Error::WrongServerSig) => {
            SshError::BadHostSignature { place, source: Box::new(source) }
        }
        Fault::Protocol(lost) => SshError::lost(&place, lost),
    }
}

/// Gives a stage its end.
pub(super) async fn within<T>(
    patience: Duration,
    place: &str,
    doing: &'static str,
    stage: impl Future<Output = T>,
) -> Result<T, SshError> {
    let timed_out = |_| SshError::TimedOut { place: place.to_owned(), doing, after: patience };
    timeout(patience, stage).await.map_err(timed_out)
}
