//! What happens by itself as time goes on: runs come due, wait, are over, and are stopped.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{ActionClass, FleetPlan, RunKind, Site, Standstill};

use super::decision::{Decision, Ending, Skip};
use super::moments::{DueTime, Moments};
use super::pair::Waiting;
use super::{Event, Group, Scheduler};

impl Scheduler {
    /// Everything that happens by itself until now, in its order, also after a long pause.
    pub(super) fn catch_up(&mut self, now: Timestamp, decisions: &mut Vec<Decision>) {
        while self.events.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, event))) = self.events.pop() else { break };
            match event {
                Event::Look { pair } => self.look(pair, now, decisions),
                Event::Due { group } => self.come_due(group),
                Event::Arrival { pair, moments, standstill, after } => {
                    self.arrive(pair, moments, standstill, after, now, decisions);
                }
            }
        }
        self.seen = self.seen.max(now);
    }

    /// Computes what all hosts of a group have in common, and when it is due again.
    fn come_due(&mut self, number: usize) {
        let site = Arc::clone(&self.site);
        let group = &self.groups[number];
        let (Some(due), plan) = (group.next, &site.plans()[&group.plan]) else { return };
        let Some(schedule) = plan.plan().schedule() else { return };
        let due_time = DueTime::new(due, schedule, &group.zone);
        let standstill = standstill(&site, plan, due.at, &group.zone);
        let mut before = HashMap::new();
        for pair in &group.members {
            let pair = *pair;
            let moments = due_time.moments(self.pairs[pair].missed, self.pairs[pair].share);
            if moments.start_at <= self.since || self.pairs[pair].known.contains(&due.at) {
                continue;
            }
            let follows = self.pairs[pair].follows.and_then(|follows| self.pairs[follows].group);
            let after = follows
                .and_then(|other| *before.entry(other).or_insert_with(|| self.same_day(other, due.at, &group.zone)));
            let standstill = standstill.clone();
            self.events.push(Reverse((moments.start_at, Event::Arrival { pair, moments, standstill, after })));
        }
        let next = due_time.next();
        self.groups[number].next = next;
        if let Some(next) = next {
            self.events.push(Reverse((next.at, Event::Due { group: number })));
        }
    }

    /// When the plan of another group is due on the same day: the last time until then, or else the first after it.
    pub(super) fn same_day(&self, group: usize, due: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let Group { plan, zone: other_zone, .. } = &self.groups[group];
        let schedule = self.site.plans()[plan].plan().schedule()?;
        let day = due.to_zoned(zone.clone()).start_of_day().ok()?;
        let (start, end) = (day.timestamp(), day.tomorrow().ok()?.timestamp());
        let just_before = start.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
        let that_day = schedule.due(just_before, other_zone).map(|due| due.at).take_while(|at| *at < end);
        let mut chosen = None;
        for at in that_day {
            if at > due && chosen.is_some() {
                break;
            }
            chosen = Some(at);
        }
        chosen
    }

    fn arrive(
        &mut self,
        number: usize,
        moments: Moments,
        standstill: Option<Skip>,
        after: Option<Timestamp>,
        now: Timestamp,
        decisions: &mut Vec<Decision>,
    ) {
        let going = self.pairs[number].going.as_ref().map(|going| going.kind);
        let overlaps = going.is_some_and(|going| !(moments.kind == RunKind::Full && going == RunKind::Incremental));
        let is_over = moments.deadline.is_some_and(|deadline| deadline <= now);
        let ending = match standstill {
            Some(skip) => Ending::Skipped(skip),
            None if overlaps => Ending::Skipped(Skip::Overlap),
            None if is_over => Ending::Missed,
            None => {
                self.wait(number, Waiting::new(moments, after));
                self.fresh.push(number);
                return;
            }
        };
        self.close(number, &moments, ending, decisions);
    }

    /// Ends what has waited for too long, and stops what has been going for too long.
    fn look(&mut self, number: usize, now: Timestamp, decisions: &mut Vec<Decision>) {
        let follows = self.pairs[number].follows.map(|follows| self.pairs[follows].plan.clone());
        for waiting in self.pairs[number].take_expired(now) {
            self.close(number, &waiting.moments, waiting.ending(follows.as_ref()), decisions);
        }
        let pair = &mut self.pairs[number];
        if let Some(going) = &mut pair.going
            && let Some((_, how)) = going.cut_off.take_if(|(at, _)| *at <= now)
        {
            let due = going.run.moments.due;
            decisions.push(Decision::Stop { key: pair.key(due), how });
        }
        self.rank(number);
    }
}

/// Why nothing of a plan begins on the day of an instant, if so.
pub(super) fn standstill(site: &Site, plan: &FleetPlan, at: Timestamp, zone: &TimeZone) -> Option<Skip> {
    // Most plans name no calendar, and need no date.
    plan.plan().schedule().filter(|schedule| !schedule.calendars().is_empty())?;
    let (_, standstill) = site.stops(plan, ActionClass::Backup, zone.to_datetime(at).date())?;
    Some(match standstill {
        Standstill::Freeze => Skip::Freeze,
        Standstill::Blackout => Skip::Blackout,
    })
}
