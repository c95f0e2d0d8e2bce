//! The runs that a plan has ahead of it, to be compared with those that it would have.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::schedule::RunKind;
use crate::upcoming::Upcoming;

/// The runs of a year in figures, and the next ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsAhead {
    /// How many read everything.
    pub full: usize,
    /// How many read what has changed.
    pub incremental: usize,
    /// How many more a calendar keeps from beginning.
    pub stopped: usize,
    /// The next ones that begin, and the next full one after them.
    pub next: Vec<NextRun>,
}

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    /// RFC 3339, with the offset that holds then.
    pub time: String,
    /// What it reads.
    pub kind: RunKind,
}

/// The runs before and after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsChange {
    /// Before.
    pub old: RunsAhead,
    /// After.
    pub new: RunsAhead,
}

/// Every rhythm that a plan can have is in it at least once.
pub(crate) const DAYS: i32 = 365;
/// Enough to see a rhythm by.
const NEXT_SHOWN: usize = 3;

impl RunsAhead {
    /// From which instant on [`RunsAhead::of`] wants to be told of runs: figures are those of whole days, so that the hour
    /// of the comparison is not in them.
    pub(crate) fn begin(from: Timestamp, zone: &TimeZone) -> Timestamp {
        let midnight = from.to_zoned(zone.clone()).start_of_day().map_or(from, |day| day.timestamp());
        // Midnight itself is the first instant of the day.
        midnight.checked_sub(1.nanosecond()).unwrap_or(midnight)
    }

    /// Counts the runs after [`RunsAhead::begin`]; `next` begins at `from`.
    pub(crate) fn of(upcoming: impl Iterator<Item = Upcoming>, zone: &TimeZone, from: Timestamp) -> Self {
        let first = from.to_zoned(zone.clone());
        let end = first.start_of_day().and_then(|day| day.checked_add(DAYS.days()));
        let end = end.map_or(Timestamp::MAX, |end| end.timestamp());
        let mut ahead = Self::default();
        let mut has_full = false;
        for run in upcoming.take_while(|run| run.due.at < end) {
            let kind = run.due.kind;
            match kind {
                _ if run.stopped.is_some() => ahead.stopped += 1,
                RunKind::Full => ahead.full += 1,
                RunKind::Incremental => ahead.incremental += 1,
            }
            let is_wanted = ahead.next.len() < NEXT_SHOWN || (kind == RunKind::Full && !has_full);
            if run.stopped.is_none() && run.due.at >= from && is_wanted {
                has_full |= kind == RunKind::Full;
                let time = run.due.at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
                ahead.next.push(NextRun { time, kind });
            }
        }
        ahead
    }

    /// How many begin.
    pub fn begun(&self) -> usize {
        self.full + self.incremental
    }
}

impl RunsChange {
    pub(crate) fn between(old: RunsAhead, new: RunsAhead) -> Option<Self> {
        (old != new).then_some(Self { old, new })
    }
}
