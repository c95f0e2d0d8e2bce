//! What ran around the restore of a system of a restore plan, in a record: each command and each probe of its own.

use serde::Deserialize;

use super::plan_checks::{CommandCheck, EXPECTED, said, why_not};
use super::{Check, Checked};
use crate::executor::CheckVerdict;
use crate::restores::{PartCommand, PlanPart, RestoreEnding, typed};

/// What the host's report says of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Around {
    hooks: Vec<HookDone>,
    probes: Vec<ProbeDone>,
}

#[derive(Debug, Deserialize)]
struct HookDone {
    when: String,
    command: Vec<String>,
    error: Option<String>,
    milliseconds: u64,
}

#[derive(Debug, Deserialize)]
struct ProbeDone {
    check: CommandCheck,
}

/// One line for each command that was to be run, whether it was or not; `made` is nothing where the host left no report.
pub(super) fn part_checks(part: &PlanPart, ending: RestoreEnding, made: Option<&Around>) -> Vec<Check> {
    let line = |(when, wanted): (&'static str, &PartCommand)| {
        let hook = made.and_then(|made| made.hooks.iter().find(|done| done.when == when && done.command == wanted.run));
        let probe = made.and_then(|made| made.probes.iter().find(|done| done.check.command == wanted.run));
        match when {
            "probe" => probed(wanted, ending, probe.map(|probe| &probe.check)),
            _ => ran(when, wanted, ending, hook),
        }
    };
    part.commands().map(line).collect()
}

fn ran(when: &str, wanted: &PartCommand, ending: RestoreEnding, done: Option<&HookDone>) -> Check {
    let (actual, is_good) = match done {
        None => (not_made(ending), None),
        Some(HookDone { error: Some(error), .. }) => (error.clone(), Some(false)),
        Some(HookDone { error: None, milliseconds, .. }) => {
            (format!("{EXPECTED}, after {milliseconds} ms"), Some(true))
        }
    };
    let command = Some(format!("{when}: {}", typed(&wanted.run)));
    Check { command, ..Check::of(Checked::Hook, EXPECTED, actual, is_good) }
}

fn probed(wanted: &PartCommand, ending: RestoreEnding, made: Option<&CommandCheck>) -> Check {
    let expected = wanted.prints.as_ref().map_or_else(|| EXPECTED.to_owned(), |prints| format!("{EXPECTED}\n{prints}"));
    let (actual, is_good) = match made {
        None => (not_made(ending), None),
        Some(made) => (said(made), Some(made.verdict == CheckVerdict::Agreed)),
    };
    Check { command: Some(typed(&wanted.run)), ..Check::of(Checked::Probe, expected, actual, is_good) }
}

fn not_made(ending: RestoreEnding) -> String {
    let why = match ending {
        RestoreEnding::Unproven | RestoreEnding::Partial => "something before it did not go well",
        _ => why_not(ending),
    };
    format!("not made: {why}")
}
