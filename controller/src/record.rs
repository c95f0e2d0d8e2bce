//! What a run did, as it is kept: readable without this program, and enough to answer "what was proven, when, and how".

use jiff::Timestamp;
use serde::Serialize;
use strongroom_plans::{ProofLevel, Step};
use strongroom_repository::RepositoryId;

use crate::executor::{BackupDone, CheckResult, CopyDone, RestoreDone};
use crate::retention::Kept;
use crate::sampling::Sampled;

/// The record's own version; a reader refuses what is newer.
pub const RECORD_VERSION: u32 = 1;

/// One run of one plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunRecord {
    /// [`RECORD_VERSION`].
    pub record_version: u32,
    /// The plan's name.
    pub plan: String,
    /// BLAKE3 of the plan file, so that it can be told which text was run.
    pub plan_hash: String,
    /// On which host.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// The repository.
    pub repository: RepositoryId,
    /// Where it lies.
    pub location: String,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Every step of the plan and what came of it.
    pub steps: Vec<StepRecord>,
    /// How it went.
    pub verdict: Verdict,
    /// What may be claimed of the run's snapshots; none if there are none.
    pub proof: Option<ProofLevel>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    /// The step, as `--dry-run` shows it.
    pub step: Step,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a step.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// A snapshot was made.
    BackedUp(BackupDone),
    /// Snapshots were restored and compared.
    Restored(RestoreDone),
    /// The checks were run.
    Verified {
        /// What may be claimed now.
        reached: ProofLevel,
        /// What the plan demands.
        demanded: ProofLevel,
        /// Every check.
        checks: Vec<CheckResult>,
    },
    /// Nothing was proven here: that is for the drills.
    LeftToDrills,
    /// A copy was brought up to date, or not.
    Copied(CopyDone),
    /// What retention would keep and drop.
    Previewed {
        /// Every snapshot of this plan on this host, newest first.
        snapshots: Vec<Kept>,
    },
    /// It failed.
    Failed {
        /// Why.
        fault: String,
    },
    /// An earlier step failed.
    NotBegun,
}

/// How a run went. The worst of its steps decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was done and everything agreed.
    Done,
    /// Some files could not be read, or some metadata could not be restored.
    Partial,
    /// What was restored is not what was backed up, or a check did not agree.
    Unproven,
    /// A step failed.
    Failed,
}

impl Outcome {
    /// What it means for the run.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::BackedUp(done) if done.totals.problems > 0 => Verdict::Partial,
            Self::Restored(done) if !done.all_equal() => Verdict::Unproven,
            Self::Restored(done) if done.deviations_total > 0 => Verdict::Partial,
            Self::Verified { reached, demanded, .. } if reached < demanded => Verdict::Unproven,
            Self::Copied(done) if !done.faults.is_empty() => Verdict::Failed,
            Self::Copied(_)
            | Self::LeftToDrills
            | Self::BackedUp(_)
            | Self::Restored(_)
            | Self::Verified { .. }
            | Self::Previewed { .. } => Verdict::Done,
            Self::Failed { .. } | Self::NotBegun => Verdict::Failed,
        }
    }
}

impl RunRecord {
    /// What is wrong with the first copy that could not be brought up to date.
    #[must_use]
    pub fn copy_fault(&self) -> Option<String> {
        self.steps.iter().find_map(|step| match &step.outcome {
            Outcome::Copied(CopyDone { location, faults, .. }) => {
                faults.first().map(|fault| format!("the backup is safe, but the copy at {location} lacks it: {fault}"))
            }
            _ => None,
        })
    }

    /// Why it does not prove, in a sentence: the first file that came back different, or the first check that did not agree, with what it said.
    #[must_use]
    pub fn proof_fault(&self) -> Option<String> {
        self.steps.iter().find_map(|step| match &step.outcome {
            Outcome::Restored(done) => done.fault(),
            Outcome::Verified { checks, .. } => checks.iter().find_map(CheckResult::fault),
            _ => None,
        })
    }

    /// What a drill restored, where that was not to be everything.
    #[must_use]
    pub fn sample(&self) -> Option<&Sampled> {
        self.steps.iter().find_map(|step| match &step.outcome {
            Outcome::Restored(done) => done.sample.as_ref(),
            _ => None,
        })
    }

    /// The backups that were made.
    pub fn backups(&self) -> impl Iterator<Item = &BackupDone> {
        self.steps.iter().filter_map(|step| match &step.outcome {
            Outcome::BackedUp(done) => Some(done),
            _ => None,
        })
    }
}
