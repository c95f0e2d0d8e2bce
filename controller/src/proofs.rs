//! What is proven of each restore point, by whom and how long ago: from runs and drills, as the journal has them. The newest attempt counts, also where it failed after one that had not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drill_report::{DrillEnding, PastDrill};
use crate::executor::{AGREES, CheckResult, RestoreDone};
use crate::runs::{Run, RunId};
use crate::sampling::Sampled;

/// How far one restore point is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The plan.
    pub plan: String,
    /// The host.
    pub host: String,
    /// The run that made the restore point.
    pub run: RunId,
    /// When that began: what came later is not in it.
    pub time: Timestamp,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// The level, such as `L3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Of how much of it that is true, where not everything was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampled>,
    /// By what.
    pub by: Prover,
    /// When that was over.
    pub at: Timestamp,
    /// Why it is no more, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What proves, or tries to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prover {
    /// The run that made the restore point.
    Run(RunId),
    /// A drill.
    Drill(RunId),
}

/// All that was done to prove one restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProofStory {
    /// What came of it.
    pub proof: Proof,
    /// Every attempt, the newest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// By what.
    pub by: Prover,
    /// When it was over.
    pub at: Timestamp,
    /// How it ended, in a word.
    pub ending: String,
    /// The level that it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Why it reached no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreDone>,
    /// What the checks said.
    #[serde(default)]
    pub checks: Vec<Checked>,
}

/// A check with what it was to say, and said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// In words.
    pub expected: String,
    /// In words.
    pub actual: String,
    /// All of it.
    pub result: CheckResult,
}

impl Proof {
    /// Of a restore point; `drills` are all that there were, the newest first. None if the run left nothing.
    #[must_use]
    pub fn of(run: &Run, drills: &[PastDrill]) -> Option<Self> {
        let ended = run.ended.as_ref().filter(|ended| !ended.snapshots.is_empty())?;
        let newest = of_point(drills, &ended.snapshots).next();
        let (level, by, at, reason) = match newest {
            Some(drill) => (&drill.proof, Prover::Drill(drill.drill.clone()), drill.ended, &drill.reason),
            None => (&ended.proof, Prover::Run(run.id.clone()), ended.at, &ended.reason),
        };
        Some(Self {
            plan: run.plan.clone(),
            host: run.host.clone(),
            run: run.id.clone(),
            time: run.started.unwrap_or(run.due),
            snapshots: ended.snapshots.clone(),
            level: level.clone(),
            sample: newest.and_then(|drill| drill.sample.clone()),
            by,
            at,
            reason: reason.clone(),
        })
    }
}

/// The drills of a restore point that came to an end of their own.
pub fn of_point<'a>(drills: &'a [PastDrill], snapshots: &'a [String]) -> impl Iterator<Item = &'a PastDrill> {
    let is_meant = move |drill: &&PastDrill| drill.snapshots == snapshots && drill.ending != DrillEnding::Interrupted;
    drills.iter().filter(is_meant)
}

impl Attempt {
    /// A drill's; with its record, if it has one.
    #[must_use]
    pub fn of_drill(drill: &PastDrill, record: Option<&Value>) -> Self {
        let (by, ending) = (Prover::Drill(drill.drill.clone()), drill.ending.to_string());
        let (level, reason) = (drill.proof.clone(), drill.reason.clone());
        let (restored, checks) = record.map(steps).unwrap_or_default();
        Self { by, at: drill.ended, ending, level, reason, restored, checks }
    }

    /// The run's own, if it restored or checked anything.
    #[must_use]
    pub fn of_run(run: &Run, record: &Value) -> Option<Self> {
        let ended = run.ended.as_ref()?;
        let (restored, checks) = steps(record);
        let tried = restored.is_some() || !checks.is_empty();
        let (by, ending) = (Prover::Run(run.id.clone()), ended.ending.to_string());
        let (level, reason) = (ended.proof.clone(), ended.reason.clone());
        tried.then_some(Self { by, at: ended.at, ending, level, reason, restored, checks })
    }
}

/// What a record says of the restore and of the checks. A record of another release may say less.
fn steps(record: &Value) -> (Option<RestoreDone>, Vec<Checked>) {
    let outcomes = || record["steps"].as_array().into_iter().flatten().map(|step| &step["outcome"]);
    let restored = outcomes().find(|outcome| outcome["result"] == "restored");
    let checks = outcomes().find_map(|outcome| outcome["checks"].as_array());
    let checks = checks.into_iter().flatten().filter_map(|check| CheckResult::deserialize(check).ok());
    (restored.and_then(|outcome| RestoreDone::deserialize(outcome).ok()), checks.map(Checked::of).collect())
}

impl Checked {
    fn of(result: CheckResult) -> Self {
        Self { expected: format!("ended with {AGREES}"), actual: result.verdict.to_string(), result }
    }
}
