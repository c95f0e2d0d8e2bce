//! When something comes due again and again: calendar words, or a cron expression.
//!
//! | written | due |
//! |---|---|
//! | `daily 01:30`, `daily 06:00,18:00` | at these times of each day |
//! | `weekly sun 01:30`, `weekly mon,thu 22:00` | on these weekdays |
//! | `monthly 1 02:00`, `monthly last 02:00`, `monthly first sun 02:00` | on that day of each month; 29 to 31 are its last day where it is shorter |
//! | `quarterly 1 03:00`, `quarterly last fri 03:00` | on that day of January, April, July and October |
//! | `yearly 02-29 03:00` | on that date; 29 February is the 28th in other years |
//! | `every 15m` | each time that so much time has gone by since 1970: elapsed time, which knows no clock changes |
//! | `30 1 * * *` | as in crontab |
//!
//! All but `every` go by the clock on the wall of a time zone; `local_time` says what its changes do.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Serialize, Serializer};

use crate::cron_line::CronLine;
use crate::day_rule::{self, DayRule};
use crate::fault::Code;
use crate::local_time;
use crate::report::quoted;
use crate::time_of_day::TimeOfDay;
use crate::time_span::TimeSpan;
use crate::values::{Refusal, Written};

/// A rule by which something comes due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    text: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Calendar { days: Days, times: Vec<Time> },
    Every(TimeSpan),
    Cron(CronLine),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    Each,
    Weekdays(Vec<Weekday>),
    Monthly(DayRule),
    Quarterly(DayRule),
    Yearly { month: i8, day: DayRule },
}

const REMEDY: &str = "write one such as `daily 01:30`, `weekly sun 01:30`, `monthly last 02:00`, `quarterly 1 03:00`, `yearly 01-15 03:00`, \
                      `every 15m` or `30 1 * * *`";

/// Nothing is scheduled more often: a run takes seconds.
const EVERY_SECONDS_MIN: u64 = 60;

/// Longer than any calendar rule pauses: a year and a bit.
const DAYS_AHEAD_MAX: usize = 400;

impl Recurrence {
    /// The due instants after a given one, in order.
    pub fn after<'r>(&'r self, after: Timestamp, zone: &'r TimeZone) -> impl Iterator<Item = Timestamp> + 'r {
        std::iter::successors(self.next(after, zone), |last| self.next(*last, zone))
    }

    /// The first due instant after a given one; none at the far end of the calendar.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let Rule::Every(span) = &self.rule {
            let seconds = span.seconds().cast_signed();
            return Timestamp::from_second((after.as_second().div_euclid(seconds) + 1).checked_mul(seconds)?).ok();
        }
        // An hour that comes twice is behind a clock that went back: begin a day early, and leave out what was.
        let mut local = zone.to_datetime(after).checked_sub(1.day()).ok()?;
        loop {
            local = self.next_local(local)?;
            match local_time::instant(local, zone) {
                Some(due) if due > after => return Some(due),
                Some(_) => {}
                None => return None,
            }
        }
    }

    fn next_local(&self, after: DateTime) -> Option<DateTime> {
        let (days, times) = match &self.rule {
            Rule::Calendar { days, times } => (days, times),
            Rule::Cron(line) => return line.next(after),
            // BUG: elapsed time has no local times; `next` does not ask for them.
            Rule::Every(_) => return None,
        };
        let dates = after.date().series(1.day()).take(DAYS_AHEAD_MAX).filter(|date| days.hold(*date));
        dates.flat_map(|date| times.iter().map(move |time| date.to_datetime(*time))).find(|time| *time > after)
    }
}

impl Days {
    fn hold(&self, date: Date) -> bool {
        match self {
            Self::Each => true,
            Self::Weekdays(weekdays) => weekdays.contains(&date.weekday()),
            Self::Monthly(day) => day.is(date),
            Self::Quarterly(day) => date.month() % 3 == 1 && day.is(date),
            Self::Yearly { month, day } => date.month() == *month && day.is(date),
        }
    }
}

impl FromStr for Recurrence {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let rule = if CronLine::is_meant(text) { Rule::Cron(text.parse()?) } else { rule(text)? };
        Ok(Self { text: text.split_ascii_whitespace().collect::<Vec<_>>().join(" "), rule })
    }
}

fn rule(text: &str) -> Result<Rule, Refusal> {
    let refusal = |why: String| Refusal::new(format!("{} {why}", quoted(text)), REMEDY);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let Some((rhythm, rest)) = words.split_first() else { return Err(refusal("is no schedule".into())) };
    if *rhythm == "every" {
        let span: TimeSpan = rest.concat().parse()?;
        return match span.seconds() {
            ..EVERY_SECONDS_MIN => Err(refusal("is too often: a minute is the least".into())),
            _ => Ok(Rule::Every(span)),
        };
    }
    let Some((times, day)) = rest.split_last() else { return Err(refusal("says no time of day".into())) };
    let times =
        day_times(times).ok_or_else(|| refusal(format!("has no times of day at its end, but {}", quoted(times))))?;
    let no_day = || refusal(format!("does not say on which day: {} is none", quoted(&day.join(" "))));
    let days = match (*rhythm, day) {
        ("daily", []) => Days::Each,
        ("weekly", [days]) => {
            Days::Weekdays(days.split(',').map(day_rule::weekday).collect::<Option<_>>().ok_or_else(no_day)?)
        }
        ("monthly", day) => Days::Monthly(DayRule::of(day).ok_or_else(no_day)?),
        ("quarterly", day) => Days::Quarterly(DayRule::of(day).ok_or_else(no_day)?),
        ("yearly", [date]) => month_and_day(date).ok_or_else(no_day)?,
        ("daily" | "weekly" | "yearly", _) => return Err(no_day()),
        (other, _) => return Err(refusal(format!("begins with {}, which is no rhythm", quoted(other)))),
    };
    Ok(Rule::Calendar { days, times })
}

/// `06:00` or `06:00,18:00`, in order.
fn day_times(text: &str) -> Option<Vec<Time>> {
    let time = |text: &str| TimeOfDay::read(text).map(TimeOfDay::time);
    let mut times: Vec<Time> = text.split(',').map(time).collect::<Option<_>>()?;
    times.sort_unstable();
    times.dedup();
    Some(times)
}

/// `02-29`.
fn month_and_day(text: &str) -> Option<Days> {
    let (month, day) = text.split_once('-').filter(|(month, day)| month.len() == 2 && day.len() == 2)?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // A year with 29 February.
    Date::new(2028, month, day).ok()?;
    Some(Days::Yearly { month, day: DayRule::Number(day) })
}

impl Written for Recurrence {
    const WHAT: &'static str = "a schedule such as `daily 01:30`";
    const CODE: Code = Code::BadSchedule;
}

impl fmt::Display for Recurrence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for Recurrence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(text: &str, after: &str, zone: &str, count: usize) -> Vec<String> {
        let (rule, zone): (Recurrence, _) = (text.parse().unwrap(), TimeZone::get(zone).unwrap());
        let due = rule.after(after.parse().unwrap(), &zone);
        due.take(count).map(|due| due.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M%:z").to_string()).collect()
    }

    fn shanghai(text: &str, count: usize) -> Vec<String> {
        let due = due(text, "2026-11-21T16:00:00Z", "Asia/Shanghai", count);
        due.iter().map(|due| due.trim_end_matches("+08:00").to_owned()).collect()
    }

    #[test]
    fn calendar_words_mean_what_they_say() {
        assert_eq!(
            shanghai("daily 18:00,06:00", 3),
            ["Sun 2026-11-22 06:00", "Sun 2026-11-22 18:00", "Mon 2026-11-23 06:00"]
        );
        assert_eq!(shanghai("weekly mon,thu 22:00", 2), ["Mon 2026-11-23 22:00", "Thu 2026-11-26 22:00"]);
        assert_eq!(
            shanghai("monthly 31 02:00", 4)[..],
            ["Mon 2026-11-30 02:00", "Thu 2026-12-31 02:00", "Sun 2027-01-31 02:00", "Sun 2027-02-28 02:00"]
        );
        assert_eq!(shanghai("monthly first sun 02:00", 2), ["Sun 2026-12-06 02:00", "Sun 2027-01-03 02:00"]);
        assert_eq!(shanghai("quarterly 1 03:00", 2), ["Fri 2027-01-01 03:00", "Thu 2027-04-01 03:00"]);
        assert_eq!(shanghai("yearly 02-29 03:00", 2), ["Sun 2027-02-28 03:00", "Tue 2028-02-29 03:00"]);
        assert_eq!(shanghai("every 8h", 2), ["Sun 2026-11-22 08:00", "Sun 2026-11-22 16:00"]);
        assert_eq!(shanghai("30 1 * * 1", 1), ["Mon 2026-11-23 01:30"]);
    }

    #[test]
    fn each_day_has_its_run_when_the_clocks_change() {
        let berlin = |text, after, count| due(text, after, "Europe/Berlin", count);
        for text in ["daily 02:30", "30 2 * * *"] {
            let spring = ["Sat 2026-03-28 02:30+01:00", "Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:30+02:00"];
            assert_eq!(berlin(text, "2026-03-27T12:00:00Z", 3), spring, "{text}");
            let autumn = ["Sat 2026-10-24 02:30+02:00", "Sun 2026-10-25 02:30+02:00", "Mon 2026-10-26 02:30+01:00"];
            assert_eq!(berlin(text, "2026-10-23T12:00:00Z", 3), autumn, "{text}");
        }
        // Asked within the hour that comes twice, neither its first nor its second pass is given again.
        assert_eq!(berlin("daily 02:30", "2026-10-25T00:30:00Z", 1), ["Mon 2026-10-26 02:30+01:00"]);
        assert_eq!(berlin("daily 02:30", "2026-10-25T01:29:00Z", 1), ["Mon 2026-10-26 02:30+01:00"]);
        let elapsed = ["Sun 2026-10-25 02:30+02:00", "Sun 2026-10-25 02:00+01:00", "Sun 2026-10-25 02:30+01:00"];
        assert_eq!(berlin("every 30m", "2026-10-25T00:00:00Z", 3), elapsed);
        // Two times in one gap are one instant, and so one run.
        let once = ["Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:00+02:00"];
        assert_eq!(berlin("daily 02:00,02:30", "2026-03-28T12:00:00Z", 2), once);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "is no schedule"),
            ("daily", "says no time of day"),
            ("daily 1:30", "has no times of day"),
            ("daily 24:00", "has no times of day"),
            ("daily sun 01:30", "does not say on which day"),
            ("weekly sunday 01:30", "does not say on which day"),
            ("monthly 32 01:30", "does not say on which day"),
            ("yearly 02-30 01:30", "does not say on which day"),
            ("hourly 00:30", "which is no rhythm"),
            ("every 10s", "too often"),
            ("every", "does not start with a whole number"),
            ("30 1 * *", "has 4 fields"),
        ] {
            let refusal = text.parse::<Recurrence>().unwrap_err();
            assert!(refusal.to_string().contains(why), "{text}: {refusal}");
        }
    }
}
