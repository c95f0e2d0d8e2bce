//! How fast a run reads: a rate that it keeps to, and a halt that somebody asked for.
//!
//! Whoever has read something says so and is kept waiting until it may go on. So nothing is taken away from a reading that has begun, and at most one buffer of
//! each lane is read too early.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How soon a run that waits notices that it was given up.
const GLANCE: Duration = Duration::from_millis(200);
/// What an idle time earns at most: small files in a row do not wait for each other.
const BURST: Duration = Duration::from_millis(100);

/// The pace of one run, shared by its lanes and by whoever steers it. Without a rate and a halt it costs nothing.
#[derive(Debug, Default)]
pub struct Pace {
    bytes_per_second: Option<NonZeroU64>,
    is_halted: AtomicBool,
    /// The instant at which all that was read so far is paid for.
    paid_until: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Pace {
    /// Reads so many bytes a second at most; as fast as it can without a rate.
    #[must_use]
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, ..Self::default() }
    }

    /// Nothing is read from now on, until [`Pace::go_on`].
    pub fn halt(&self) {
        self.is_halted.store(true, Ordering::Relaxed);
    }

    /// Ends a halt.
    pub fn go_on(&self) {
        self.is_halted.store(false, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Notes that bytes were read, and waits until the next ones may be, or until `stop` is set. Not for async threads.
    pub(crate) fn took(&self, bytes: u64, stop: &AtomicBool) {
        if self.bytes_per_second.is_none() && !self.is_halted.load(Ordering::Relaxed) {
            return;
        }
        let mut paid_until = self.lock();
        let now = Instant::now();
        if let Some(rate) = self.bytes_per_second {
            let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
            let price = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            *paid_until = Some(paid_until.map_or(earliest, |paid| paid.max(earliest)) + price);
        }
        let due = paid_until.unwrap_or(now);
        while !stop.load(Ordering::Relaxed) {
            let left = match self.is_halted.load(Ordering::Relaxed) {
                true => GLANCE,
                false => due.saturating_duration_since(Instant::now()).min(GLANCE),
            };
            if left.is_zero() {
                return;
            }
            paid_until = self.changed.wait_timeout(paid_until, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of a halt.
    pub(crate) async fn may_go_on(&self) {
        while self.is_halted.load(Ordering::Relaxed) {
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paid_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_by_all_lanes_together() {
        let (pace, stop) = (Pace::new(NonZeroU64::new(1_000_000)), AtomicBool::new(false));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20).for_each(|_| pace.took(10_000, &stop)));
            }
        });
        // 400 kB at 1 MB/s, less the burst.
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_halt_lasts_until_it_ends_or_the_run_is_given_up() {
        let (pace, stop) = (Pace::default(), AtomicBool::new(false));
        pace.took(u64::MAX, &stop);
        let ended = AtomicBool::new(false);
        let wait = || {
            pace.took(1, &stop);
            ended.store(true, Ordering::SeqCst);
        };
        pace.halt();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(wait);
            assert!(!ended.load(Ordering::SeqCst));
            pace.go_on();
            waiting.join().unwrap();
        });
        pace.halt();
        std::thread::scope(|scope| {
            scope.spawn(wait);
            stop.store(true, Ordering::Relaxed);
        });
    }
}
