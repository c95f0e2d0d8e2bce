//! Proofs that it can be begun again from the controller's own state, as they come due.

use std::collections::BTreeMap;

use strongroom_plans::Name;
use tokio::sync::mpsc;

use super::Daemon;
use super::order::RunOrder;
use crate::journal::{Event, Journal, JournalError};
use crate::run::Clock;
use crate::site::Loaded;
use crate::state_proofs::{Past, StateProofEnd, StateProofOrder, StateProofs};

/// What the loop knows of it.
#[derive(Debug)]
pub(super) struct ProvingState {
    pub(super) schedule: StateProofs,
    ends: mpsc::UnboundedSender<StateProofEnd>,
}

impl ProvingState {
    /// With what the journal knows, and where the ends come.
    pub(super) async fn new(
        journal: &Journal,
        site: &Loaded,
    ) -> Result<(Self, mpsc::UnboundedReceiver<StateProofEnd>), JournalError> {
        let schedule = StateProofs::new(&site.site, known(journal, site).await?);
        let (ends, ended) = mpsc::unbounded_channel();
        Ok((Self { schedule, ends }, ended))
    }
}

/// What the journal knows of every repository of the site.
pub(super) async fn known(journal: &Journal, site: &Loaded) -> Result<BTreeMap<Name, Past>, JournalError> {
    let mut repositories = BTreeMap::new();
    for name in site.site.repositories().keys() {
        let stored = journal.known_state(name.as_str()).await?.good.map(|(began, _)| began);
        let began = journal.newest_state_proof(name.as_str()).await?.map(|proof| proof.began);
        repositories.insert(name.clone(), Past { stored, began });
    }
    Ok(repositories)
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Begins what is due.
    pub(super) fn prove_state_due(&mut self) {
        let Some(repository) = self.proving_state.schedule.begin_due(self.now()) else { return };
        let (site, ends) = (self.site.site.name().clone(), self.proving_state.ends.clone());
        if let Err(unsent) = self.setting.chores.state_proofs.send(StateProofOrder { repository, site, ends }) {
            unsent.0.end(Err("nobody does it".into()));
        }
    }

    /// Writes down what came of it.
    pub(super) async fn state_proven(&mut self, end: StateProofEnd) -> Result<(), JournalError> {
        let Some((name, began)) = self.proving_state.schedule.ended() else { return Ok(()) };
        let (proven, reason) = match end {
            Ok(proven) => (Some(proven), None),
            Err(why) => (None, Some(why)),
        };
        let repository = name.to_string();
        tracing::info!(repository, reason, "it was begun again from the controller's own state, or could not be");
        self.write(Event::StateProven { repository, began, proven, reason }).await
    }
}
