//! From a plan's words to the moments of one due run: when it begins, and until when it may.
//!
//! All of it follows from the due time and the words alone, so a restart comes to the same.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{Due, MissedRule, Name, RunKind, Schedule, TimeSpan};

/// A run that begins within this time is on time: restarts, corrections of a clock and a busy minute take less.
pub(crate) const ON_TIME: SignedDuration = SignedDuration::from_mins(10);

/// The moments of a run that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moments {
    /// When it should begin: due, and its host's share of the jitter.
    pub(crate) start_at: Timestamp,
    /// When it is due by the plan's words.
    pub(crate) due: Timestamp,
    pub(crate) kind: RunKind,
    /// It begins before this instant, or not at all.
    pub(crate) deadline: Option<Timestamp>,
    /// When the window that opens with it closes.
    pub(crate) window_end: Option<Timestamp>,
}

/// A due time of a schedule with what all hosts of one zone have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueTime {
    due: Due,
    next: Option<Due>,
    window_end: Option<Timestamp>,
    /// The part of the jitter for which there is time.
    spread: Option<SignedDuration>,
}

/// A number between nothing and all that a host has for itself, in 2^64ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl DueTime {
    pub(crate) fn new(due: Due, schedule: &Schedule, zone: &TimeZone) -> Self {
        let next = schedule.due(due.at, zone).next();
        let window_end = schedule.window().and_then(|window| window.end(due.at, zone));
        let within = match schedule.missed() {
            Some(MissedRule::RunOnceWithin(span)) => due.at.checked_add(duration(span)).ok(),
            _ => None,
        };
        let ends =
            [next.map(|next| next.at), window_end, within].into_iter().flatten().map(|end| end.duration_since(due.at));
        let spread = schedule.jitter().map(|jitter| ends.fold(duration(jitter), SignedDuration::min));
        Self { due, next, window_end, spread }
    }

    pub(crate) fn next(&self) -> Option<Due> {
        self.next
    }

    /// What it comes to on a host.
    pub(crate) fn moments(&self, missed: Option<MissedRule>, share: Share) -> Moments {
        let due = self.due.at;
        let offset = self.spread.map_or(SignedDuration::ZERO, |spread| share.of(spread));
        let start_at = due.checked_add(offset).unwrap_or(due);
        let first = |ends: [Option<Timestamp>; 2]| ends.into_iter().flatten().min();
        let next_at = self.next.map(|next| next.at);
        let deadline = match missed {
            Some(MissedRule::RunOnceWithin(span)) => due.checked_add(duration(span)).ok(),
            Some(MissedRule::Skip) => first([self.window_end.or_else(|| start_at.checked_add(ON_TIME).ok()), next_at]),
            None => first([self.window_end, next_at]),
        };
        Moments { start_at, due, kind: self.due.kind, deadline, window_end: self.window_end }
    }
}

impl Share {
    /// The same for each run of a plan on a host, in every life of the controller, and spread evenly over hosts.
    pub(crate) fn new(site: &Name, plan: &Name, host: &Name) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in [site, plan, host] {
            hasher.update(name.as_str().as_bytes()).update(b"\n");
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// Less than all of it, in whole seconds.
    pub(crate) fn of(self, spread: SignedDuration) -> SignedDuration {
        let seconds = u128::from(spread.as_secs().max(0).unsigned_abs());
        let part = (seconds * u128::from(self.0)) >> 64;
        SignedDuration::from_secs(i64::try_from(part).unwrap_or_default())
    }
}

/// Spans that reach past the calendar are as good as its end.
pub(crate) fn duration(span: TimeSpan) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(span.seconds()).unwrap_or(i64::MAX))
}
