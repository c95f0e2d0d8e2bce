//! Due times against a table that is computed here in another way: day by day, with the zones' rules written out.

use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use strongroom_plans::{Due, RunKind, Schedule, parse};

const EXAMPLES: [(&str, &str); 5] = [
    ("business-data", include_str!("../examples/business-data.yaml")),
    ("database-files", include_str!("../examples/database-files.yaml")),
    ("system-configuration", include_str!("../examples/system-configuration.yaml")),
    ("os-image", include_str!("../examples/os-image.yaml")),
    ("other-files", include_str!("../examples/other-files.yaml")),
];

/// Seconds east of UTC at an instant.
type Offset = fn(i64) -> i64;

/// China has had one offset and no summer time since 1992.
fn shanghai(_: i64) -> i64 {
    8 * 3600
}

/// Summer time in the European Union: from the last Sunday of March, 01:00 UTC, to the last Sunday of October, 01:00 UTC.
fn berlin(instant: i64) -> i64 {
    let year = Timestamp::from_second(instant).unwrap().to_zoned(TimeZone::UTC).year();
    let change = |month: i8| seconds_utc(last_sunday(year, month), 3600);
    if (change(3)..change(10)).contains(&instant) { 7200 } else { 3600 }
}

fn last_sunday(year: i16, month: i8) -> Date {
    let days = (25..=31).map(|day| date(year, month, day));
    days.rev().find(|day| day.weekday() == Weekday::Sunday).unwrap()
}

fn seconds_utc(day: Date, second_of_day: i64) -> i64 {
    i64::from(day.since(date(1970, 1, 1)).unwrap().get_days()) * 86_400 + second_of_day
}

/// The first instant at which the wall clock shows the time or, where it is left out, a later one. Found by trying every minute of two days.
fn instant(day: Date, minute_of_day: i64, offset: Offset) -> i64 {
    let wall = seconds_utc(day, minute_of_day * 60);
    let tried = (wall - 86_400..wall + 86_400).step_by(60);
    tried.into_iter().find(|instant| instant + offset(*instant) >= wall).unwrap()
}

fn is_first_saturday(day: Date) -> bool {
    day.weekday() == Weekday::Saturday && day.day() <= 7
}

/// What the plan of a data class does on a day, and at which minute of it.
fn expected(class: &str, day: Date) -> Vec<(i64, RunKind)> {
    use RunKind::{Full, Incremental};
    let some = |is_due: bool, minute, kind| is_due.then_some((minute, kind));
    match class {
        "business-data" => vec![(90, Full)],
        "database-files" => vec![(90, if day.weekday() == Weekday::Sunday { Full } else { Incremental })],
        "system-configuration" => Vec::from_iter(some(day.day() == 1, 120, Full)),
        "os-image" => Vec::from_iter(some([1, 4, 7, 10].contains(&day.month()) && is_first_saturday(day), 180, Full)),
        _ => {
            let full = some([1, 7].contains(&day.month()) && day.day() == 1, 23 * 60, Full);
            Vec::from_iter(full.or(some(day.weekday() == Weekday::Friday, 23 * 60, Incremental)))
        }
    }
}

fn schedule(text: &str) -> Schedule {
    parse("plan.yaml", text).unwrap_or_else(|faults| panic!("{faults}")).schedule().unwrap().clone()
}

fn year_of(schedule: &Schedule, zone: &TimeZone, first: Date, days: usize) -> Vec<Due> {
    let instant = |day: Date| day.to_zoned(zone.clone()).unwrap().timestamp();
    let end = instant(first.checked_add(i64::try_from(days).unwrap().days()).unwrap());
    let before = instant(first).checked_sub(1.nanosecond()).unwrap();
    schedule.due(before, zone).take_while(|due| due.at < end).collect()
}

#[test]
fn the_five_data_classes_run_as_a_table_says() {
    let zones: [(&str, Offset); 2] = [("Asia/Shanghai", shanghai), ("Europe/Berlin", berlin)];
    for (name, offset) in zones {
        for (class, text) in EXAMPLES {
            let text = text.replace("zone: Asia/Shanghai", &format!("zone: {name}"));
            // From two to three is the hour that is left out in spring and comes twice in autumn.
            for (text, later) in [(text.clone(), 0), (text.replace("01:30", "02:30"), 60)] {
                let later = if text.contains("02:30") { later } else { 0 };
                let schedule = schedule(&text);
                let zone = schedule.zone().unwrap().clone();
                for first in [date(2026, 1, 1), date(2026, 11, 22), date(2028, 1, 1)] {
                    let days = first.series(1.day()).take(366);
                    let table = days.flat_map(|day| {
                        expected(class, day).into_iter().map(move |(minute, kind)| (day, minute, kind))
                    });
                    let table: Vec<(i64, RunKind)> =
                        table.map(|(day, minute, kind)| (instant(day, minute + later, offset), kind)).collect();
                    let due = year_of(&schedule, &zone, first, 366);
                    let due: Vec<(i64, RunKind)> = due.iter().map(|due| (due.at.as_second(), due.kind)).collect();
                    assert_eq!(due, table, "{class} in {name} from {first}");
                }
            }
        }
    }
}

#[test]
fn a_year_has_the_promised_number_of_runs() {
    let count = |class: &str, first: Date, days| {
        let (_, text) = EXAMPLES.iter().find(|(name, _)| *name == class).unwrap();
        let schedule = schedule(text);
        let due = year_of(&schedule, &schedule.zone().unwrap().clone(), first, days);
        let full = due.iter().filter(|due| due.kind == RunKind::Full).count();
        (full, due.len() - full)
    };
    for (first, days) in [(date(2026, 11, 22), 365), (date(2027, 1, 1), 365), (date(2028, 1, 1), 366)] {
        assert_eq!(count("business-data", first, days), (days, 0));
        let (full, incremental) = count("database-files", first, days);
        assert!([52, 53].contains(&full) && full + incremental == days, "{full} and {incremental}");
        assert_eq!(count("system-configuration", first, days), (12, 0));
        assert_eq!(count("os-image", first, days), (4, 0));
    }
}

#[test]
fn faults_of_a_schedule_are_shown_with_their_place() {
    let text = "\
kind: backup
name: x
sources: [{ files: [/srv] }]
repository: /backup
schedule:
  full: weekly sunday 01:30
  incremental: 30 1 1 * 1
  zone: Asia/Shangai
retain: { last: 1 }
";
    let faults = parse("x.yaml", text).unwrap_err();
    let found: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}:{}", fault.code(), fault.place().line(), fault.place().column()))
        .collect();
    assert_eq!(found, ["P-0025 6:9", "P-0025 7:16", "P-0026 8:9"]);
    let shown = faults.to_string();
    for part in ["does not say on which day", "either of them", "did you mean `Asia/Shanghai`?"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let empty = text.replace("weekly sunday 01:30", "x").replace("  full: x\n  incremental: 30 1 1 * 1\n", "");
    let faults = parse("x.yaml", &empty.replace("Shangai", "Shanghai")).unwrap_err();
    assert_eq!(faults.iter().next().unwrap().code().as_str(), "P-0027");
}
