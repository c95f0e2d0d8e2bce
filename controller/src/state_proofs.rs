//! Proofs that the controller can begin again from its own state: when they are made in each repository, and what came of them. Pure, with the time handed in.
//!
//! A repository that has a state and had no proof is due at once, each later proof a period after the one before began, however that ended. One goes on at a time. What was cut
//! off has left no trace, and is due again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, ProofRhythm, Site};
use tokio::sync::mpsc;

/// What was found in the newest state, restored and looked at as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProvenState {
    /// The snapshot that it is in.
    pub snapshot: String,
    /// When that was made: what came later is not in it.
    pub time: Timestamp,
    /// How many files were read back and compared.
    pub files: u64,
    /// The newest entry of the journal in it; all before it hang together.
    pub entry: u64,
    /// The plans of the site in it.
    pub plans: u64,
    /// Its hosts.
    pub hosts: u64,
    /// How many snapshots of hosts there are beside it, each with its signature.
    pub snapshots: u64,
}

/// A repository from which it is to be begun again, on a thread of its own, where nothing of it stays.
#[derive(Debug)]
pub struct StateProofOrder {
    /// The repository's name in the site.
    pub repository: Name,
    /// The site's name.
    pub site: Name,
    pub(crate) ends: mpsc::UnboundedSender<StateProofEnd>,
}

/// How it ended: with what was found, or why one cannot begin again.
pub type StateProofEnd = Result<ProvenState, String>;

impl StateProofOrder {
    /// Reports the end.
    pub fn end(self, end: StateProofEnd) {
        // A loop that has ended needs no answer: what nobody noted is due again.
        let _ = self.ends.send(end);
    }
}

/// What is known of one repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the first state was stored that could be begun with.
    pub stored: Option<Timestamp>,
    /// When the last proof began that came to its end.
    pub began: Option<Timestamp>,
}

/// The due times of all repositories, and which one goes on.
#[derive(Debug)]
pub struct StateProofs {
    rhythm: Option<ProofRhythm>,
    zone: TimeZone,
    repositories: BTreeMap<Name, Past>,
    going: Option<(Name, Timestamp)>,
}

impl StateProofs {
    /// With what is known of each repository.
    #[must_use]
    pub fn new(site: &Site, repositories: BTreeMap<Name, Past>) -> Self {
        let (rhythm, zone) = (site.own_state().prove(), site.zone().clone());
        Self { rhythm, zone, repositories, going: None }
    }

    /// Takes another site. The one that goes on goes on.
    pub fn reload(&mut self, site: &Site, repositories: BTreeMap<Name, Past>) {
        *self = Self { going: self.going.take(), ..Self::new(site, repositories) };
    }

    /// When a repository is due next, which may have passed; none while it is being proven.
    #[must_use]
    pub fn next(&self, repository: &Name) -> Option<Timestamp> {
        let Past { stored, began } = *self.repositories.get(repository)?;
        let (rhythm, stored) = (self.rhythm?, stored?);
        let is_going = self.going.as_ref().is_some_and(|(going, _)| going == repository);
        let due = began.map_or(Some(stored), |began| rhythm.next(began, &self.zone));
        due.filter(|_| !is_going)
    }

    /// When the next one may begin.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.repositories.keys().filter_map(|name| self.next(name)).min().filter(|_| self.going.is_none())
    }

    /// The one that is due for the longest time; it counts as going from now on.
    pub fn begin_due(&mut self, now: Timestamp) -> Option<Name> {
        let due = self.repositories.keys().filter_map(|name| Some((self.next(name)?, name)));
        let (_, name) = due.filter(|(due, _)| *due <= now && self.going.is_none()).min()?;
        let name = name.clone();
        self.going = Some((name.clone(), now));
        Some(name)
    }

    /// There is a state in a repository.
    pub fn stored(&mut self, repository: &Name, at: Timestamp) {
        if let Some(past) = self.repositories.get_mut(repository) {
            past.stored.get_or_insert(at);
        }
    }

    /// The one that goes on is over: which it was, and when it began.
    pub fn ended(&mut self) -> Option<(Name, Timestamp)> {
        let (name, began) = self.going.take()?;
        if let Some(past) = self.repositories.get_mut(&name) {
            past.began = Some(began);
        }
        Some((name, began))
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::SiteFiles;

    use super::*;

    fn site(own_state: &str) -> Site {
        let mut files = SiteFiles::new("site");
        let repositories = "repositories: { far: { at: /srv/far }, main: { at: /srv/main } }\n";
        files.insert("site.yaml", format!("name: s\nzone: UTC\n{repositories}{own_state}"));
        files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.5 }\n");
        Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn at(day: i8) -> Timestamp {
        format!("2026-11-{day:02}T04:00:00Z").parse().unwrap()
    }

    fn proofs(own_state: &str, far: Past, main: Past) -> StateProofs {
        let known = [("far", far), ("main", main)].map(|(name, past)| (name.parse().unwrap(), past));
        StateProofs::new(&site(own_state), known.into())
    }

    const WEEKLY: &str = "own-state: { prove: weekly }\n";

    #[test]
    fn each_repository_is_due_when_it_has_a_state_and_then_once_a_period() {
        let [far, main]: [Name; 2] = ["far", "main"].map(|name| name.parse().unwrap());
        let mut proofs = proofs(WEEKLY, Past { stored: Some(at(1)), began: Some(at(2)) }, Past::default());
        assert_eq!((proofs.next(&far), proofs.next(&main)), (Some(at(9)), None));
        assert_eq!((proofs.begin_due(at(8)), proofs.wakes_at()), (None, Some(at(9))));
        proofs.stored(&main, at(8));
        proofs.stored(&main, at(9));
        assert_eq!(proofs.begin_due(at(10)), Some(main.clone()));
        // One at a time.
        assert_eq!((proofs.begin_due(at(10)), proofs.wakes_at(), proofs.next(&main)), (None, None, None));
        assert_eq!(proofs.ended(), Some((main.clone(), at(10))));
        assert_eq!((proofs.ended(), proofs.next(&main)), (None, Some(at(17))));
        assert_eq!(proofs.begin_due(at(10)), Some(far));
    }

    #[test]
    fn where_nobody_asks_for_it_there_is_none() {
        let past = Past { stored: Some(at(1)), began: None };
        let mut proofs = proofs("", past, past);
        assert_eq!((proofs.wakes_at(), proofs.begin_due(at(30))), (None, None));
        let known = proofs.repositories.clone();
        proofs.reload(&site(WEEKLY), known);
        assert_eq!(proofs.wakes_at(), Some(at(1)));
    }
}
