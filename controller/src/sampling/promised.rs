//! Whether what a plan promises of its drills is kept, and can be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Coverage;
use crate::site::ProofTerms;

/// How it stands with the drills of a plan on a host that restore samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Promised {
    /// What they have restored of the newest restore point that was drilled.
    pub coverage: Coverage,
    /// Whether nothing waits for longer than is promised, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<bool>,
    /// Why it will not be kept, however well the drills go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Promised {
    /// As seen at an instant.
    #[must_use]
    pub fn of(coverage: Coverage, terms: &ProofTerms, now: Timestamp) -> Self {
        let kept = terms.promise.map(|promise| coverage.keeps(promise, now));
        let beyond = terms.reach_bytes.filter(|reach| coverage.bytes > *reach);
        let warning = beyond.map(|reach| {
            let (mebibytes, reach) = (coverage.bytes >> 20, reach >> 20);
            format!(
                "the promise cannot be kept: its drills restore at most {reach} of {mebibytes} MiB in time; \
                 make the sample larger, drill more often, or promise less"
            )
        });
        Self { coverage, kept, warning }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use strongroom_plans::ProofRhythm;

    use super::*;

    #[test]
    fn what_the_drills_cannot_reach_is_said_before_it_is_broken() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let coverage = Coverage { files: 2, bytes: 200 << 20, restored_files: 1, restored_bytes: 1, oldest: at(0) };
        let check = |promise: Option<i64>, reach_mib: u64, expect: (Option<bool>, bool)| {
            let terms = ProofTerms {
                every: ProofRhythm::Weekly,
                counts_for: None,
                samples: true,
                promise: promise.map(SignedDuration::from_secs),
                reach_bytes: promise.map(|_| reach_mib << 20),
            };
            let promised = Promised::of(coverage.clone(), &terms, at(100));
            assert_eq!((promised.kept, promised.warning.is_some()), expect, "{promised:?}");
        };
        check(None, 0, (None, false));
        check(Some(100), 200, (Some(true), false));
        check(Some(99), 200, (Some(false), false));
        check(Some(100), 199, (Some(true), true));
    }
}
