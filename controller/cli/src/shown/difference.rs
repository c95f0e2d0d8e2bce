//! What a change of plans means, as `plan diff` and `site load` tell it: a line for each value, and first, with `!`, what is protected less.

use std::io::{self, Write};

use strongroom_plans::{Change, Difference, Name, PlanChange, RunsAhead, ValueChange};

pub(crate) fn write_difference(out: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    let Difference { weaker, site, hosts, plans } = difference;
    for weaker in weaker {
        let plan = weaker.plan.as_ref().map(|plan| format!("plan {plan}: ")).unwrap_or_default();
        writeln!(out, "! {plan}{}", weaker.what)?;
    }
    for (title, values) in [("~ the site", site), ("~ hosts", hosts)] {
        if !values.is_empty() {
            writeln!(out, "{title}")?;
            write_values(out, values)?;
        }
    }
    plans.iter().try_for_each(|plan| write_plan(out, plan))
}

/// Last, because the lines before may have scrolled away.
pub(crate) fn write_protected_less(out: &mut dyn Write, count: usize) -> io::Result<()> {
    match count {
        1 => writeln!(out, "one thing is protected LESS: see above, with !"),
        many => writeln!(out, "{many} things are protected LESS: see above, with !"),
    }
}

fn write_values(out: &mut dyn Write, values: &[ValueChange]) -> io::Result<()> {
    for ValueChange { key, change, old, new, at } in values {
        let text = |side: &Option<String>| side.clone().unwrap_or_default();
        let value = match change {
            Change::Added => text(new),
            Change::Removed => text(old),
            Change::Changed => format!("{} -> {}", text(old), text(new)),
        };
        let at = at.as_ref().map(|at| format!("   ({at})")).unwrap_or_default();
        writeln!(out, "  {} {key}: {value}{at}", sign(*change))?;
    }
    Ok(())
}

fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

fn write_plan(out: &mut dyn Write, change: &PlanChange) -> io::Result<()> {
    writeln!(out, "{} plan {}", sign(change.change), change.plan)?;
    for (sign, hosts) in [('+', &change.hosts_gained), ('-', &change.hosts_lost)] {
        if !hosts.is_empty() {
            let hosts: Vec<&str> = hosts.iter().map(Name::as_str).collect();
            writeln!(out, "  {sign} hosts: {}", hosts.join(", "))?;
        }
    }
    write_values(out, &change.values)?;
    let Some(runs) = &change.runs else { return Ok(()) };
    writeln!(out, "  runs of 365 days")?;
    write_runs(out, '-', &runs.old)?;
    write_runs(out, '+', &runs.new)
}

fn write_runs(out: &mut dyn Write, sign: char, runs: &RunsAhead) -> io::Result<()> {
    let RunsAhead { full, incremental, stopped, next } = runs;
    let stopped = if *stopped > 0 { format!(", {stopped} more stopped by a calendar") } else { String::new() };
    writeln!(out, "  {sign} {full} full, {incremental} incremental{stopped}")?;
    next.iter().try_for_each(|run| writeln!(out, "      {}  {}", run.time, run.kind))
}
