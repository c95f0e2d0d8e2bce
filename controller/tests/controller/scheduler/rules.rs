//! One rule each, and what a tick costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use strongroom_controller::scheduler::{Decision, Ended, KnownRun, KnownState, RunKey, RunOutcome, Scheduler};
use strongroom_plans::{RunKind, Site};

use super::world::site;

const SITE: &str = "\
name: test
zone: UTC
repositories: { main: { at: /srv/main }, other: { at: /srv/other } }
calendars: { power: { days: [2026-11-24], blackout: [backup] } }
limits: { runs: 2, per-host: 1, per-repository: 2 }
";
const HOSTS: &str = "hosts: { a: { address: a }, b: { address: b }, c: { address: c } }\n";

/// Plan, hosts, further keys, schedule.
type Row<'r> = (&'r str, &'r str, &'r str, &'r str);

fn a_site(rows: &[Row<'_>]) -> Arc<Site> {
    let text = |(name, hosts, keys, schedule): &Row<'_>| {
        let repository = if keys.contains("repository") { "" } else { "repository: main\n" };
        format!(
            "kind: backup\nname: {name}\nhosts: {hosts}\nsources: [{{ files: [/srv] }}]\n{repository}{keys}\n\
             schedule: {{ {schedule} }}\nretain: {{ last: 1 }}\n"
        )
    };
    let texts: Vec<_> = rows.iter().map(|row| (row.0, text(row))).collect();
    let plans: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    site(SITE, HOSTS, &plans)
}

/// A time of 23 November 2026, or of a day after it.
fn at(time: &str) -> Timestamp {
    let text = if time.contains('T') { format!("2026-11-{time}:00Z") } else { format!("2026-11-23T{time}:00Z") };
    text.parse().unwrap()
}

fn scheduler(rows: &[Row<'_>]) -> Scheduler {
    Scheduler::new(a_site(rows), [], at("00:00"))
}

fn key(plan: &str, host: &str, due: &str) -> RunKey {
    RunKey { plan: plan.parse().unwrap(), host: host.parse().unwrap(), due: at(due) }
}

/// Decisions as short lines: `start p@a`, `wait p@a Place`, `record p@a missed`.
fn shown(decisions: Vec<Decision>) -> Vec<String> {
    let run = |key: &RunKey| format!("{}@{}", key.plan, key.host);
    let line = |decision| match decision {
        Decision::Start { key, kind, late, attempt } => {
            let late = if late { ", late" } else { "" };
            let attempt = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("start {} {kind}{late}{attempt}", run(&key))
        }
        Decision::Wait { key, held, .. } => format!("wait {} {held:?}", run(&key)),
        Decision::Record { key, ending, .. } => format!("record {} {ending}", run(&key)),
        Decision::Stop { key, how } => format!("stop {} {how:?}", run(&key)),
    };
    decisions.into_iter().map(line).collect()
}

#[track_caller]
fn tick(scheduler: &mut Scheduler, time: &str, expect: &[&str]) {
    assert_eq!(shown(scheduler.tick(at(time))), expect, "at {time}");
}

#[track_caller]
fn well(scheduler: &mut Scheduler, key: &RunKey, time: &str) {
    assert_eq!(scheduler.ended(key, RunOutcome::Well, at(time)), Ended::Over);
}

const FULL: &str = "full: daily 01:00";

#[test]
fn places_are_limited_and_the_higher_priority_goes_first() {
    let mut scheduler = scheduler(&[
        ("low", "name=a", "priority: 10", FULL),
        ("mid", "name=b", "", FULL),
        ("top", "name=c", "priority: 90", FULL),
    ]);
    tick(&mut scheduler, "00:59", &[]);
    tick(&mut scheduler, "01:00", &["start top@c full", "start mid@b full", "wait low@a Place"]);
    tick(&mut scheduler, "01:05", &[]);
    well(&mut scheduler, &key("mid", "b", "01:00"), "01:20");
    tick(&mut scheduler, "01:20", &["start low@a full, late"]);
}

/// A run whose host is busy, or away, keeps no other one from beginning, whatever its priority.
#[test]
fn nothing_waits_behind_what_is_blocked() {
    let mut scheduler = scheduler(&[
        ("top", "name=a", "priority: 90", FULL),
        ("mid", "name=a | name=b", "priority: 50", FULL),
        ("low", "name=c", "priority: 1", FULL),
    ]);
    scheduler.host_seen(&"b".parse().unwrap(), false);
    tick(&mut scheduler, "01:00", &["start top@a full", "start low@c full", "wait mid@a Place", "wait mid@b Host"]);
}

#[test]
fn a_repository_has_its_own_limit() {
    let site_text = SITE.replace("runs: 2", "runs: 9").replace("per-repository: 2", "per-repository: 1");
    let plan = |name: &str, host: &str, repository: &str| {
        format!(
            "kind: backup\nname: {name}\nhosts: name={host}\nsources: [{{ files: [/srv] }}]\n\
             repository: {repository}\nschedule: {{ {FULL} }}\nretain: {{ last: 1 }}\n"
        )
    };
    let plans = [("x", plan("x", "a", "main")), ("y", plan("y", "b", "main")), ("z", plan("z", "c", "other"))];
    let plans = plans.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut scheduler = Scheduler::new(site(&site_text, HOSTS, &plans), [], at("00:00"));
    tick(&mut scheduler, "01:00", &["start x@a full", "start z@c full", "wait y@b Place"]);
}

#[test]
fn a_run_comes_after_another_plans_run_of_the_same_day() {
    let rows = [("x", "name=a", "", FULL), ("y", "name=a", "", "full: daily 02:00, after: x")];
    let mut went_well = scheduler(&rows);
    tick(&mut went_well, "01:00", &["start x@a full"]);
    tick(&mut went_well, "02:00", &["wait y@a After"]);
    well(&mut went_well, &key("x", "a", "01:00"), "02:30");
    tick(&mut went_well, "02:30", &["start y@a full, late"]);

    let mut went_badly = scheduler(&rows);
    tick(&mut went_badly, "01:00", &["start x@a full"]);
    assert_eq!(went_badly.ended(&key("x", "a", "01:00"), RunOutcome::Badly, at("01:30")), Ended::Over);
    tick(&mut went_badly, "02:00", &["record y@a skipped: the run of x before it did not end well"]);

    // The same after a restart, from the journal.
    let known = KnownRun { key: key("x", "a", "01:00"), kind: RunKind::Full, state: KnownState::Closed { well: true } };
    let mut resumed = Scheduler::new(a_site(&rows), [known], at("01:50"));
    tick(&mut resumed, "02:00", &["start y@a full"]);

    // On a day, or on a host, without the other plan there is nothing to wait for.
    let mut alone = scheduler(&[
        ("x", "name=a", "", "full: weekly sun 01:00"),
        ("y", "name=a | name=b", "", "full: daily 02:00, after: x"),
    ]);
    tick(&mut alone, "02:00", &["start y@a full", "start y@b full"]);
}

#[test]
fn a_window_stops_what_is_going_and_skips_what_found_no_place() {
    let window = "full: daily 01:00, window: { until: \"05:00\", then: cancel }";
    let mut stopped = scheduler(&[
        ("x", "\"*\"", "", window),
        ("f", "name=a", "", "full: daily 04:00, window: { until: \"05:00\", then: finish }"),
    ]);
    tick(&mut stopped, "01:00", &["start x@a full", "start x@b full", "wait x@c Place"]);
    tick(&mut stopped, "04:00", &["wait f@a Place"]);
    tick(
        &mut stopped,
        "05:00",
        &[
            "record f@a skipped: no place was free before its window closed",
            "stop x@a Cancel",
            "stop x@b Cancel",
            "record x@c skipped: no place was free before its window closed",
        ],
    );
    tick(&mut stopped, "05:01", &[]);
}

#[test]
fn a_window_can_be_left_open_for_what_is_going() {
    let mut finish = scheduler(&[("x", "name=a", "", "full: daily 01:00, window: { until: \"05:00\", then: finish }")]);
    tick(&mut finish, "01:00", &["start x@a full"]);
    tick(&mut finish, "06:00", &[]);
    let mut cancel = scheduler(&[("x", "name=a", "", "full: daily 01:00, window: { until: \"05:00\", then: cancel }")]);
    tick(&mut cancel, "01:00", &["start x@a full"]);
    tick(&mut cancel, "05:30", &["stop x@a Cancel"]);
}

#[test]
fn what_somebody_cancels_while_it_waits_does_not_begin_and_nothing_comes_after_it() {
    let mut scheduler = scheduler(&[("x", "name=a", "", FULL), ("y", "name=a", "", "full: daily 02:00, after: x")]);
    scheduler.host_seen(&"a".parse().unwrap(), false);
    tick(&mut scheduler, "01:00", &["wait x@a Host"]);
    scheduler.cancelled(&key("x", "a", "01:00"));
    scheduler.host_seen(&"a".parse().unwrap(), true);
    tick(&mut scheduler, "01:10", &[]);
    tick(&mut scheduler, "02:00", &["record y@a skipped: the run of x before it did not end well"]);
    // The next day's is due as ever; and of a run that is going, its end is told.
    tick(&mut scheduler, "24T01:00", &["start x@a full"]);
    scheduler.cancelled(&key("x", "a", "24T01:00"));
    assert_eq!(scheduler.ended(&key("x", "a", "24T01:00"), RunOutcome::Badly, at("24T01:30")), Ended::Over);
}

#[test]
fn a_full_run_waits_for_an_incremental_one_and_nothing_else_waits() {
    let mut scheduler = scheduler(&[("x", "name=a", "", "incremental: every 1h, full: daily 02:30")]);
    tick(&mut scheduler, "01:00", &["start x@a incremental"]);
    tick(&mut scheduler, "02:00", &["record x@a skipped: the run before it was still going"]);
    tick(&mut scheduler, "02:30", &["wait x@a Overlap"]);
    well(&mut scheduler, &key("x", "a", "01:00"), "02:45");
    tick(&mut scheduler, "02:45", &["start x@a full, late"]);
    tick(&mut scheduler, "03:00", &["record x@a skipped: the run before it was still going"]);
}

#[test]
fn the_newest_stands_for_all_that_waited_and_is_full_if_one_of_them_was() {
    let rows = [("x", "name=a", "", "incremental: every 1h, full: daily 02:30, missed: run once within 90m")];
    let mut scheduler = scheduler(&rows);
    scheduler.host_seen(&"a".parse().unwrap(), false);
    tick(&mut scheduler, "02:29", &["wait x@a Host", "wait x@a Host"]);
    tick(&mut scheduler, "03:10", &["record x@a missed", "wait x@a Host", "wait x@a Host"]);
    scheduler.host_seen(&"a".parse().unwrap(), true);
    let superseded = "record x@a superseded by the run due 2026-11-23T03:00:00Z";
    tick(&mut scheduler, "03:15", &[superseded, superseded, "start x@a full, late"]);
}

#[test]
fn what_lost_its_host_is_tried_again_as_often_as_the_plan_says() {
    let rows = [("x", "name=a", "", "full: daily 01:00, retries: { times: 2, wait: 5m }")];
    let mut scheduler = scheduler(&rows);
    let run = key("x", "a", "01:00");
    tick(&mut scheduler, "01:00", &["start x@a full"]);
    assert_eq!(scheduler.ended(&run, RunOutcome::Lost, at("01:10")), Ended::Again { at: at("01:15"), window: None });
    tick(&mut scheduler, "01:14", &[]);
    tick(&mut scheduler, "01:15", &["start x@a full, late, attempt 2"]);
    assert_eq!(scheduler.ended(&run, RunOutcome::Lost, at("01:20")), Ended::Again { at: at("01:25"), window: None });

    // The last one is known to a restart.
    let state = KnownState::Waiting { attempts: 2, lost: 2, not_before: Some(at("01:25")), window: None };
    let known = KnownRun { key: run.clone(), kind: RunKind::Full, state };
    let mut scheduler = Scheduler::new(a_site(&rows), [known], at("01:20"));
    tick(&mut scheduler, "01:21", &[]);
    tick(&mut scheduler, "01:25", &["start x@a full, late, attempt 3"]);
    assert_eq!(scheduler.ended(&run, RunOutcome::Lost, at("01:30")), Ended::Over);
    assert_eq!(scheduler.ended(&run, RunOutcome::Lost, at("01:30")), Ended::Unknown);
    tick(&mut scheduler, "24T00:59", &[]);
}

#[test]
fn what_else_fails_is_tried_again_only_if_the_plan_says_so() {
    use strongroom_plans::FailureClass::{Proof, Source, Store};
    for (on, failure, again) in [
        ("", Store, false),
        (", on: [lost, store]", Store, true),
        (", on: [lost, store]", Source, false),
        (", on: [proof]", Proof, true),
    ] {
        let schedule = format!("full: daily 01:00, retries: {{ times: 1, wait: 5m{on} }}");
        let mut scheduler = scheduler(&[("x", "name=a", "", &schedule)]);
        tick(&mut scheduler, "01:00", &["start x@a full"]);
        let expect = if again { Ended::Again { at: at("01:15"), window: None } } else { Ended::Over };
        let ended = scheduler.ended(&key("x", "a", "01:00"), RunOutcome::Failed(failure), at("01:10"));
        assert_eq!(ended, expect, "{failure:?} {on}");
    }
}

const STOPS: &str =
    "full: weekly mon 01:00, incremental: daily 01:00, window: { until: \"05:00\", then: stop }, jitter: 10m";

/// A scheduler whose full run of Monday was stopped at five, and when the next one should begin.
fn stopped(rows: &[Row<'_>]) -> (Scheduler, Timestamp) {
    let mut scheduler = scheduler(rows);
    let begins = scheduler.tick(at("00:59")).is_empty().then(|| scheduler.tick(at("01:10")));
    assert_eq!(shown(begins.unwrap()), ["start x@a full"]);
    tick(&mut scheduler, "04:59", &[]);
    tick(&mut scheduler, "05:00", &["stop x@a Stop"]);
    let ended = scheduler.ended(&key("x", "a", "01:00"), RunOutcome::Stopped, at("05:01"));
    let Ended::Again { at: goes_on, window } = ended else { panic!("{ended:?}") };
    assert_eq!(window, Some(at("24T01:00")));
    tick(&mut scheduler, "05:02", &[]);
    tick(&mut scheduler, "24T00:59", &[]);
    (scheduler, goes_on)
}

#[test]
fn what_its_window_stopped_goes_on_in_the_next_one_as_what_it_was() {
    let rows = [("x", "name=a", "", STOPS)];
    let expect = ["record x@a superseded by the run due 2026-11-24T01:00:00Z", "start x@a full"];
    let (mut scheduler, goes_on) = stopped(&rows);
    assert_eq!(shown(scheduler.tick(goes_on)), expect);

    // The same after a restart, and after the site was loaded again.
    let (mut before, goes_on) = stopped(&rows);
    let window = Some(at("24T01:00"));
    let state = KnownState::Waiting { attempts: 1, lost: 0, not_before: Some(goes_on), window };
    let known = KnownRun { key: key("x", "a", "01:00"), kind: RunKind::Full, state };
    let mut resumed = Scheduler::new(a_site(&rows), [known], at("05:02"));
    tick(&mut resumed, "24T00:59", &[]);
    assert_eq!(shown(resumed.tick(goes_on)), expect);
    assert_eq!(shown(before.reload(a_site(&rows), at("24T00:59"))), [""; 0]);
    assert_eq!(shown(before.tick(goes_on)), expect);
}

#[test]
fn what_its_window_stopped_does_not_begin_outside_of_one() {
    let (mut scheduler, goes_on) = stopped(&[("x", "name=a", "", STOPS)]);
    scheduler.host_seen(&"a".parse().unwrap(), false);
    assert_eq!(shown(scheduler.tick(goes_on)), ["wait x@a Host"]);
    let given_up = "record x@a given up: it was begun, and no time is left for another attempt";
    tick(&mut scheduler, "24T05:00", &[given_up, "record x@a missed"]);
}

/// Longer and longer waits, until somebody says that the host is back.
#[test]
fn a_host_that_does_not_answer_is_tried_again_until_the_deadline() {
    let mut scheduler = scheduler(&[("x", "name=a", "", "full: daily 01:00, missed: run once within 1h")]);
    let run = key("x", "a", "01:00");
    let mut now = at("01:00");
    let mut waits = Vec::new();
    while now < at("01:40") {
        assert_eq!(scheduler.tick(now).len(), 1, "at {now}");
        let Ended::Again { at, .. } = scheduler.ended(&run, RunOutcome::Unreachable, now) else { panic!("no attempt") };
        assert_eq!(shown(scheduler.tick(at - SignedDuration::from_secs(1))), [""; 0]);
        waits.push(at.duration_since(now).as_mins());
        now = at;
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
    scheduler.host_seen(&"a".parse().unwrap(), true);
    assert_eq!(shown(scheduler.tick(at("01:46"))), ["start x@a full, late, attempt 7"]);
    let ended = scheduler.ended(&run, RunOutcome::Unreachable, at("01:50"));
    assert!(matches!(ended, Ended::Again { .. }));
    tick(&mut scheduler, "02:00", &["record x@a missed"]);
}

#[test]
fn skip_means_on_time_or_within_the_window() {
    let mut strict = scheduler(&[("x", "name=a", "", "full: daily 01:00, missed: skip")]);
    tick(&mut strict, "01:09", &["start x@a full"]);
    let mut strict = scheduler(&[("x", "name=a", "", "full: daily 01:00, missed: skip")]);
    tick(&mut strict, "01:10", &["record x@a missed"]);
    let window = "full: daily 01:00, missed: skip, window: { until: \"05:00\", then: cancel }";
    let mut within = scheduler(&[("x", "name=a", "", window)]);
    tick(&mut within, "04:59", &["start x@a full, late"]);
    let mut beyond = scheduler(&[("x", "name=a", "", window)]);
    tick(&mut beyond, "05:00", &["record x@a missed"]);
}

#[test]
fn a_blackout_skips_what_is_due_and_holds_what_waits() {
    let rows = [("x", "name=a", "", "full: daily 01:00, missed: run once within 36h, calendars: [power]")];
    let mut scheduler = scheduler(&rows);
    scheduler.host_seen(&"a".parse().unwrap(), false);
    tick(&mut scheduler, "01:00", &["wait x@a Host"]);
    scheduler.host_seen(&"a".parse().unwrap(), true);
    tick(&mut scheduler, "24T00:10", &[]);
    tick(&mut scheduler, "24T01:00", &["record x@a skipped: a blackout"]);
    tick(&mut scheduler, "24T13:00", &["record x@a skipped: a blackout"]);
    tick(&mut scheduler, "25T01:00", &["start x@a full"]);
}

/// Each host has its own time within the jitter, the same in every life, and none before it is due or too late for it.
#[test]
fn jitter_spreads_hosts_and_is_no_accident() {
    let hosts: String = (0..200).map(|number| format!("  h{number}: {{ address: h{number} }}\n")).collect();
    let plan = "kind: backup\nname: x\nhosts: \"*\"\nsources: [{ files: [/srv] }]\nrepository: main\nretain: { last: 1 }\n\
                schedule: { full: daily 01:00, jitter: 10m, missed: skip }\n";
    let site_text = SITE.replace("{ runs: 2, per-host: 1, per-repository: 2 }", "{ runs: 999, per-repository: 999 }");
    let site = site(&site_text, &format!("hosts:\n{hosts}"), &[("x", plan)]);
    let starts = |since: &str| {
        let mut scheduler = Scheduler::new(Arc::clone(&site), [], at(since));
        let mut starts = Vec::new();
        for second in 0..700 {
            let now = at("01:00") + SignedDuration::from_secs(second);
            starts.extend(scheduler.tick(now).into_iter().map(|decision| match decision {
                Decision::Start { key, late: false, .. } => {
                    assert_eq!(key.due, at("01:00"));
                    (key.host.to_string(), second)
                }
                other => panic!("{other:?}"),
            }));
        }
        starts.sort();
        starts
    };
    let first = starts("00:00");
    assert_eq!(first.len(), 200);
    assert!(first.iter().all(|(_, second)| *second < 600));
    for third in [0..200, 200..400, 400..600] {
        let count = first.iter().filter(|(_, second)| third.contains(second)).count();
        assert!((40..=95).contains(&count), "{count} of 200 within {third:?}");
    }
    assert_eq!(first, starts("00:30"));
    // A life that begins among them takes up exactly those that have not begun.
    let rest: Vec<_> = first.iter().filter(|(_, second)| *second > 300).cloned().collect();
    assert_eq!(rest, starts("01:05"));
}

#[test]
fn a_reload_goes_on_with_what_there_is() {
    let rows = [("x", "name=a", "", FULL), ("y", "name=b", "", FULL), ("z", "name=c", "", FULL)];
    let mut scheduler = scheduler(&rows);
    scheduler.host_seen(&"c".parse().unwrap(), false);
    tick(&mut scheduler, "01:00", &["start x@a full", "start y@b full", "wait z@c Host"]);
    // `y` and `z` go; `x` is due at another time from now on, and a new one is not due for what was before.
    let later = [("x", "name=a", "", "full: daily 03:00"), ("w", "name=b", "", "full: daily 01:30")];
    let withdrawn = "record z@c skipped: the site no longer has the plan for this host";
    assert_eq!(shown(scheduler.reload(a_site(&later), at("02:00"))), [withdrawn]);
    tick(&mut scheduler, "02:00", &[]);
    tick(&mut scheduler, "03:00", &["record x@a skipped: the run before it was still going"]);
    well(&mut scheduler, &key("x", "a", "01:00"), "03:10");
    well(&mut scheduler, &key("y", "b", "01:00"), "03:10");
    tick(&mut scheduler, "24T01:30", &["start w@b full"]);
    // The clock is set back behind all of that.
    tick(&mut scheduler, "01:00", &[]);
    tick(&mut scheduler, "24T03:00", &["start x@a full"]);
}

#[test]
fn a_run_by_hand_takes_its_place_and_is_not_tried_again() {
    let mut scheduler = scheduler(&[("x", "name=a", "", "full: daily 01:00, retries: { times: 2, wait: 5m }")]);
    let (plan, host) = ("x".parse().unwrap(), "a".parse().unwrap());
    let run = scheduler.begun_by_hand(&plan, &host, RunKind::Incremental, at("00:50")).unwrap();
    assert_eq!(scheduler.begun_by_hand(&plan, &host, RunKind::Full, at("00:51")), None);
    assert_eq!(scheduler.going().count(), 1);
    tick(&mut scheduler, "01:00", &["wait x@a Overlap"]);
    assert_eq!(scheduler.ended(&run, RunOutcome::Lost, at("01:05")), Ended::Over);
    tick(&mut scheduler, "01:05", &["start x@a full"]);
}

#[test]
fn it_says_when_it_wants_to_be_asked_again() {
    let mut scheduler =
        scheduler(&[("x", "name=a", "", "full: daily 01:00, window: { until: \"05:00\", then: cancel }")]);
    assert_eq!(scheduler.wakes_at(), Some(at("01:00")));
    tick(&mut scheduler, "01:00", &["start x@a full"]);
    assert!(scheduler.wakes_at().unwrap() <= at("05:00"));
}

/// The bound of the issue, for 10,000 hosts with three plans each. The best of several, because the machine does
/// other things too; even so it is far above what a tick takes.
#[test]
fn a_tick_costs_little_when_little_is_due() {
    let hosts: String = (0..10_000).map(|number| format!("  h{number}: {{ address: h{number} }}\n")).collect();
    let plan = |name: &str, schedule: &str| {
        format!(
            "kind: backup\nname: {name}\nhosts: \"*\"\nsources: [{{ files: [/srv] }}]\nrepository: main\n\
             retain: {{ last: 1 }}\nschedule: {{ {schedule} }}\n"
        )
    };
    let plans = [
        ("x", plan("x", "incremental: daily 01:00, full: weekly sun 01:00, jitter: 1h")),
        ("y", plan("y", "full: monthly 1 02:00, jitter: 1h, after: x")),
        ("z", plan("z", "incremental: every 6h, jitter: 1h")),
    ];
    let plans = plans.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut scheduler = Scheduler::new(site(SITE, &format!("hosts:\n{hosts}"), &plans), [], at("00:30"));
    scheduler.tick(at("01:00"));
    let mut timed = |seconds: i64| {
        let begun = Instant::now();
        let decisions = scheduler.tick(at("01:00") + SignedDuration::from_secs(seconds));
        (begun.elapsed(), decisions.len())
    };
    let ticks: Vec<(Duration, usize)> = (1..20).map(&mut timed).collect();
    assert!(ticks.iter().map(|(_, decisions)| decisions).sum::<usize>() > 20, "{ticks:?}");
    assert!(ticks.iter().min().unwrap().0 < Duration::from_millis(50), "{ticks:?}");
}

/// Of several runs of a day it is the one before, or the first of the day if none is before.
#[test]
fn the_run_that_must_have_ended_is_the_last_before() {
    let mut scheduler = scheduler(&[
        ("x", "name=a", "", "full: \"daily 01:00,13:00\""),
        ("y", "name=a", "", "full: \"daily 00:30,14:00\", after: x, missed: run once within 10h"),
    ]);
    tick(&mut scheduler, "00:30", &["wait y@a After"]);
    tick(&mut scheduler, "01:00", &["start x@a full"]);
    well(&mut scheduler, &key("x", "a", "01:00"), "01:30");
    tick(&mut scheduler, "01:30", &["start y@a full, late"]);
    well(&mut scheduler, &key("y", "a", "00:30"), "01:40");
    tick(&mut scheduler, "13:00", &["start x@a full"]);
    tick(&mut scheduler, "14:00", &["wait y@a After"]);
}

/// The record of a run that was begun is open already.
#[test]
fn a_record_is_opened_once() {
    let schedule =
        "full: daily 01:00, incremental: daily 02:00, missed: run once within 5h, retries: { times: 1, wait: 2h }";
    let mut scheduler = scheduler(&[("x", "name=a", "", schedule)]);
    tick(&mut scheduler, "01:00", &["start x@a full"]);
    let ended = scheduler.ended(&key("x", "a", "01:00"), RunOutcome::Lost, at("01:10"));
    assert_eq!(ended, Ended::Again { at: at("03:10"), window: None });
    scheduler.host_seen(&"a".parse().unwrap(), false);
    tick(&mut scheduler, "02:00", &["wait x@a Host"]);
    scheduler.host_seen(&"a".parse().unwrap(), true);
    tick(&mut scheduler, "02:05", &["record x@a superseded by the run due 2026-11-23T02:00:00Z", "start x@a full"]);
}

/// A time that is too early, because a clock was set back, makes nothing twice.
#[test]
fn what_the_journal_knows_is_not_due_again() {
    let rows = [("x", "name=a", "", "full: \"daily 01:00,02:00\"")];
    let state = KnownState::Closed { well: true };
    let known = KnownRun { key: key("x", "a", "01:00"), kind: RunKind::Full, state };
    let mut resumed = Scheduler::new(a_site(&rows), [known], at("00:55"));
    tick(&mut resumed, "01:10", &[]);
    tick(&mut resumed, "02:00", &["start x@a full"]);
}
