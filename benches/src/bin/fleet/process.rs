//! What this process takes.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Resident memory now, in MiB.
pub(crate) fn resident_mib() -> Result<f64> {
    field("VmRSS:")
}

/// The most that was resident so far, in MiB.
pub(crate) fn peak_mib() -> Result<f64> {
    field("VmHWM:")
}

fn field(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib / 1024.0)
}

/// Processor time so far, of all threads.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
