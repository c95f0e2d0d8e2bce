//! When to dial a host again.
//!
//! Time is tokio's, so that a test with paused time sees minutes pass at once. Chance is the host's name, so that two controllers, or two runs of one
//! simulation, wait equally long, while a thousand hosts behind one broken switch do not come back in one moment.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::error::SshError;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: a host that was off overnight is back in the records at most this long after it boots.
const LONGEST: Duration = Duration::from_secs(300);
/// A connection that lasts this long was a good one. One that ends sooner, again and again, is not dialled each second.
const STEADY: Duration = Duration::from_secs(60);

/// The pauses between attempts: doubling, and each shortened by up to a quarter.
#[derive(Debug, Clone)]
pub struct Backoff {
    host: String,
    failures: u32,
}

impl Backoff {
    /// For a host without failures.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self { host: host.to_owned(), failures: 0 }
    }

    /// The pause after one more failure.
    pub fn pause(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        let pause = doubled.mul_f64(1.0 - 0.25 * self.chance());
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// At least 0 and less than 1, the same for the same host and count.
    fn chance(&self) -> f64 {
        let hash = blake3::Hasher::new().update(self.host.as_bytes()).update(&self.failures.to_le_bytes()).finalize();
        let [first, second, third, fourth, ..] = *hash.as_bytes();
        f64::from(u32::from_le_bytes([first, second, third, fourth])) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Keeps account of the attempts to reach one host.
#[derive(Debug)]
pub struct Reconnector {
    backoff: Backoff,
    /// Before this the next attempt does not begin.
    due: Instant,
    /// Since when there is a connection.
    connected: Option<Instant>,
}

impl Reconnector {
    /// For a host that was not dialled yet: the first attempt is due at once.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self { backoff: Backoff::new(host), due: Instant::now(), connected: None }
    }

    /// When the next attempt may begin; while there is a connection, when it might if that ended now.
    #[must_use]
    pub fn due(&self) -> Instant {
        match self.connected {
            Some(since) if since.elapsed() >= STEADY => Instant::now(),
            _ => self.due,
        }
    }

    /// Waits until an attempt is due and makes it, once. To be called when the connection before it is seen to have ended, because its end is taken to be now.
    /// A failure puts the next attempt off, whatever its kind: whether there is to be one is the caller's decision ([`SshError::retry`]).
    pub async fn attempt<T>(&mut self, dial: impl Future<Output = Result<T, SshError>>) -> Result<T, SshError> {
        if self.connected.take().is_some_and(|since| since.elapsed() >= STEADY) {
            self.reset();
        }
        sleep_until(self.due).await;
        let result = dial.await;
        let now = Instant::now();
        self.due = now + self.backoff.pause();
        self.connected = result.is_ok().then_some(now);
        result
    }

    /// Makes the next attempt due now, as when somebody says that the host is back.
    pub fn reset(&mut self) {
        self.backoff.reset();
        self.due = Instant::now();
        self.connected = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::{Backoff, LONGEST, Reconnector, STEADY};
    use crate::ssh::SshError;

    fn refused() -> Result<(), SshError> {
        Err(SshError::lost("web1", None))
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut backoff = Backoff::new("web1");
        for doubled in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map(Duration::from_secs) {
            let pause = backoff.pause();
            assert!(pause <= doubled && pause > doubled.mul_f64(0.75), "{pause:?} for {doubled:?}");
        }
        for _ in 0..100 {
            assert!(backoff.pause() <= LONGEST);
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }

    #[test]
    fn the_same_host_waits_equally_long_and_another_does_not() {
        let pauses = |host| {
            let mut backoff = Backoff::new(host);
            [0; 12].map(|_| backoff.pause())
        };
        assert_eq!(pauses("web1"), pauses("web1"));
        assert_ne!(pauses("web1"), pauses("web2"));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_wait_for_their_time() {
        let mut reconnector = Reconnector::new("web1");
        let begun = Instant::now();
        for _ in 0..12 {
            assert!(reconnector.attempt(async { refused() }).await.is_err());
        }
        // The first at once, then eleven pauses: 1 + 2 + … + 256 + 300 + 300 s, shortened by up to a quarter.
        let waited = begun.elapsed();
        assert!(waited <= Duration::from_secs(1111) && waited > Duration::from_secs(833), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_lasted_is_dialled_again_at_once() {
        let mut reconnector = Reconnector::new("web1");
        for _ in 0..5 {
            assert!(reconnector.attempt(async { refused() }).await.is_err());
        }
        assert!(reconnector.attempt(async { Ok(()) }).await.is_ok());
        sleep(STEADY).await;
        let lost = Instant::now();
        assert!(reconnector.attempt(async { refused() }).await.is_err());
        assert_eq!(lost.elapsed(), Duration::ZERO);
        assert!(reconnector.attempt(async { refused() }).await.is_err());
        assert!(lost.elapsed() <= Duration::from_secs(1), "the failures before it are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_at_once_is_not() {
        let mut reconnector = Reconnector::new("web1");
        let begun = Instant::now();
        for _ in 0..12 {
            assert!(reconnector.attempt(async { Ok(()) }).await.is_ok());
        }
        assert!(begun.elapsed() > Duration::from_secs(833));
    }
}
