//! How long a restore will take, from those that were: proofs of runs, drills and restores on hosts.

use std::time::Duration;

use serde::Serialize;

/// A restore that was verified to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastRestore {
    /// What was read back and equal.
    pub bytes: u64,
    /// From its order to its end.
    pub took: Duration,
}

/// What they say together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pace {
    /// How many there were.
    pub restores: u32,
    /// Of content, over all of them: the large ones count for what they are.
    pub bytes_per_second: f64,
    /// The shortest took as long: so does the smallest one to come.
    pub least: Duration,
}

impl Pace {
    /// None if nothing was restored yet that could tell.
    #[must_use]
    pub fn of(past: &[PastRestore]) -> Option<Self> {
        let (bytes, took) =
            past.iter().fold((0, Duration::ZERO), |(bytes, took), one| (bytes + one.bytes, took + one.took));
        let least = past.iter().map(|one| one.took).min()?;
        let is_telling = bytes > 0 && !took.is_zero();
        let restores = u32::try_from(past.len()).unwrap_or(u32::MAX);
        is_telling.then(|| Self { restores, bytes_per_second: bytes as f64 / took.as_secs_f64(), least })
    }

    /// So long for so many bytes.
    #[must_use]
    pub fn takes(&self, bytes: u64) -> Duration {
        let seconds = bytes as f64 / self.bytes_per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(bytes: u64, seconds: u64) -> PastRestore {
        PastRestore { bytes, took: Duration::from_secs(seconds) }
    }

    #[test]
    fn large_ones_tell_the_rate_and_the_shortest_the_least() {
        let pace = Pace::of(&[past(1_000, 1), past(999_999_000, 9)]).unwrap();
        assert_eq!(pace.takes(1_000_000_000), Duration::from_secs(10));
        assert_eq!(pace.takes(5), Duration::from_secs(1));
        assert_eq!(Pace { bytes_per_second: 1e-300, ..pace }.takes(u64::MAX), Duration::MAX);
    }

    #[test]
    fn nothing_restored_tells_nothing() {
        assert_eq!(Pace::of(&[]), None);
        assert_eq!(Pace::of(&[past(0, 3)]), None);
        assert_eq!(Pace::of(&[past(3, 0)]), None);
    }
}
