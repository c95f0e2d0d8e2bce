//! What a plan's checks say of a restore on a host, for people.

use std::io::{self, Write};

use strongroom_controller::restores::{PlanChecks, typed};
use strongroom_worker::checks::Check;
use strongroom_worker::restore::{Outcome, RestoreReport};

use crate::run;

/// The last lines of what a check printed that are shown; --json has more.
const LINES_MAX: usize = 5;

/// Each check and what it said, or why there is none although there should be.
pub(super) fn write_checks(wanted: &PlanChecks, report: &RestoreReport, out: &mut dyn Write) -> io::Result<()> {
    if let Some(why) = wanted.left_out() {
        return writeln!(out, "  NOT PROVEN by checks: {why}");
    }
    if report.checks.is_empty() && !wanted.commands().is_empty() {
        let why = match report.outcome {
            Outcome::Failed => "nothing was put in place",
            _ => "the host's worker is of a release that makes none: `strongroom host upgrade`",
        };
        return writeln!(out, "  NOT PROVEN by checks: {why}");
    }
    report.checks.iter().try_for_each(|check| write_check(check, out))
}

fn write_check(check: &Check, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  check  {} {}", typed(&check.command), run::verdict(run::told(check.verdict)))?;
    if check.agreed() {
        return Ok(());
    }
    let lines: Vec<&str> = check.output.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    last.iter().try_for_each(|line| writeln!(out, "         | {line}"))
}
