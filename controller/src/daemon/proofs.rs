//! What is proven of each restore point, for those who ask.

use super::Daemon;
use super::order::RunOrder;
use crate::journal::{Event, JournalError};
use crate::operator::Refused;
use crate::permissions::Sight;
use crate::proofs::{Attempt, Proof, ProofStory, of_point};
use crate::run::Clock;
use crate::runs::Run;
use crate::site::Loaded;

/// Restore points in one answer: more than anybody reads, and few enough for one message.
const POINTS_MAX: u32 = 10_000;

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Each restore point, the newest first.
    pub(super) async fn proofs(&self, plan: Option<&str>, host: Option<&str>) -> Result<Vec<Proof>, JournalError> {
        let runs = self.setting.journal.runs(plan, host, POINTS_MAX).await?;
        let drills = self.setting.journal.drills(plan, host).await?;
        Ok(runs.iter().filter_map(|run| Proof::of(run, &drills)).collect())
    }

    /// All that was done to prove the restore point of a snapshot.
    pub(super) async fn show_proof(
        &self,
        snapshot: &str,
        sight: &Sight,
    ) -> Result<Result<ProofStory, Refused>, JournalError> {
        let mut runs = self.setting.journal.runs_of_snapshot(snapshot).await?;
        runs.retain(|run| sight.has(&run.host));
        let run = match (runs.pop(), runs.is_empty()) {
            (Some(run), true) => run,
            (None, _) => return Ok(Err(Refused::Unknown(format!("no run has made a snapshot {snapshot}")))),
            (Some(_), false) => {
                let why = format!("several snapshots begin with {snapshot}: write more of it");
                return Ok(Err(Refused::Unfit(why)));
            }
        };
        let drills = self.setting.journal.drills(Some(&run.plan), Some(&run.host)).await?;
        let Some(proof) = Proof::of(&run, &drills) else {
            return Ok(Err(Refused::Unknown(format!("the run {} left no restore point", run.id))));
        };
        let mut attempts = Vec::new();
        for drill in of_point(&drills, &proof.snapshots) {
            let record = self.setting.journal.drill_record(drill).await?;
            attempts.push(Attempt::of_drill(drill, record.as_ref()));
        }
        attempts.extend(self.attempt_of_run(&run).await?);
        Ok(Ok(ProofStory { proof, attempts }))
    }

    async fn attempt_of_run(&self, run: &Run) -> Result<Option<Attempt>, JournalError> {
        let entries = self.setting.journal.entries_of(&run.id).await?;
        let record = entries.iter().find_map(|entry| match &entry.event {
            Event::RunEnded { record, .. } => record.as_ref(),
            _ => None,
        });
        Ok(record.and_then(|record| Attempt::of_run(run, record)))
    }
}
