//! Times in the local zone, and lengths of time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_repository::Time;

/// `2026-11-21 03:10:07 +08:00`.
pub(crate) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// The same for the time of a file, which may be any number.
pub(crate) fn entry_time(entry: Time) -> String {
    let timestamp =
        i32::try_from(entry.nanoseconds).ok().and_then(|nanoseconds| Timestamp::new(entry.seconds, nanoseconds).ok());
    timestamp.map_or_else(|| format!("@{}", entry.seconds), time)
}

/// `1 h 02 min`, `3 min 07 s`, `2.4 s`.
pub(crate) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", length.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        let shown = [0.04, 9.94, 61.0, 3599.0, 7380.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(shown, ["0.0 s", "9.9 s", "1 min 01 s", "59 min 59 s", "2 h 03 min"]);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_number() {
        assert_eq!(entry_time(Time { seconds: i64::MAX, nanoseconds: 0 }), format!("@{}", i64::MAX));
        assert_eq!(entry_time(Time { seconds: 0, nanoseconds: u32::MAX }), "@0");
        assert!(entry_time(Time { seconds: -1, nanoseconds: 5 }).starts_with("19"));
    }
}
