//! The sessions of a store: made when they are needed, shared, and made anew when they are lost.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use super::error::SftpError;
use super::session::Session;
use crate::store::ErrorKind;

/// Sessions side by side. A server's window of 2 MiB holds each to 40 MiB/s at 50 ms; sshd allows ten for each connection, and others want some.
const SESSIONS_MAX: usize = 4;

/// Something is tried so often, with pauses that come to a quarter of a minute: a server that restarts is back by then.
pub(super) const TRIES_MAX: u32 = 6;

/// The first pause, which doubles each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Bytes to a server's SFTP subsystem and back.
pub trait SftpStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> SftpStream for T {}

/// Gives streams to one server's SFTP subsystem, each a new one.
#[async_trait]
pub trait SftpConnector: fmt::Debug + Send + Sync {
    /// A new stream. Every wait in it ends.
    async fn connect(&self) -> Result<Box<dyn SftpStream>, SftpError>;
}

#[derive(Debug)]
pub(super) struct Pool {
    connector: Arc<dyn SftpConnector>,
    slots: [Slot; SESSIONS_MAX],
}

#[derive(Debug, Default)]
struct Slot {
    session: Mutex<Option<Arc<Session>>>,
    users: AtomicUsize,
}

/// Counts a user of a slot for as long as it lives.
struct User<'a>(&'a Slot);

impl<'a> User<'a> {
    fn of(slot: &'a Slot) -> Self {
        slot.users.fetch_add(1, Ordering::Relaxed);
        Self(slot)
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(connector: Arc<dyn SftpConnector>) -> Self {
        Self { connector, slots: Default::default() }
    }

    /// Does something that may be done again, until it is done or there is no hope.
    pub(super) async fn with<T, Fut>(&self, work: impl Fn(Arc<Session>) -> Fut) -> Result<T, SftpError>
    where
        Fut: Future<Output = Result<T, SftpError>>,
    {
        let mut attempt = 1;
        loop {
            match self.once(&work).await {
                Err(error) if error.kind() == ErrorKind::Transient && attempt < TRIES_MAX => {
                    tracing::info!(attempt, "trying again: {}", crate::error::chain(&error));
                    pause(attempt).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// Does something once, in the session that has the least to do.
    pub(super) async fn once<T, Fut>(&self, work: impl Fn(Arc<Session>) -> Fut) -> Result<T, SftpError>
    where
        Fut: Future<Output = Result<T, SftpError>>,
    {
        // BUG if there is none: the array has a length.
        let least = self.slots.iter().min_by_key(|slot| slot.users.load(Ordering::Relaxed));
        let user = User::of(least.expect("there are slots"));
        let session = self.session(user.0).await?;
        let done = work(Arc::clone(&session)).await;
        if let Err(SftpError::Lost(_)) = done {
            let mut kept = user.0.session.lock().await;
            // Somebody else may have replaced it already.
            if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &session)) {
                *kept = None;
            }
        }
        done
    }

    async fn session(&self, slot: &Slot) -> Result<Arc<Session>, SftpError> {
        let mut kept = slot.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_spent()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::start(self.connector.connect().await?).await?);
        Ok(Arc::clone(kept.insert(session)))
    }
}

/// Waits before the next try: half of the time for certain, the rest by chance.
pub(super) async fn pause(attempt: u32) {
    let whole = PAUSE * (1 << attempt.min(5));
    let [random] = crate::keys::random::<1>();
    tokio::time::sleep(whole / 2 + whole.mul_f64(f64::from(random) / 512.0)).await;
}
