//! The controller's own state in the repositories of its site: when it is stored there, and what came of it. Pure, with the time handed in.
//!
//! Each repository gets it by itself, at least daily and after every maintenance, so that any one of them is enough to begin again with. A snapshot of it is of the host [`HOST`]
//! and has the site's name as a tag, since several sites may share a repository. What counts is its signature: whoever has a host's key can claim to be any host. What could not be stored is tried again within the hour; nothing is ever due twice at once.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, RetentionRules, Rule};
use tokio::sync::mpsc;

use crate::operator::Mode;
use crate::site::Loaded;

/// The host that snapshots of a controller's state are of.
pub const HOST: &str = "strongroom-controller";
/// The tag that names the site whose controller it is; no backup of a host has it.
pub const SITE_TAG: &str = "controller-of";

/// The state is stored at least so often.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// After the first start of all there is not much to keep yet; what comes in the first hour, hosts and plans, is.
const FIRST_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// What could not be stored is tried again after this.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// A store that is away for a night need not wake anybody up; this long after it was due, somebody should know.
const GRACE: SignedDuration = SignedDuration::from_hours(6);

/// The newest ones stay, however many there are a day, and one of each day.
const KEPT: [(Rule, u32); 2] = [(Rule::Last, 10), (Rule::Daily, 30)];
/// Whatever the rules say.
const KEPT_AT_LEAST: u32 = 5;

/// Which snapshots of its state the controller keeps in a repository.
#[must_use]
pub fn retention() -> RetentionRules {
    let number = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    let counts = KEPT.map(|(rule, count)| (rule, number(count)));
    // BUG if it fails: there are rules.
    RetentionRules::new(counts, number(KEPT_AT_LEAST)).expect("rules are rules")
}

/// What was stored of a controller, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoredState {
    /// The snapshot; none of a rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The newest entry of the journal that is in it.
    pub entry: u64,
    /// That entry's hash, which stands for all before it.
    pub hash: String,
    /// How many files it is.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The state that is to be stored in a repository, on a thread of its own.
#[derive(Debug)]
pub struct StateOrder {
    /// The repository's name in the site.
    pub repository: Name,
    /// The site that is in force.
    pub site: Loaded,
    /// Whether it is only said what would be done.
    pub mode: Mode,
    pub(crate) ends: mpsc::UnboundedSender<(Name, StateEnd)>,
}

/// How the thread of a [`StateOrder`] ended: with what was stored, or why it was not.
pub type StateEnd = Result<StoredState, String>;

impl StateOrder {
    /// Reports the end.
    pub fn end(self, end: StateEnd) {
        // A loop that has ended needs no answer: what nobody noted is due again.
        let _ = self.ends.send((self.repository, end));
    }
}

/// When each repository is to get the state.
#[derive(Debug, Default)]
pub struct StateSchedule {
    repositories: BTreeMap<Name, State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// When the newest was begun that was stored.
    good: Option<Timestamp>,
    /// From when on its absence counts, where there is none.
    since: Timestamp,
    due: Timestamp,
    going: Option<Timestamp>,
    /// Whether there is reason for another one since the one that goes on began.
    is_wanted: bool,
}

impl State {
    fn new(good: Option<Timestamp>, now: Timestamp) -> Self {
        let due = good.map_or_else(|| later(now, FIRST_AFTER), |good| later(good, EVERY));
        Self { good, since: now, due, going: None, is_wanted: false }
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl StateSchedule {
    /// For repositories each of which has, or has not, got a state that was begun at some time.
    pub fn new(repositories: impl IntoIterator<Item = (Name, Option<Timestamp>)>, now: Timestamp) -> Self {
        let repositories = repositories.into_iter().map(|(name, good)| (name, State::new(good, now)));
        Self { repositories: repositories.collect() }
    }

    /// Takes the repositories of another site.
    pub fn reload<'n>(&mut self, names: impl IntoIterator<Item = &'n Name>, now: Timestamp) {
        let known = std::mem::take(&mut self.repositories);
        let state = |name: &Name| known.get(name).copied().unwrap_or_else(|| State::new(None, now));
        self.repositories = names.into_iter().map(|name| (name.clone(), state(name))).collect();
    }

    /// The repositories, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.repositories.keys()
    }

    /// When the next one is due.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.repositories.values().filter(|state| state.going.is_none()).map(|state| state.due).min()
    }

    /// Those that are due; they count as going from now on.
    pub fn begin_due(&mut self, now: Timestamp) -> Vec<Name> {
        let is_due = |state: &State| state.going.is_none() && state.due <= now;
        let due = self.repositories.iter_mut().filter(|(_, state)| is_due(state));
        due.map(|(name, state)| {
            state.going = Some(now);
            name.clone()
        })
        .collect()
    }

    /// Whether none goes on for a repository; one does from now on.
    pub fn begin(&mut self, name: &Name, now: Timestamp) -> bool {
        match self.repositories.get_mut(name) {
            Some(state) if state.going.is_none() => {
                state.going = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Something happened that should be in it: it is due now, or as soon as the one that goes on has ended.
    pub fn want(&mut self, name: &Name, now: Timestamp) {
        if let Some(state) = self.repositories.get_mut(name) {
            state.is_wanted = state.going.is_some();
            state.due = state.due.min(now);
        }
    }

    /// One has ended; when it began, if it had.
    pub fn ended(&mut self, name: &Name, end: &StateEnd, now: Timestamp) -> Option<Timestamp> {
        let state = self.repositories.get_mut(name)?;
        let began = state.going.take()?;
        match end {
            Ok(_) => (state.good, state.due) = (Some(began), later(began, EVERY)),
            Err(_) => state.due = later(now, AGAIN_AFTER),
        }
        if std::mem::take(&mut state.is_wanted) {
            state.due = state.due.min(now);
        }
        Some(began)
    }

    /// One has come to nothing that counts, such as a rehearsal.
    pub fn undone(&mut self, name: &Name) {
        if let Some(state) = self.repositories.get_mut(name) {
            state.going = None;
        }
    }

    /// Whether a repository should have got the state long ago.
    #[must_use]
    pub fn is_overdue(&self, name: &Name, now: Timestamp) -> bool {
        let late = |state: &State| later(later(state.good.unwrap_or(state.since), EVERY), GRACE);
        self.repositories.get(name).is_some_and(|state| late(state) <= now)
    }

    /// When it gets it next.
    #[must_use]
    pub fn next(&self, name: &Name) -> Option<Timestamp> {
        self.repositories.get(name).filter(|state| state.going.is_none()).map(|state| state.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn name() -> Name {
        "main".parse().unwrap()
    }

    fn stored() -> StateEnd {
        Ok(StoredState { snapshot: None, entry: 1, hash: String::new(), files: 1, bytes: 1 })
    }

    fn schedule(good: Option<&str>, now: &str) -> StateSchedule {
        StateSchedule::new([(name(), good.map(time))], time(now))
    }

    #[test]
    fn it_is_stored_daily_and_first_after_an_hour() {
        let mut schedule = schedule(None, "21T12:00");
        assert_eq!((schedule.wakes_at(), schedule.begin_due(time("21T12:59"))), (Some(time("21T13:00")), vec![]));
        assert_eq!(schedule.begin_due(time("21T13:00")), [name()]);
        assert_eq!((schedule.wakes_at(), schedule.begin_due(time("23T13:00"))), (None, vec![]), "never twice at once");
        assert_eq!(schedule.ended(&name(), &stored(), time("21T13:01")), Some(time("21T13:00")));
        assert_eq!(schedule.wakes_at(), Some(time("22T13:00")));
    }

    #[test]
    fn what_was_missed_or_failed_comes_soon() {
        let mut schedule = schedule(Some("19T12:00"), "21T12:00");
        assert_eq!(schedule.begin_due(time("21T12:00")), [name()]);
        schedule.ended(&name(), &Err("the store is away".into()), time("21T12:05"));
        assert_eq!(schedule.wakes_at(), Some(time("21T13:05")));
    }

    #[test]
    fn a_maintenance_brings_one_also_while_one_goes_on() {
        let mut schedule = schedule(Some("21T03:00"), "21T12:00");
        schedule.want(&name(), time("21T12:00"));
        assert_eq!(schedule.begin_due(time("21T12:00")), [name()]);
        schedule.want(&name(), time("21T12:01"));
        assert_eq!(schedule.begin_due(time("21T12:01")), []);
        schedule.ended(&name(), &stored(), time("21T12:02"));
        assert_eq!(schedule.begin_due(time("21T12:02")), [name()]);
        schedule.ended(&name(), &stored(), time("21T12:03"));
        assert_eq!(schedule.wakes_at(), Some(time("22T12:02")));
    }

    #[test]
    fn a_day_and_some_hours_without_is_overdue() {
        let overdue = |schedule: &StateSchedule, now| schedule.is_overdue(&name(), time(now));
        let known = schedule(Some("21T12:00"), "22T12:00");
        assert!(!overdue(&known, "22T17:59") && overdue(&known, "22T18:00"));
        let never = schedule(None, "22T12:00");
        assert!(!overdue(&never, "23T17:59") && overdue(&never, "23T18:00"));
    }

    #[test]
    fn another_site_keeps_what_is_known() {
        let mut schedule = schedule(Some("21T12:00"), "21T13:00");
        let other: Name = "other".parse().unwrap();
        schedule.reload([&name(), &other], time("21T14:00"));
        assert_eq!((schedule.next(&name()), schedule.next(&other)), (Some(time("22T12:00")), Some(time("21T15:00"))));
        schedule.reload([&other], time("21T14:00"));
        assert_eq!(schedule.next(&name()), None);
    }

    #[test]
    fn the_newest_stay() {
        assert_eq!(retention().to_string(), "10 last, 30 daily, never fewer than 5");
    }
}
