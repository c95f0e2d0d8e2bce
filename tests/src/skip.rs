//! Tests, and parts of tests, that cannot run on this machine: a skipped check is not a passed check, so each is written down for `tests/run` to count and to show.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that skips are written to; without it they go to standard error.
const NOTES: &str = "STRONGROOM_TESTS_SKIPS";

/// Takes note that a whole test did not run, and ends it.
pub fn test(name: &str, reason: &str) -> anyhow::Result<()> {
    note("test", name, reason)
}

/// Takes note that a part of a test did not run; the rest of it still counts.
pub fn part(name: &str, reason: &str) -> anyhow::Result<()> {
    note("part", name, reason)
}

/// Whether this process may mount, make devices and give files away.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the long forms of the suites were asked for.
#[must_use]
pub fn is_full() -> bool {
    std::env::var_os("STRONGROOM_TESTS_FULL").is_some_and(|value| value == "1")
}

/// How often something random is tried: often in the full form, seldom in the daily one.
#[must_use]
pub fn rounds(daily: usize, full: usize) -> usize {
    if is_full() { full } else { daily }
}

fn note(what: &str, name: &str, reason: &str) -> anyhow::Result<()> {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("{what}\t{name}\t{reason}\n");
    match std::env::var_os(NOTES) {
        // One write of one line: tests append side by side.
        Some(path) => OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())?,
        None => std::io::stderr().write_all(line.as_bytes())?,
    }
    Ok(())
}
