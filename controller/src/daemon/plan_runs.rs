//! What the scheduler decides becomes entries and threads.

use strongroom_plans::RunKind;

use super::{Active, Daemon};
use crate::daemon::order::RunOrder;
use crate::journal::{Event, JournalError, Origin};
use crate::run::Clock;
use crate::runs::{Ending, Run, RunId};
use crate::scheduler::{Decision, KnownRun, Outcome, RunKey};
use crate::site::Loaded;

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Does what the scheduler has decided.
    pub(super) async fn tick(&mut self) -> Result<(), JournalError> {
        let now = self.now();
        for decision in self.scheduler.tick(now) {
            match decision {
                Decision::Start { key, kind, attempt, .. } => self.begin(&key, kind, attempt).await?,
                Decision::Record { key, kind, ending } => {
                    let id = self.planned(&key, kind).await?;
                    let (ending, reason) = (ending.ending(), ending.reason());
                    self.conclude(&id, ending, Some(reason), None).await?;
                }
                Decision::Stop { key, .. } => self.stop_run(&key),
            }
        }
        Ok(())
    }

    /// The run of a due time, known to the journal.
    async fn planned(&self, key: &RunKey, kind: RunKind) -> Result<RunId, JournalError> {
        let id = RunId::scheduled(&key.plan, &key.host, key.due);
        if self.setting.journal.run(&id).await?.is_none() {
            self.plan(&id, &key.plan, &key.host, key.due, kind, Origin::Schedule).await?;
        }
        Ok(id)
    }

    pub(super) async fn plan(
        &self,
        id: &RunId,
        plan: &str,
        host: &str,
        due: jiff::Timestamp,
        kind: RunKind,
        origin: Origin,
    ) -> Result<(), JournalError> {
        let plan_version = self.site.plan_version(plan);
        let (run, plan, host) = (id.clone(), plan.to_owned(), host.to_owned());
        self.write(Event::RunPlanned { run, plan, plan_version, host, due, kind, origin }).await
    }

    async fn begin(&mut self, key: &RunKey, kind: RunKind, attempt: u32) -> Result<(), JournalError> {
        let id = self.planned(key, kind).await?;
        if self.active.contains_key(&id) {
            return Ok(());
        }
        self.start_run(&id, attempt).await
    }

    pub(super) async fn start_run(&mut self, id: &RunId, attempt: u32) -> Result<(), JournalError> {
        self.write(Event::RunStarted { run: id.clone(), attempt }).await?;
        match self.setting.journal.run(id).await? {
            Some(run) => self.go(run).await,
            None => Ok(()),
        }
    }

    /// The end of the window: the run is cancelled, and says why.
    fn stop_run(&mut self, key: &RunKey) {
        let id = RunId::scheduled(&key.plan, &key.host, key.due);
        if let Some(Active { cancel, stopped, .. }) = self.active.get_mut(&id) {
            *stopped = Some("its window ended");
            cancel.send_replace(true);
        }
    }
}

/// A run's place in the schedule.
pub(super) fn key(run: &Run) -> RunKey {
    RunKey { plan: run.plan.clone(), host: run.host.clone(), due: run.due }
}

/// What the scheduler has to know of a run, if it is one of its own.
pub(super) fn known(run: &Run) -> Option<KnownRun> {
    (run.origin == Origin::Schedule).then(|| KnownRun {
        key: key(run),
        kind: run.kind,
        attempts: run.attempts,
        outcome: run.ended.as_ref().map(|ended| outcome(ended.ending)),
    })
}

/// An ending as the scheduler sees it.
pub(super) fn outcome(ending: Ending) -> Outcome {
    if ending.is_good() { Outcome::Good } else { Outcome::Bad }
}
