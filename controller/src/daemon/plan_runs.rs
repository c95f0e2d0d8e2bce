//! What the scheduler decides becomes entries and threads.

use jiff::Timestamp;
use strongroom_plans::{CutOff, FailureClass, Name, RunKind};

use super::{Active, Daemon, RunOrder};
use crate::journal::{Event, JournalError, Origin};
use crate::run::Clock;
use crate::runs::{Ending, Run, RunId};
use crate::scheduler::{self, Decision, KnownRun, KnownState, RunKey, RunOutcome};
use crate::site::Loaded;

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Does what the scheduler has decided: all of it is written down first, in one go.
    pub(super) async fn tick(&mut self) -> Result<(), JournalError> {
        let decisions = self.scheduler.tick(self.now());
        self.carry_out(decisions).await
    }

    pub(super) async fn carry_out(&mut self, decisions: Vec<Decision>) -> Result<(), JournalError> {
        let mut events = Vec::new();
        let mut begun = Vec::new();
        let mut ended = Vec::new();
        for decision in decisions {
            match decision {
                Decision::Wait { key, kind, .. } => drop(self.planned(&key, kind, &mut events).await?),
                Decision::Start { key, kind, attempt, .. } => {
                    let run = self.planned(&key, kind, &mut events).await?;
                    events.push(Event::RunStarted { run: run.clone(), attempt });
                    begun.push((run, kind));
                }
                Decision::Record { key, kind, ending } => {
                    let run = self.planned(&key, kind, &mut events).await?;
                    let (reason, ending) = (Some(ending.to_string()), ending_of(&ending));
                    events.push(Event::RunEnded { run: run.clone(), ending, reason, record: None });
                    ended.push(run);
                }
                Decision::Stop { key, how } => self.stop_run(&key, how),
            }
        }
        self.setting.journal.append_all(self.now(), events).await?;
        for run in ended {
            self.log_end(&run).await?;
        }
        for (run, kind) in begun {
            if let Some(run) = self.setting.journal.run(&run).await? {
                self.go(Run { kind, ..run }).await?;
            }
        }
        Ok(())
    }

    /// The run of a due time, and the entry that opens its record where there is none.
    async fn planned(&self, key: &RunKey, kind: RunKind, events: &mut Vec<Event>) -> Result<RunId, JournalError> {
        let id = RunId::scheduled(key.plan.as_str(), key.host.as_str(), key.due);
        let is_new = |event: &Event| matches!(event, Event::RunPlanned { run, .. } if *run == id);
        if !events.iter().any(is_new) && self.setting.journal.run(&id).await?.is_none() {
            events.push(self.plan(&id, &key.plan, &key.host, key.due, kind, Origin::Schedule));
        }
        Ok(id)
    }

    pub(super) fn plan(
        &self,
        id: &RunId,
        plan: &Name,
        host: &Name,
        due: Timestamp,
        kind: RunKind,
        origin: Origin,
    ) -> Event {
        let plan_version = self.site.plan_version(plan.as_str());
        let (run, plan, host) = (id.clone(), plan.to_string(), host.to_string());
        Event::RunPlanned { run, plan, plan_version, host, due, kind, origin }
    }

    /// The end of the window: the run is ended. Whether it goes on in the next one is decided when it has.
    fn stop_run(&mut self, key: &RunKey, how: CutOff) {
        let active = self.active.values_mut().find(|active| active.key == *key);
        if let Some(Active { cancel, stopped, .. }) = active {
            *stopped = Some(how);
            cancel.send_replace(true);
        }
    }
}

/// What the scheduler has to know of a run.
pub(super) fn known(run: &Run) -> Option<KnownRun> {
    let state = match &run.ended {
        None if run.going => {
            let attempt = run.attempts;
            KnownState::Going { since: run.started.unwrap_or(run.due), attempt, lost: run.lost }
        }
        None => KnownState::Waiting {
            attempts: run.attempts,
            lost: run.lost,
            not_before: run.not_before,
            window: run.window,
        },
        Some(ended) => KnownState::Closed { well: ended.ending.is_good() },
    };
    Some(KnownRun { key: key(run)?, kind: run.kind, state })
}

/// A run as the scheduler names it.
pub(super) fn key(run: &Run) -> Option<RunKey> {
    Some(RunKey { plan: run.plan.parse().ok()?, host: run.host.parse().ok()?, due: run.due })
}

/// An ending as the scheduler sees it.
pub(super) fn outcome(ending: Ending, class: Option<FailureClass>, stopped: Option<CutOff>) -> RunOutcome {
    match (ending, class) {
        (ending, _) if ending.is_good() => RunOutcome::Well,
        (Ending::Cancelled, _) if stopped == Some(CutOff::Stop) => RunOutcome::Stopped,
        (Ending::Unproven, _) => RunOutcome::Failed(FailureClass::Proof),
        (Ending::Failed, Some(class)) => RunOutcome::Failed(class),
        _ => RunOutcome::Badly,
    }
}

fn ending_of(ending: &scheduler::Ending) -> Ending {
    match ending {
        scheduler::Ending::Missed => Ending::Missed,
        scheduler::Ending::Skipped(_) => Ending::Skipped,
        scheduler::Ending::Superseded { .. } => Ending::Superseded,
        scheduler::Ending::GaveUp => Ending::Failed,
    }
}
