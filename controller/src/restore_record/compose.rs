//! From the journal's entries about a restore to its record.

use serde::Deserialize;

use super::part_checks::{Around, part_checks};
use super::plan_checks::{CommandCheck, plan_checks};
use super::{Check, CheckVerdict, Checked, Evidence, FORMAT, RestoreRecord, Times};
use crate::journal::{Entry, Event};
use crate::requests::Request;
use crate::restores::{RestoreEnding, RestoreObjectives, RestoreScope, is_kept};

/// Findings that are quoted; the host's report has more.
const FINDINGS_MAX: usize = 50;

/// Why there is no record of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// It never began.
    #[error("it never began")]
    NotBegun,
    /// It is not over.
    #[error("it is not over")]
    NotEnded,
}

/// What the host's report says, as far as a record draws on it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Reported {
    counts: Counts,
    verification: Verification,
    problems: Vec<Problem>,
    problems_total: u64,
    deviations: Vec<Deviation>,
    deviations_total: u64,
    phases: Vec<Phase>,
    checks: Vec<CommandCheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Counts {
    files: u64,
    kept: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Verification {
    verified_files: u64,
    verified_bytes: u64,
    compared_nodes: u64,
    mismatches: u64,
    medium: String,
}

#[derive(Debug, Deserialize)]
struct Problem {
    path: String,
    error: String,
}

#[derive(Debug, Deserialize)]
struct Deviation {
    path: String,
    aspect: serde_json::Value,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Phase {
    name: String,
    milliseconds: u64,
}

/// Where a record is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The site's name.
    pub site: String,
    /// Its zone's.
    pub zone: String,
    /// Program and version.
    pub program: String,
}

/// Makes the record of a restore from all entries about it, and about its request where it had one, the oldest first.
pub fn compose(
    setting: Setting,
    name: &str,
    request: Option<Request>,
    entries: &[Entry],
) -> Result<RestoreRecord, Incomplete> {
    let mut starts = entries.iter().filter_map(|entry| match &entry.event {
        Event::RestoreStarted { restore, by, reason, order, .. } if restore == name => {
            Some((entry.time, by, reason, order))
        }
        _ => None,
    });
    let (began, by, reason, order) = starts.next().ok_or(Incomplete::NotBegun)?;
    let resumed = starts.count() as u64;
    let end = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::RestoreEnded { restore, ending, reason, report, .. } if restore == name => {
            Some((entry.time, *ending, reason, report))
        }
        _ => None,
    });
    let (ended, ending, failure, report) = end.ok_or(Incomplete::NotEnded)?;
    let reported: Option<Reported> = report.as_ref().and_then(|report| serde_json::from_value(report.clone()).ok());
    let around: Option<Around> = report.as_ref().and_then(|report| serde_json::from_value(report.clone()).ok());
    let phases = reported.iter().flat_map(|reported| &reported.phases);
    let phases = phases.map(|phase| (phase.name.clone(), phase.milliseconds)).collect();
    let seconds = |from: jiff::Timestamp, to: jiff::Timestamp| to.duration_since(from).as_secs();
    let (recovery_seconds, loss_seconds) = (seconds(began, ended), seconds(order.time, began));
    Ok(RestoreRecord {
        format: FORMAT.to_owned(),
        restore: name.to_owned(),
        site: setting.site,
        zone: setting.zone,
        program: setting.program,
        request,
        ending,
        failure: failure.clone(),
        by: by.clone(),
        reason: reason.clone(),
        order: order.clone(),
        times: Times { data: order.time, began, resumed, ended, recovery_seconds, loss_seconds, phases },
        checks: all_checks(order, ending, reported.as_ref(), around.as_ref()),
        findings: missed(&order.objectives, recovery_seconds, loss_seconds)
            .chain(reported.iter().flat_map(findings))
            .collect(),
        report: report.clone(),
        journal: entries.iter().map(Evidence::of).collect(),
    })
}

/// What the engine looked at, then what the plan's checks say, and then what ran around it.
fn all_checks(
    order: &RestoreScope,
    ending: RestoreEnding,
    reported: Option<&Reported>,
    around: Option<&Around>,
) -> Vec<Check> {
    let made = reported.map(|reported| &reported.checks[..]);
    let mut all = checks(ending, reported);
    all.extend(plan_checks(&order.checks, ending, made));
    all.extend(order.part.iter().flat_map(|part| part_checks(part, ending, around)));
    all
}

/// What was looked at. Without a report nothing was: a restore that broke off proves nothing.
fn checks(ending: RestoreEnding, reported: Option<&Reported>) -> Vec<Check> {
    let Some(Reported { counts, verification, problems_total, deviations_total, .. }) = reported else {
        return Checked::ALL.map(|check| Check::of(check, "-", "-", None)).into();
    };
    let files = format!("{} files", counts.files);
    let read_back = format!("{} files, {} bytes", verification.verified_files, verification.verified_bytes);
    let is_whole = verification.verified_files >= counts.files && ending != RestoreEnding::Failed;
    let none = |check, found: u64| Check::of(check, "0", found.to_string(), Some(found == 0));
    let metadata = format!("{deviations_total} of {}", verification.compared_nodes);
    let kept = Check::of(Checked::Kept, "0", counts.kept.to_string(), (counts.kept == 0).then_some(true));
    let from_disk = (verification.medium == "disk").then_some(true);
    vec![
        Check::of(Checked::Content, files, read_back, Some(is_whole)),
        none(Checked::Mismatches, verification.mismatches),
        none(Checked::Missing, *problems_total),
        kept,
        Check::of(Checked::Metadata, "0", metadata, Some(*deviations_total == 0)),
        Check::of(Checked::Medium, "disk", verification.medium.clone(), from_disk),
    ]
}

/// Objectives that were not kept.
fn missed(objectives: &RestoreObjectives, recovery: i64, loss: i64) -> impl Iterator<Item = String> {
    let miss = |name: &str, what: &str, measured: i64, objective: Option<u64>| {
        let objective = objective.filter(|objective| !is_kept(measured, *objective))?;
        Some(format!("{name} missed: {what} {measured} s, where the objective of the plan is {objective} s at most"))
    };
    let rto = miss("RTO", "the recovery took", recovery, objectives.rto_seconds);
    let rpo = miss("RPO", "the data are lost of", loss, objectives.rpo_seconds);
    rto.into_iter().chain(rpo)
}

fn findings(reported: &Reported) -> Vec<String> {
    let problems = reported.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.error));
    let deviations = reported.deviations.iter().map(|deviation| {
        let aspect = deviation.aspect.as_str().map_or_else(|| deviation.aspect.to_string(), str::to_owned);
        format!("{}: {aspect}: {}", deviation.path, deviation.reason)
    });
    problems.chain(deviations).take(FINDINGS_MAX).collect()
}

impl Checked {
    const ALL: [Self; 6] = [Self::Content, Self::Mismatches, Self::Missing, Self::Kept, Self::Metadata, Self::Medium];
}

impl Check {
    /// Whether it is good; none where that is not known.
    pub(super) fn of(
        check: Checked,
        expected: impl Into<String>,
        actual: impl Into<String>,
        is_good: Option<bool>,
    ) -> Self {
        let verdict = match is_good {
            Some(true) => CheckVerdict::Passed,
            Some(false) => CheckVerdict::Failed,
            None => CheckVerdict::NotProven,
        };
        Self { check, command: None, expected: expected.into(), actual: actual.into(), verdict }
    }
}

impl Evidence {
    fn of(entry: &Entry) -> Self {
        let Entry { number, time, text, previous, hash, .. } = entry.clone();
        Self { number, time, text, previous, hash }
    }
}
