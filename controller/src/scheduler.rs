//! What is due is begun when it is due, and what could not be begun is tried again.
use crate::runs::Ending;
use jiff::Timestamp;
use std::collections::BTreeMap;
use strongroom_plans::{RunKind, Site};
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    pub plan: String,
    pub host: String,
    pub due: Timestamp,
}
#[derive(Debug, Clone)]
pub struct KnownRun {
    pub key: RunKey,
    pub kind: RunKind,
    pub attempts: u32,
    pub outcome: Option<Outcome>,
}
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    Good,
    Bad,
}
#[derive(Debug)]
pub enum RecordEnding {
    Missed,
}
impl RecordEnding {
    pub fn ending(&self) -> Ending {
        Ending::Missed
    }
    pub fn reason(&self) -> String {
        String::new()
    }
}
#[derive(Debug)]
pub enum Decision {
    Start { key: RunKey, kind: RunKind, late: bool, attempt: u32 },
    Record { key: RunKey, kind: RunKind, ending: RecordEnding },
    Stop { key: RunKey },
}
#[derive(Debug)]
pub struct Scheduler {
    site: Site,
    marks: BTreeMap<(String, String), Timestamp>,
    since: Timestamp,
    again: Vec<(RunKey, RunKind, u32, Timestamp)>,
    kinds: BTreeMap<RunKey, (RunKind, u32)>,
}
impl Scheduler {
    pub fn new(site: &Site, known: impl Iterator<Item = KnownRun>, since: Timestamp) -> Self {
        let mut marks = BTreeMap::new();
        for run in known {
            marks.insert((run.key.plan.clone(), run.key.host.clone()), run.key.due);
        }
        Self { site: site.clone(), marks, since, again: vec![], kinds: BTreeMap::new() }
    }
    pub fn reload(&mut self, site: &Site, _now: Timestamp) {
        self.site = site.clone();
    }
    pub fn next_wake(&self) -> Option<Timestamp> {
        None
    }
    pub fn ended(&mut self, _key: &RunKey, _outcome: Outcome, _now: Timestamp) {}
    pub fn unreachable(&mut self, key: &RunKey, now: Timestamp) {
        let (kind, attempt) = self.kinds[key];
        self.again.push((key.clone(), kind, attempt + 1, now + jiff::SignedDuration::from_secs(5)));
    }
    pub fn tick(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut out = vec![];
        let mut again = std::mem::take(&mut self.again);
        again.retain(|(key, kind, attempt, at)| {
            if *at <= now {
                self.kinds.insert(key.clone(), (*kind, *attempt));
                out.push(Decision::Start { key: key.clone(), kind: *kind, late: true, attempt: *attempt });
                false
            } else {
                true
            }
        });
        self.again.extend(again);
        for plan in self.site.plans().values() {
            let Some(schedule) = plan.plan().schedule() else { continue };
            for host in plan.hosts() {
                let zone = self.site.zone_of(plan, &self.site.hosts()[host]);
                let mark = self.marks.entry((plan.name().to_string(), host.to_string())).or_insert(self.since);
                while let Some(due) = schedule.due(*mark, zone).next().filter(|due| due.at <= now) {
                    *mark = due.at;
                    let key = RunKey { plan: plan.name().to_string(), host: host.to_string(), due: due.at };
                    self.kinds.insert(key.clone(), (due.kind, 1));
                    out.push(Decision::Start { key, kind: due.kind, late: false, attempt: 1 });
                }
            }
        }
        out
    }
}
