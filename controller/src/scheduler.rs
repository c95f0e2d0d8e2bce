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
//! | its window closes while it goes, and its plan says `stop` | it waits for its plan's next due time, whose run stands for it |
//! | its host or the controller is away, or no place is free | it waits until its deadline, then it is missed |
//! | it waits, and a later one is due | when they can begin the newest does, and the others are superseded by it; if one of them is full, it is full |
//! | the plan that it comes `after` did not end well | skipped |
//!
//! The deadline follows from `missed`: so much time after due, or the end of the window; else ten minutes for `skip`,
//! and the next due time for a plan that says nothing.
//!
//! Deliberately absent: I/O, async, a clock, and what is done in a run.

mod begin;
mod build;
mod decision;
mod due;
mod moments;
mod pair;
mod places;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{Due, Name, Priority, RunKind, Site};

pub use decision::{Decision, Ended, Ending, Held, KnownRun, KnownState, RunKey, RunOutcome, Skip};
use moments::{DueTime, Moments};
use pair::{Going, Pair, Verdict, Waiting};
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
        let next = self.next_moments(number);
        let pair = &mut self.pairs[number];
        let Some(going) = pair.going.take_if(|going| going.run.moments.due == key.due) else { return Ended::Unknown };
        self.places.give_back(Some(pair.host_number), Some(pair.repository_number));
        // It is not what the others wait for any more; until they are looked at, that is only their host.
        pair.waiting.iter_mut().for_each(|waiting| waiting.held = Held::Host);
        let again = pair.next_attempt(&going, outcome, next, now);
        let verdict = if outcome == RunOutcome::Well { Verdict::Well } else { Verdict::Badly };
        let ended = match again {
            Some((waiting, at)) => {
                self.events.push(Reverse((at, Event::Look { pair: number })));
                let window = waiting.window;
                self.wait(number, waiting);
                Ended::Again { at, window }
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

    /// Told when somebody cancels a run. One that waits does not begin any more, and what comes after it does not either; of one that is going, its end is told.
    pub fn cancelled(&mut self, key: &RunKey) {
        let Some(number) = self.number(&key.plan, &key.host) else { return };
        let pair = &mut self.pairs[number];
        let before = pair.waiting.len();
        pair.waiting.retain(|waiting| waiting.moments.due != key.due);
        if pair.waiting.len() < before {
            pair.remember(key.due, Verdict::Badly);
            self.rank(number);
        }
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

    /// What the next due time of a pair's plan comes to.
    fn next_moments(&self, number: usize) -> Option<Moments> {
        let pair = &self.pairs[number];
        let (schedule, zone) = self.words(pair)?;
        let next = self.groups[pair.group?].next?;
        Some(DueTime::new(next, schedule, zone).moments(pair.missed, pair.share))
    }

    fn number(&self, plan: &Name, host: &Name) -> Option<usize> {
        self.numbers.get(plan)?.get(host).copied()
    }
}
