//! Cron expressions: five fields as in crontab, six with seconds in front.
//!
//! The `cron` crate reads them, after three things in which it differs from crontab were settled: it wants seconds, it counts weekdays from 1 for
//! Sunday, and where both the day of the month and the weekday are given it wants both, crontab either. The last is refused, because whichever is
//! meant, somebody would be wrong.

use std::str::FromStr;

use chrono::{Datelike, NaiveDate, Timelike, Utc};
use cron::Schedule;
use jiff::civil::DateTime;

use crate::report::quoted;
use crate::values::Refusal;

/// An expression that comes due at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CronLine(Schedule);

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const REMEDY: &str = "write five fields (minute, hour, day of the month, month, weekday with 0 for Sunday), such as `30 1 * * *`, or calendar \
                      words, such as `daily 01:30`";

impl CronLine {
    /// Whether a text looks like an expression rather than like calendar words.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_digit() || first == '*')
    }

    /// The first local time after another one.
    pub(crate) fn next(&self, after: DateTime) -> Option<DateTime> {
        let date = NaiveDate::from_ymd_opt(after.year().into(), after.month() as u32, after.day() as u32)?;
        let time = date.and_hms_opt(after.hour() as u32, after.minute() as u32, after.second() as u32)?;
        let next = self.0.after(&time.and_local_timezone(Utc).single()?).next()?;
        let (year, month, day) = (i16::try_from(next.year()).ok()?, next.month() as i8, next.day() as i8);
        DateTime::new(year, month, day, next.hour() as i8, next.minute() as i8, next.second() as i8, 0).ok()
    }
}

impl FromStr for CronLine {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refusal = |why: &str| Refusal::new(format!("the cron expression {} {why}", quoted(text)), REMEDY);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (seconds, [minute, hour, day, month, weekday]) = match fields[..] {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [seconds, minute, hour, day, month, weekday] => (seconds, [minute, hour, day, month, weekday]),
            _ => return Err(refusal(&format!("has {} fields", fields.len()))),
        };
        if !day.starts_with('*') && !weekday.starts_with('*') {
            let why = "gives a day of the month and a weekday: crontab means either of them, others both";
            return Err(Refusal::new(
                format!("the cron expression {} {why}", quoted(text)),
                "put a * into one of them",
            ));
        }
        let weekday = weekdays(weekday).ok_or_else(|| refusal("has a weekday that cannot be read"))?;
        let line = format!("{seconds} {minute} {hour} {day} {month} {weekday}");
        let schedule = Schedule::from_str(&line).map_err(|_| refusal("has a field that cannot be read"))?;
        let line = Self(schedule);
        // Any four years have every date that there is; the crate looks no further than the year 2100.
        match line.next(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)) {
            Some(_) => Ok(line),
            None => Err(refusal("never comes due")),
        }
    }
}

/// The weekdays of a field by name, so that nobody has to know where counting begins.
fn weekdays(field: &str) -> Option<String> {
    if field.starts_with('*') {
        return Some(field.to_owned());
    }
    let mut days = [false; 7];
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to, step) = (weekday(from)?, weekday(to)?, step.parse().ok().filter(|step| *step > 0)?);
        // 5-7 is Friday to Sunday, and 0-6 all of the week: an end before its beginning lies in the next week.
        let to = if to % 7 < from % 7 { to % 7 + 7 } else { to.max(from) };
        (from..=to).step_by(step).for_each(|day| days[day % 7] = true);
    }
    let named: Vec<&str> = WEEKDAYS.iter().zip(days).filter(|(_, is_meant)| *is_meant).map(|(name, _)| *name).collect();
    Some(named.join(","))
}

/// 0 or 7 for Sunday to 6 for Saturday.
fn weekday(text: &str) -> Option<usize> {
    let named = WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text));
    named.or_else(|| text.parse().ok().filter(|number| *number <= 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first local times after Wednesday, 2026-11-18.
    fn next(line: &str, count: usize) -> Vec<String> {
        let line: CronLine = line.parse().unwrap();
        let mut at = "2026-11-18T00:00:00".parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..count {
            at = line.next(at).unwrap();
            times.push(at.strftime("%a %d %H:%M:%S").to_string());
        }
        times
    }

    #[test]
    fn weekdays_are_those_of_crontab() {
        assert_eq!(next("30 1 * * 0", 2), ["Sun 22 01:30:00", "Sun 29 01:30:00"]);
        assert_eq!(next("30 1 * * 7", 1), ["Sun 22 01:30:00"]);
        assert_eq!(next("30 1 * * 1", 1), ["Mon 23 01:30:00"]);
        assert_eq!(
            next("0 0 * * 5-7", 4),
            ["Fri 20 00:00:00", "Sat 21 00:00:00", "Sun 22 00:00:00", "Fri 27 00:00:00"]
        );
        assert_eq!(next("0 0 * * mon-fri", 3), ["Thu 19 00:00:00", "Fri 20 00:00:00", "Mon 23 00:00:00"]);
        assert_eq!(next("0 0 * * 1-5/2", 3), ["Fri 20 00:00:00", "Mon 23 00:00:00", "Wed 25 00:00:00"]);
        assert_eq!(next("0 0 * * fri-mon", 3), ["Fri 20 00:00:00", "Sat 21 00:00:00", "Sun 22 00:00:00"]);
        assert_eq!(next("*/20 * * * *", 3), ["Wed 18 00:20:00", "Wed 18 00:40:00", "Wed 18 01:00:00"]);
        assert_eq!(next("15 */30 * * * *", 2), ["Wed 18 00:00:15", "Wed 18 00:30:15"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, why) in [
            ("30 1 * *", "has 4 fields"),
            ("30 1 1 * 1", "gives a day of the month and a weekday"),
            ("30 1 * * 8", "has a weekday that cannot be read"),
            ("30 1 * * 1/0", "has a weekday that cannot be read"),
            ("61 1 * * *", "has a field that cannot be read"),
            ("0 0 31 2 *", "never comes due"),
        ] {
            let refusal = line.parse::<CronLine>().unwrap_err();
            assert!(refusal.to_string().contains(why), "{line}: {refusal}");
        }
    }
}
