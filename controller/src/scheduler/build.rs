//! From a site, and from what the journal knows, to a scheduler. A restart and a reload take the same way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{CutOff, Due, FleetPlan, Host, Name, Site};

use super::decision::{Decision, Ending, Held, KnownRun, KnownState, Skip};
use super::moments::{DueTime, Moments, Share, duration};
use super::pair::{Going, Pair, Verdict, Waiting};
use super::places::Places;
use super::{Event, Group, Scheduler};

impl Scheduler {
    /// Takes up what the journal knows: at least the runs whose records are open, and those of the last two days.
    /// Everything that should have begun until `since` was considered; that is the latest time which stands in the
    /// journal, or the time at which the first site was put into force.
    pub fn new(site: Arc<Site>, resumed: impl IntoIterator<Item = KnownRun>, since: Timestamp) -> Self {
        let number = |names: Vec<&Name>| -> HashMap<Name, usize> {
            names.into_iter().enumerate().map(|(number, name)| (name.clone(), number)).collect()
        };
        let hosts = number(site.hosts().keys().collect());
        let repositories = number(site.repositories().keys().collect());
        let mut scheduler = Self {
            groups: Vec::new(),
            pairs: Vec::new(),
            numbers: HashMap::new(),
            is_away: vec![false; hosts.len()],
            pairs_on_host: vec![Vec::new(); hosts.len()],
            places: Places::new(site.limits(), hosts.len(), repositories.len()),
            hosts,
            events: BinaryHeap::new(),
            ready: BTreeSet::new(),
            fresh: Vec::new(),
            strays: BTreeMap::new(),
            owed: Vec::new(),
            since,
            seen: since,
            site: Arc::clone(&site),
        };
        for plan in site.plans().values() {
            for host in plan.hosts() {
                scheduler.add(plan, &site.hosts()[host], &repositories);
            }
        }
        scheduler.link();
        scheduler.set_clocks();
        for run in resumed {
            scheduler.resume(run);
        }
        scheduler
    }

    fn add(&mut self, plan: &FleetPlan, host: &Host, repositories: &HashMap<Name, usize>) {
        let number = self.pairs.len();
        let schedule = plan.plan().schedule();
        let group = schedule.map(|_| self.group(plan, host));
        if let Some(group) = group {
            self.groups[group].members.push(number);
        }
        let host_number = self.hosts[host.name()];
        self.pairs_on_host[host_number].push(number);
        self.numbers.entry(plan.name().clone()).or_default().insert(host.name().clone(), number);
        self.pairs.push(Pair {
            plan: plan.name().clone(),
            host: host.name().clone(),
            host_number,
            repository_number: repositories[plan.repository()],
            group,
            priority: plan.priority(),
            missed: schedule.and_then(|schedule| schedule.missed()),
            retries: schedule.and_then(|schedule| schedule.retries().cloned()),
            jitter: schedule.and_then(|schedule| schedule.jitter()).map_or(SignedDuration::ZERO, duration),
            share: Share::new(self.site.name(), plan.name(), host.name()),
            rank: None,
            follows: None,
            is_followed: false,
            waiting: Vec::new(),
            going: None,
            results: BTreeMap::new(),
            known: BTreeSet::new(),
        });
    }

    /// The group of a plan for the clock of a host. A plan's groups follow each other, and are few.
    fn group(&mut self, plan: &FleetPlan, host: &Host) -> usize {
        let zone = self.site.zone_of(plan, host).clone();
        let of_plan = self.groups.iter().enumerate().rev().take_while(|(_, group)| group.plan == *plan.name());
        let found = of_plan.into_iter().find(|(_, group)| group.zone == zone).map(|(number, _)| number);
        found.unwrap_or_else(|| {
            self.groups.push(Group { plan: plan.name().clone(), zone, members: Vec::new(), next: None });
            self.groups.len() - 1
        })
    }

    /// Finds for each pair the one of the plan that it comes after; a host that this one does not back up has none.
    fn link(&mut self) {
        for number in 0..self.pairs.len() {
            let pair = &self.pairs[number];
            let schedule = self.site.plans()[&pair.plan].plan().schedule();
            let after = schedule.and_then(|schedule| schedule.after());
            let follows = after.and_then(|after| self.number(after, &pair.host));
            self.pairs[number].follows = follows;
            if let Some(follows) = follows {
                self.pairs[follows].is_followed = true;
            }
        }
    }

    /// Begins early by the jitter: what was due before may have to begin after.
    fn set_clocks(&mut self) {
        for (number, group) in self.groups.iter_mut().enumerate() {
            let Some(schedule) = self.site.plans()[&group.plan].plan().schedule() else { continue };
            let jitter = schedule.jitter().map_or(SignedDuration::ZERO, duration);
            let from = self.since.checked_sub(jitter).unwrap_or(Timestamp::MIN);
            group.next = schedule.due(from, &group.zone).next();
            self.events.extend(group.next.map(|next| Reverse((next.at, Event::Due { group: number }))));
        }
    }

    fn resume(&mut self, run: KnownRun) {
        let Some(number) = self.number(&run.key.plan, &run.key.host) else { return self.resume_stray(run) };
        let due = run.key.due;
        // A day more than a clock is ever set back.
        if due.checked_add(SignedDuration::from_hours(24)).is_ok_and(|day_after| day_after > self.since) {
            self.pairs[number].known.insert(due);
        }
        match run.state {
            KnownState::Closed { well } => {
                self.pairs[number].remember(due, if well { Verdict::Well } else { Verdict::Badly });
            }
            KnownState::Superseded { by } => self.pairs[number].remember(due, Verdict::StoodForBy(by)),
            KnownState::Waiting { attempts, lost, not_before, window } => match self.moments(number, &run, window) {
                Some(moments) => {
                    let after = self.after(number, due);
                    // Nobody was there to look for a place.
                    let held = Held::Host;
                    let waiting =
                        Waiting { moments, attempts, lost, not_before, held, after, window, is_announced: true };
                    self.wait(number, waiting);
                }
                None => self.withdraw(run),
            },
            KnownState::Going { since, attempt, lost } => {
                let moments = self.moments(number, &run, None);
                let bare = Moments { start_at: due, due, kind: run.kind, deadline: None, window_end: None };
                let mut waiting = Waiting::new(moments.unwrap_or(bare), self.after(number, due));
                (waiting.attempts, waiting.lost, waiting.is_announced) = (attempt, lost, true);
                let cut_off: Option<(Timestamp, CutOff)> = self.cut_off(&self.pairs[number], since);
                let is_by_hand = moments.is_none();
                self.go(number, Going { run: waiting, kind: run.kind, since, cut_off, is_by_hand });
            }
        }
    }

    /// What the words that are in force now make of a due time; of a run that goes on in another's window, of that one's.
    fn moments(&self, number: usize, run: &KnownRun, window: Option<Timestamp>) -> Option<Moments> {
        let pair = &self.pairs[number];
        let (schedule, zone) = self.words(pair)?;
        let due = Due { at: window.unwrap_or(run.key.due), kind: run.kind };
        let moments = DueTime::new(due, schedule, zone).moments(pair.missed, pair.share);
        Some(Moments { due: run.key.due, ..moments })
    }

    fn after(&self, number: usize, due: Timestamp) -> Option<Timestamp> {
        let pair = &self.pairs[number];
        let (_, zone) = self.words(pair)?;
        self.same_day(self.pairs[pair.follows?].group?, due, zone)
    }

    fn resume_stray(&mut self, run: KnownRun) {
        match run.state {
            KnownState::Waiting { .. } => self.withdraw(run),
            KnownState::Going { .. } => {
                let host = self.hosts.get(&run.key.host).copied();
                self.places.take(host, None);
                self.strays.insert(run.key.clone(), (run, host));
            }
            KnownState::Closed { .. } | KnownState::Superseded { .. } => {}
        }
    }

    fn withdraw(&mut self, run: KnownRun) {
        let ending = Ending::Skipped(Skip::Withdrawn);
        self.owed.push(Decision::Record { key: run.key, kind: run.kind, ending });
    }

    /// What a journal would know.
    pub(crate) fn known_runs(&self) -> Vec<KnownRun> {
        let mut known: Vec<KnownRun> = self.strays.values().map(|(run, _)| run.clone()).collect();
        for pair in &self.pairs {
            let run = |due, kind, state| KnownRun { key: pair.key(due), kind, state };
            known.extend(pair.waiting.iter().map(|waiting| {
                let Waiting { moments, attempts, lost, not_before, window, .. } = *waiting;
                run(moments.due, moments.kind, KnownState::Waiting { attempts, lost, not_before, window })
            }));
            known.extend(pair.going.iter().map(|going| {
                let (attempt, lost) = (going.run.attempts, going.run.lost);
                run(going.run.moments.due, going.kind, KnownState::Going { since: going.since, attempt, lost })
            }));
            known.extend(pair.results.iter().map(|(due, verdict)| {
                let state = match *verdict {
                    Verdict::StoodForBy(by) => KnownState::Superseded { by },
                    verdict => KnownState::Closed { well: verdict == Verdict::Well },
                };
                // Of a run that is over, nobody asks for the kind.
                run(*due, strongroom_plans::RunKind::Incremental, state)
            }));
        }
        known
    }
}
