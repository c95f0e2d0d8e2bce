//! The plan's checks in a record: each command of its own, with what was expected and what came.

use serde::Deserialize;

use super::{Check, Checked};
use crate::executor::CheckVerdict;
use crate::restores::{PlanChecks, RestoreEnding, typed};

/// Lines of what a command printed that are quoted; the host's report has more.
const LINES_MAX: usize = 5;

/// What a command has to end with.
pub(super) const EXPECTED: &str = "exit code 0";

/// A check that the host made, as its report has it.
#[derive(Debug, Deserialize)]
pub(super) struct CommandCheck {
    pub(super) command: Vec<String>,
    pub(super) verdict: CheckVerdict,
    output: String,
}

/// One line for each command that was to be run, whether it was or not; `made` is nothing where the host left no report.
pub(super) fn plan_checks(wanted: &PlanChecks, ending: RestoreEnding, made: Option<&[CommandCheck]>) -> Vec<Check> {
    if let Some(why) = wanted.left_out() {
        return vec![Check::of(Checked::Command, EXPECTED, format!("not made: {why}"), None)];
    }
    let made = made.unwrap_or_default();
    let check = |words: &Vec<String>| {
        let found = made.iter().find(|made| made.command == *words);
        let (actual, is_good) = found.map_or_else(
            || (format!("not made: {}", why_not(ending)), None),
            |made| (said(made), Some(made.verdict == CheckVerdict::Agreed)),
        );
        Check { command: Some(typed(words)), ..Check::of(Checked::Command, EXPECTED, actual, is_good) }
    };
    wanted.commands().iter().map(check).collect()
}

pub(super) fn why_not(ending: RestoreEnding) -> &'static str {
    match ending {
        RestoreEnding::Failed | RestoreEnding::Cancelled => "nothing was put in place",
        _ => "the host's worker is of a release that makes no checks",
    }
}

pub(super) fn said(made: &CommandCheck) -> String {
    let how = match made.verdict {
        CheckVerdict::Agreed => "exit code 0".to_owned(),
        CheckVerdict::Disagreed(code) => format!("exit code {code}"),
        CheckVerdict::Killed(signal) => format!("ended by signal {signal}"),
        CheckVerdict::TimedOut => "did not end in time".to_owned(),
        CheckVerdict::CpuUsedUp => "used up its processor time".to_owned(),
        CheckVerdict::NotStarted => "could not be started".to_owned(),
        CheckVerdict::Otherwise => "exit code 0, and printed something else".to_owned(),
    };
    let lines: Vec<&str> = made.output.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES_MAX)..].iter();
    [how.as_str()].into_iter().chain(last.copied()).collect::<Vec<_>>().join("\n")
}
