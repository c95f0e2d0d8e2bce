//! When repositories are maintained: pure, with the time handed in.
//!
//! A due time is one of the site's words for a repository. Of those that passed since the last maintenance began, one maintenance comes: what was missed while the controller was
//! off is made up for once, at its start. What was cut off is due again at once. A repository is never maintained twice at the same time; different ones do not wait for each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{Name, Site};

/// A maintenance that has not begun so long after it was due, or has brought nothing good, is overdue.
const GRACE: SignedDuration = SignedDuration::from_hours(6);

/// What the journal knows of a repository's maintenance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the last one began that came to its end.
    pub began: Option<Timestamp>,
    /// Whether one began after it, and has no end.
    pub was_cut_off: bool,
}

/// The due times of all repositories, and what goes on.
#[derive(Debug)]
pub struct Upkeep {
    site: Arc<Site>,
    repositories: BTreeMap<Name, State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Due times after this have not been served.
    after: Timestamp,
    /// Since when it is maintained, if it is.
    going: Option<Timestamp>,
    was_cut_off: bool,
}

impl Upkeep {
    /// Of a repository that was never maintained, due times count from `since`.
    pub fn new(site: Arc<Site>, past: impl Fn(&Name) -> Past, since: Timestamp) -> Self {
        let state = |name: &Name| {
            let Past { began, was_cut_off } = past(name);
            State { after: began.unwrap_or(since), going: None, was_cut_off }
        };
        let repositories = site.repositories().keys().map(|name| (name.clone(), state(name))).collect();
        Self { site, repositories }
    }

    /// Takes another site. A repository that is new in it, or was not to be maintained before, has been due never yet.
    pub fn reload(&mut self, site: Arc<Site>, now: Timestamp) {
        let new = State { after: now, going: None, was_cut_off: false };
        self.repositories.retain(|name, state| state.going.is_some() || site.repositories().contains_key(name));
        for name in site.repositories().keys() {
            let was_declared = self.site.repositories().get(name).is_some_and(|spec| spec.maintenance().is_some());
            let state = self.repositories.entry(name.clone()).or_insert(new);
            if !was_declared {
                state.after = state.after.max(now);
            }
        }
        self.site = site;
    }

    /// When the next one is due, of those that are not being maintained.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let idle = self.repositories.iter().filter(|(_, state)| state.going.is_none());
        idle.filter_map(|(name, state)| self.due_at(name, state)).min()
    }

    /// Those that are due, each with the time at which it was; they count as going from now on.
    pub fn begin_due(&mut self, now: Timestamp) -> Vec<(Name, Timestamp)> {
        let idle = self.repositories.iter().filter(|(_, state)| state.going.is_none());
        let due = idle.filter_map(|(name, state)| Some((name.clone(), self.due_at(name, state)?)));
        let due: Vec<(Name, Timestamp)> = due.filter(|(_, at)| *at <= now).collect();
        for (name, _) in &due {
            self.begin(name, now);
        }
        due
    }

    /// Whether a repository is not being maintained; it is from now on.
    pub fn begin(&mut self, name: &Name, now: Timestamp) -> bool {
        match self.repositories.get_mut(name) {
            Some(state) if state.going.is_none() => {
                state.going = Some(now);
                true
            }
            _ => false,
        }
    }

    /// One has come to its end: due times before it began are served.
    pub fn ended(&mut self, name: &Name) {
        let Some(state) = self.repositories.get_mut(name) else { return };
        if let Some(began) = state.going.take() {
            (state.after, state.was_cut_off) = (began, false);
        }
        if !self.site.repositories().contains_key(name) {
            self.repositories.remove(name);
        }
    }

    /// One has come to nothing that counts, such as a rehearsal.
    pub fn undone(&mut self, name: &Name) {
        if let Some(state) = self.repositories.get_mut(name) {
            state.going = None;
        }
    }

    /// Since when each is being maintained that is.
    #[must_use]
    pub fn going(&self, name: &Name) -> Option<Timestamp> {
        self.repositories.get(name)?.going
    }

    /// How many are being maintained.
    #[must_use]
    pub fn going_count(&self) -> usize {
        self.repositories.values().filter(|state| state.going.is_some()).count()
    }

    /// The next due time of a repository, which may have passed.
    #[must_use]
    pub fn next(&self, name: &Name) -> Option<Timestamp> {
        self.due_at(name, self.repositories.get(name)?)
    }

    /// Since when a good maintenance is missing, if the last good one began at `good`.
    #[must_use]
    pub fn overdue_since(&self, name: &Name, good: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let state = self.repositories.get(name)?;
        let due = self.due_after(name, good.unwrap_or(state.after))?;
        due.checked_add(GRACE).is_ok_and(|late| late <= now).then_some(due)
    }

    fn due_at(&self, name: &Name, state: &State) -> Option<Timestamp> {
        let due = self.due_after(name, state.after)?;
        Some(if state.was_cut_off { due.min(state.after) } else { due })
    }

    fn due_after(&self, name: &Name, after: Timestamp) -> Option<Timestamp> {
        let maintenance = self.site.repositories().get(name)?.maintenance()?;
        maintenance.at().next(after, self.site.zone())
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::SiteFiles;

    use super::*;

    fn site(repositories: &str) -> Arc<Site> {
        let mut files = SiteFiles::new("site");
        files.insert("site.yaml", format!("name: s\nzone: Asia/Shanghai\nrepositories:\n{repositories}"));
        files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.5 }\n");
        let plan = "kind: backup\nname: p\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: main\nretain: { daily: 3 }\n";
        files.insert("plans/p.yaml", plan);
        Arc::new(Site::read(&files).unwrap_or_else(|faults| panic!("{faults}")))
    }

    const DAILY: &str = "  main: { at: /srv/main, maintenance: { at: daily 05:00 } }\n  other: { at: /srv/other }\n";

    /// By the clock in Shanghai, which is eight hours ahead.
    fn time(text: &str) -> Timestamp {
        format!("2026-11-{text}:00+08:00").parse().unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn never(_: &Name) -> Past {
        Past::default()
    }

    #[test]
    fn each_due_time_brings_one_by_the_sites_clock() {
        let mut upkeep = Upkeep::new(site(DAILY), never, time("21T12:00"));
        assert_eq!(upkeep.wakes_at(), Some(time("22T05:00")));
        assert_eq!(upkeep.begin_due(time("22T04:59")), []);
        assert_eq!(upkeep.begin_due(time("22T05:00")), [(name("main"), time("22T05:00"))]);
        // One that goes on for a day lets the next due time pass, and makes up for it once.
        assert_eq!((upkeep.begin_due(time("24T06:00")), upkeep.wakes_at()), (vec![], None));
        upkeep.ended(&name("main"));
        assert_eq!(upkeep.begin_due(time("24T06:00")), [(name("main"), time("23T05:00"))]);
        upkeep.ended(&name("main"));
        assert_eq!(upkeep.wakes_at(), Some(time("25T05:00")));
    }

    #[test]
    fn what_was_missed_while_the_controller_was_off_comes_once() {
        let past = |_: &Name| Past { began: Some(time("10T05:00")), was_cut_off: false };
        let mut upkeep = Upkeep::new(site(DAILY), past, time("21T12:00"));
        assert_eq!(upkeep.begin_due(time("21T12:00")), [(name("main"), time("11T05:00"))]);
        upkeep.ended(&name("main"));
        assert_eq!(upkeep.begin_due(time("21T12:01")), []);
        assert_eq!(upkeep.wakes_at(), Some(time("22T05:00")));
    }

    #[test]
    fn what_was_cut_off_is_due_at_once() {
        let past = |_: &Name| Past { began: Some(time("21T05:00")), was_cut_off: true };
        let mut upkeep = Upkeep::new(site(DAILY), past, time("21T12:00"));
        assert_eq!(upkeep.begin_due(time("21T12:00")).len(), 1);
        upkeep.ended(&name("main"));
        assert_eq!(upkeep.wakes_at(), Some(time("22T05:00")));
        // The first ever, too.
        let past = |_: &Name| Past { began: None, was_cut_off: true };
        let mut upkeep = Upkeep::new(site(DAILY), past, time("21T12:00"));
        assert_eq!(upkeep.begin_due(time("21T12:00")).len(), 1);
    }

    #[test]
    fn nothing_overlaps_and_a_rehearsal_serves_no_due_time() {
        let mut upkeep = Upkeep::new(site(DAILY), never, time("21T12:00"));
        assert!(upkeep.begin(&name("main"), time("22T04:00")));
        assert!(!upkeep.begin(&name("main"), time("22T04:00")));
        assert!(upkeep.begin(&name("other"), time("22T04:00")), "by hand, where nothing is said");
        assert!(!upkeep.begin(&name("none"), time("22T04:00")));
        assert_eq!(upkeep.begin_due(time("22T05:00")), []);
        upkeep.undone(&name("main"));
        assert_eq!(upkeep.begin_due(time("22T05:00")).len(), 1);
    }

    #[test]
    fn a_reload_keeps_what_goes_on_and_begins_nothing_that_was_never_due() {
        let mut upkeep = Upkeep::new(site("  main: { at: /srv/main }\n"), never, time("01T12:00"));
        upkeep.reload(site(DAILY), time("21T12:00"));
        assert_eq!(upkeep.begin_due(time("21T12:00")), []);
        assert!(upkeep.begin(&name("main"), time("21T12:10")));
        upkeep.reload(
            site("  main: { at: /srv/main }\n  new: { at: /srv/new, maintenance: { at: every 1h } }\n"),
            time("21T12:30"),
        );
        assert_eq!(upkeep.going_count(), 1);
        assert_eq!(upkeep.begin_due(time("21T12:30")), []);
        upkeep.ended(&name("main"));
        assert_eq!(upkeep.begin_due(time("21T13:00")), [(name("new"), time("21T13:00"))]);
    }

    #[test]
    fn what_brings_nothing_good_is_overdue_after_a_while() {
        let upkeep = Upkeep::new(site(DAILY), never, time("21T12:00"));
        let main = name("main");
        let good = Some(time("21T05:00"));
        assert_eq!(upkeep.overdue_since(&main, good, time("22T10:59")), None);
        assert_eq!(upkeep.overdue_since(&main, good, time("22T11:00")), Some(time("22T05:00")));
        assert_eq!(upkeep.overdue_since(&main, None, time("22T11:00")), Some(time("22T05:00")));
        assert_eq!(upkeep.overdue_since(&main, Some(time("22T05:00")), time("22T11:00")), None);
        assert_eq!(upkeep.overdue_since(&name("other"), None, time("30T11:00")), None);
    }
}
