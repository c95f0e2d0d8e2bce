//! A simulated site: a clock that may be wrong, hosts that go away, a controller that is killed and comes back with
//! nothing but its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_controller::scheduler::{
    Decision, Ended, Ending, KnownRun, KnownState, RunKey, RunOutcome, Scheduler, Skip,
};
use strongroom_plans::{RunKind, Site, SiteFiles};

/// What is true in one minute.
#[derive(Clone, Debug)]
pub(crate) struct Minute {
    /// What the controller's clock shows.
    pub(crate) clock: Timestamp,
    pub(crate) is_up: bool,
    /// Whether the controller is killed and restarted in front of this minute.
    pub(crate) is_restarted: bool,
    /// The hosts that do not answer.
    pub(crate) away: Vec<&'static str>,
}

/// A record as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: RunKind,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Ran {
        at_minute: usize,
        late: bool,
    },
    /// It is due, and has not begun, or is to be tried again.
    Waits(Attempts),
    Closed(Ending),
}

/// The attempts at a run that came to nothing so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) begun: u32,
    lost: u32,
    not_before: Option<Timestamp>,
    window: Option<Timestamp>,
}

/// An attempt that is going.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    since: Timestamp,
    /// From this minute on its end can be told.
    ends: usize,
    number: u32,
    lost: u32,
}

/// The journal, and what goes on outside the controller.
pub(crate) struct World {
    site: Arc<Site>,
    pub(crate) journal: BTreeMap<RunKey, Record>,
    going: BTreeMap<RunKey, Attempt>,
    ended_badly: BTreeSet<RunKey>,
    latest: Timestamp,
    run_minutes: usize,
    /// How each attempt at a run ends.
    outcome: fn(&RunKey, u32) -> RunOutcome,
}

pub(crate) fn site(site: &str, hosts: &str, plans: &[(&str, &str)]) -> Arc<Site> {
    let mut files = SiteFiles::new("");
    files.insert("site.yaml", site);
    files.insert("hosts.yaml", hosts);
    for (name, text) in plans {
        files.insert(format!("plans/{name}.yaml"), *text);
    }
    Arc::new(Site::read(&files).unwrap_or_else(|faults| panic!("{faults}")))
}

impl World {
    pub(crate) fn new(site: Arc<Site>, begins: Timestamp, run_minutes: usize) -> Self {
        let (journal, going, ended_badly) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let outcome = |_: &RunKey, _| RunOutcome::Well;
        Self { site, journal, going, ended_badly, latest: begins, run_minutes, outcome }
    }

    pub(crate) fn with_outcomes(self, outcome: fn(&RunKey, u32) -> RunOutcome) -> Self {
        Self { outcome, ..self }
    }

    /// Lives through all minutes; each tick's decisions go into the journal before the next.
    pub(crate) fn live(&mut self, minutes: &[Minute]) {
        let mut alive: Option<Scheduler> = None;
        for (number, minute) in minutes.iter().enumerate() {
            if !minute.is_up || minute.is_restarted {
                alive = None;
            }
            if !minute.is_up {
                continue;
            }
            let scheduler = alive.get_or_insert_with(|| self.resume());
            for host in self.site.hosts().keys() {
                scheduler.host_seen(host, !minute.away.contains(&host.as_str()));
            }
            self.tell_ends(scheduler, number, minute);
            for decision in scheduler.tick(minute.clock) {
                self.write(decision, number, minute);
            }
        }
    }

    /// A scheduler that knows the journal and nothing else.
    fn resume(&self) -> Scheduler {
        let known = self.journal.iter().map(|(key, record)| KnownRun {
            key: key.clone(),
            kind: record.kind,
            state: match (&record.what, self.going.get(key)) {
                (What::Waits(Attempts { begun, lost, not_before, window }), _) => {
                    KnownState::Waiting { attempts: *begun, lost: *lost, not_before: *not_before, window: *window }
                }
                (What::Ran { .. }, Some(Attempt { since, number, lost, .. })) => {
                    KnownState::Going { since: *since, attempt: *number, lost: *lost }
                }
                (What::Ran { .. }, None) => KnownState::Closed { well: !self.ended_badly.contains(key) },
                (What::Closed(Ending::Superseded { by }), _) => KnownState::Superseded { by: *by },
                (What::Closed(_), _) => KnownState::Closed { well: false },
            },
        });
        Scheduler::new(Arc::clone(&self.site), known, self.latest)
    }

    fn tell_ends(&mut self, scheduler: &mut Scheduler, number: usize, minute: &Minute) {
        let is_over = |key: &RunKey, ends: usize| ends <= number && !minute.away.contains(&key.host.as_str());
        let over = self.going.iter().filter(|(key, attempt)| is_over(key, attempt.ends));
        let over: Vec<(RunKey, Attempt)> = over.map(|(key, attempt)| (key.clone(), *attempt)).collect();
        for (key, attempt) in over {
            self.latest = self.latest.max(minute.clock);
            self.going.remove(&key);
            let outcome = (self.outcome)(&key, attempt.number);
            match scheduler.ended(&key, outcome, minute.clock) {
                Ended::Over if outcome == RunOutcome::Well => {}
                Ended::Over => {
                    self.ended_badly.insert(key);
                }
                Ended::Again { at, window } => {
                    let lost = attempt.lost + u32::from(outcome == RunOutcome::Lost);
                    let waits = What::Waits(Attempts { begun: attempt.number, lost, not_before: Some(at), window });
                    self.journal.get_mut(&key).expect("a record is open").what = waits;
                }
                Ended::Unknown => panic!("{key} is not known to be going"),
            }
        }
    }

    fn write(&mut self, decision: Decision, number: usize, minute: &Minute) {
        self.latest = self.latest.max(minute.clock);
        let (key, record) = match decision {
            Decision::Start { key, kind, late, attempt } => {
                let before = match self.journal.get(&key).map(|record| &record.what) {
                    Some(What::Waits(attempts)) => *attempts,
                    _ => Attempts::default(),
                };
                assert_eq!(attempt, before.begun + 1, "{key}");
                assert!(!minute.away.contains(&key.host.as_str()), "{key} is started on a host that is away");
                let same = self.going.keys().find(|going| going.plan == key.plan && going.host == key.host);
                assert_eq!(same, None, "{key} is started beside another run");
                let ends = number + self.run_minutes;
                let going = Attempt { since: minute.clock, ends, number: attempt, lost: before.lost };
                self.going.insert(key.clone(), going);
                (key, Record { kind, what: What::Ran { at_minute: number, late } })
            }
            Decision::Wait { key, kind, .. } => (key, Record { kind, what: What::Waits(Attempts::default()) }),
            Decision::Record { key, kind, ending } => (key, Record { kind, what: What::Closed(ending) }),
            Decision::Stop { .. } => return,
        };
        let before = self.journal.insert(key.clone(), record.clone());
        let is_open = |record: &Record| matches!(record.what, What::Waits(_));
        let was_open = before.as_ref().is_none_or(is_open);
        assert!(was_open, "{key} has a second record: {before:?}, then {record:?}");
        assert!(before.is_none() || !is_open(&record), "{key} is opened twice");
    }
}

/// One minute after the other, all well.
pub(crate) fn quiet(begins: Timestamp, minutes: usize) -> Vec<Minute> {
    let minute = |number: usize| Minute {
        clock: begins + SignedDuration::from_mins(i64::try_from(number).unwrap()),
        is_up: true,
        is_restarted: false,
        away: Vec::new(),
    };
    (0..minutes).map(minute).collect()
}

pub(crate) fn skipped(skip: Skip) -> What {
    What::Closed(Ending::Skipped(skip))
}
