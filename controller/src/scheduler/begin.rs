//! What waits begins: which run, when there is a place for it, and what speaks against it.

use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{CutOff, FailureClass, Schedule};

use super::decision::{Decision, Ending, Held, RunOutcome, Skip};
use super::due::standstill;
use super::moments::{Moments, ON_TIME, duration};
use super::pair::{Before, Going, Pair, Waiting};
use super::{Event, Scheduler};

/// What becomes of a run that could begin.
enum Chance {
    Begins,
    Held(Held),
    Skipped(Skip),
}

impl Scheduler {
    /// Starts the newest run of a pair that waits, if there is a place for it and nothing speaks against it.
    pub(super) fn give_a_chance(&mut self, number: usize, now: Timestamp, decisions: &mut Vec<Decision>) {
        while let Some(newest) = self.pairs[number].newest() {
            match self.chance(&self.pairs[number], newest, now) {
                Chance::Begins => return self.start(number, now, decisions),
                Chance::Held(held) => {
                    let waiting = &mut self.pairs[number].waiting;
                    return waiting.iter_mut().for_each(|waiting| waiting.held = held);
                }
                Chance::Skipped(skip) => {
                    if let Some(waiting) = self.pairs[number].waiting.pop() {
                        self.close(number, &waiting.moments, Ending::Skipped(skip), decisions);
                    }
                    self.rank(number);
                }
            }
        }
    }

    /// What costs least to know is asked first.
    fn chance(&self, pair: &Pair, newest: &Waiting, now: Timestamp) -> Chance {
        let before = pair.follows.zip(newest.after);
        match before.map(|(follows, due)| (follows, self.pairs[follows].ended(due, self.since))) {
            Some((follows, Before::EndedBadly)) => {
                return Chance::Skipped(Skip::After { plan: self.pairs[follows].plan.clone() });
            }
            Some((_, Before::Open)) => return Chance::Held(Held::After),
            Some((_, Before::EndedWell)) | None => {}
        }
        if newest.not_before.is_some_and(|at| at > now) {
            // A host that did not answer is what it waits for, not the time.
            return Chance::Held(if newest.held == Held::Host { Held::Host } else { Held::Retry });
        }
        if self.is_away[pair.host_number] {
            return Chance::Held(Held::Host);
        }
        if !self.places.is_free(pair.host_number, pair.repository_number) {
            return Chance::Held(Held::Place);
        }
        let zone = pair.group.map(|group| &self.groups[group].zone);
        let today = zone.and_then(|zone| standstill(&self.site, &self.site.plans()[&pair.plan], now, zone));
        today.map_or(Chance::Begins, |_| Chance::Held(Held::Standstill))
    }

    /// The newest begins, and stands for all that waited with it.
    fn start(&mut self, number: usize, now: Timestamp, decisions: &mut Vec<Decision>) {
        let mut waiting = std::mem::take(&mut self.pairs[number].waiting);
        let Some(mut run) = waiting.pop() else { return };
        let due = run.moments.due;
        let mut kind = run.moments.kind;
        for older in waiting {
            // Full comes before incremental.
            kind = kind.min(older.moments.kind);
            self.close(number, &older.moments, Ending::Superseded { by: due }, decisions);
        }
        run.attempts += 1;
        (run.not_before, run.is_announced) = (None, true);
        let late = run.moments.start_at.checked_add(ON_TIME).is_ok_and(|on_time| now > on_time);
        decisions.push(Decision::Start { key: self.pairs[number].key(due), kind, late, attempt: run.attempts });
        let cut_off = self.cut_off(&self.pairs[number], now);
        self.go(number, Going { run, kind, since: now, cut_off, is_by_hand: false });
    }

    /// When and how a run that begins now is to be stopped.
    pub(super) fn cut_off(&self, pair: &Pair, begins: Timestamp) -> Option<(Timestamp, CutOff)> {
        let (schedule, zone) = self.words(pair)?;
        let window = schedule.window().filter(|window| window.then() != CutOff::Finish)?;
        Some((window.end(begins, zone)?, window.then()))
    }

    /// By what a pair goes.
    pub(super) fn words(&self, pair: &Pair) -> Option<(&Schedule, &TimeZone)> {
        let group = &self.groups[pair.group?];
        Some((self.site.plans()[&pair.plan].plan().schedule()?, &group.zone))
    }

    pub(super) fn go(&mut self, number: usize, going: Going) {
        let pair = &mut self.pairs[number];
        self.places.take(Some(pair.host_number), Some(pair.repository_number));
        if let Some((at, _)) = going.cut_off {
            self.events.push(Reverse((at, Event::Look { pair: number })));
        }
        pair.waiting.iter_mut().for_each(|waiting| waiting.held = Held::Overlap);
        pair.going = Some(going);
        self.rank(number);
    }
}

impl Pair {
    /// The next attempt after one that ended, if there is one to be: what waits, and until when.
    /// `next` is what its plan's next due time comes to.
    pub(super) fn next_attempt(
        &self,
        going: &Going,
        outcome: RunOutcome,
        next: Option<Moments>,
        now: Timestamp,
    ) -> Option<(Waiting, Timestamp)> {
        let mut run = going.run.clone();
        if going.is_by_hand {
            return None;
        }
        run.moments.kind = going.kind;
        let failed_by = match outcome {
            RunOutcome::Well | RunOutcome::Badly => return None,
            RunOutcome::Unreachable => None,
            RunOutcome::Lost => Some(FailureClass::Lost),
            RunOutcome::Failed(class) => Some(class),
            RunOutcome::Stopped => return stopped(run, next?),
        };
        let (wait, held) = match failed_by {
            None => (run.host_wait(), Held::Host),
            Some(class) => {
                run.lost += 1;
                let retries = self.retries.as_ref().filter(|retries| retries.on().contains(&class))?;
                if run.lost > retries.times().get() {
                    return None;
                }
                (duration(retries.wait()), Held::Retry)
            }
        };
        let at = now.checked_add(wait).ok()?;
        if failed_by.is_some() && run.moments.deadline.is_some_and(|deadline| deadline <= at) {
            return None;
        }
        (run.not_before, run.held) = (Some(at), held);
        Some((run, at))
    }
}

/// A run whose window closed waits for the next one, as if it were due with it. The run that is due then stands for it, and is full if this one is.
fn stopped(mut run: Waiting, next: Moments) -> Option<(Waiting, Timestamp)> {
    let Moments { due, kind, .. } = run.moments;
    run.moments = Moments { due, kind, ..next };
    (run.window, run.not_before, run.held) = (Some(next.due), Some(next.start_at), Held::Retry);
    Some((run, next.start_at))
}
