//! Restores on hosts that people ask for: what is asked, what is told meanwhile, and what came of it.
//!
//! Whoever asks stays with it: when he stops listening the restore ends, and the same request later goes on where it was. A controller that ends in the middle leaves the job on its host, and the same
//! request finds it there.

mod checks;
mod naming;
mod objectives;
mod part;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::Site;
use strongroom_proto::operator::{RestoreOverwrite, RestoreRequest};
use strongroom_repository::text::escape;
use tokio::sync::mpsc;

pub use checks::{PlanChecks, typed};
pub use naming::with_plan_resolved;
pub use objectives::{RestoreObjectives, is_kept};
pub use part::{PartCommand, PlanPart, plan, unknown_plan, with_system_resolved};

use crate::journal::Who;
use crate::operator::Refused;
use crate::requests::{RequestView, Wish};

/// What somebody wants restored on a host, and where he is told of it.
#[derive(Debug)]
pub struct RestoreAsked {
    /// What.
    pub request: RestoreRequest,
    /// The host whose data they are.
    pub source: String,
    /// Who.
    pub by: Who,
    /// What is to become of it.
    pub wish: Wish,
    /// How far it is; closed by whoever has stopped listening.
    pub news: mpsc::Sender<Result<RestoreNews, Refused>>,
}

/// What is restored, and where to: all that a record must name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreScope {
    /// The site's name of the repository.
    pub repository: String,
    /// The snapshot.
    pub snapshot: String,
    /// When its backup began.
    pub time: Timestamp,
    /// The host whose data they are.
    pub source: String,
    /// Its paths as they are shown; none for everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The host that restores.
    pub host: String,
    /// The directory there, as it is shown.
    pub target: String,
    /// What becomes of files that are there.
    pub overwrite: String,
    /// Whether what is replaced is kept beside.
    pub set_aside: bool,
    /// Whether owners are found again by name.
    pub owners_by_name: bool,
    /// Where it may be put once it is verified, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_to: Option<String>,
    /// What is checked once everything is read back.
    #[serde(default, skip_serializing_if = "PlanChecks::is_none")]
    pub checks: PlanChecks,
    /// What it is measured against; nobody agrees to that, and a change of it makes no other restore.
    #[serde(default, skip_serializing_if = "RestoreObjectives::are_none")]
    pub objectives: RestoreObjectives,
    /// Which system of a restore plan it is, where it is one, and what runs around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Box<PlanPart>>,
}

/// What came of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreEnding {
    /// Everything is back, read back from the disk, and equal to the hashes taken at the source.
    Restored,
    /// The content is; some metadata could not be set.
    Deviating,
    /// The content is; a check of the plan does not agree with it.
    Unproven,
    /// Some files are not.
    Partial,
    /// Nothing counts as restored.
    Failed,
    /// Whoever asked for it stopped listening.
    Cancelled,
}

impl RestoreEnding {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Deviating => "deviating",
            Self::Unproven => "unproven",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum RestoreNews {
    /// It begins.
    Begins {
        /// The job on the host.
        restore: String,
        /// What it is.
        order: RestoreScope,
    },
    /// It has become a request.
    Requested {
        /// As it stands.
        view: Box<RequestView>,
    },
    /// It goes on.
    Doing {
        /// With what.
        doing: String,
        /// Bytes that are restored.
        bytes_done: u64,
        /// Of so many.
        bytes_total: u64,
    },
    /// What it would do, by the host's own look.
    Looked {
        /// What it is.
        order: RestoreScope,
        /// The plan.
        plan: serde_json::Value,
        /// How many must agree to it there; none where the site names nobody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approvals: Option<u32>,
    },
    /// What was restored is where it is used.
    Promoted {
        /// Its request.
        view: Box<RequestView>,
    },
    /// It is over.
    Ended {
        /// The job on the host.
        restore: String,
        /// What it was.
        order: RestoreScope,
        /// What came of it.
        ending: RestoreEnding,
        /// The host's report.
        report: serde_json::Value,
        /// Bytes of packs that the host has read through the gateway.
        read_bytes: u64,
    },
}

impl fmt::Display for RestoreEnding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Restored => "restored",
            Self::Deviating => "restored with deviations",
            Self::Unproven => "restored, and a check does not agree",
            Self::Partial => "restored in part",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

impl RestoreScope {
    /// The beginning of the names of all jobs that are this: the same request finds what it left.
    #[must_use]
    pub fn job_prefix(&self) -> String {
        let same = Self { objectives: RestoreObjectives::default(), ..self.clone() };
        // BUG if it fails: a scope serialises.
        let json = serde_json::to_vec(&same).expect("a scope serialises");
        format!("restore-{}-", &blake3::hash(&json).to_hex()[..16])
    }

    /// What a request means, once its snapshot is known.
    #[must_use]
    pub fn of(
        request: &RestoreRequest,
        repository: &str,
        snapshot: &strongroom_repository::Snapshot,
        site: &Site,
    ) -> Self {
        let overwrite = match request.overwrite() {
            RestoreOverwrite::Never => "never",
            RestoreOverwrite::Changed => "changed",
            RestoreOverwrite::Always => "always",
        };
        Self {
            repository: repository.to_owned(),
            snapshot: snapshot.id.hex(),
            time: snapshot.manifest.time,
            source: snapshot.manifest.host.clone(),
            paths: request.paths.iter().map(|path| escape(path)).collect(),
            host: request.host.clone(),
            target: escape(&request.target),
            overwrite: overwrite.to_owned(),
            set_aside: request.set_aside,
            owners_by_name: request.owners_by_name,
            promote_to: (!request.promote_to.is_empty()).then(|| escape(&request.promote_to)),
            checks: PlanChecks::of(request, &snapshot.manifest.tags, site),
            objectives: RestoreObjectives::of(&snapshot.manifest.tags, site),
            part: PlanPart::of(request, site),
        }
    }
}

/// The host that a snapshot is said to be of: it is what somebody may read, so it must be said.
pub fn source_host(snapshot: &str) -> Result<&str, Refused> {
    let host = snapshot.split_once('@').map(|(_, rest)| rest.split(':').next().unwrap_or(rest));
    host.filter(|host| !host.is_empty()).ok_or_else(|| {
        Refused::Unfit(format!(
            "'{snapshot}' does not say whose data are meant: write `latest@HOST`, `TIME@HOST` or `ID@HOST`"
        ))
    })
}
