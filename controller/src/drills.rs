//! When restore points are drilled: pure, with the time handed in.
//!
//! A plan's first drill on a host is due when there is a first restore point; each later one a period of the plan's rhythm after the one before began, however that ended. What was
//! missed while the controller was off is made up for once. What was cut off is due again at once. Drills come one after the other, and none begins while a backup of the same plan goes on on the
//! same host, which is about to make the restore point that is worth one. A backup that comes due meanwhile waits for no drill. None begins on a
//! day that a calendar of the plan forbids.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{ActionClass, FleetPlan, Name, ProofDemand, Site};

use crate::drill_report::DrillEnding;

/// A calendar that forbids all days of a year forbids them all.
const BLACKOUT_DAYS_MAX: usize = 366;

/// A plan, and a host.
pub type Pair = (Name, Name);

/// What the journal knows of the drills of a plan on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the restore point was made that could be drilled first.
    pub point: Option<Timestamp>,
    /// When the last one began that came to its end.
    pub began: Option<Timestamp>,
    /// Whether one began after it that has no end, or was interrupted.
    pub was_cut_off: bool,
}

/// The due times of all drills, and which one goes on.
#[derive(Debug)]
pub struct Drills {
    site: Arc<Site>,
    pairs: BTreeMap<Pair, Past>,
    going: Option<(Pair, Timestamp)>,
}

impl Drills {
    /// With what is known of each plan on each of its hosts.
    #[must_use]
    pub fn new(site: Arc<Site>, pairs: BTreeMap<Pair, Past>) -> Self {
        Self { site, pairs, going: None }
    }

    /// Takes another site, with what is known. The one that goes on goes on.
    pub fn reload(&mut self, site: Arc<Site>, pairs: BTreeMap<Pair, Past>) {
        (self.site, self.pairs) = (site, pairs);
    }

    /// When the next one may begin, from `now` on; not before something else changes if there is none.
    #[must_use]
    pub fn wakes_at(&self, now: Timestamp, is_busy: impl Fn(&Pair) -> bool) -> Option<Timestamp> {
        self.idle(is_busy).filter_map(|pair| self.opens(pair, self.next(pair)?.max(now))).min()
    }

    /// The one that is due for the longest time, and since when; it counts as going from now on.
    pub fn begin_due(&mut self, now: Timestamp, is_busy: impl Fn(&Pair) -> bool) -> Option<(Pair, Timestamp)> {
        let due = self.idle(is_busy).filter_map(|pair| Some((pair.clone(), self.next(pair)?)));
        let due = due.filter(|(pair, due)| *due <= now && self.opens(pair, now) == Some(now));
        let (pair, due) = due.min_by_key(|(_, due)| *due)?;
        self.begin(pair.clone(), now);
        Some((pair, due))
    }

    /// Whether none goes on; this one does from now on.
    pub fn begin(&mut self, pair: Pair, now: Timestamp) -> bool {
        let is_free = self.going.is_none();
        if is_free {
            self.going = Some((pair, now));
        }
        is_free
    }

    /// The one that goes on is over.
    pub fn ended(&mut self, ending: DrillEnding) {
        let Some((pair, began)) = self.going.take() else { return };
        let past = self.pairs.entry(pair).or_default();
        match ending {
            DrillEnding::Interrupted => past.was_cut_off = true,
            DrillEnding::Proven | DrillEnding::Unproven | DrillEnding::Failed => {
                (past.began, past.was_cut_off) = (Some(began), false);
            }
        }
    }

    /// There is a restore point.
    pub fn made_point(&mut self, pair: Pair, at: Timestamp) {
        self.pairs.entry(pair).or_default().point.get_or_insert(at);
    }

    /// The one that goes on, and since when.
    #[must_use]
    pub fn going(&self) -> Option<&(Pair, Timestamp)> {
        self.going.as_ref()
    }

    /// When a plan is drilled next on a host, which may have passed; never where it has no rhythm of drills, or nothing to drill.
    #[must_use]
    pub fn next(&self, pair: &Pair) -> Option<Timestamp> {
        let (plan, zone) = self.plan(pair)?;
        let rhythm = plan.plan().prove().map(ProofDemand::every).filter(|every| every.is_drilled())?;
        let Past { point, began, was_cut_off } = *self.pairs.get(pair)?;
        let point = point?;
        let due = match began {
            Some(began) if !was_cut_off => rhythm.next(began, zone)?,
            began => began.unwrap_or(point),
        };
        self.opens(pair, due)
    }

    fn idle(&self, is_busy: impl Fn(&Pair) -> bool) -> impl Iterator<Item = &Pair> {
        self.pairs.keys().filter(move |pair| self.going.is_none() && !is_busy(pair))
    }

    /// The first instant from one on at which no calendar of the plan forbids drills; none for years on end.
    fn opens(&self, pair: &Pair, from: Timestamp) -> Option<Timestamp> {
        let (plan, zone) = self.plan(pair)?;
        let mut at = from.to_zoned(zone.clone());
        for _ in 0..BLACKOUT_DAYS_MAX {
            if self.site.stops(plan, ActionClass::Drill, at.date()).is_none() {
                return Some(at.timestamp());
            }
            at = at.tomorrow().and_then(|next| next.start_of_day()).ok()?;
        }
        None
    }

    fn plan(&self, (plan, host): &Pair) -> Option<(&FleetPlan, &TimeZone)> {
        let plan = self.site.plans().get(plan).filter(|plan| plan.hosts().contains(host))?;
        Some((plan, self.site.zone_of(plan, self.site.hosts().get(host)?)))
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::SiteFiles;

    use super::*;

    fn site(every: &str) -> Arc<Site> {
        site_with(every, "")
    }

    fn site_with(every: &str, schedule: &str) -> Arc<Site> {
        let mut files = SiteFiles::new("site");
        files.insert("site.yaml", "name: s\nzone: Asia/Shanghai\nrepositories: { main: { at: /srv/main } }\ncalendars: { test: { days: [2026-11-05..2026-11-06], blackout: [drill] } }\n");
        files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.5 }\n  web2: { address: 10.0.0.6 }\n");
        let plan = "kind: backup\nname: p\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: main\nretain: { daily: 3 }\n";
        files.insert("plans/p.yaml", format!("{plan}prove: {{ level: restored, every: {every} }}\n{schedule}"));
        Arc::new(Site::read(&files).unwrap_or_else(|faults| panic!("{faults}")))
    }

    fn time(text: &str) -> Timestamp {
        format!("2026-11-{text}:00+08:00").parse().unwrap()
    }

    fn pair(host: &str) -> Pair {
        ("p".parse().unwrap(), host.parse().unwrap())
    }

    /// What is known of web1 and web2.
    fn drills(every: &str, past: [Past; 2]) -> Drills {
        Drills::new(site(every), [pair("web1"), pair("web2")].into_iter().zip(past).collect())
    }

    fn past(point: Option<&str>, began: Option<&str>) -> Past {
        Past { point: point.map(time), began: began.map(time), was_cut_off: false }
    }

    /// Before everything that comes due.
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn idle(_: &Pair) -> bool {
        false
    }

    #[test]
    fn the_first_comes_after_the_first_backup_and_then_one_each_period() {
        let mut drills = drills("weekly", [Past::default(); 2]);
        assert_eq!((drills.wakes_at(NOW, idle), drills.begin_due(time("30T12:00"), idle)), (None, None));
        drills.made_point(pair("web1"), time("01T02:00"));
        assert_eq!(drills.begin_due(time("01T02:00"), idle), Some((pair("web1"), time("01T02:00"))));
        drills.ended(DrillEnding::Unproven);
        drills.made_point(pair("web1"), time("02T02:00"));
        assert_eq!(
            (drills.wakes_at(NOW, idle), drills.next(&pair("web1"))),
            (Some(time("08T02:00")), Some(time("08T02:00")))
        );
        assert_eq!(drills.begin_due(time("08T01:59"), idle), None);
        assert_eq!(drills.begin_due(time("08T02:00"), idle), Some((pair("web1"), time("08T02:00"))));
    }

    #[test]
    fn what_was_missed_while_the_controller_was_off_comes_once() {
        let mut drills = drills("daily", [past(Some("01T02:00"), Some("02T02:00")), Past::default()]);
        assert_eq!(drills.begin_due(time("20T12:00"), idle), Some((pair("web1"), time("03T02:00"))));
        drills.ended(DrillEnding::Proven);
        assert_eq!(drills.begin_due(time("20T12:01"), idle), None);
        assert_eq!(drills.wakes_at(NOW, idle), Some(time("21T12:00")));
    }

    #[test]
    fn one_after_the_other_and_never_beside_a_backup_of_the_same() {
        let mut drills = drills("daily", [past(Some("02T00:00"), None), past(Some("01T00:00"), None)]);
        let web2_is_busy = |busy: &Pair| *busy == pair("web2");
        assert_eq!(drills.wakes_at(NOW, web2_is_busy), Some(time("02T00:00")));
        assert_eq!(drills.wakes_at(NOW, |_| true), None, "what waits for something else does not wake the loop");
        assert_eq!(drills.begin_due(time("03T00:00"), web2_is_busy), Some((pair("web1"), time("02T00:00"))));
        assert_eq!((drills.begin_due(time("03T00:00"), idle), drills.wakes_at(NOW, idle)), (None, None));
        assert!(!drills.begin(pair("web2"), time("03T00:00")));
        drills.ended(DrillEnding::Failed);
        assert_eq!(drills.begin_due(time("03T00:00"), idle), Some((pair("web2"), time("01T00:00"))));
    }

    #[test]
    fn what_was_cut_off_is_due_at_once() {
        let cut_off = |began| Past { was_cut_off: true, ..past(Some("01T02:00"), began) };
        let mut drills = drills("yearly", [cut_off(Some("02T02:00")), cut_off(None)]);
        assert_eq!(drills.begin_due(time("03T00:00"), idle), Some((pair("web2"), time("01T02:00"))));
        drills.ended(DrillEnding::Interrupted);
        assert_eq!(drills.next(&pair("web2")), Some(time("01T02:00")));
    }

    #[test]
    fn where_each_run_proves_there_are_no_drills() {
        let drills = drills("run", [past(Some("01T02:00"), None); 2]);
        assert_eq!((drills.wakes_at(NOW, idle), drills.next(&pair("web1"))), (None, None));
    }

    #[test]
    fn another_site_brings_another_rhythm() {
        let known = past(Some("01T02:00"), Some("02T02:00"));
        let mut drills = drills("run", [known; 2]);
        assert!(drills.begin(pair("web1"), time("05T00:00")));
        drills.reload(site("daily"), [(pair("web1"), known)].into_iter().collect());
        assert_eq!((drills.wakes_at(NOW, idle), drills.next(&pair("web2"))), (None, None));
        drills.ended(DrillEnding::Proven);
        assert_eq!(drills.wakes_at(NOW, idle), Some(time("06T00:00")));
    }

    #[test]
    fn none_begins_on_a_day_that_a_calendar_forbids() {
        let known = past(Some("01T02:00"), Some("04T12:00"));
        let pairs = [(pair("web1"), known)].into_iter().collect();
        let schedule = "schedule: { incremental: daily 01:30, calendars: [test] }\n";
        let mut drills = Drills::new(site_with("daily", schedule), pairs);
        assert_eq!(drills.begin_due(time("05T13:00"), idle), None);
        assert_eq!(drills.wakes_at(time("05T13:00"), idle), Some(time("07T00:00")));
        assert_eq!(drills.begin_due(time("07T00:00"), idle), Some((pair("web1"), time("07T00:00"))));
        // One that was due before waits, too.
        drills.ended(DrillEnding::Interrupted);
        assert_eq!(
            (drills.begin_due(time("06T13:00"), idle), drills.wakes_at(time("06T13:00"), idle)),
            (None, Some(time("07T00:00")))
        );
    }
}
