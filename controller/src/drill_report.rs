//! What a drill is to restore, and how it ended: the shape in which the journal keeps it and people are told.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{FleetPlan, ProofDemand, Sample};
use tokio::sync::mpsc;

use crate::record::{RunRecord, Verdict};
use crate::runs::RunId;
use crate::sampling::Sampled;

/// One drill to be done, on a thread of its own.
#[derive(Debug)]
pub struct DrillOrder {
    /// Its name.
    pub drill: RunId,
    /// The plan, whose demand of a proof holds.
    pub plan: Arc<FleetPlan>,
    /// BLAKE3 of the plan.
    pub plan_version: String,
    /// The host whose restore point it is.
    pub host: String,
    /// The restore point's snapshots.
    pub snapshots: Vec<String>,
    /// How much of it.
    pub extent: Extent,
    pub(crate) ends: mpsc::UnboundedSender<(RunId, DrillEnd)>,
}

/// How much of a restore point a drill restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What the plan says, which may be a sample.
    AsPlanned,
    /// Everything. What drills have restored is remembered of the newest restore point: one that somebody named is not counted in.
    Everything,
}

/// How the thread of a drill ended.
#[derive(Debug)]
pub enum DrillEnd {
    /// With what was done.
    Over(Box<DrillReport>),
    /// The controller is about to end: it is due again at the next start.
    Interrupted,
}

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillReport {
    /// How it ended.
    pub ending: DrillEnding,
    /// Why, where that is not obvious.
    pub reason: Option<String>,
    /// What may be claimed of the restore point.
    pub proof: Option<String>,
    /// Of how much of it that is true, where not everything was restored.
    pub sample: Option<Sampled>,
    /// The record of what was done, where something was.
    pub record: Option<serde_json::Value>,
}

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillEnding {
    /// The restore point comes back as it was at the source, and all checks agree.
    Proven,
    /// It does not, or one does not.
    Unproven,
    /// It could not be done.
    Failed,
    /// The controller ended in the middle of it.
    Interrupted,
}

/// A drill that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PastDrill {
    /// Its name.
    pub drill: RunId,
    /// The plan.
    pub plan: String,
    /// The host whose restore point it was.
    pub host: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub ending: DrillEnding,
    /// Why, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The restore point's snapshots.
    pub snapshots: Vec<String>,
    /// What may be claimed of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// Of how much of them that is true, where not everything was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampled>,
}

impl DrillOrder {
    /// What is restored, if that is not everything.
    #[must_use]
    pub fn sample(&self) -> Option<&Sample> {
        match self.extent {
            Extent::AsPlanned => self.plan.plan().prove().and_then(ProofDemand::sample),
            Extent::Everything => None,
        }
    }

    /// Reports the end.
    pub fn end(self, end: DrillEnd) {
        // The loop ends before its threads only when the journal failed: then nobody can write this down.
        let _ = self.ends.send((self.drill, end));
    }
}

impl DrillReport {
    /// Of one that could not be begun.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { ending: DrillEnding::Failed, reason: Some(reason.into()), proof: None, sample: None, record: None }
    }

    /// Of one that was cut off.
    #[must_use]
    pub fn interrupted() -> Self {
        let reason = Some("the controller ended in the middle of it; it is due again".to_owned());
        Self { ending: DrillEnding::Interrupted, reason, proof: None, sample: None, record: None }
    }

    /// Of one that has a record, and perhaps a fault that ended it early.
    #[must_use]
    pub fn of(record: &RunRecord, fault: Option<String>) -> Self {
        let is_proven = record.proof.is_some_and(strongroom_plans::ProofLevel::is_verified_restore);
        let ending = match record.verdict {
            Verdict::Failed => DrillEnding::Failed,
            _ if is_proven => DrillEnding::Proven,
            Verdict::Done | Verdict::Partial | Verdict::Unproven => DrillEnding::Unproven,
        };
        Self {
            ending,
            reason: fault.or_else(|| record.proof_fault()),
            proof: record.proof.map(|proof| proof.short().to_owned()),
            sample: record.sample().cloned(),
            record: serde_json::to_value(record).ok(),
        }
    }
}

impl fmt::Display for DrillEnding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        })
    }
}
