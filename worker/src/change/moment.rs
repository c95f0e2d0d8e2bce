//! Deadlines by the one clock that nobody sets: the time since the host has started.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment of one run of the host, suspended time included. A deadline on another clock is lengthened by setting that clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Changes with each start of the host.
    pub boot: String,
    /// Since then.
    pub milliseconds: u64,
}

impl Moment {
    /// Now, on this host.
    pub fn now() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let since = clock_gettime(ClockId::Boottime);
        let milliseconds = since.tv_sec.unsigned_abs() * 1000 + since.tv_nsec.unsigned_abs() / 1_000_000;
        Ok(Self { boot, milliseconds })
    }

    /// So much later.
    #[must_use]
    pub fn after(&self, time: Duration) -> Self {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { boot: self.boot.clone(), milliseconds: self.milliseconds.saturating_add(milliseconds) }
    }

    /// How long it is until this; none if it has come. A host that has started anew since is past every deadline of before.
    #[must_use]
    pub fn left(&self, now: &Self) -> Option<Duration> {
        let left = self.milliseconds.checked_sub(now.milliseconds).filter(|left| *left > 0)?;
        (self.boot == now.boot).then(|| Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_with_its_time_or_with_the_run_of_the_host() {
        let at = |boot: &str, milliseconds| Moment { boot: boot.to_owned(), milliseconds };
        let deadline = at("a", 1000).after(Duration::from_millis(500));
        assert_eq!(deadline.left(&at("a", 1499)), Some(Duration::from_millis(1)));
        assert_eq!((deadline.left(&at("a", 1500)), deadline.left(&at("a", 9000))), (None, None));
        assert_eq!(deadline.left(&at("b", 0)), None);
        let now = Moment::now().unwrap();
        assert!(now.after(Duration::from_secs(3600)).left(&Moment::now().unwrap()) > Some(Duration::from_secs(3000)));
    }
}
