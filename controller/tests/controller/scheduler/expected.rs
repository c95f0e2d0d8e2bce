//! What must come of every due time, computed for each from the words of its plan and the minutes of the world, with
//! no queue, no state and none of the scheduler's code.

use jiff::civil::{Date, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan};
use strongroom_controller::scheduler::{Ending, Skip};
use strongroom_plans::RunKind;

use super::world::{Attempts, Minute, Record, What, skipped};

/// A plan on a host, in words that this calculation understands.
pub(crate) struct Words {
    pub(crate) plan: &'static str,
    pub(crate) host: &'static str,
    /// When it is due on a day of Shanghai, in minutes of the day.
    pub(crate) due_on: fn(Date) -> Vec<(i64, RunKind)>,
    pub(crate) missed: Missed,
    /// Minutes of the day at which its window closes, if it has one.
    pub(crate) until: Option<i64>,
    pub(crate) blackout: fn(Date) -> bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Missed {
    Within(i64),
    Skip,
    Unsaid,
}

struct Due {
    at: Timestamp,
    kind: RunKind,
    day: Date,
}

/// A run that took place: in which minutes, and whether it was full.
struct Run {
    start: usize,
    end: usize,
    kind: RunKind,
}

/// The instant of a time of day in Shanghai, which has had one offset since 1992.
pub(crate) fn shanghai(day: Date, minute_of_day: i64) -> Timestamp {
    let days = i64::from(day.since(jiff::civil::date(1970, 1, 1)).unwrap().get_days());
    Timestamp::from_second(days * 86_400 + minute_of_day * 60 - 8 * 3600).unwrap()
}

pub(crate) fn daily(minute: i64, kind: RunKind) -> Vec<(i64, RunKind)> {
    vec![(minute, kind)]
}

pub(crate) fn sunday_full(day: Date, minute: i64) -> Vec<(i64, RunKind)> {
    daily(minute, if day.weekday() == Weekday::Sunday { RunKind::Full } else { RunKind::Incremental })
}

/// The record of every due time after the beginning, as far as the last minute that the controller sees.
pub(crate) fn records(words: &Words, minutes: &[Minute], run_minutes: usize) -> Vec<(Timestamp, Record)> {
    let all = due_times(words, minutes);
    let mut runs: Vec<Run> = Vec::new();
    let mut records = Vec::new();
    for (index, due) in all.iter().enumerate() {
        let Some(arrival) = first_seen(minutes, due.at) else { break };
        let deadline = deadline(words, due, all.get(index + 1));
        let what = fate(words, minutes, &all[index..], arrival, deadline, &runs);
        let mut kind = due.kind;
        if let What::Ran { at_minute, .. } = what {
            // One that stands for a full run is full.
            let by = Ending::Superseded { by: due.at };
            let stands_for_full = |(_, record): &(Timestamp, Record)| {
                record.what == What::Closed(by.clone()) && record.kind == RunKind::Full
            };
            if records.iter().any(stands_for_full) {
                kind = RunKind::Full;
            }
            let away = |minute: &Minute| !minute.is_up || minute.away.contains(&words.host);
            let told = (at_minute + run_minutes..minutes.len()).find(|minute| !away(&minutes[*minute]));
            runs.push(Run { start: at_minute, end: told.unwrap_or(usize::MAX), kind });
        }
        records.push((due.at, Record { kind, what }));
    }
    records
}

fn due_times(words: &Words, minutes: &[Minute]) -> Vec<Due> {
    let (first, last) = (minutes[0].clock, minutes.iter().map(|minute| minute.clock).max().unwrap());
    // One day more, because the deadline of the last one may be the time of the next.
    let days =
        day_of(first).series(1.day()).take_while(|date| *date <= day_of(last).tomorrow().unwrap().tomorrow().unwrap());
    let due = days.flat_map(|day| {
        (words.due_on)(day).into_iter().map(move |(minute, kind)| Due { at: shanghai(day, minute), kind, day })
    });
    due.filter(|due| due.at > first).collect()
}

fn deadline(words: &Words, due: &Due, next: Option<&Due>) -> Timestamp {
    let next = next.map_or(Timestamp::MAX, |next| next.at);
    let window = words.until.map(|until| {
        let tonight = shanghai(due.day, until);
        if tonight > due.at { tonight } else { shanghai(due.day.tomorrow().unwrap(), until) }
    });
    match words.missed {
        Missed::Within(hours) => due.at + SignedDuration::from_hours(hours),
        Missed::Skip => window.unwrap_or(due.at + SignedDuration::from_mins(10)).min(next),
        Missed::Unsaid => window.unwrap_or(next).min(next),
    }
}

/// `later` begins with the due time itself.
fn fate(words: &Words, minutes: &[Minute], later: &[Due], arrival: usize, deadline: Timestamp, runs: &[Run]) -> What {
    let due = &later[0];
    if (words.blackout)(due.day) {
        return skipped(Skip::Blackout);
    }
    let running = runs.iter().find(|run| run.start < arrival && arrival < run.end);
    if overlaps(runs, arrival, due.kind) {
        return skipped(Skip::Overlap);
    }
    let is_free = |minute: usize| runs.iter().all(|run| !(run.start <= minute && minute < run.end));
    let is_chance = |minute: &usize| {
        let Minute { is_up, away, clock, .. } = &minutes[*minute];
        *is_up && !away.contains(&words.host) && is_free(*minute) && !(words.blackout)(day_of(*clock))
    };
    let chance = (arrival..minutes.len()).find(is_chance);
    let expiry = (arrival..minutes.len()).find(|minute| minutes[*minute].is_up && minutes[*minute].clock >= deadline);
    match (chance, expiry) {
        (Some(chance), expiry) if expiry.is_none_or(|expiry| chance < expiry) => {
            let seen = later[1..].iter().map_while(|due| Some((due, first_seen(minutes, due.at)?)));
            let arrived = seen.take_while(|(_, seen)| *seen <= chance);
            let may_run = |(due, seen): &(&Due, usize)| !(words.blackout)(due.day) && !overlaps(runs, *seen, due.kind);
            let by = arrived.filter(may_run).last().map(|(due, _)| due);
            match by {
                Some(by) => What::Closed(Ending::Superseded { by: by.at }),
                None => {
                    let late = minutes[chance].clock > due.at + SignedDuration::from_mins(10);
                    What::Ran { at_minute: chance, late }
                }
            }
        }
        (_, Some(expiry)) => ended_without(words, minutes, running, arrival, expiry),
        (_, None) => What::Waits(Attempts::default()),
    }
}

/// Whether a run that is first seen then finds another one going, and may not wait for it.
fn overlaps(runs: &[Run], arrival: usize, kind: RunKind) -> bool {
    let running = runs.iter().find(|run| run.start < arrival && arrival < run.end);
    running.is_some_and(|run| !(kind == RunKind::Full && run.kind == RunKind::Incremental))
}

/// What is not missed by anybody: a full run that waited in vain behind an incremental one, and a host that was back
/// on a day on which nothing begins.
fn ended_without(words: &Words, minutes: &[Minute], running: Option<&Run>, arrival: usize, expiry: usize) -> What {
    if expiry > arrival && running.is_some_and(|run| expiry < run.end) {
        return skipped(Skip::Overlap);
    }
    let before = &minutes[expiry - 1];
    let was_seen = expiry > arrival && before.is_up && !minutes[expiry].is_restarted;
    let was_back = was_seen && !before.away.contains(&words.host);
    if was_back && (words.blackout)(day_of(before.clock)) {
        return skipped(Skip::Blackout);
    }
    What::Closed(Ending::Missed)
}

/// The day in Shanghai.
fn day_of(at: Timestamp) -> Date {
    (at + SignedDuration::from_hours(8)).to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The minute in which the controller first knows that a time has come.
fn first_seen(minutes: &[Minute], at: Timestamp) -> Option<usize> {
    minutes.iter().position(|minute| minute.is_up && minute.clock >= at)
}
