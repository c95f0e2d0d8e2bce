//! Retention against a table: which restore points stay, and why.

use std::num::NonZeroU32;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use proptest::prelude::*;
use strongroom_plans::{RestorePoint, RetentionRules, Rule, Verdict, excess, retain};

fn in_berlin(time: &str) -> Zoned {
    let time: DateTime = time.parse().unwrap();
    time.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).unwrap()
}

fn rules(counts: &[(Rule, u32)], at_least: u32) -> RetentionRules {
    let counts = counts.iter().map(|(rule, count)| (*rule, NonZeroU32::new(*count).unwrap()));
    RetentionRules::new(counts, NonZeroU32::new(at_least).unwrap()).unwrap()
}

/// Each row is a restore point's time and its verdict. Rows are handed over as they stand; `now` is the last
/// evening of 2026.
#[track_caller]
fn check(counts: &[(Rule, u32)], at_least: u32, rows: &[(&str, &str)]) {
    let points: Vec<_> = rows.iter().map(|(time, _)| RestorePoint::new(*time, in_berlin(time))).collect();
    let verdicts = retain(&rules(counts, at_least), &points, &in_berlin("2026-12-31T23:00"));
    let verdicts: Vec<_> = verdicts.iter().map(|(time, verdict)| (*time, verdict.to_string())).collect();
    let expected: Vec<_> = rows.iter().map(|(time, verdict)| (*time, (*verdict).to_owned())).collect();
    assert_eq!(verdicts, expected);
}

#[test]
fn the_last_proven_one_and_what_is_held_stay_beside_the_rules() {
    let point = |day: i8| RestorePoint::new(day, in_berlin(&format!("2026-12-{day:02}T01:30")));
    let holds = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let points = [
        point(20).proven(),
        point(21).held(holds(&["case-17"])),
        point(22).proven(),
        point(23),
        point(24).held(holds(&["audit", "pin"])),
    ];
    let verdicts = retain(&rules(&[(Rule::Last, 1)], 1), &points, &in_berlin("2026-12-31T23:00"));
    let told: Vec<(i8, String)> = verdicts.into_iter().map(|(day, verdict)| (day, verdict.to_string())).collect();
    let expect = [
        (20, "drop"),
        (21, "keep: held by case-17"),
        (22, "keep: last proven"),
        (23, "drop"),
        (24, "keep: last #1, held by audit, held by pin"),
    ];
    assert_eq!(told, expect.map(|(day, verdict)| (day, verdict.to_owned())));
}

#[test]
fn many_at_once_are_told() {
    let verdicts = |dropped: usize, kept: usize| {
        let keep = Verdict::Keep { reasons: vec![strongroom_plans::Reason::AtLeast] };
        let dropped = std::iter::repeat_n(Verdict::Drop, dropped);
        dropped.chain(std::iter::repeat_n(keep, kept)).map(|verdict| ((), verdict)).collect::<Vec<_>>()
    };
    for (dropped, kept, is_told) in
        [(0, 5, false), (10, 0, false), (11, 0, true), (11, 33, false), (11, 32, true), (300, 900, false)]
    {
        assert_eq!(excess(&verdicts(dropped, kept)).is_some(), is_told, "{dropped} of {}", dropped + kept);
    }
}

#[test]
fn the_newest_of_each_day_stays() {
    check(
        &[(Rule::Daily, 2)],
        1,
        &[
            ("2026-12-28T01:30", "drop"),
            ("2026-12-29T01:30", "drop"),
            ("2026-12-29T13:30", "keep: daily 2026-12-29"),
            ("2026-12-30T01:30", "drop"),
            ("2026-12-30T01:31", "keep: daily 2026-12-30"),
        ],
    );
}

#[test]
fn days_without_a_backup_do_not_count() {
    check(
        &[(Rule::Daily, 3)],
        1,
        &[
            ("2026-03-01T01:30", "drop"),
            ("2026-03-02T01:30", "keep: daily 2026-03-02"),
            ("2026-06-10T01:30", "keep: daily 2026-06-10"),
            ("2026-12-30T01:30", "keep: daily 2026-12-30"),
        ],
    );
}

#[test]
fn the_order_given_does_not_matter() {
    check(
        &[(Rule::Last, 2)],
        1,
        &[("2026-12-30T01:30", "keep: last #1"), ("2026-12-01T01:30", "drop"), ("2026-12-29T01:30", "keep: last #2")],
    );
}

#[test]
fn of_one_instant_the_later_in_the_list_is_the_newer() {
    check(&[(Rule::Last, 1)], 1, &[("2026-12-30T01:30", "drop"), ("2026-12-30T01:30", "keep: last #1")]);
}

/// The last days of 2024 lie in week 1 of 2025, and the first of 2027 in week 53 of 2026.
#[test]
fn iso_weeks_cross_year_ends() {
    check(
        &[(Rule::Weekly, 9)],
        1,
        &[
            ("2021-01-03T12:00", "keep: weekly 2020-W53"),
            ("2021-01-04T12:00", "keep: weekly 2021-W01"),
            ("2024-12-29T12:00", "keep: weekly 2024-W52"),
            ("2024-12-30T12:00", "drop"),
            ("2025-01-05T23:59", "keep: weekly 2025-W01"),
            ("2025-01-06T00:00", "keep: weekly 2025-W02"),
            ("2026-12-27T12:00", "keep: weekly 2026-W52"),
            ("2026-12-28T00:00", "keep: weekly 2026-W53"),
        ],
    );
}

#[test]
fn months_quarters_and_years_end_where_the_calendar_says() {
    check(
        &[(Rule::Monthly, 3), (Rule::Quarterly, 3), (Rule::Yearly, 2)],
        1,
        &[
            ("2024-02-29T12:00", "drop"),
            ("2025-06-30T12:00", "drop"),
            ("2025-12-31T23:59", "keep: quarterly 2025-Q4, yearly 2025"),
            ("2026-07-01T00:00", "drop"),
            ("2026-09-30T23:59", "keep: monthly 2026-09, quarterly 2026-Q3"),
            ("2026-10-01T00:00", "keep: monthly 2026-10"),
            ("2026-12-01T00:00", "drop"),
            ("2026-12-31T22:59", "keep: monthly 2026-12, quarterly 2026-Q4, yearly 2026"),
        ],
    );
}

/// On 25 October 2026 the hour from two to three comes twice in Berlin, with another offset each time.
#[test]
fn the_hour_that_comes_twice_is_two_hours() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let times = ["2026-10-25T00:15Z", "2026-10-25T00:45Z", "2026-10-25T01:15Z"];
    let point = |time: &&'static str| {
        RestorePoint::new(*time, time.parse::<jiff::Timestamp>().unwrap().to_zoned(berlin.clone()))
    };
    let points: Vec<_> = times.iter().map(point).collect();
    let verdicts = retain(&rules(&[(Rule::Hourly, 9)], 1), &points, &in_berlin("2026-12-31T23:00"));
    let verdicts: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict.to_string()).collect();
    assert_eq!(verdicts, ["drop", "keep: hourly 2026-10-25 02:00+02:00", "keep: hourly 2026-10-25 02:00+01:00"]);
}

/// 23:30 in London is the next day in Berlin, where `now` is.
#[test]
fn periods_are_those_of_the_zone_of_now() {
    let london: DateTime = "2026-12-29T23:30".parse().unwrap();
    let london = london.to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap();
    let points = [RestorePoint::new("a", london), RestorePoint::new("b", in_berlin("2026-12-29T23:30"))];
    let verdicts = retain(&rules(&[(Rule::Daily, 5)], 1), &points, &in_berlin("2026-12-31T23:00"));
    let verdicts: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict.to_string()).collect();
    assert_eq!(verdicts, ["keep: daily 2026-12-30", "keep: daily 2026-12-29"]);
}

#[test]
fn at_least_that_many_stay() {
    check(
        &[(Rule::Yearly, 1)],
        3,
        &[
            ("2026-12-27T01:30", "drop"),
            ("2026-12-28T01:30", "keep: at-least"),
            ("2026-12-29T01:30", "keep: at-least"),
            ("2026-12-30T01:30", "keep: yearly 2026"),
        ],
    );
    check(&[(Rule::Last, 1)], 9, &[("2026-12-01T01:30", "keep: at-least"), ("2026-12-02T01:30", "keep: last #1")]);
}

#[test]
fn the_only_one_stays() {
    check(&[(Rule::Hourly, 1)], 1, &[("1987-05-05T01:30", "keep: hourly 1987-05-05 01:00+02:00")]);
    check(&[(Rule::Hourly, 1)], 1, &[]);
}

/// A clock that ran ahead made the last two. They stay, and the place of the newest goes to one from the past.
#[test]
fn the_future_stays_and_takes_nobodys_place() {
    check(
        &[(Rule::Last, 1)],
        2,
        &[
            ("2026-12-29T01:30", "drop"),
            ("2026-12-30T01:30", "keep: last #1"),
            ("2031-01-01T01:30", "keep: from the future"),
            ("2031-01-02T01:30", "keep: from the future"),
        ],
    );
}

#[test]
fn a_year_of_nights_under_a_usual_plan() {
    let now = in_berlin("2026-12-31T23:00");
    let night = |days_ago: i64| RestorePoint::new(days_ago, in_berlin("2026-12-31T01:30") - days_ago.days());
    let points: Vec<_> = (0..365).map(night).collect();
    let usual = rules(&[(Rule::Daily, 14), (Rule::Weekly, 8), (Rule::Monthly, 12)], 3);
    let kept: Vec<i64> = kept_ids(retain(&usual, &points, &now));
    // 14 days back to 18 December; Sundays 13 December to 15 November (the weeks of 20, 27 and 31 December are among
    // the days); month ends from November to January.
    let days = 0..14;
    let sundays = [18, 25, 32, 39, 46];
    let month_ends = [31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 334];
    let mut expected: Vec<i64> = days.chain(sundays).chain(month_ends).collect();
    expected.sort_unstable();
    assert_eq!(kept, expected);
}

fn kept_ids<Id>(verdicts: Vec<(Id, Verdict)>) -> Vec<Id> {
    verdicts.into_iter().filter(|(_, verdict)| *verdict != Verdict::Drop).map(|(id, _)| id).collect()
}

fn any_rules() -> impl Strategy<Value = RetentionRules> {
    let counts = prop::collection::btree_map(prop::sample::select(&Rule::ALL[..]), 1u32..5, 1..4);
    (counts, 1u32..6).prop_map(|(counts, at_least)| rules(&counts.into_iter().collect::<Vec<_>>(), at_least))
}

proptest! {
    #[test]
    fn enough_stay_and_always_the_newest(rules in any_rules(), hours in prop::collection::vec(-40_000i64..100, 1..60)) {
        let now = in_berlin("2026-12-31T23:00");
        let at = |hour: &i64| RestorePoint::new(*hour, &now + hour.hours());
        let points: Vec<_> = hours.iter().map(at).collect();
        let verdicts = retain(&rules, &points, &now);
        prop_assert_eq!(verdicts.iter().map(|(hour, _)| *hour).collect::<Vec<_>>(), hours.clone());

        let kept = kept_ids(verdicts);
        prop_assert!(kept.len() >= hours.len().min(rules.at_least().get() as usize));
        prop_assert!(kept.contains(hours.iter().max().unwrap()));
        prop_assert!(hours.iter().filter(|hour| **hour > 0).all(|hour| kept.contains(hour)));
    }

    /// Running the rules again on what they kept drops nothing more on the same day.
    #[test]
    fn what_was_kept_is_kept_again(rules in any_rules(), hours in prop::collection::btree_set(-40_000i64..100, 1..60)) {
        let now = in_berlin("2026-12-31T23:00");
        let points = |hours: &[i64]| hours.iter().map(|hour| RestorePoint::new(*hour, &now + hour.hours())).collect::<Vec<_>>();
        let hours: Vec<_> = hours.into_iter().collect();
        let kept = kept_ids(retain(&rules, &points(&hours), &now));
        prop_assert_eq!(kept_ids(retain(&rules, &points(&kept), &now)), kept);
    }
}
