//! Runs that somebody halts, lets go on, or ends.

use strongroom_proto::feature;

use super::order::RunOrder;
use super::{Daemon, plan_runs};
use crate::journal::{Event, JournalError, Who};
use crate::operator::{Going, Mode, Refused};
use crate::run::Clock;
use crate::runs::{Ending, Run, RunId};
use crate::site::Loaded;

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Halts a run that goes on, or lets it go on; one that is so already stays so.
    pub(super) async fn halt(
        &mut self,
        id: &RunId,
        going: Going,
        mode: Mode,
        by: Who,
    ) -> Result<Result<Run, Refused>, JournalError> {
        let run = match self.known_run(id).await? {
            Ok(run) => run,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(active) = self.active.get(id) else {
            let how = run
                .ended
                .as_ref()
                .map_or("waits, and has not begun".into(), |ended| format!("has ended: {}", ended.ending));
            return Ok(Err(Refused::Unfit(format!("the run {id} {how}"))));
        };
        let paused = going == Going::Halted;
        if let Some(version) = self.setting.hosts.too_old_for(&run.host, feature::PAUSE).filter(|_| paused) {
            let host = &run.host;
            let why = format!(
                "the worker of {host} is too old ({version}) to halt a run: give it this release's with `strongroom host upgrade ADDRESS`"
            );
            return Ok(Err(Refused::Unfit(why)));
        }
        if mode == Mode::DryRun || run.paused == paused {
            return Ok(Ok(run));
        }
        let pause = active.pause.clone();
        let event = match going {
            Going::Halted => Event::RunPaused { run: id.clone(), by },
            Going::On => Event::RunResumed { run: id.clone(), by },
        };
        self.write(event).await?;
        pause.send_replace(paused);
        self.known_run(id).await
    }

    /// Ends a run: one that goes on comes to its end on its host, one that waits ends at once.
    pub(super) async fn cancel(
        &mut self,
        id: &RunId,
        mode: Mode,
        by: Who,
    ) -> Result<Result<Run, Refused>, JournalError> {
        let run = match self.known_run(id).await? {
            Ok(run) => run,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(ended) = &run.ended {
            return Ok(Err(Refused::Unfit(format!("the run {id} has ended: {}", ended.ending))));
        }
        if mode == Mode::DryRun {
            return Ok(Ok(run));
        }
        self.write(Event::RunCancelled { run: id.clone(), by }).await?;
        match (self.active.get(id), plan_runs::key(&run)) {
            (Some(active), _) => drop(active.cancel.send_replace(true)),
            (None, key) => {
                key.inspect(|key| self.scheduler.cancelled(key));
                self.conclude(id, Ending::Cancelled, Some("it was cancelled while it waited".into()), None).await?;
            }
        }
        self.known_run(id).await
    }
}
