//! The hosts' lines: one connection for each host, made when it is needed, and on it one stream for calls and one for the gateway.
//!
//! A link that broke is not mended: whoever needs it calls [`Links::reach`] again and gets another. How often to try is the caller's business.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_proto::worker::worker_client::WorkerClient;
use strongroom_proto::worker::{HelloReply, HelloRequest};
use strongroom_proto::{PROTOCOL_NEWEST, PROTOCOL_OLDEST, common_protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tonic::transport::Channel;

use crate::gateway::{self, Gateway};
use crate::link;

/// How a host is reached. A real one is an SSH connection; tests put a worker at the other end of a pipe.
#[async_trait]
pub trait Dial: Send + Sync + std::fmt::Debug {
    /// Connects to a host.
    async fn dial(&self, host: &str) -> Result<Box<dyn Line>, Unreachable>;
}

/// A connection to one host. Dropping it ends it.
#[async_trait]
pub trait Line: Send + Sync {
    /// Opens a stream to the host's worker.
    async fn open(&self, purpose: Purpose) -> Result<Box<dyn Stream>, Unreachable>;
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The controller calls the worker.
    Control,
    /// The worker calls the gateway.
    Gateway,
}

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A host that could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unreachable {
    /// Why.
    pub why: String,
    /// Whether it may be reached later by itself; if not, a person has to do something first.
    pub passing: bool,
}

impl Purpose {
    /// The command that the worker's key is used with.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Gateway => "gateway",
        }
    }
}

/// A host's worker, as long as the line holds.
#[derive(Debug, Clone)]
pub struct Link {
    worker: WorkerClient<Channel>,
    hello: Arc<HelloReply>,
    /// Turns false when the line has ended, or was given up.
    alive: Arc<watch::Sender<bool>>,
}

/// Lines to all hosts.
#[derive(Debug)]
pub struct Links {
    dial: Arc<dyn Dial>,
    gateway: Arc<Gateway>,
    program: String,
    slots: Mutex<HashMap<String, Slot>>,
    /// Woken when a host was connected.
    met: Notify,
}

/// The lock is held while a host is dialled: whoever else needs it gets the same line.
type Slot = Arc<tokio::sync::Mutex<Option<Link>>>;

/// A worker's answer is small but for reports, which hold up to a thousand paths of up to 4 KiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A host that answers at all does so in this time: the dial, two streams, one call.
const REACH_WITHIN: Duration = Duration::from_secs(60);

impl Links {
    /// Lines that are made by `dial`, and whose hosts store through `gateway`.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>, gateway: Arc<Gateway>, program: String) -> Self {
        Self { dial, gateway, program, slots: Mutex::default(), met: Notify::new() }
    }

    /// A host's worker: by the line that there is, or by a new one.
    pub async fn reach(&self, host: &str) -> Result<Link, Unreachable> {
        let slot =
            Arc::clone(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(host.into()).or_default());
        let mut slot = slot.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| link.is_alive()) {
            return Ok(link.clone());
        }
        *slot = None;
        let connecting = tokio::time::timeout(REACH_WITHIN, self.connect(host)).await;
        let silent = |_| Unreachable {
            why: format!("{host} did not answer within {} s", REACH_WITHIN.as_secs()),
            passing: true,
        };
        let link = connecting.map_err(silent)??;
        *slot = Some(link.clone());
        self.met.notify_one();
        Ok(link)
    }

    /// Waits for the next host that is connected, or returns at once if there was one since the last time.
    pub async fn met(&self) {
        self.met.notified().await;
    }

    /// The version of a host's worker, if its line holds and it cannot do this. What a silent host can do shows when it answers.
    pub fn too_old_for(&self, host: &str, feature: &str) -> Option<String> {
        let (_, hello) = self.answering().into_iter().find(|(answering, _)| answering == host)?;
        (!knows(&hello, feature)).then(|| hello.version.clone())
    }

    /// The hosts whose lines hold, and what their workers said of themselves. A host that is just being dialled is none of them yet.
    pub fn answering(&self) -> Vec<(String, Arc<HelloReply>)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let hello = |slot: &Slot| {
            let link = slot.try_lock().ok()?;
            link.as_ref().filter(|link| link.is_alive()).map(|link| Arc::clone(&link.hello))
        };
        slots.iter().filter_map(|(host, slot)| Some((host.clone(), hello(slot)?))).collect()
    }

    /// Ends a host's line, for example before its worker is exchanged.
    pub async fn hang_up(&self, host: &str) {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
        if let Some(slot) = slot {
            *slot.lock().await = None;
        }
    }

    async fn connect(&self, host: &str) -> Result<Link, Unreachable> {
        let line = self.dial.dial(host).await?;
        let broken =
            |why: tonic::transport::Error| Unreachable { why: strongroom_repository::chain(&why), passing: true };
        let control = line.open(Purpose::Control).await?;
        let channel = link::client(control).await.map_err(broken)?;
        let mut worker = WorkerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let hello = self.hello(host, &mut worker).await?;
        let stream = line.open(Purpose::Gateway).await?;
        let alive = Arc::new(watch::channel(true).0);
        let serving = gateway::serve(Arc::clone(&self.gateway), host.to_owned(), stream);
        // The task holds no sender, so that the line also ends when nobody holds the link any more.
        let (name, mut watched, sign) = (host.to_owned(), alive.subscribe(), Arc::downgrade(&alive));
        tokio::spawn(async move {
            tokio::select! {
                // The worker keeps this stream open as long as it lives: its end is the end of the link.
                end = serving => tracing::info!(host = name, error = ?end.err(), "the line has ended"),
                _ = watched.wait_for(|alive| !alive) => {}
            }
            drop(line);
            if let Some(sign) = sign.upgrade() {
                sign.send_replace(false);
            }
        });
        tracing::info!(host, version = hello.version, "connected");
        Ok(Link { worker, hello: Arc::new(hello), alive })
    }

    async fn hello(&self, host: &str, worker: &mut WorkerClient<Channel>) -> Result<HelloReply, Unreachable> {
        let ours = HelloRequest {
            controller: self.program.clone(),
            protocol_newest: PROTOCOL_NEWEST,
            protocol_oldest: PROTOCOL_OLDEST,
        };
        let hello = worker.hello(ours).await.map_err(|status| Unreachable { why: said(&status), passing: true })?;
        let hello = hello.into_inner();
        let theirs: RangeInclusive<u32> = hello.protocol_oldest..=hello.protocol_newest;
        match common_protocol(theirs.clone()) {
            Some(_) => Ok(hello),
            None => Err(Unreachable {
                why: format!(
                    "the worker {} on {host} speaks protocol {} to {}, this controller {PROTOCOL_OLDEST} to {PROTOCOL_NEWEST}: run strongroom host upgrade {host}",
                    hello.version,
                    theirs.start(),
                    theirs.end(),
                ),
                passing: false,
            }),
        }
    }
}

/// Whether a worker can do this: one of [`strongroom_proto::feature`].
pub(crate) fn knows(worker: &HelloReply, feature: &str) -> bool {
    worker.features.iter().any(|known| known == feature)
}

impl Link {
    /// For calls.
    #[must_use]
    pub fn worker(&self) -> WorkerClient<Channel> {
        self.worker.clone()
    }

    /// What the worker said of itself.
    #[must_use]
    pub fn hello(&self) -> &HelloReply {
        &self.hello
    }

    /// Whether the line held when last seen.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        *self.alive.borrow()
    }

    /// Says that a call failed by the line: the next one to reach the host gets another.
    pub fn give_up(&self) {
        self.alive.send_replace(false);
    }

    /// Waits for the end of the line.
    pub async fn ended(&self) {
        let mut alive = self.alive.subscribe();
        // An error means that the sender is gone, which is the end as well.
        let _ = alive.wait_for(|alive| !alive).await;
    }
}

/// A status as text, with its causes.
pub(crate) fn said(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), strongroom_repository::chain(source)),
        None => status.message().to_owned(),
    }
}
