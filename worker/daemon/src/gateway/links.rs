//! Connections to the gateway. The controller makes them; the newest one is the one that is used.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use strongroom_proto::gateway::gateway_client::GatewayClient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint, Uri};

/// A link that is silent for this long is asked whether it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// And counts as cut when it does not answer.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);
/// What comes back is an index run now and then: enough to keep a line of 50 ms and 100 MB/s busy.
const WINDOW_BYTES: u32 = 8 << 20;
/// A part has 1 MiB; the rest is its envelope.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// The links, of which one is used. Clones are the same links.
#[derive(Debug, Clone)]
pub struct Links {
    newest: Arc<watch::Sender<Option<Link>>>,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Link {
    number: u64,
    pub(super) client: GatewayClient<Channel>,
    /// Its sender goes with the connection.
    life: watch::Receiver<()>,
}

impl Link {
    /// Which one it is; later ones have higher numbers.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Resolves when the connection has ended.
    pub(super) async fn cut(&self) {
        let mut life = self.life.clone();
        while life.changed().await.is_ok() {}
    }

    /// Whether the connection has ended.
    pub(super) fn is_cut(&self) -> bool {
        self.life.has_changed().is_err()
    }
}

impl Default for Links {
    fn default() -> Self {
        Self { newest: Arc::new(watch::Sender::new(None)) }
    }
}

impl Links {
    /// Uses this stream from now on, in place of the link before. Calls that are under way on that one may end there.
    pub async fn attach(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), tonic::transport::Error> {
        let (alive, life) = watch::channel(());
        let client = connect(Lasting { io, _alive: alive }).await?;
        self.newest.send_modify(|newest| {
            let number = newest.as_ref().map_or(1, |link| link.number + 1);
            *newest = Some(Link { number, client, life });
        });
        Ok(())
    }

    /// Whether there is a link now.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.newest.borrow().as_ref().is_some_and(|link| !link.is_cut())
    }

    /// The newest link, as soon as there is one that is not cut.
    pub(super) async fn usable(&self) -> Link {
        let mut newest = self.newest.subscribe();
        let usable = newest.wait_for(|link| link.as_ref().is_some_and(|link| !link.is_cut())).await;
        match usable.map(|link| link.clone()) {
            Ok(Some(link)) => link,
            // The sender is ours, so it cannot be gone; and the condition wants a link.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// A client on a stream. It does not connect again: when the stream ends, every call fails.
async fn connect(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<GatewayClient<Channel>, tonic::transport::Error> {
    let io = Mutex::new(Some(TokioIo::new(io)));
    let connector = tower::service_fn(move |_: Uri| {
        let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { io.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let channel = Endpoint::from_static("http://gateway.invalid")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(ALIVE_EVERY)
        .keep_alive_timeout(ALIVE_WITHIN)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await?;
    Ok(GatewayClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// A stream whose end can be seen from outside.
struct Lasting<S> {
    io: S,
    _alive: watch::Sender<()>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Lasting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lasting<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
