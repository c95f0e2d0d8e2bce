//! Bodies that notice when nothing moves.
//!
//! A time-out for a whole request cannot be right: 64 MiB take half a second or half an hour. What is watched is
//! progress: bytes taken by the connection, bytes that arrive.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpRequestBody};
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::S3Error;

/// What is handed to the connection at once. It must be little, for what is handed over counts as progress.
const PIECE_BYTES: usize = 64 * 1024;

/// When something moved last.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends when nothing has moved for `stall`.
    pub(super) async fn stalls(&self, stall: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= stall {
                return;
            }
            sleep_until(last + stall).await;
        }
    }
}

/// A request's body that goes out in small pieces and notes each.
#[derive(Debug)]
pub(super) struct Upload {
    inner: HttpRequestBody,
    piece: Bytes,
    progress: Progress,
}

impl Upload {
    pub(super) fn new(inner: HttpRequestBody, progress: Progress) -> Self {
        Self { inner, piece: Bytes::new(), progress }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        while self.piece.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
            }
        }
        self.progress.note();
        let length = self.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.inner.size_hint().exact().unwrap_or(0);
        SizeHint::with_exact(rest + self.piece.len() as u64)
    }
}

/// An answer's body that fails when no byte comes for too long while somebody waits for one.
#[derive(Debug)]
pub(super) struct Download {
    inner: reqwest::Body,
    endpoint: Arc<str>,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Download {
    pub(super) fn new(inner: reqwest::Body, endpoint: Arc<str>, stall: Duration) -> Self {
        Self { inner, endpoint, stall, waiting: None }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.waiting = None;
            let failed = |error| S3Error::transport(&self.endpoint, &error).into_http();
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        let deadline = Instant::now() + self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(waiting.as_mut().poll(context));
        let stalled = S3Error::Stalled { endpoint: self.endpoint.to_string(), after: self.stall };
        Poll::Ready(Some(Err(stalled.into_http())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
