//! Until when a run may go on: `window: { until: "05:00", then: stop }`.
//!
//! The window of a run opens when the run is due and closes when the clock on the wall next shows `until`. A run that
//! is made up for after its window (see `missed`) has the next one to end in.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::local_time;
use crate::time_of_day::TimeOfDay;
use crate::tree::Node;
use crate::values;
use crate::words::{self, Meaning, Word};

/// When runs are cut off, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Window {
    until: TimeOfDay,
    then: CutOff,
}

/// What becomes of a run that is still going when its window closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutOff {
    /// It goes on to its end; only no other one begins.
    Finish,
    /// It stops, and goes on when the window opens next: with the plan's next due time, whose run stands for it. What
    /// it had stored by then is not sent again; files are read again.
    Stop,
    /// It is cancelled: its record is closed.
    Cancel,
}

static SHAPE: Shape =
    Shape { title: "`window`", keys: &[("until", Meaning::Now("\"05:00\"")), ("then", Meaning::Now("cancel"))] };

static CUT_OFFS: &[Word<CutOff>] = &[
    ("finish", Meaning::Now(CutOff::Finish)),
    ("stop", Meaning::Now(CutOff::Stop)),
    ("cancel", Meaning::Now(CutOff::Cancel)),
];

impl Window {
    /// When it closes, on the clock on the wall.
    pub fn until(&self) -> TimeOfDay {
        self.until
    }

    /// What becomes of a run that is still going then.
    pub fn then(&self) -> CutOff {
        self.then
    }

    /// When the window that is open at an instant closes; none at the far end of the calendar.
    pub fn end(&self, open_at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // A day early, because an hour may come twice.
        let first = zone.to_datetime(open_at).date().checked_sub(1.day()).ok()?;
        let ends =
            first.series(1.day()).take(4).map(|day| local_time::instant(day.to_datetime(self.until.time()), zone));
        ends.flatten().find(|end| *end > open_at)
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let until = fields.required("until", findings, values::written);
        let then = fields.required("then", findings, |node, findings| {
            words::word(node, "way to end a run when its window closes", CUT_OFFS, findings)
        });
        Some(Self { until: until?, then: then? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(until: &str, open_at: &str, zone: &str, expect: &str) {
        let window = Window { until: until.parse().unwrap(), then: CutOff::Cancel };
        let end = window.end(open_at.parse().unwrap(), &TimeZone::get(zone).unwrap());
        assert_eq!(end.unwrap().to_string(), expect, "{until} from {open_at} in {zone}");
    }

    #[test]
    fn it_closes_when_the_clock_next_shows_the_time() {
        check("05:00", "2026-11-22T01:30:00Z", "UTC", "2026-11-22T05:00:00Z");
        check("05:00", "2026-11-22T05:00:00Z", "UTC", "2026-11-23T05:00:00Z");
        check("01:00", "2026-11-22T22:00:00Z", "UTC", "2026-11-23T01:00:00Z");
        check("05:00", "2026-11-21T17:30:00Z", "Asia/Shanghai", "2026-11-21T21:00:00Z");
        // Left out in spring: the first instant after the gap. Twice in autumn: the first of the two.
        check("02:30", "2026-03-29T00:30:00Z", "Europe/Berlin", "2026-03-29T01:00:00Z");
        check("02:30", "2026-10-25T00:10:00Z", "Europe/Berlin", "2026-10-25T00:30:00Z");
        check("02:30", "2026-10-25T00:40:00Z", "Europe/Berlin", "2026-10-26T01:30:00Z");
    }
}
