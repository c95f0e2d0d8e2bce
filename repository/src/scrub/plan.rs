//! Which objects come next, and how the promise stands. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::ScrubOptions;
use super::examine::Stored;
use super::ledger::{Ledger, Outcome};

/// What a scrub will read, in this order, as far as its time goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubPlan {
    pub(super) objects: Vec<Stored>,
    /// Bytes of them.
    pub bytes: u64,
}

impl ScrubPlan {
    /// How many objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// How it stands with "every stored byte is hashed again within so long".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Promise {
    /// Within how many seconds.
    pub every_seconds: u64,
    /// Whether every object was verified, or stored, within that time, and was good.
    pub kept: bool,
    /// Since when it is broken.
    pub broken_since: Option<Timestamp>,
    /// When what waits longest was last verified, or stored.
    pub oldest: Option<Timestamp>,
    /// Which object that is.
    pub oldest_object: Option<String>,
    /// Bytes of objects that were never verified since they were stored.
    pub never_verified_bytes: u64,
    /// Bytes of all objects.
    pub stored_bytes: u64,
    /// Bytes that one run may read; none if it reads all.
    pub budget_bytes: Option<u64>,
    /// How many runs one round takes with that.
    pub runs_a_round: u64,
}

/// Since when an object is known to be good; a bad one never was.
fn good_since(object: &Stored, ledger: &Ledger) -> Timestamp {
    match ledger.get(&object.name) {
        Some(verified) if verified.outcome == Outcome::Bad => Timestamp::UNIX_EPOCH,
        // What lies there now may be newer than what was verified.
        Some(verified) => verified.at.max(object.since),
        None => object.since,
    }
}

/// What was known to be bad comes first, then what waits longest.
pub(super) fn plan(stored: &[Stored], ledger: &Ledger, options: &ScrubOptions) -> ScrubPlan {
    let mut order: Vec<(Timestamp, &Stored)> =
        stored.iter().map(|object| (good_since(object, ledger), object)).collect();
    order.sort_by(|(left, one), (right, other)| left.cmp(right).then_with(|| one.name.cmp(&other.name)));
    let mut plan = ScrubPlan::default();
    for (_, object) in order {
        if options.bytes.is_some_and(|budget| !plan.is_empty() && plan.bytes + object.size > budget) {
            break;
        }
        plan.bytes += object.size;
        plan.objects.push(object.clone());
    }
    plan
}

pub(super) fn promise(stored: &[Stored], ledger: &Ledger, options: &ScrubOptions) -> Promise {
    let is_bad = |object: &Stored| ledger.get(&object.name).is_some_and(|verified| verified.outcome == Outcome::Bad);
    let oldest = stored.iter().filter(|object| !is_bad(object)).map(|object| (good_since(object, ledger), object));
    let oldest = oldest.min_by(|(left, _), (right, _)| left.cmp(right));
    let due = oldest.and_then(|(since, _)| since.checked_add(signed(options.every)).ok());
    let broken_since = due.filter(|due| *due < options.now);
    let stored_bytes: u64 = stored.iter().map(|object| object.size).sum();
    let never = stored.iter().filter(|object| ledger.get(&object.name).is_none());
    Promise {
        every_seconds: options.every.as_secs(),
        kept: broken_since.is_none() && !stored.iter().any(is_bad),
        broken_since,
        oldest: oldest.map(|(since, _)| since),
        oldest_object: oldest.map(|(_, object)| object.name.clone()),
        never_verified_bytes: never.map(|object| object.size).sum(),
        stored_bytes,
        budget_bytes: options.bytes,
        runs_a_round: options.bytes.map_or(1, |budget| stored_bytes.div_ceil(budget.max(1))).max(1),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Verified;
    use super::*;
    use crate::rebuild::Act;

    const DAY: i64 = 24 * 60 * 60;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(number * DAY).unwrap()
    }

    fn options(bytes: Option<u64>, now: i64) -> ScrubOptions {
        let every = Duration::from_secs(30 * DAY as u64);
        ScrubOptions { bytes, time: None, every, now: day(now), by: "h".into(), act: Act::ForReal }
    }

    fn scene() -> (Vec<Stored>, Ledger) {
        let object = |name: &str, since| Stored { name: name.into(), size: 10, since: day(since) };
        let stored = vec![object("a", 100), object("b", 120), object("c", 90), object("d", 95), object("new", 130)];
        let mut ledger = Ledger::default();
        for (name, at, outcome) in [("a", 125, Outcome::Good), ("d", 128, Outcome::Bad), ("c", 119, Outcome::Good)] {
            ledger.note(name, Verified { at: day(at), outcome, by: "h".into() });
        }
        (stored, ledger)
    }

    #[test]
    fn what_waits_longest_comes_first_under_the_budget() {
        let (stored, ledger) = scene();
        let names = |bytes| {
            let plan = plan(&stored, &ledger, &options(bytes, 131));
            plan.objects.iter().map(|object| object.name.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(None), "d c b a new");
        assert_eq!(names(Some(29)), "d c");
        assert_eq!(names(Some(1)), "d");
    }

    #[test]
    fn the_promise_is_broken_from_the_day_that_the_oldest_was_due() {
        let (mut stored, ledger) = scene();
        let bad = promise(&stored, &ledger, &options(Some(20), 131));
        assert!(!bad.kept && bad.broken_since.is_none());
        assert_eq!((bad.runs_a_round, bad.stored_bytes, bad.never_verified_bytes), (3, 50, 20));
        stored.retain(|object| object.name != "d");
        assert!(promise(&stored, &ledger, &options(None, 149)).kept);
        let broken = promise(&stored, &ledger, &options(None, 150));
        assert_eq!((broken.kept, broken.broken_since, broken.oldest), (false, Some(day(149)), Some(day(119))));
        assert_eq!(broken.oldest_object.as_deref(), Some("c"));
        // What was stored again since is as good as verified then.
        stored[2].since = day(140);
        assert!(promise(&stored, &ledger, &options(None, 149)).kept);
    }
}
