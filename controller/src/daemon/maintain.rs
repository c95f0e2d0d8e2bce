//! Repositories that are due to be maintained, or that somebody wants maintained.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_plans::{Name, Site};

use super::Daemon;
use super::order::RunOrder;
use crate::journal::{Event, Journal, JournalError, Origin, Who};
use crate::maintenance::{Figures, MaintenanceEnd, MaintenanceOrder, MaintenanceReport};
use crate::operator::{Mode, Refused, Reply, document};
use crate::run::Clock;
use crate::site::Loaded;
use crate::status::Upkept;
use crate::upkeep::Upkeep;

/// A maintenance that goes on.
#[derive(Debug)]
pub(super) struct Maintained {
    began: Timestamp,
    mode: Mode,
    /// Who waits for it.
    reply: Option<Reply>,
}

/// The due times of a site's repositories, with what the journal knows.
pub(super) async fn upkeep(journal: &Journal, site: &Arc<Site>, since: Timestamp) -> Result<Upkeep, JournalError> {
    let mut past = BTreeMap::new();
    for name in site.repositories().keys() {
        past.insert(name.clone(), journal.known_maintenance(name.as_str()).await?.past);
    }
    Ok(Upkeep::new(Arc::clone(site), |name| past.get(name).copied().unwrap_or_default(), since))
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Begins what is due.
    pub(super) async fn maintain_due(&mut self) -> Result<(), JournalError> {
        let now = self.now();
        for (repository, due) in self.upkeep.begin_due(now) {
            let (name, origin) = (repository.to_string(), Origin::Schedule);
            self.write(Event::MaintenanceStarted { repository: name, due: Some(due), origin }).await?;
            self.maintain(repository, Maintained { began: now, mode: Mode::Earnest, reply: None }).await?;
        }
        Ok(())
    }

    /// Begins what somebody asks for. The answer goes when it has ended.
    pub(super) async fn maintain_asked(
        &mut self,
        repository: &str,
        mode: Mode,
        by: Who,
        reply: Reply,
    ) -> Result<(), JournalError> {
        let now = self.now();
        let name = match self.free_to_maintain(repository) {
            Ok(name) => name,
            Err(refused) => {
                let _ = reply.send(Err(refused));
                return Ok(());
            }
        };
        self.upkeep.begin(&name, now);
        if mode == Mode::Earnest {
            let (repository, origin) = (name.to_string(), Origin::Asked(by));
            self.write(Event::MaintenanceStarted { repository, due: None, origin }).await?;
        }
        self.maintain(name, Maintained { began: now, mode, reply: Some(reply) }).await
    }

    fn free_to_maintain(&self, repository: &str) -> Result<Name, Refused> {
        let known = self.site.site.repositories();
        let Some((name, _)) = known.iter().find(|(name, _)| name.as_str() == repository) else {
            let names: Vec<&str> = known.keys().map(Name::as_str).collect();
            let why = format!("the site has no repository {repository}; there are {}", names.join(", "));
            return Err(Refused::Unknown(why));
        };
        match self.upkeep.going(name) {
            None => Ok(name.clone()),
            Some(since) => {
                let since = since.strftime("%Y-%m-%d %H:%M UTC");
                Err(Refused::Unfit(format!("{repository} is being maintained already, since {since}")))
            }
        }
    }

    async fn maintain(&mut self, repository: Name, maintained: Maintained) -> Result<(), JournalError> {
        tracing::info!(%repository, "maintenance begins");
        let order = MaintenanceOrder {
            repository: repository.clone(),
            site: Arc::clone(&self.site.site),
            mode: maintained.mode,
            ends: self.maintenance_ends.clone(),
        };
        self.maintained.insert(repository.clone(), maintained);
        if self.setting.chores.maintenance.send(order).is_err() {
            let report = MaintenanceReport::failed("nobody does it", Figures::default());
            self.maintenance_ended(repository, MaintenanceEnd::Over(Box::new(report))).await?;
        }
        Ok(())
    }

    pub(super) async fn maintenance_ended(
        &mut self,
        repository: Name,
        end: MaintenanceEnd,
    ) -> Result<(), JournalError> {
        let Some(Maintained { began, mode, reply }) = self.maintained.remove(&repository) else { return Ok(()) };
        let answer = match (end, mode) {
            (MaintenanceEnd::Interrupted, _) => {
                self.upkeep.undone(&repository);
                Err(Refused::Broken(
                    "the controller is about to end: the maintenance is due again at its next start".into(),
                ))
            }
            (MaintenanceEnd::Over(report), Mode::DryRun) => {
                self.upkeep.undone(&repository);
                document(&report)
            }
            (MaintenanceEnd::Over(report), Mode::Earnest) => {
                let answer = document(&report);
                tracing::info!(%repository, ending = %report.ending, "maintenance ended");
                let MaintenanceReport { ending, reason, figures } = *report;
                let (name, figures) = (repository.to_string(), Box::new(figures));
                self.write(Event::MaintenanceEnded { repository: name, began, ending, reason, figures }).await?;
                self.upkeep.ended(&repository);
                self.own_state.schedule.want(&repository, self.now());
                answer
            }
        };
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
        Ok(())
    }

    /// How it stands with each repository that is maintained, or was.
    pub(super) async fn upkept(&self, now: Timestamp) -> Result<Vec<Upkept>, JournalError> {
        let mut all = Vec::new();
        for (name, spec) in self.site.site.repositories() {
            let known = self.setting.journal.known_maintenance(name.as_str()).await?;
            if spec.maintenance().is_none() && known.last.is_none() {
                continue;
            }
            let overdue_since = self.upkeep.overdue_since(name, known.good, now);
            let next = self.upkeep.next(name).filter(|_| self.upkeep.going(name).is_none());
            all.push(Upkept::new(name.as_str(), known, overdue_since, self.upkeep.going(name), next));
        }
        all.sort_by(|left, right| (left.state, &left.repository).cmp(&(right.state, &right.repository)));
        Ok(all)
    }
}
