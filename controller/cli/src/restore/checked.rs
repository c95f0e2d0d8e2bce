//! What a plan's checks, and what ran around it, say of a restore on a host, for people.

use std::io::{self, Write};

use strongroom_controller::restores::{PlanChecks, PlanPart, typed};
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

/// What ran around the restore of a system of a restore plan.
pub(super) fn write_around(wanted: &PlanPart, report: &RestoreReport, out: &mut dyn Write) -> io::Result<()> {
    for hook in &report.hooks {
        let how = hook.error.as_deref().map_or_else(|| "ended well".to_owned(), |error| format!("FAILED: {error}"));
        writeln!(out, "  {:<6} {} {how}", hook.when.word(), typed(&hook.command))?;
    }
    report.probes.iter().try_for_each(|probe| write_named("probe", &probe.check, out))?;
    match wanted.probes.len() > report.probes.len() {
        true => writeln!(out, "  NOT PROVEN by probes: something before them did not go well"),
        false => Ok(()),
    }
}

fn write_check(check: &Check, out: &mut dyn Write) -> io::Result<()> {
    write_named("check", check, out)
}

fn write_named(name: &str, check: &Check, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {name}  {} {}", typed(&check.command), run::verdict(run::told(check.verdict)))?;
    if check.agreed() {
        return Ok(());
    }
    let lines: Vec<&str> = check.output.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    last.iter().try_for_each(|line| writeln!(out, "         | {line}"))
}
