//! Another version of the site.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::Difference;

use super::Daemon;
use super::order::RunOrder;
use crate::journal::{Event, JournalError, Who};
use crate::operator::{Mode, Refused};
use crate::run::Clock;
use crate::site::Loaded;

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// BLAKE3 over the site's files.
    pub site: String,
    /// Its git commit, where it is a clean work tree.
    pub commit: Option<String>,
    /// How many plans it has.
    pub plans: usize,
    /// How many hosts.
    pub hosts: usize,
    /// Whether nothing was done.
    #[serde(default)]
    pub dry_run: bool,
    /// What is different from the one before.
    #[serde(default)]
    pub changes: Difference,
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// A faulty site is refused, and the one before stays in force.
    pub(super) async fn reload(&mut self, mode: Mode, by: Who) -> Result<Result<Reloaded, Refused>, JournalError> {
        let loaded = match (self.setting.load)() {
            Ok(loaded) => loaded,
            Err(faults) if mode == Mode::DryRun => return Ok(Err(Refused::Unfit(faults))),
            Err(faults) => {
                self.write(Event::SiteRefused { faults: faults.clone(), by }).await?;
                return Ok(Err(Refused::Unfit(faults)));
            }
        };
        let now = self.now();
        let changes = difference(&self.site, &loaded, now).await;
        let (plans, hosts) = (loaded.site.plans().len(), loaded.site.hosts().len());
        let (site, commit) = (loaded.version.clone(), loaded.commit.clone());
        let reloaded = Reloaded { site, commit, plans, hosts, dry_run: mode == Mode::DryRun, changes };
        if mode == Mode::DryRun {
            return Ok(Ok(reloaded));
        }
        self.write(loaded.loaded(by)).await?;
        let decisions = self.scheduler.reload(Arc::clone(&loaded.site), now);
        self.upkeep.reload(Arc::clone(&loaded.site), now);
        self.own_state.schedule.reload(loaded.site.repositories().keys(), now);
        let proofs = super::state_proofs::known(&self.setting.journal, &loaded).await?;
        self.proving_state.schedule.reload(&loaded.site, proofs);
        let drills = super::drill::known(&self.setting.journal, &loaded).await?;
        self.drilling.schedule.reload(Arc::clone(&loaded.site), drills);
        self.setting.in_force.send_replace(Arc::clone(&loaded.site));
        self.site = loaded;
        self.carry_out(decisions).await?;
        Ok(Ok(reloaded))
    }
}

/// What another site changes. A year of runs of every plan is looked at, which is too long for the loop's own thread.
async fn difference(old: &Loaded, new: &Loaded, now: Timestamp) -> Difference {
    let (old, new) = (Arc::clone(&old.site), Arc::clone(&new.site));
    #[expect(clippy::disallowed_methods, reason = "an operator's question now and then needs no pool of its own")]
    let compared = tokio::task::spawn_blocking(move || Difference::of_sites(&old, &new, now)).await;
    compared.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}
