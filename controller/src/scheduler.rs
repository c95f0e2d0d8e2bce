//! When runs begin: every due time of every plan on every host comes to exactly one record.
//!
//! Pure: time is handed in, decisions come out, nothing is done. What holds:
//! - Each due time of a (plan, host) is decided once: it is started, or its record is closed with the reason. Only
//!   the attempts at a run that lost its host are several.
//! - Two runs of one plan on one host never go on at once.
//! - A clock that is set back or forth makes no run twice and loses none: all that was due until the latest time ever
//!   seen is considered, and never again.
//! - A restart from the journal decides what an uninterrupted life would have decided, apart from what nobody could
//!   do in between.
//!
//! The caller writes all decisions of one [`Scheduler::tick`] to the journal in one transaction before it acts on
//! them, and after a crash hands in what the journal knows, with the latest time that stands in it.
//!
//! | it was due, and | then |
//! |---|---|
//! | its day is one of a blackout | skipped |
//! | the run before it is still going | skipped; but a full run waits for an incremental one |
//! | its host or the controller is away, or no place is free | it waits until its deadline, then it is missed |
//! | it waits, and a later one is due | when they can begin the newest does, and the others are superseded by it; if one of them is full, it is full |
//! | the plan that it comes `after` did not end well | skipped |
//!
//! The deadline follows from `missed`: so much time after due, or the end of the window; else ten minutes for `skip`,
//! and the next due time for a plan that says nothing.
//!
//! Deliberately absent: I/O, async, a clock, and what is done in a run.

mod build;
mod decision;
mod moments;
mod pair;
mod places;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{ActionClass, CutOff, Due, FleetPlan, Name, Priority, RunKind, Schedule, Site, Standstill};

pub use decision::{Decision, Ended, Ending, Held, KnownRun, KnownState, RunKey, RunOutcome, Skip};
use moments::{DueTime, Moments, ON_TIME, duration};
use pair::{Before, Going, Pair, Verdict, Waiting};
use places::Places;

/// The runs of a site that are to come, that wait, and that are going.
#[derive(Debug)]
pub struct Scheduler {
    site: Arc<Site>,
    groups: Vec<Group>,
    pairs: Vec<Pair>,
    /// Plan, host: number of the pair.
    numbers: HashMap<Name, HashMap<Name, usize>>,
    hosts: HashMap<Name, usize>,
    is_away: Vec<bool>,
    pairs_on_host: Vec<Vec<usize>>,
    places: Places,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    /// Pairs of which a run could begin if there were a place: by priority, then by when it should have begun.
    ready: BTreeSet<Rank>,
    /// Where records may have to be opened.
    fresh: Vec<usize>,
    /// Runs that go on although the site no longer has their plan or host.
    strays: BTreeMap<RunKey, (KnownRun, Option<usize>)>,
    owed: Vec<Decision>,
    /// All that should have begun until then was considered in an earlier life.
    since: Timestamp,
    /// The latest time ever seen.
    seen: Timestamp,
}

/// The hosts of a plan that go by the same clock: their due times are computed once.
#[derive(Debug)]
struct Group {
    plan: Name,
    zone: TimeZone,
    members: Vec<usize>,
    next: Option<Due>,
}

/// Where a pair stands among those that are ready.
pub(crate) type Rank = (Reverse<Priority>, Timestamp, usize);

/// What happens at a time. Of one instant, what is over comes before what is due.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A deadline or the end of a window.
    Look { pair: usize },
    /// Due for all hosts of a group.
    Due { group: usize },
    /// Should begin, its share of the jitter after it was due.
    Arrival { pair: usize, moments: Moments, standstill: Option<Skip>, after: Option<Timestamp> },
}

/// What becomes of a run that could begin.
enum Chance {
    Begins,
    Held(Held),
    Skipped(Skip),
}

impl Scheduler {
    /// What is to be done by now, and what is to be written down. Call it whenever something was told, at
    /// [`Scheduler::wakes_at`], and once a minute: a blackout ends with its day.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut decisions = std::mem::take(&mut self.owed);
        self.catch_up(now, &mut decisions);
        let ready: Vec<usize> = self.ready.iter().map(|(_, _, pair)| *pair).collect();
        for pair in ready {
            self.give_a_chance(pair, now, &mut decisions);
        }
        self.announce(&mut decisions);
        decisions
    }

    /// When the next thing happens by itself.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.events.peek().map(|Reverse((at, _))| *at)
    }

    /// Told when an attempt at a run has ended.
    pub fn ended(&mut self, key: &RunKey, outcome: RunOutcome, now: Timestamp) -> Ended {
        if let Some((_, host)) = self.strays.remove(key) {
            self.places.give_back(host, None);
            return Ended::Over;
        }
        let Some(number) = self.number(&key.plan, &key.host) else { return Ended::Unknown };
        let pair = &mut self.pairs[number];
        let Some(going) = pair.going.take_if(|going| going.run.moments.due == key.due) else { return Ended::Unknown };
        self.places.give_back(Some(pair.host_number), Some(pair.repository_number));
        // It is not what the others wait for any more; until they are looked at, that is only their host.
        pair.waiting.iter_mut().for_each(|waiting| waiting.held = Held::Host);
        let again = pair.next_attempt(&going, outcome, now);
        let verdict = if outcome == RunOutcome::Well { Verdict::Well } else { Verdict::Badly };
        let ended = match again {
            Some((waiting, at)) => {
                self.events.push(Reverse((at, Event::Look { pair: number })));
                self.wait(number, waiting);
                Ended::Again { at }
            }
            None => {
                pair.remember(key.due, verdict);
                Ended::Over
            }
        };
        self.rank(number);
        ended
    }

    /// Told when a host answers again, or does not any more. A host of which nothing was told is taken to answer.
    pub fn host_seen(&mut self, host: &Name, answers: bool) {
        let Some(number) = self.hosts.get(host).copied() else { return };
        self.is_away[number] = !answers;
        for pair in &self.pairs_on_host[number] {
            let waiting = self.pairs[*pair].waiting.iter_mut();
            waiting
                .filter(|waiting| answers && waiting.held == Held::Host)
                .for_each(|waiting| waiting.not_before = None);
        }
    }

    /// Told when somebody starts a run. None if a run of the plan is going on that host, or the site has no such one.
    pub fn begun_by_hand(&mut self, plan: &Name, host: &Name, kind: RunKind, now: Timestamp) -> Option<RunKey> {
        let number = self.number(plan, host).filter(|number| self.pairs[*number].going.is_none())?;
        let moments = Moments { start_at: now, due: now, kind, deadline: None, window_end: None };
        let mut run = Waiting::new(moments, None);
        run.attempts = 1;
        self.go(number, Going { run, kind, since: now, cut_off: None, is_by_hand: true });
        Some(self.pairs[number].key(now))
    }

    /// Puts another version of the site into force. What is going goes on; what waits does so under the new words,
    /// and what the site no longer has is skipped.
    pub fn reload(&mut self, site: Arc<Site>, now: Timestamp) -> Vec<Decision> {
        let mut decisions = std::mem::take(&mut self.owed);
        self.catch_up(now, &mut decisions);
        self.announce(&mut decisions);
        let mut next = Self::new(site, self.known_runs(), self.seen);
        for (name, number) in &self.hosts {
            if let Some(next_number) = next.hosts.get(name) {
                next.is_away[*next_number] = self.is_away[*number];
            }
        }
        *self = next;
        decisions.append(&mut self.owed);
        decisions
    }

    /// What waits, and for what.
    pub fn waiting(&self) -> impl Iterator<Item = (RunKey, RunKind, Held)> {
        let of = |pair: &'_ Pair| -> Vec<_> {
            pair.waiting.iter().map(|run| (pair.key(run.moments.due), run.moments.kind, run.held)).collect()
        };
        self.pairs.iter().flat_map(of)
    }

    /// What is going, and since when.
    pub fn going(&self) -> impl Iterator<Item = (RunKey, RunKind, Timestamp)> {
        let of = |pair: &'_ Pair| {
            let going = pair.going.as_ref()?;
            Some((pair.key(going.run.moments.due), going.kind, going.since))
        };
        self.pairs.iter().filter_map(of)
    }

    /// Everything that happens by itself until now, in its order, also after a long pause.
    fn catch_up(&mut self, now: Timestamp, decisions: &mut Vec<Decision>) {
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
    fn same_day(&self, group: usize, due: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
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

    /// Starts the newest run of a pair that waits, if there is a place for it and nothing speaks against it.
    fn give_a_chance(&mut self, number: usize, now: Timestamp, decisions: &mut Vec<Decision>) {
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
    fn cut_off(&self, pair: &Pair, begins: Timestamp) -> Option<(Timestamp, CutOff)> {
        let (schedule, zone) = self.words(pair)?;
        let window = schedule.window().filter(|window| window.then() != CutOff::Finish)?;
        Some((window.end(begins, zone)?, window.then()))
    }

    /// By what a pair goes.
    fn words(&self, pair: &Pair) -> Option<(&Schedule, &TimeZone)> {
        let group = &self.groups[pair.group?];
        Some((self.site.plans()[&pair.plan].plan().schedule()?, &group.zone))
    }

    fn go(&mut self, number: usize, going: Going) {
        let pair = &mut self.pairs[number];
        self.places.take(Some(pair.host_number), Some(pair.repository_number));
        if let Some((at, _)) = going.cut_off {
            self.events.push(Reverse((at, Event::Look { pair: number })));
        }
        pair.waiting.iter_mut().for_each(|waiting| waiting.held = Held::Overlap);
        pair.going = Some(going);
        self.rank(number);
    }

    fn wait(&mut self, number: usize, mut waiting: Waiting) {
        let pair = &mut self.pairs[number];
        if let Some(deadline) = waiting.moments.deadline {
            self.events.push(Reverse((deadline, Event::Look { pair: number })));
        }
        if pair.going.is_some() {
            waiting.held = Held::Overlap;
        }
        pair.wait(waiting);
        self.rank(number);
    }

    /// Closes the record of a run that does not run.
    fn close(&mut self, number: usize, moments: &Moments, ending: Ending, decisions: &mut Vec<Decision>) {
        let pair = &mut self.pairs[number];
        pair.remember(
            moments.due,
            match ending {
                Ending::Superseded { by } => Verdict::StoodForBy(by),
                _ => Verdict::Badly,
            },
        );
        decisions.push(Decision::Record { key: pair.key(moments.due), kind: moments.kind, ending });
    }

    /// Opens the records of what waits from now on.
    fn announce(&mut self, decisions: &mut Vec<Decision>) {
        for number in std::mem::take(&mut self.fresh) {
            let pair = &mut self.pairs[number];
            let (plan, host) = (&pair.plan, &pair.host);
            for waiting in pair.waiting.iter_mut().filter(|waiting| !waiting.is_announced) {
                waiting.is_announced = true;
                let key = RunKey { plan: plan.clone(), host: host.clone(), due: waiting.moments.due };
                decisions.push(Decision::Wait { key, kind: waiting.moments.kind, held: waiting.held });
            }
        }
    }

    /// Puts a pair where its newest run belongs among those that are ready.
    fn rank(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        let rank = pair.newest().map(|newest| (Reverse(pair.priority), newest.moments.start_at, number));
        let before = std::mem::replace(&mut pair.rank, rank);
        if before != rank {
            before.map(|before| self.ready.remove(&before));
            self.ready.extend(rank);
        }
    }

    fn number(&self, plan: &Name, host: &Name) -> Option<usize> {
        self.numbers.get(plan)?.get(host).copied()
    }
}

impl Pair {
    /// The next attempt after one that ended, if there is one to be: what waits, and until when.
    fn next_attempt(&self, going: &Going, outcome: RunOutcome, now: Timestamp) -> Option<(Waiting, Timestamp)> {
        let mut run = going.run.clone();
        if going.is_by_hand {
            return None;
        }
        run.moments.kind = going.kind;
        let (wait, held) = match outcome {
            RunOutcome::Well | RunOutcome::Badly => return None,
            RunOutcome::Unreachable => (run.host_wait(), Held::Host),
            RunOutcome::Lost => {
                run.lost += 1;
                let retries = self.retries.filter(|retries| run.lost <= retries.times().get())?;
                (duration(retries.wait()), Held::Retry)
            }
        };
        let at = now.checked_add(wait).ok()?;
        if outcome == RunOutcome::Lost && run.moments.deadline.is_some_and(|deadline| deadline <= at) {
            return None;
        }
        (run.not_before, run.held) = (Some(at), held);
        Some((run, at))
    }
}

/// Why nothing of a plan begins on the day of an instant, if so.
fn standstill(site: &Site, plan: &FleetPlan, at: Timestamp, zone: &TimeZone) -> Option<Skip> {
    // Most plans name no calendar, and need no date.
    plan.plan().schedule().filter(|schedule| !schedule.calendars().is_empty())?;
    let (_, standstill) = site.stops(plan, ActionClass::Backup, zone.to_datetime(at).date())?;
    Some(match standstill {
        Standstill::Freeze => Skip::Freeze,
        Standstill::Blackout => Skip::Blackout,
    })
}
