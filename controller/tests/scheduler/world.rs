//! A simulated site: a clock that may be wrong, hosts that go away, a controller that is killed and comes back with
//! nothing but its journal.

use std::collections::BTreeMap;
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
    Ran { at_minute: usize, late: bool },
    Waits,
    Closed(Ending),
}

/// The journal, and what goes on outside the controller.
pub(crate) struct World {
    site: Arc<Site>,
    pub(crate) journal: BTreeMap<RunKey, Record>,
    /// Runs that are going, and the minute from which on their end can be told.
    going: BTreeMap<RunKey, (Timestamp, usize)>,
    latest: Timestamp,
    run_minutes: usize,
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
        Self { site, journal: BTreeMap::new(), going: BTreeMap::new(), latest: begins, run_minutes }
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
                (What::Waits, _) => KnownState::Waiting { attempts: 0, lost: 0, not_before: None },
                (What::Ran { .. }, Some((since, _))) => KnownState::Going { since: *since, attempt: 1, lost: 0 },
                (What::Ran { .. }, None) => KnownState::Closed { well: true },
                (What::Closed(Ending::Superseded { by }), _) => KnownState::Superseded { by: *by },
                (What::Closed(_), _) => KnownState::Closed { well: false },
            },
        });
        Scheduler::new(Arc::clone(&self.site), known, self.latest)
    }

    fn tell_ends(&mut self, scheduler: &mut Scheduler, number: usize, minute: &Minute) {
        let is_over = |key: &RunKey, ends: usize| ends <= number && !minute.away.contains(&key.host.as_str());
        let over: Vec<RunKey> =
            self.going.iter().filter(|(key, (_, ends))| is_over(key, *ends)).map(|(key, _)| key.clone()).collect();
        for key in over {
            assert_eq!(scheduler.ended(&key, RunOutcome::Well, minute.clock), Ended::Over, "{key}");
            self.latest = self.latest.max(minute.clock);
            self.going.remove(&key);
        }
    }

    fn write(&mut self, decision: Decision, number: usize, minute: &Minute) {
        self.latest = self.latest.max(minute.clock);
        let (key, record) = match decision {
            Decision::Start { key, kind, late, attempt } => {
                assert_eq!(attempt, 1, "{key}");
                assert!(!minute.away.contains(&key.host.as_str()), "{key} is started on a host that is away");
                let same = self.going.keys().find(|going| going.plan == key.plan && going.host == key.host);
                assert_eq!(same, None, "{key} is started beside another run");
                self.going.insert(key.clone(), (minute.clock, number + self.run_minutes));
                (key, Record { kind, what: What::Ran { at_minute: number, late } })
            }
            Decision::Wait { key, kind, .. } => (key, Record { kind, what: What::Waits }),
            Decision::Record { key, kind, ending } => (key, Record { kind, what: What::Closed(ending) }),
            Decision::Stop { .. } => return,
        };
        let before = self.journal.insert(key.clone(), record.clone());
        let was_open = before.as_ref().is_none_or(|before| before.what == What::Waits);
        assert!(was_open, "{key} has a second record: {before:?}, then {record:?}");
        assert!(before.is_none() || record.what != What::Waits, "{key} is opened twice");
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
