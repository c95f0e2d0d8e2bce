//! Whether a session's stream still lives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::pool::SftpStream;

/// Knows when the stream has ended.
#[derive(Debug, Clone)]
pub(super) struct Life(watch::Receiver<bool>);

impl Life {
    pub(super) fn has_ended(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        // An error says that the stream was dropped, which is an end as well.
        let _ = self.0.clone().wait_for(|ended| *ended).await;
    }
}

/// A stream that tells when it ends.
pub(super) struct Watched {
    inner: Box<dyn SftpStream>,
    ended: watch::Sender<bool>,
}

pub(super) fn watched(inner: Box<dyn SftpStream>) -> (Watched, Life) {
    let (ended, life) = watch::channel(false);
    (Watched { inner, ended }, Life(life))
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        if read.is_err() || (room > 0 && buffer.filled().len() == before) {
            self.ended.send_replace(true);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes));
        if written.is_err() {
            self.ended.send_replace(true);
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
