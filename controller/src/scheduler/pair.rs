//! A plan on a host: what waits, what is going, and what came of the runs before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{CutOff, MissedRule, Name, Priority, Retries, RunKind};

use super::Rank;
use super::decision::{Ending, Held, RunKey, Skip};
use super::moments::{Moments, Share};

/// A plan on a host.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) plan: Name,
    pub(crate) host: Name,
    pub(crate) host_number: usize,
    pub(crate) repository_number: usize,
    /// Which plans on which clock it belongs to; none without a schedule.
    pub(crate) group: Option<usize>,
    pub(crate) priority: Priority,
    pub(crate) missed: Option<MissedRule>,
    pub(crate) retries: Option<Retries>,
    pub(crate) jitter: SignedDuration,
    pub(crate) share: Share,
    /// Where it stands among those of which a run could begin.
    pub(crate) rank: Option<Rank>,
    /// The plan that must have ended well before, on the same host.
    pub(crate) follows: Option<usize>,
    /// Whether another one must wait for it, so that its results are remembered.
    pub(crate) is_followed: bool,
    /// By due time. When a place is free the newest begins, and the others are superseded by it.
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) going: Option<Going>,
    pub(crate) results: BTreeMap<Timestamp, Verdict>,
    /// Due times that the journal knows although they lie after the time until which all are known.
    pub(crate) known: BTreeSet<Timestamp>,
}

/// A run that is due and has not begun, or is to be tried again.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) moments: Moments,
    pub(crate) attempts: u32,
    pub(crate) lost: u32,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) held: Held,
    /// The run that must have ended well before, by its due time.
    pub(crate) after: Option<Timestamp>,
    /// The due time in whose window it goes on, if it was stopped by the end of its own.
    pub(crate) window: Option<Timestamp>,
    /// Whether its record is open in the journal.
    pub(crate) is_announced: bool,
}

/// A run that is going.
#[derive(Clone, Debug)]
pub(crate) struct Going {
    pub(crate) run: Waiting,
    /// The kind that was started, which is full if it stands for a full one.
    pub(crate) kind: RunKind,
    pub(crate) since: Timestamp,
    /// When it is to be stopped, and how; taken when that was said.
    pub(crate) cut_off: Option<(Timestamp, CutOff)>,
    /// Whether somebody started it: then it is not tried again.
    pub(crate) is_by_hand: bool,
}

/// What came of a run, for those that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    Badly,
    StoodForBy(Timestamp),
}

/// What is known of a run that another one must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    EndedWell,
    EndedBadly,
    Open,
}

/// More runs of one day than anybody waits for.
const RESULTS_MAX: usize = 64;

/// The first wait for a host that does not answer; each further one is twice as long.
const HOST_WAIT_FIRST: SignedDuration = SignedDuration::from_mins(1);
/// A host that comes back is tried within this time, also when nobody says that it is back.
const HOST_WAIT_MAX: SignedDuration = SignedDuration::from_mins(15);

impl Pair {
    pub(crate) fn key(&self, due: Timestamp) -> RunKey {
        RunKey { plan: self.plan.clone(), host: self.host.clone(), due }
    }

    /// The one that begins when a place is free.
    pub(crate) fn newest(&self) -> Option<&Waiting> {
        self.waiting.last().filter(|_| self.going.is_none())
    }

    pub(crate) fn wait(&mut self, waiting: Waiting) {
        let at = self.waiting.partition_point(|other| other.moments.due < waiting.moments.due);
        self.waiting.insert(at, waiting);
    }

    /// Takes out those whose time is over.
    pub(crate) fn take_expired(&mut self, now: Timestamp) -> Vec<Waiting> {
        let is_over = |waiting: &mut Waiting| waiting.moments.deadline.is_some_and(|deadline| deadline <= now);
        self.waiting.extract_if(.., is_over).collect()
    }

    pub(crate) fn remember(&mut self, due: Timestamp, verdict: Verdict) {
        if self.is_followed {
            self.results.insert(due, verdict);
            if self.results.len() > RESULTS_MAX {
                self.results.pop_first();
            }
        }
    }

    fn should_begin(&self, due: Timestamp) -> Timestamp {
        due.checked_add(self.share.of(self.jitter)).unwrap_or(due)
    }

    /// What is known of the run that was due then. One of which nothing is known although all until `since` are
    /// known was never due, such as one of a plan that came later that day.
    pub(crate) fn ended(&self, mut due: Timestamp, since: Timestamp) -> Before {
        // Each of them stands for an earlier one, so this ends.
        while let Some(Verdict::StoodForBy(by)) = self.results.get(&due) {
            due = *by;
        }
        let is_open = self.waiting.iter().any(|waiting| waiting.moments.due == due)
            || self.going.as_ref().is_some_and(|going| going.run.moments.due == due);
        match self.results.get(&due) {
            Some(Verdict::Well) => Before::EndedWell,
            Some(_) => Before::EndedBadly,
            None if !is_open && self.should_begin(due) <= since => Before::EndedWell,
            None => Before::Open,
        }
    }
}

impl Waiting {
    pub(crate) fn new(moments: Moments, after: Option<Timestamp>) -> Self {
        Self {
            moments,
            attempts: 0,
            lost: 0,
            not_before: None,
            held: Held::Place,
            after,
            window: None,
            is_announced: false,
        }
    }

    /// Why it did not run, now that its time is over.
    pub(crate) fn ending(&self, follows: Option<&Name>) -> Ending {
        match (self.held, follows) {
            _ if self.lost > 0 || self.window.is_some() => Ending::GaveUp,
            (Held::After, Some(plan)) => Ending::Skipped(Skip::After { plan: plan.clone() }),
            (Held::Standstill, _) => Ending::Skipped(Skip::Blackout),
            (Held::Overlap, _) => Ending::Skipped(Skip::Overlap),
            (Held::Place, _) if self.moments.deadline == self.moments.window_end => Ending::Skipped(Skip::Window),
            _ => Ending::Missed,
        }
    }

    /// How long to leave a host alone that did not answer this time either.
    pub(crate) fn host_wait(&self) -> SignedDuration {
        let doublings = self.attempts.saturating_sub(self.lost).saturating_sub(1).min(8);
        (HOST_WAIT_FIRST * (1 << doublings)).min(HOST_WAIT_MAX)
    }
}
