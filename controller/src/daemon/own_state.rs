//! The controller's own state on its way into repositories: because it is due, or because somebody wants it stored.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::Name;
use tokio::sync::mpsc;

use super::Daemon;
use super::order::RunOrder;
use crate::journal::{Event, Journal, JournalError, Origin, Who};
use crate::operator::{Mode, Refused, Reply, document};
use crate::own_state::{StateEnd, StateOrder, StateSchedule, StoredState};
use crate::run::Clock;
use crate::site::Loaded;
use crate::status::KeptState;

/// What came of it in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateAnswer {
    /// The repository's name in the site.
    pub repository: String,
    /// What was stored, or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredState>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the loop knows of it.
#[derive(Debug)]
pub(super) struct OwnState {
    pub(super) schedule: StateSchedule,
    going: BTreeMap<Name, (Origin, Mode)>,
    asked: Option<Asked>,
    ends: mpsc::UnboundedSender<(Name, StateEnd)>,
}

/// Somebody waits for all of them.
#[derive(Debug)]
struct Asked {
    waiting: BTreeSet<Name>,
    answers: Vec<StateAnswer>,
    reply: Reply,
}

impl OwnState {
    /// With what the journal knows, and where the ends come.
    pub(super) async fn new(
        journal: &Journal,
        site: &Loaded,
        now: Timestamp,
    ) -> Result<(Self, mpsc::UnboundedReceiver<(Name, StateEnd)>), JournalError> {
        let mut known = Vec::new();
        for name in site.site.repositories().keys() {
            let good = journal.known_state(name.as_str()).await?.good;
            known.push((name.clone(), good.map(|(began, _)| began)));
        }
        let (ends, ended) = mpsc::unbounded_channel();
        let schedule = StateSchedule::new(known, now);
        Ok((Self { schedule, going: BTreeMap::new(), asked: None, ends }, ended))
    }

    /// One of those that somebody waits for has an answer; the last one brings them all.
    fn answered(&mut self, name: &Name, end: StateEnd) {
        let Some(mut asked) = self.asked.take_if(|asked| asked.waiting.contains(name)) else { return };
        let (stored, reason) = match end {
            Ok(stored) => (Some(stored), None),
            Err(why) => (None, Some(why)),
        };
        asked.waiting.remove(name);
        asked.answers.push(StateAnswer { repository: name.to_string(), stored, reason });
        match asked.waiting.is_empty() {
            true => drop(asked.reply.send(document(&asked.answers))),
            false => self.asked = Some(asked),
        }
    }
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Begins what is due.
    pub(super) fn store_state_due(&mut self) {
        for name in self.own_state.schedule.begin_due(self.now()) {
            self.store_state(name, Origin::Schedule, Mode::Earnest);
        }
    }

    /// Stores it in every repository, for somebody who waits for all of them.
    pub(super) fn store_state_asked(&mut self, mode: Mode, by: &Who, reply: Reply) {
        let now = self.now();
        let schedule = &mut self.own_state.schedule;
        let names: Vec<Name> = schedule.names().cloned().collect();
        let free: Vec<Name> = names.into_iter().filter(|name| schedule.begin(name, now)).collect();
        if free.is_empty() || self.own_state.asked.is_some() {
            free.iter().for_each(|name| self.own_state.schedule.undone(name));
            let _ = reply.send(Err(Refused::Unfit("it is being done already: ask again when that is over".into())));
            return;
        }
        let waiting = free.iter().cloned().collect();
        self.own_state.asked = Some(Asked { waiting, answers: Vec::new(), reply });
        for name in free {
            self.store_state(name, Origin::Asked(by.clone()), mode);
        }
    }

    fn store_state(&mut self, repository: Name, origin: Origin, mode: Mode) {
        let (site, ends) = (self.site.clone(), self.own_state.ends.clone());
        self.own_state.going.insert(repository.clone(), (origin, mode));
        if let Err(unsent) = self.setting.chores.own_state.send(StateOrder { repository, site, mode, ends }) {
            unsent.0.end(Err("nobody does it".into()));
        }
    }

    /// Writes down what came of it; a rehearsal is no event.
    pub(super) async fn state_stored(&mut self, name: &Name, end: StateEnd) -> Result<(), JournalError> {
        let Some((origin, mode)) = self.own_state.going.remove(name) else { return Ok(()) };
        if mode == Mode::DryRun {
            self.own_state.schedule.undone(name);
        } else if let Some(began) = self.own_state.schedule.ended(name, &end, self.now()) {
            let repository = name.to_string();
            let (stored, reason) = (end.as_ref().ok().cloned(), end.as_ref().err().cloned());
            tracing::info!(repository, reason, "the controller's own state was stored, or was not");
            self.write(Event::StateStored { repository, began, origin, stored, reason }).await?;
            if end.is_ok() {
                self.proving_state.schedule.stored(name, began);
            }
        }
        self.own_state.answered(name, end);
        Ok(())
    }

    /// How it stands with it in each repository, the worst first.
    pub(super) async fn kept_states(&self, now: Timestamp) -> Result<Vec<KeptState>, JournalError> {
        let mut all = Vec::new();
        for name in self.own_state.schedule.names() {
            let known = self.setting.journal.known_state(name.as_str()).await?;
            let schedule = &self.own_state.schedule;
            let kept = KeptState::new(name.as_str(), known, schedule.is_overdue(name, now), schedule.next(name));
            let proof = self.setting.journal.newest_state_proof(name.as_str()).await?;
            all.push(kept.proven_by(proof, self.proving_state.schedule.next(name)));
        }
        all.sort_by(|left, right| (left.state, &left.repository).cmp(&(right.state, &right.repository)));
        Ok(all)
    }
}
