//! The controller at work: one loop that owns the state of all runs, and turns everything that happens into entries of the journal.
//!
//! Into the loop come the time, ends of runs, questions of operators, and the wish to stop. What is due is decided by the [`crate::scheduler`], which is pure; what a run does
//! happens on a thread of its own, outside of the loop, behind the function that starts it.
//!
//! What holds: an entry is durable before what it announces begins. A write that fails ends the loop: without its journal a controller does nothing. Runs that were going on are
//! taken up again at the next start, under their old names, so that their hosts know the jobs.

mod again;
mod answer;
mod chores;
mod drill;
mod drill_asked;
mod maintain;
mod order;
mod overdue;
mod own_state;
mod plan_runs;
mod proofs;
mod reload;
mod standing;
mod state_proofs;
mod steer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{CutOff, Name, Site};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use again::{Retried, RunView};
pub use chores::{Chores, ChoresDue};
pub use drill_asked::{DrillAnswer, DrillRow};
pub use order::{RunEnd, RunOrder};
pub use own_state::StateAnswer;
pub use reload::Reloaded;
pub use standing::{Doing, Standing};

use crate::drill_report::DrillEnd;
use crate::hosts::Hosts;
use crate::journal::{Event, Journal, JournalError};
use crate::maintenance::MaintenanceEnd;
use crate::operator::Request;
use crate::own_state::StateEnd;
use crate::run::Clock;
use crate::runs::{Ending, Run, RunId};
use crate::scheduler::{Ended, RunKey, RunOutcome, Scheduler};
use crate::site::Loaded;
use crate::state_proofs::StateProofEnd;
use crate::upkeep::Upkeep;
use drill::Drilling;
use maintain::Maintained;
use own_state::OwnState;
use state_proofs::ProvingState;

/// A due time is noticed at most so late, however the clock is set meanwhile.
const TICK_MAX: Duration = Duration::from_secs(5);

/// A host that answers at all has said by then what became of its job.
const SETTLING: Duration = Duration::from_secs(15);

/// A scheduler goes on from the runs of two days.
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(48);

/// What the loop needs from outside.
pub struct Setting<C, S, L> {
    /// The journal.
    pub journal: Arc<Journal>,
    /// The time.
    pub clock: C,
    /// Starts a run on a thread of its own, which ends by sending its end.
    pub start: S,
    /// Reads the site directory.
    pub load: L,
    /// Program and version.
    pub program: String,
    /// What is known of the hosts.
    pub hosts: Hosts,
    /// The site that is in force, for all others.
    pub in_force: watch::Sender<Arc<Site>>,
    /// Where work goes that belongs to no run.
    pub chores: Chores,
    /// Rises when all is well, as often as the site's dead man's switch wants to hear of it.
    pub beats: watch::Sender<u64>,
}

/// The loop's state.
pub struct Daemon<C, S, L> {
    setting: Setting<C, S, L>,
    site: Loaded,
    scheduler: Scheduler,
    active: BTreeMap<RunId, Active>,
    ends: mpsc::UnboundedSender<(RunId, RunEnd)>,
    ended: mpsc::UnboundedReceiver<(RunId, RunEnd)>,
    upkeep: Upkeep,
    maintained: BTreeMap<Name, Maintained>,
    maintenance_ends: mpsc::UnboundedSender<(Name, MaintenanceEnd)>,
    maintenance_over: mpsc::UnboundedReceiver<(Name, MaintenanceEnd)>,
    own_state: OwnState,
    state_over: mpsc::UnboundedReceiver<(Name, StateEnd)>,
    proving_state: ProvingState,
    state_proof_over: mpsc::UnboundedReceiver<StateProofEnd>,
    drilling: Drilling,
    drill_over: mpsc::UnboundedReceiver<(RunId, DrillEnd)>,
    /// Until then, what is due is not decided: runs that were taken up may turn out to have ended long ago, and would seem to overlap with it.
    settled_at: Option<Instant>,
    /// When it was last looked what is overdue.
    overdue_seen: Option<Timestamp>,
    /// When the next beat is due.
    beat_at: Instant,
}

/// A run that goes on.
#[derive(Debug)]
struct Active {
    /// As the scheduler names it.
    key: RunKey,
    cancel: watch::Sender<bool>,
    pause: watch::Sender<bool>,
    standing: watch::Sender<Standing>,
    /// How it was ended by the end of its window, if it was.
    stopped: Option<CutOff>,
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// A controller for a site, with what the journal knows.
    pub async fn new(setting: Setting<C, S, L>, site: Loaded) -> Result<Self, JournalError> {
        let now = setting.clock.now();
        let since = setting.journal.latest_time().await?.unwrap_or(now);
        let recent = since.checked_sub(KNOWN_FOR).unwrap_or(Timestamp::MIN);
        let known = setting.journal.runs_to_go_on_from(recent).await?;
        let scheduler = Scheduler::new(Arc::clone(&site.site), known.iter().filter_map(plan_runs::known), since);
        let upkeep = maintain::upkeep(&setting.journal, &site.site, since).await?;
        let (own_state, state_over) = OwnState::new(&setting.journal, &site, now).await?;
        let (proving_state, state_proof_over) = ProvingState::new(&setting.journal, &site).await?;
        let (drilling, drill_over) = Drilling::new(&setting.journal, &site).await?;
        let (ends, ended) = mpsc::unbounded_channel();
        let (maintenance_ends, maintenance_over) = mpsc::unbounded_channel();
        let maintained = BTreeMap::new();
        let (active, settled_at, overdue_seen, beat_at) = (BTreeMap::new(), None, None, Instant::now());
        Ok(Self {
            setting,
            site,
            scheduler,
            active,
            ends,
            ended,
            upkeep,
            maintained,
            maintenance_ends,
            maintenance_over,
            own_state,
            state_over,
            proving_state,
            state_proof_over,
            drilling,
            drill_over,
            settled_at,
            overdue_seen,
            beat_at,
        })
    }

    /// Works until `shutdown`, and then until the runs that go on have come to a place where they can be taken up again.
    pub async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), JournalError> {
        let program = self.setting.program.clone();
        self.write(Event::ControllerStarted { program }).await?;
        let loaded = self.site.loaded(crate::operator::oneself());
        self.write(loaded).await?;
        self.note_cut_off_drill().await?;
        self.take_up().await?;
        tokio::pin!(shutdown);
        loop {
            if self.is_settled() {
                self.tick().await?;
                self.note_overdue().await?;
            }
            self.maintain_due().await?;
            self.store_state_due();
            self.prove_state_due();
            self.drill_due().await?;
            self.beat().await?;
            let pause = self.pause();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some((run, end)) = self.ended.recv() => self.end(&run, end).await?,
                Some((repository, end)) = self.maintenance_over.recv() => self.maintenance_ended(repository, end).await?,
                Some((repository, end)) = self.state_over.recv() => self.state_stored(&repository, end).await?,
                Some(end) = self.state_proof_over.recv() => self.state_proven(end).await?,
                Some((drill, end)) = self.drill_over.recv() => self.drill_ended(&drill, end).await?,
                Some(request) = requests.recv() => self.answer(request).await?,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.stop().await
    }

    async fn write(&self, event: Event) -> Result<(), JournalError> {
        self.setting.journal.append(self.now(), event).await
    }

    fn is_settled(&mut self) -> bool {
        if self.active.is_empty() || self.settled_at.is_some_and(|at| at <= Instant::now()) {
            self.settled_at = None;
        }
        self.settled_at.is_none()
    }

    /// Until the next due time, or a moment.
    fn pause(&self) -> Duration {
        let now = self.setting.clock.now();
        let busy = self.busy_pairs();
        let drill = self.drilling.schedule.wakes_at(now, |pair| busy.contains(pair));
        let state = [self.own_state.schedule.wakes_at(), self.proving_state.schedule.wakes_at()];
        let next = [self.scheduler.wakes_at(), self.upkeep.wakes_at(), drill];
        let next = next.into_iter().chain(state).flatten().min();
        let next = next.map(|next| next.duration_since(now));
        let pause = next.map_or(TICK_MAX, |next| Duration::try_from(next).unwrap_or_default().min(TICK_MAX));
        self.site.site.dead_man().map_or(pause, |_| pause.min(self.beat_at.duration_since(Instant::now())))
    }

    /// Says that all is well, once the journal has proven that it can be written.
    async fn beat(&mut self) -> Result<(), JournalError> {
        let Some(dead_man) = self.site.site.dead_man() else { return Ok(()) };
        let now = Instant::now();
        if self.beat_at <= now {
            self.beat_at = now + Duration::from(dead_man.every());
            self.setting.journal.prove_writable(self.now()).await?;
            self.setting.beats.send_modify(|beats| *beats += 1);
        }
        Ok(())
    }

    /// What went on when the last controller ended goes on, under the same name: its host knows the job.
    async fn take_up(&mut self) -> Result<(), JournalError> {
        for run in self.setting.journal.open_runs().await? {
            if run.going {
                self.go(run).await?;
                self.settled_at = Some(Instant::now() + SETTLING);
            }
        }
        Ok(())
    }

    /// Has a run done that the journal knows as begun.
    async fn go(&mut self, run: Run) -> Result<(), JournalError> {
        let (Some(plan), Some(key)) = (self.site.plan(&run.plan), plan_runs::key(&run)) else {
            let why = "its plan is no longer in the site".to_owned();
            return self.conclude(&run.id, Ending::Cancelled, Some(why), None).await;
        };
        let (cancel, cancelled) = watch::channel(run.cancelled);
        let (pause, paused) = watch::channel(run.paused);
        let (standing, _) = watch::channel(Standing::begun(run.clone()));
        let order = RunOrder {
            run: run.id.clone(),
            plan,
            plan_version: run.plan_version.clone(),
            host: run.host.clone(),
            kind: run.kind,
            attempt: run.attempts,
            cancel: cancelled,
            pause: paused,
            standing: standing.clone(),
            ends: self.ends.clone(),
        };
        self.active.insert(run.id.clone(), Active { key, cancel, pause, standing, stopped: None });
        (self.setting.start)(order);
        Ok(())
    }

    async fn end(&mut self, id: &RunId, end: RunEnd) -> Result<(), JournalError> {
        let Some(active) = self.active.remove(id) else { return Ok(()) };
        let (ending, outcome, reason, record) = match end {
            RunEnd::Interrupted => return Ok(()),
            // Nothing was begun: there is nothing to come back to.
            RunEnd::Unreachable { why, .. } if *active.cancel.borrow() && active.stopped.is_none() => {
                (Ending::Cancelled, RunOutcome::Badly, Some(why), None)
            }
            RunEnd::Unreachable { why, passing: true } => (Ending::Missed, RunOutcome::Unreachable, Some(why), None),
            RunEnd::Unreachable { why, passing: false } => (Ending::Failed, RunOutcome::Badly, Some(why), None),
            RunEnd::Lost { why } => (Ending::Failed, RunOutcome::Lost, Some(why), None),
            RunEnd::Over { ending, reason, record, class } => {
                let reason = active.stopped.map(|_| "its window ended".to_owned()).or(reason);
                (ending, plan_runs::outcome(ending, class, active.stopped), reason, record)
            }
        };
        if outcome != RunOutcome::Unreachable {
            self.scheduler.host_seen(&active.key.host, true);
        }
        match self.scheduler.ended(&active.key, outcome, self.now()) {
            Ended::Again { at, window } => {
                let lost = matches!(outcome, RunOutcome::Lost | RunOutcome::Failed(_));
                let reason = reason.unwrap_or_default();
                self.write(Event::RunPostponed { run: id.clone(), reason, not_before: at, lost, window }).await
            }
            Ended::Over | Ended::Unknown => self.conclude(id, ending, reason, record).await,
        }?;
        self.show_end(id, &active).await
    }

    async fn show_end(&self, id: &RunId, active: &Active) -> Result<(), JournalError> {
        if let Some(run) = self.setting.journal.run(id).await? {
            active.standing.send_replace(Standing::begun(run));
        }
        Ok(())
    }

    /// Writes a run's end; who is to be told of it follows from that.
    async fn conclude(
        &mut self,
        id: &RunId,
        ending: Ending,
        reason: Option<String>,
        record: Option<serde_json::Value>,
    ) -> Result<(), JournalError> {
        self.write(Event::RunEnded { run: id.clone(), ending, reason, record }).await?;
        self.note_point(id).await?;
        self.log_end(id).await
    }

    async fn log_end(&self, id: &RunId) -> Result<(), JournalError> {
        let Some(run) = self.setting.journal.run(id).await? else { return Ok(()) };
        if let Some(ended) = &run.ended {
            tracing::info!(run = %id, plan = run.plan, host = run.host, ending = %ended.ending, "run ended");
        }
        Ok(())
    }

    /// Asks the runs to come to a place where they can be taken up again, and waits for them.
    async fn stop(mut self) -> Result<(), JournalError> {
        while !self.active.is_empty() {
            // The threads watch for the same signal as we do.
            let Some((run, end)) = self.ended.recv().await else { break };
            self.end(&run, end).await?;
        }
        while !self.maintained.is_empty() {
            let Some((repository, end)) = self.maintenance_over.recv().await else { break };
            self.maintenance_ended(repository, end).await?;
        }
        while self.drilling.is_going() {
            let Some((drill, end)) = self.drill_over.recv().await else { break };
            self.drill_ended(&drill, end).await?;
        }
        self.write(Event::ControllerStopped {}).await
    }

    fn now(&self) -> Timestamp {
        self.setting.clock.now()
    }
}

impl<C, S, L> std::fmt::Debug for Daemon<C, S, L> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Daemon({} active)", self.active.len())
    }
}
