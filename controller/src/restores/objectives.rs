//! What a restore is measured against: how soon the data have to be back, and how much of them may be lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_plans::Site;

use super::checks::plan_of;

/// The objectives of the plan that made the snapshot, as the site had them when the restore was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreObjectives {
    /// From the begin of the restore to its end, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<u64>,
    /// From the restore point to the begin of the restore, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<u64>,
}

impl RestoreObjectives {
    /// Those of a snapshot with these tags.
    #[must_use]
    pub fn of(tags: &BTreeMap<String, String>, site: &Site) -> Self {
        let objectives = plan_of(tags, site).map(|plan| plan.objectives()).unwrap_or_default();
        let seconds = |span: Option<strongroom_plans::TimeSpan>| span.map(|span| span.seconds());
        Self { rto_seconds: seconds(objectives.rto()), rpo_seconds: seconds(objectives.rpo()) }
    }

    /// Whether there is nothing to be measured against.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a measured time is within its objective.
#[must_use]
pub fn is_kept(measured_seconds: i64, objective_seconds: u64) -> bool {
    u64::try_from(measured_seconds).unwrap_or_default() <= objective_seconds
}
