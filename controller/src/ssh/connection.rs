//! One SSH connection, and the channels on it.

use std::sync::Arc;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect};

use super::error::SshError;
use super::trust::Trust;

/// A logged-in connection. Clones are the same connection, which ends when the last of them and of its streams is dropped.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    handle: Handle<Trust>,
    /// Carries this connection.
    jump: Option<Connection>,
    place: String,
}

impl Connection {
    pub(super) fn new(handle: Handle<Trust>, jump: Option<Self>, place: String) -> Self {
        Self(Arc::new(Inner { handle, jump, place }))
    }

    /// Host and port.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// Whether the link is gone. It may also be gone without anybody knowing yet.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// Says goodbye and ends the connection, and those to its jump hosts.
    pub async fn close(&self) {
        let mut next = Some(self);
        while let Some(connection) = next {
            // One that is closed already needs no goodbye.
            let _ = connection.0.handle.disconnect(Disconnect::ByApplication, "", "").await;
            next = connection.0.jump.as_ref();
        }
    }

    /// A TCP connection from the host to somewhere else.
    pub(crate) async fn open_tcp(&self, address: &str, port: u16) -> Result<Channel<Msg>, russh::Error> {
        self.0.handle.channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0).await
    }

    /// A channel on which something can be requested.
    pub(crate) async fn session(&self) -> Result<Channel<Msg>, SshError> {
        self.0.handle.channel_open_session().await.map_err(|source| match source {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => SshError::Refused {
                place: self.place().to_owned(),
                what: "to open a session",
                source: Some(Box::new(source)),
            },
            russh::Error::ChannelOpenFailure(_) => {
                SshError::Busy { place: self.place().to_owned(), source: Box::new(source) }
            }
            lost => SshError::lost(self.place(), lost),
        })
    }

    /// Whether a request could be sent; the answer is [`accepted`]'s.
    pub(crate) fn sent(&self, asked: Result<(), russh::Error>) -> Result<(), SshError> {
        asked.map_err(|lost| SshError::lost(self.place(), lost))
    }

    /// The handle, for what only a proof of restrictions asks.
    pub(crate) fn handle(&self) -> &Handle<impl russh::client::Handler> {
        &self.0.handle
    }

    /// A channel on which a command runs.
    pub(super) async fn exec(&self, command: &str) -> Result<Channel<Msg>, SshError> {
        let mut channel = self.session().await?;
        self.sent(channel.exec(true, command).await)?;
        match accepted(&mut channel).await {
            Some(true) => Ok(channel),
            Some(false) => {
                let what = "to run a command";
                Err(SshError::Refused { place: self.place().to_owned(), what, source: None })
            }
            None => Err(SshError::lost(self.place(), None)),
        }
    }
}

/// The answer to the last request on a channel; nothing if the channel ended instead.
pub(crate) async fn accepted(channel: &mut Channel<Msg>) -> Option<bool> {
    loop {
        match channel.wait().await? {
            ChannelMsg::Success => return Some(true),
            ChannelMsg::Failure => return Some(false),
            _ => {}
        }
    }
}
