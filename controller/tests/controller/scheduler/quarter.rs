//! Whole stretches of time: a quarter with all that goes wrong in one, and random ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use strongroom_controller::scheduler::{Ending, RunKey, RunOutcome, Skip};
use strongroom_plans::{RunKind, Site};

use super::expected::{Missed, Words, daily, records, shanghai, sunday_full};
use super::world::{Minute, Record, What, World, quiet, site};

const SITE: &str = "\
name: test
zone: Asia/Shanghai
repositories: { main: { at: /srv/main } }
calendars: { power: { days: [2026-12-05, 2027-01-01..2027-01-02], blackout: [backup] } }
limits: { runs: 100, per-host: 10, per-repository: 100 }
";
const HOSTS: &str = "\
hosts:
  db1: { address: 10.0.0.1, labels: { role: db } }
  db2: { address: 10.0.0.2, labels: { role: db } }
  web: { address: 10.0.0.3, labels: { role: web } }
";

fn plan(name: &str, hosts: &str, schedule: &str) -> String {
    format!(
        "kind: backup\nname: {name}\nhosts: {hosts}\nsources: [{{ files: [/srv] }}]\nrepository: main\n\
         schedule: {{ {schedule} }}\nretain: {{ last: 1 }}\n"
    )
}

/// Minutes that a run takes: two of them overlap the next due time when they begin late.
const RUN_MINUTES: usize = 45;

fn the_site() -> Arc<Site> {
    let plans = [
        ("databases", "role=db", "full: weekly sun 01:30, incremental: daily 01:30, missed: run once within 18h"),
        ("long", "role=db", "full: weekly sun 03:00, incremental: daily 03:00, missed: run once within 60h"),
        ("images", "\"*\"", "full: monthly 1 02:00, missed: run once within 96h"),
        ("often", "role=web", "incremental: \"daily 00:10,06:10,12:10,18:10\", missed: skip"),
        ("night", "role=web", "incremental: daily 23:30, window: { until: \"04:00\", then: cancel }, missed: skip"),
        ("plain", "\"*\"", "incremental: daily 22:00, calendars: [power]"),
        ("close", "role=db", "full: daily 12:30, incremental: daily 12:00, missed: run once within 2h"),
    ];
    let texts = plans.map(|(name, hosts, schedule)| (name, plan(name, hosts, schedule)));
    let plans: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    site(SITE, HOSTS, &plans)
}

/// The same plans in the words of the independent calculation.
fn all_words() -> Vec<Words> {
    use RunKind::{Full, Incremental};
    let no_blackout = |_| false;
    let words = |plan, host, due_on, missed| Words { plan, host, due_on, missed, until: None, blackout: no_blackout };
    let mut all = Vec::new();
    for host in ["db1", "db2"] {
        all.push(words("databases", host, |day| sunday_full(day, 90), Missed::Within(18)));
        all.push(words("long", host, |day| sunday_full(day, 180), Missed::Within(60)));
        all.push(words("close", host, |_| vec![(720, Incremental), (750, Full)], Missed::Within(2)));
    }
    for host in ["db1", "db2", "web"] {
        let monthly = |day: jiff::civil::Date| if day.day() == 1 { daily(120, Full) } else { Vec::new() };
        all.push(words("images", host, monthly, Missed::Within(96)));
        let power = [date(2026, 12, 5), date(2027, 1, 1), date(2027, 1, 2)];
        let blackout: fn(jiff::civil::Date) -> bool =
            |day| [date(2026, 12, 5), date(2027, 1, 1), date(2027, 1, 2)].contains(&day);
        assert!(power.iter().all(|day| blackout(*day)));
        all.push(Words { blackout, ..words("plain", host, |_| daily(1320, Incremental), Missed::Unsaid) });
    }
    let often = |_| [10, 370, 730, 1090].map(|minute| (minute, Incremental)).to_vec();
    all.push(words("often", "web", often, Missed::Skip));
    all.push(Words { until: Some(240), ..words("night", "web", |_| daily(1410, Incremental), Missed::Skip) });
    all
}

fn begins() -> Timestamp {
    shanghai(date(2026, 11, 22), 9 * 60)
}

/// All records of a life, and those that should be.
fn check(minutes: &[Minute]) -> BTreeMap<RunKey, Record> {
    let mut world = World::new(the_site(), begins(), RUN_MINUTES);
    world.live(minutes);
    let mut expected = BTreeMap::new();
    for words in all_words() {
        for (due, record) in records(&words, minutes, RUN_MINUTES) {
            let key = RunKey { plan: words.plan.parse().unwrap(), host: words.host.parse().unwrap(), due };
            expected.insert(key, record);
        }
    }
    for (key, record) in &expected {
        assert_eq!(world.journal.get(key), Some(record), "{key}");
    }
    let more: Vec<_> = world.journal.keys().filter(|key| !expected.contains_key(key)).collect();
    assert!(more.is_empty(), "records of what was never due: {more:?}");
    world.journal
}

const DAYS: usize = 92;
const DAY: usize = 24 * 60;

/// The minutes of a day from the beginning, which is nine in the morning of the first.
fn at(day: usize, hour: usize, minute: usize) -> usize {
    (day * DAY + hour * 60 + minute).saturating_sub(9 * 60)
}

fn set_clock(minutes: &mut [Minute], from: usize, by_minutes: i64) {
    minutes[from..].iter_mut().for_each(|minute| minute.clock += SignedDuration::from_mins(by_minutes));
}

fn send_away(minutes: &mut [Minute], host: &'static str, from: usize, until: usize) {
    minutes[from..until].iter_mut().for_each(|minute| minute.away.push(host));
}

#[test]
fn a_quarter_has_the_records_that_its_plans_promise() {
    let mut minutes = quiet(begins(), DAYS * DAY);
    for day in (2..DAYS).step_by(3) {
        // Killed around the due times of the night, for some minutes or for hours; now and then only for an instant.
        let from = at(day, 1, (day * 7) % 60);
        let down = [5, 31, 0, 200, 400][day / 3 % 5];
        minutes[from..from + down].iter_mut().for_each(|minute| minute.is_up = false);
        minutes[from + down].is_restarted = true;
    }
    send_away(&mut minutes, "db2", at(10, 12, 0), at(13, 8, 0));
    send_away(&mut minutes, "web", at(30, 0, 5), at(31, 20, 20));
    send_away(&mut minutes, "db1", at(41, 1, 0), at(41, 3, 30));
    send_away(&mut minutes, "db1", at(54, 22, 0), at(58, 1, 20));
    send_away(&mut minutes, "web", at(8, 21, 0), at(15, 9, 0));
    send_away(&mut minutes, "db2", at(39, 20, 0), at(42, 7, 0));
    send_away(&mut minutes, "db2", at(70, 11, 50), at(70, 12, 20));
    // Back so late that the next run is due while this one goes on.
    send_away(&mut minutes, "web", at(25, 20, 0), at(26, 21, 40));
    send_away(&mut minutes, "db1", at(46, 20, 0), at(47, 21, 40));
    send_away(&mut minutes, "db2", at(64, 20, 0), at(65, 21, 40));
    // Forth and back by five minutes: away from due times, just before them, and just after them.
    for (day, hour, minute, by) in [
        (20, 12, 0, 5),
        (21, 1, 27, -5),
        (50, 1, 28, 5),
        (51, 1, 33, -5),
        (60, 22, 1, -5),
        (61, 21, 58, 5),
        (75, 3, 0, 5),
    ] {
        set_clock(&mut minutes, at(day, hour, minute), by);
    }
    let journal = check(&minutes);

    let count = |what: fn(&What) -> bool| journal.values().filter(|record| what(&record.what)).count();
    let ran = count(|what| matches!(what, What::Ran { late: false, .. }));
    let late = count(|what| matches!(what, What::Ran { late: true, .. }));
    let missed = count(|what| *what == What::Closed(Ending::Missed));
    let superseded = count(|what| matches!(what, What::Closed(Ending::Superseded { .. })));
    let overlapped = count(|what| *what == What::Closed(Ending::Skipped(Skip::Overlap)));
    let blacked_out = count(|what| *what == What::Closed(Ending::Skipped(Skip::Blackout)));
    // Each kind of record is there, so that the comparison above compares something of each.
    let counts = [ran, late, missed, superseded, overlapped, blacked_out];
    assert!(ran > 1000 && counts.iter().all(|count| *count > 2), "{counts:?}");
}

/// From, for how long, and what.
#[derive(Clone, Debug)]
enum Mishap {
    ControllerDown,
    ControllerRestarted,
    Away(&'static str),
    ClockSet(i64),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        Just(Mishap::ControllerDown),
        Just(Mishap::ControllerRestarted),
        prop::sample::select(vec!["db1", "db2", "web"]).prop_map(Mishap::Away),
        (-7i64..8).prop_map(Mishap::ClockSet),
    ]
}

fn mishaps() -> impl Strategy<Value = Vec<(usize, usize, Mishap)>> {
    prop::collection::vec((0..10 * DAY, 1usize..2500, mishap()), 0..14)
}

fn minutes_with(mishaps: Vec<(usize, usize, Mishap)>) -> Vec<Minute> {
    let mut minutes = quiet(begins(), 10 * DAY);
    for (from, length, mishap) in mishaps {
        let until = (from + length).min(minutes.len());
        match mishap {
            Mishap::ControllerDown => minutes[from..until].iter_mut().for_each(|minute| minute.is_up = false),
            Mishap::ControllerRestarted => minutes[from].is_restarted = true,
            Mishap::Away(host) => send_away(&mut minutes, host, from, until),
            Mishap::ClockSet(by) => set_clock(&mut minutes, from, by),
        }
    }
    minutes
}

fn the_busy_site() -> Arc<Site> {
    let plans = [
        (
            "databases",
            "role=db",
            "incremental: daily 01:30, jitter: 15m, missed: run once within 30h, retries: { times: 2, wait: 7m }",
        ),
        (
            "files",
            "\"*\"",
            "full: every 2h, after: images, missed: run once within 5h, retries: { times: 1, wait: 40m }",
        ),
        (
            "images",
            "\"*\"",
            "full: weekly sun 02:00, incremental: every 3h, window: { until: \"05:00\", then: cancel }, jitter: 10m",
        ),
        ("plain", "\"*\"", "incremental: every 4h, calendars: [power], jitter: 20m"),
    ];
    let texts = plans.map(|(name, hosts, schedule)| (name, plan(name, hosts, schedule)));
    let plans: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let few = SITE.replace("runs: 100, per-host: 10, per-repository: 100", "runs: 2, per-host: 1");
    site(&few, HOSTS, &plans)
}

/// One in four goes wrong, in one way or another.
fn mixed(key: &RunKey, attempt: u32) -> RunOutcome {
    let number = key.due.as_second() / 600 + i64::from(attempt) * 7 + i64::from(key.host.as_str().as_bytes()[2]);
    match number % 12 {
        0 => RunOutcome::Badly,
        1 => RunOutcome::Lost,
        2 => RunOutcome::Unreachable,
        _ => RunOutcome::Well,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Exactly one record for each due time, and the one that follows from the words, whatever happens. The world
    /// itself asserts that nothing is started twice, or beside another run of its plan and host.
    #[test]
    fn any_ten_days(mishaps in mishaps()) {
        check(&minutes_with(mishaps));
    }

    /// The same where places are few, runs fail or are lost, hosts begin at times of their own, and plans come after
    /// each other: what happens is too much for a calculation, but each due time has its one record.
    #[test]
    fn any_ten_days_of_a_busy_site(mishaps in mishaps()) {
        let minutes = minutes_with(mishaps);
        let site = the_busy_site();
        let mut world = World::new(Arc::clone(&site), begins(), RUN_MINUTES).with_outcomes(mixed);
        world.live(&minutes);
        let seen = minutes.iter().filter(|minute| minute.is_up).map(|minute| minute.clock).max().unwrap_or(begins());
        let mut due_keys = BTreeSet::new();
        for plan in site.plans().values() {
            for host in plan.hosts() {
                let due = plan.plan().schedule().unwrap().due(begins(), site.zone()).map(|due| due.at);
                for due in due.take_while(|due| *due <= seen) {
                    let key = RunKey { plan: plan.name().clone(), host: host.clone(), due };
                    // The jitter of a host may not be over yet.
                    let must_be_there = due + SignedDuration::from_mins(20) <= seen;
                    prop_assert!(!must_be_there || world.journal.contains_key(&key), "{} has no record", key);
                    // The longest deadline of all is thirty hours.
                    let must_be_decided = due + SignedDuration::from_hours(30) <= seen;
                    let waits = matches!(world.journal.get(&key), Some(Record { what: What::Waits(_), .. }));
                    prop_assert!(!(must_be_decided && waits), "{} waits for ever", key);
                    due_keys.insert(key);
                }
            }
        }
        for key in world.journal.keys() {
            prop_assert!(due_keys.contains(key), "{} was never due", key);
        }
    }
}
