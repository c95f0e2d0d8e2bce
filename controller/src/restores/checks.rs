//! What is checked once everything is read back: what the plan that made the snapshot says by now, never whoever asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_plans::{CheckCommand, FleetPlan, Site};
use strongroom_proto::operator::RestoreRequest;

use crate::preview::PLAN_TAG;

/// The plan's checks, or why none are made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "are", rename_all = "kebab-case")]
pub enum PlanChecks {
    /// There are none: no plan made the snapshot, or its plan has no checks.
    #[default]
    None,
    /// These commands are run in the target, each a program and its arguments.
    Run {
        /// Whose they are.
        plan: String,
        /// In their order.
        commands: Vec<Vec<String>>,
    },
    /// Whoever asked did not want them.
    Unwanted {
        /// Whose they are.
        plan: String,
    },
    /// The site has no such plan any more.
    Gone {
        /// Which plan made the snapshot.
        plan: String,
    },
}

impl PlanChecks {
    /// Those of a snapshot with these tags.
    #[must_use]
    pub fn of(request: &RestoreRequest, tags: &BTreeMap<String, String>, site: &Site) -> Self {
        let Some(name) = tags.get(PLAN_TAG) else { return Self::None };
        let Some(plan) = plan_of(tags, site) else { return Self::Gone { plan: name.clone() } };
        let checks = plan.plan().prove().map(|prove| prove.checks()).unwrap_or_default();
        let words = |check: &CheckCommand| check.words().map(str::to_owned).collect();
        match (checks, request.no_checks) {
            ([], _) => Self::None,
            (_, true) => Self::Unwanted { plan: name.clone() },
            (checks, false) => Self::Run { plan: name.clone(), commands: checks.iter().map(words).collect() },
        }
    }

    /// Whether there is nothing to be checked, so that nothing is left out.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The commands that are run.
    #[must_use]
    pub fn commands(&self) -> &[Vec<String>] {
        match self {
            Self::Run { commands, .. } => commands,
            Self::None | Self::Unwanted { .. } | Self::Gone { .. } => &[],
        }
    }

    /// Why none are made, where some should be.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        match self {
            Self::None | Self::Run { .. } => None,
            Self::Unwanted { plan } => Some(format!("the checks of the plan {plan} were not wanted (--no-checks)")),
            Self::Gone { plan } => Some(format!("the site has no plan {plan} any more")),
        }
    }

    /// As the hash of a request has them: the commands, or a word.
    pub(crate) fn canonical(&self) -> Value {
        match self {
            Self::None => "none".into(),
            Self::Run { commands, .. } => commands.as_slice().into(),
            Self::Unwanted { .. } => "unwanted".into(),
            Self::Gone { .. } => "gone".into(),
        }
    }
}

/// The plan that made a snapshot with these tags.
pub(super) fn plan_of<'s>(tags: &BTreeMap<String, String>, site: &'s Site) -> Option<&'s FleetPlan> {
    site.plans().get(&tags.get(PLAN_TAG)?.parse().ok()?)
}

/// A command as a person would type it.
#[must_use]
pub fn typed(words: &[String]) -> String {
    strongroom_plans::typed(words.iter().map(String::as_str))
}
