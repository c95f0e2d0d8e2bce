//! What a query answers, and what it is to answer.

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strongroom_plans::TimeSpan;

use super::{Amount, Finding, Recent, TimeArgs};

/// The query, and what is expected of it.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct AnswerArgs {
    /// One statement of SQL
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    pub(super) query: String,
    #[command(flatten)]
    expected: ExpectedArgs,
    #[command(flatten)]
    time: TimeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ExpectedArgs {
    /// All that it prints, but for space around it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with_all = ["at_least", "at_most", "within"])]
    prints: Option<String>,
    /// A number, no smaller
    #[arg(long, value_name = "N", conflicts_with = "within")]
    at_least: Option<u32>,
    /// A number, no larger
    #[arg(long, value_name = "N", conflicts_with = "within")]
    at_most: Option<u32>,
    /// A time (seconds of Unix or ISO 8601, UTC where it says no zone), no more than this before the restore point
    #[arg(long, value_name = "SPAN")]
    within: Option<TimeSpan>,
}

impl AnswerArgs {
    /// Compares; an error says why there is no answer.
    pub(super) fn compare(&self, answer: Result<String, String>, now: Timestamp) -> Finding {
        let ExpectedArgs { prints, at_least, at_most, within } = &self.expected;
        let amount = Amount { at_least: *at_least, at_most: *at_most };
        let recent = within.map(|within| Recent { within, of: self.time.or(now) });
        let expected = match (prints, recent) {
            (Some(text), _) => format!("{text:?}"),
            (None, Some(recent)) => format!("a time {recent}"),
            (None, None) => amount.to_string(),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return Finding::of(false, why, expected),
        };
        let answer = answer.trim();
        let agrees = match (prints, recent) {
            (Some(text), _) => answer == text.trim(),
            (None, Some(recent)) => time(answer).is_some_and(|time| recent.holds(time)),
            (None, None) => answer.parse().is_ok_and(|number| amount.holds(number)),
        };
        Finding::of(agrees, said(answer), expected)
    }
}

fn said(answer: &str) -> String {
    if answer.is_empty() { "the query gives nothing".to_owned() } else { format!("the query gives {answer:?}") }
}

/// As databases give it: seconds since 1970, an instant, or a time or a day without a zone, which is taken for UTC.
fn time(text: &str) -> Option<Timestamp> {
    let seconds =
        || Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(text.parse().ok()?).ok()?).ok();
    let civil =
        || text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(Default::default())));
    let of_utc = || Some(civil()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    seconds().or_else(|| text.parse().ok()).or_else(of_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_databases_write_them() {
        let at = |text: &str| time(text).map(|time| time.to_string());
        let noon = Some("2026-11-20T12:00:00Z".to_owned());
        for text in [
            "1795176000",
            "2026-11-20T12:00:00Z",
            "2026-11-20 13:00:00+01",
            "2026-11-20 12:00:00",
            "2026-11-20T12:00:00",
        ] {
            assert_eq!(at(text), noon, "{text}");
        }
        assert_eq!(at("1795176000.5").as_deref(), Some("2026-11-20T12:00:00.5Z"));
        assert_eq!(at("2026-11-20 14:00:00.25+02:00").as_deref(), Some("2026-11-20T12:00:00.25Z"));
        assert_eq!(at("2026-11-20").as_deref(), Some("2026-11-20T00:00:00Z"));
        for text in ["", "yesterday", "nan", "inf", "1e300", "2026-13-01"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
