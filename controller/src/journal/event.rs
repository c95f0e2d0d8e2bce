//! What an entry of the journal says. The JSON of these types is kept for years: fields are added, never changed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::RunKind;

use crate::drill_report::DrillEnding;
use crate::maintenance::{Figures, MaintenanceEnding};
use crate::own_state::StoredState;
use crate::permissions::Act;
use crate::requests::{Application, RequestNumber};
use crate::restores::{RestoreEnding, RestoreScope};
use crate::runs::{Ending, RunId};
use crate::sampling::Sampled;
use crate::state_proofs::ProvenState;
use crate::status::Lapsed;

/// Something that happened, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// A controller began to work with this journal.
    ControllerStarted {
        /// Program and version.
        program: String,
    },
    /// It ended as it was asked to. After a crash there is no such entry.
    ControllerStopped {},
    /// A site directory is in force from now on.
    SiteLoaded {
        /// BLAKE3 over its files.
        site: String,
        /// The git commit, where the directory is a clean work tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// Who loaded it.
        by: Who,
    },
    /// A site directory was refused; the one before stays in force.
    SiteRefused {
        /// What was wrong with it.
        faults: String,
        /// Who wanted to load it.
        by: Who,
    },
    /// Somebody wanted to do what he may not.
    Refused {
        /// What.
        act: Act,
        /// On what.
        object: String,
        /// Who.
        by: Who,
        /// Why he may not.
        reason: String,
        /// The request that it is about, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestNumber>,
    },
    /// A run came due, or a person asked for it.
    RunPlanned {
        /// The run.
        run: RunId,
        /// Its plan.
        plan: String,
        /// BLAKE3 of the plan as it will be run.
        plan_version: String,
        /// Its host.
        host: String,
        /// When it was due.
        due: Timestamp,
        /// What it reads.
        kind: RunKind,
        /// Why there is this run.
        origin: Origin,
    },
    /// An attempt at a run begins.
    RunStarted {
        /// The run.
        run: RunId,
        /// From 1.
        attempt: u32,
    },
    /// An attempt at a run came to nothing, and there will be another.
    RunPostponed {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
        /// Not before that time.
        not_before: Timestamp,
        /// Whether the attempt had begun something on the host.
        lost: bool,
        /// The due time in whose window it goes on, if it was stopped by the end of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Timestamp>,
    },
    /// Somebody asked for the end of a run.
    RunCancelled {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
    },
    /// Somebody halted a run.
    RunPaused {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
    },
    /// Somebody let it go on.
    RunResumed {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
    },
    /// A run is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        ending: Ending,
        /// Why, where that is not obvious.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The record of what was done, where something was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<serde_json::Value>,
    },
    /// A plan has no restore point on a host that is as new as it should be.
    BecameOverdue {
        /// The plan.
        plan: String,
        /// The host.
        host: String,
        /// What became of the newest run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A plan is overdue on a host no more.
    OverdueEnded {
        /// The plan.
        plan: String,
        /// The host.
        host: String,
        /// Why.
        how: OverdueEnd,
    },
    /// What was proven of a plan's restore points on a host holds no more, because time has passed.
    ProofLapsed {
        /// The plan.
        plan: String,
        /// The host.
        host: String,
        /// What.
        what: Lapsed,
        /// In words.
        reason: String,
    },
    /// It holds again, or nobody asks for it any more.
    LapseEnded {
        /// The plan.
        plan: String,
        /// The host.
        host: String,
        /// What.
        what: Lapsed,
        /// Why.
        how: OverdueEnd,
    },
    /// The maintenance of a repository begins. One without an end was cut off, and is due again.
    MaintenanceStarted {
        /// The repository's name in the site.
        repository: String,
        /// When it was due; none if somebody asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// Why there is it.
        origin: Origin,
    },
    /// The maintenance of a repository is over.
    MaintenanceEnded {
        /// The repository's name in the site.
        repository: String,
        /// When it began.
        began: Timestamp,
        /// How it ended.
        ending: MaintenanceEnding,
        /// Why, where that is not obvious.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What it came to.
        figures: Box<Figures>,
    },
    /// A restore point is about to be drilled: restored to scratch, compared and checked. One without an end was cut off, and is due again.
    DrillStarted {
        /// The drill.
        drill: RunId,
        /// Its plan.
        plan: String,
        /// BLAKE3 of the plan whose demand of a proof holds.
        plan_version: String,
        /// The host whose restore point it is.
        host: String,
        /// The restore point's snapshots.
        snapshots: Vec<String>,
        /// When it was due; none if somebody asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// Why there is it.
        origin: Origin,
    },
    /// A drill is over.
    DrillEnded {
        /// The drill.
        drill: RunId,
        /// Its plan.
        plan: String,
        /// The host whose restore point it was.
        host: String,
        /// When it began.
        began: Timestamp,
        /// How it ended.
        ending: DrillEnding,
        /// Why, where that is not obvious.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The restore point's snapshots.
        snapshots: Vec<String>,
        /// What may be claimed of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
        /// Of how much of them that is true, where not everything was restored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sample: Option<Sampled>,
        /// The record of what was done, where something was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<serde_json::Value>,
    },
    /// The controller's own state was stored in a repository, or could not be.
    StateStored {
        /// The repository's name in the site.
        repository: String,
        /// When that began: what came later is not in it.
        began: Timestamp,
        /// Why there is it.
        origin: Origin,
        /// What was stored; none if it could not be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stored: Option<StoredState>,
        /// Why it could not be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It was tried to begin again from the controller's own state in a repository; nothing of that was kept.
    StateProven {
        /// The repository's name in the site.
        repository: String,
        /// When that began.
        began: Timestamp,
        /// What was found; none if it could not be begun again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proven: Option<ProvenState>,
        /// Why it could not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A host is about to restore. One without an end was cut off; the same request goes on with it.
    RestoreStarted {
        /// The job on the host.
        restore: String,
        /// Who wants it.
        by: Who,
        /// Why.
        reason: String,
        /// What is restored, and where to.
        order: RestoreScope,
        /// The request that was approved, where one was needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestNumber>,
    },
    /// A host's restore is over.
    RestoreEnded {
        /// The job on the host.
        restore: String,
        /// What came of it.
        ending: RestoreEnding,
        /// Why, where it did not go well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The host's report: counts, what was proven, the first findings.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<serde_json::Value>,
        /// The request that was approved, where one was needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestNumber>,
    },
    /// A host is about to put what it restored where it is used.
    RestorePromoting {
        /// As which request it was restored.
        request: RequestNumber,
        /// As which job.
        restore: String,
        /// Who wants it.
        by: Who,
        /// Where to.
        to: String,
    },
    /// The host has put it there, or has refused to.
    RestorePromoted {
        /// As which request it was restored.
        request: RequestNumber,
        /// As which job.
        restore: String,
        /// Who wanted it.
        by: Who,
        /// Where to.
        to: String,
        /// Where what was there lies now, if anything was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aside: Option<String>,
        /// Why it was not put there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody asks for a restore to which others must agree. Numbers have no gaps: what was refused has none.
    RestoreRequested {
        /// Its number.
        request: RequestNumber,
        /// Who.
        by: Who,
        /// What.
        application: Box<Application>,
    },
    /// A reviewer agrees.
    RestoreApproved {
        /// To which.
        request: RequestNumber,
        /// Who.
        by: Who,
        /// The hash of the plan that he agrees to.
        hash: String,
        /// It counts until then.
        until: Timestamp,
        /// What he says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// A reviewer does not agree, and that is its end.
    RestoreRejected {
        /// Which.
        request: RequestNumber,
        /// Who.
        by: Who,
        /// Why.
        reason: String,
    },
    /// Whoever asked for it does not want it any more.
    RestoreWithdrawn {
        /// Which.
        request: RequestNumber,
        /// Who.
        by: Who,
    },
    /// A reviewer who took no part has looked at a restore by break-glass.
    RestoreClosed {
        /// Which.
        request: RequestNumber,
        /// Who.
        by: Who,
        /// What he found.
        note: String,
    },
    /// The record of a restore was made and signed.
    RestoreRecorded {
        /// The job on the host.
        restore: String,
        /// BLAKE3 of the list of its files' hashes.
        sums: String,
        /// The fingerprint of the key that signed it.
        key: String,
    },
    /// A notice was not taken for so long that it is told no more.
    NoticeGivenUp {
        /// Its id.
        notice: String,
        /// The way that did not take it.
        way: String,
        /// What it said.
        subject: String,
        /// Why it was not taken.
        reason: String,
    },
}

/// Why a plan is overdue on a host no more, or its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverdueEnd {
    /// It has a restore point in time again, or a proof.
    Recovered,
    /// The site has that plan on that host no more.
    Withdrawn,
}

/// Why there is a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The plan's schedule.
    Schedule,
    /// A person.
    Asked(Who),
    /// A person, who wants a run done again.
    Retry {
        /// Which.
        of: RunId,
        /// Who.
        by: Who,
    },
}

/// Who did something: read from the socket's credentials, never from what somebody says of himself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Who {
    /// The user's number.
    pub uid: u32,
    /// The user's name, where the system knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person whose account that is, as the site calls him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// For whom that person works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.person, &self.name) {
            (Some(person), _) => out.write_str(person),
            (None, Some(name)) => out.write_str(name),
            (None, None) => write!(out, "the user {}", self.uid),
        }
    }
}
