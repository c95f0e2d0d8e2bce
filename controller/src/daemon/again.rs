//! One run: all that the journal says of it, and doing it again.

use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, RunKind};

use super::{Daemon, RunOrder};
use crate::journal::{Entry, JournalError, Origin, Who};
use crate::operator::{Mode, Refused};
use crate::run::Clock;
use crate::runs::{Ending, Run, RunId};
use crate::site::Loaded;

/// A run with its entries.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunView {
    /// The run, as its entries come to.
    pub run: Run,
    /// Every entry about it, the oldest first.
    pub entries: Vec<Entry>,
}

/// What a retry starts, or would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retried {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The run that is done again.
    pub repeats: RunId,
    /// The run that does it; none if nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The plan.
    pub plan: String,
    /// The host.
    pub host: String,
    /// What is read.
    pub kind: RunKind,
}

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// What the journal says of a run that somebody names.
    pub(super) async fn known_run(&self, id: &RunId) -> Result<Result<Run, Refused>, JournalError> {
        Ok(self.setting.journal.run(id).await?.ok_or_else(|| Refused::Unknown(format!("there is no run {id}"))))
    }

    pub(super) async fn show_run(&self, id: &RunId) -> Result<Result<RunView, Refused>, JournalError> {
        let run = match self.known_run(id).await? {
            Ok(run) => run,
            Err(refused) => return Ok(Err(refused)),
        };
        let entries = self.setting.journal.entries_of(id).await?;
        Ok(Ok(RunView { run, entries }))
    }

    /// Does a run again that left nothing: as a run of its own, of the plan as it is now.
    pub(super) async fn retry(
        &mut self,
        id: &RunId,
        mode: Mode,
        by: Who,
    ) -> Result<Result<Retried, Refused>, JournalError> {
        let run = match self.known_run(id).await? {
            Ok(run) => run,
            Err(refused) => return Ok(Err(refused)),
        };
        let (plan, host) = match self.fit_to_retry(&run) {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let (dry_run, repeats, kind) = (mode == Mode::DryRun, run.id, run.kind);
        let mut retried =
            Retried { dry_run, repeats: repeats.clone(), run: None, plan: run.plan, host: run.host, kind };
        if mode == Mode::Earnest {
            match self.begin_asked(&plan, &host, kind, Origin::Retry { of: repeats, by }).await? {
                Ok(run) => retried.run = Some(run),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Ok(Ok(retried))
    }

    fn fit_to_retry(&self, run: &Run) -> Result<(Name, Name), Refused> {
        let unfit = |why: String| Refused::Unfit(format!("the run {} {why}", run.id));
        match run.ended.as_ref().map(|ended| ended.ending) {
            None => return Err(unfit("has not ended".into())),
            Some(ending @ (Ending::Done | Ending::Partial | Ending::Superseded)) => {
                return Err(unfit(format!("needs no retry: it was {ending}")));
            }
            Some(_) => {}
        }
        self.site.hosts_of(&run.plan, Some(&run.host))?;
        let same =
            |active: &&super::Active| active.key.plan.as_str() == run.plan && active.key.host.as_str() == run.host;
        if self.active.values().any(|active| same(&active)) {
            return Err(Refused::Unfit(format!("{} runs on {} already", run.plan, run.host)));
        }
        let name = |text: &str| text.parse::<Name>().map_err(|refusal| Refused::Unknown(refusal.to_string()));
        Ok((name(&run.plan)?, name(&run.host)?))
    }
}
