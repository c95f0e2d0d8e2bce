//! Runs, as the journal's entries tell them: every due time has exactly one, also where nothing was done.
//!
//! ```text
//! planned ──► started ──► ended: done, partial, unproven, failed, cancelled
//!    │           └──► postponed ──► started again, as another attempt
//!    └──► ended: missed, skipped, superseded, cancelled
//! ```

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strongroom_plans::RunKind;

use crate::journal::{Entry, Event, Origin};
use crate::record::Verdict;

/// The name of a run or a drill: when it was due, and eight digits of what else it is about. It names the worker's jobs, too, so it is made of what a file name can hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Its plan.
    pub plan: String,
    /// BLAKE3 of the plan that it runs.
    pub plan_version: String,
    /// Its host.
    pub host: String,
    /// When it was due.
    pub due: Timestamp,
    /// What it reads.
    pub kind: RunKind,
    /// Why there is it.
    pub origin: Origin,
    /// How often it was begun.
    pub attempts: u32,
    /// How many of these attempts had begun something on the host when they were given up.
    #[serde(default)]
    pub lost: u32,
    /// Whether an attempt goes on.
    #[serde(default)]
    pub going: bool,
    /// Why the last attempt was given up, while another one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponed: Option<String>,
    /// The next attempt does not begin before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The due time in whose window it goes on, if it was stopped by the end of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Timestamp>,
    /// When it was first begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Whether somebody asked for its end.
    #[serde(default)]
    pub cancelled: bool,
    /// Whether somebody halted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// When it ended, and how; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// Why, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The entry of the journal that holds the record.
    pub entry: u64,
    /// The snapshots that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// What was proven of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Everything was done and everything agreed.
    Done,
    /// Some files could not be read, or some metadata could not be restored.
    Partial,
    /// What was restored is not what was backed up, or a check did not agree.
    Unproven,
    /// A step failed.
    Failed,
    /// Somebody, or the end of its window, stopped it.
    Cancelled,
    /// It could not be begun in time.
    Missed,
    /// It was not begun, on purpose: the reason says which.
    Skipped,
    /// A later run did its work.
    Superseded,
}

/// An entry that contradicts the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{about} cannot {what}")]
pub struct Impossible {
    pub(crate) about: String,
    pub(crate) what: &'static str,
}

impl RunId {
    /// The run of a plan on a host that is due at an instant.
    #[must_use]
    pub fn scheduled(plan: &str, host: &str, due: Timestamp) -> Self {
        Self::of(due, &[b"schedule", plan.as_bytes(), host.as_bytes()])
    }

    /// The run that somebody asks for at an instant.
    #[must_use]
    pub fn asked(plan: &str, host: &str, at: Timestamp) -> Self {
        Self::of(at, &[b"asked", plan.as_bytes(), host.as_bytes()])
    }

    /// The drill of a plan's restore point on a host that begins at an instant.
    #[must_use]
    pub fn drilled(plan: &str, host: &str, at: Timestamp) -> Self {
        Self::of(at, &[b"drill", plan.as_bytes(), host.as_bytes()])
    }

    fn of(time: Timestamp, about: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&time.as_nanosecond().to_le_bytes());
        for part in about {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let digits = hasher.finalize().to_hex();
        let time = time.to_zoned(TimeZone::UTC).strftime("%Y%m%dt%H%M%Sz");
        Self(format!("{time}-{}", &digits[..8]))
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() <= 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'));
        if fits && !text.is_empty() {
            Ok(Self(text.into()))
        } else {
            Err("a run is named like 20261122t013000z-1a2b3c4d")
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Ending {
    /// Whether there is a new restore point that can be trusted as far as it was proven.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Done | Self::Partial)
    }
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::Done,
            Verdict::Partial => Self::Partial,
            Verdict::Unproven => Self::Unproven,
            Verdict::Failed => Self::Failed,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
        })
    }
}

impl Event {
    /// The run that it is about, if it is about one.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::RunPlanned { run, .. }
            | Self::RunStarted { run, .. }
            | Self::RunPostponed { run, .. }
            | Self::RunCancelled { run, .. }
            | Self::RunPaused { run, .. }
            | Self::RunResumed { run, .. }
            | Self::RunEnded { run, .. } => Some(run),
            _ => None,
        }
    }
}

/// The run after an entry about it.
pub(crate) fn fold(before: Option<Run>, entry: &Entry) -> Result<Run, Impossible> {
    let impossible = |run: &RunId, what| Err(Impossible { about: format!("run {run}"), what });
    match (&entry.event, before) {
        (Event::RunPlanned { run, plan, plan_version, host, due, kind, origin }, None) => Ok(Run {
            id: run.clone(),
            plan: plan.clone(),
            plan_version: plan_version.clone(),
            host: host.clone(),
            due: *due,
            kind: *kind,
            origin: origin.clone(),
            attempts: 0,
            lost: 0,
            going: false,
            postponed: None,
            not_before: None,
            window: None,
            started: None,
            cancelled: false,
            paused: false,
            ended: None,
        }),
        (Event::RunPlanned { run, .. }, Some(_)) => impossible(run, "be planned twice"),
        (event, None) => {
            // BUG: only events about runs are folded.
            let run = event.run().unwrap_or_else(|| unreachable!("{event:?} is not about a run"));
            impossible(run, "go on: it was never planned")
        }
        (Event::RunStarted { run, .. }, Some(before)) if before.ended.is_some() => {
            impossible(run, "begin after its end")
        }
        (Event::RunStarted { run, attempt }, Some(before)) if before.going || *attempt <= before.attempts => {
            impossible(run, "begin an attempt that has begun")
        }
        (Event::RunStarted { attempt, .. }, Some(mut run)) => {
            (run.attempts, run.going, run.postponed, run.not_before) = (*attempt, true, None, None);
            run.started.get_or_insert(entry.time);
            Ok(run)
        }
        (Event::RunPostponed { run, .. }, Some(before)) if !before.going => {
            impossible(run, "be postponed: no attempt goes on")
        }
        (Event::RunPostponed { reason, not_before, lost, window, .. }, Some(mut run)) => {
            (run.going, run.postponed, run.not_before) = (false, Some(reason.clone()), Some(*not_before));
            run.window = *window;
            run.lost += u32::from(*lost);
            Ok(run)
        }
        (Event::RunPaused { run, .. } | Event::RunResumed { run, .. }, Some(before)) if before.ended.is_some() => {
            impossible(run, "be halted, or go on, after its end")
        }
        (Event::RunPaused { .. }, Some(run)) => Ok(Run { paused: true, ..run }),
        (Event::RunResumed { .. }, Some(run)) => Ok(Run { paused: false, ..run }),
        (Event::RunCancelled { .. }, Some(mut run)) => {
            run.cancelled = true;
            Ok(run)
        }
        (Event::RunEnded { run, .. }, Some(before)) if before.ended.is_some() => impossible(run, "end twice"),
        (Event::RunEnded { ending, reason, record, .. }, Some(mut run)) => {
            let (snapshots, proof) = record.as_ref().map(claims).unwrap_or_default();
            let (at, ending, reason) = (entry.time, *ending, reason.clone());
            run.going = false;
            run.ended = Some(Ended { at, ending, reason, entry: entry.number, snapshots, proof });
            Ok(run)
        }
        // BUG: only events about runs are folded.
        (event, Some(_)) => unreachable!("{event:?} is not about a run"),
    }
}

/// What the record of a run claims: its snapshots and what was proven of them.
fn claims(record: &serde_json::Value) -> (Vec<String>, Option<String>) {
    let steps = record["steps"].as_array().into_iter().flatten();
    let snapshots = steps.filter_map(|step| step["outcome"]["snapshot"].as_str().map(str::to_owned));
    (snapshots.collect(), record["proof"].as_str().map(str::to_owned))
}
