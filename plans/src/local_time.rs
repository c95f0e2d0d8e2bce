//! The one place where a time on a clock on the wall becomes an instant.
//!
//! - Where clocks go forward, the times that are left out count as the first instant after the gap.
//! - Where clocks go back, a time that comes twice counts as the first of the two.
//!
//! So every due time of the wall clock is one instant, and none is dropped.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// The instant of a local time; none at the far ends of the calendar.
pub(crate) fn instant(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let with = |offset: Offset| offset.to_timestamp(local).ok();
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => with(offset),
        AmbiguousOffset::Fold { before, .. } => with(before),
        AmbiguousOffset::Gap { before, .. } => {
            // By the old offset it lies at or after the change.
            let after = with(before)?.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
            zone.preceding(after).next().map(|transition| transition.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, local: &str, expect: &str) {
        let zone = TimeZone::get(zone).unwrap();
        assert_eq!(instant(local.parse().unwrap(), &zone).unwrap().to_string(), expect, "{local}");
    }

    #[test]
    fn each_local_time_is_one_instant() {
        check("Asia/Shanghai", "2026-03-29T02:30", "2026-03-28T18:30:00Z");
        check("Europe/Berlin", "2026-03-28T02:30", "2026-03-28T01:30:00Z");
        for in_the_gap in ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59:59", "2026-03-29T03:00"] {
            check("Europe/Berlin", in_the_gap, "2026-03-29T01:00:00Z");
        }
        check("Europe/Berlin", "2026-10-25T01:59", "2026-10-24T23:59:00Z");
        check("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z");
        check("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z");
    }
}
