//! What this process holds in memory, as the kernel counts it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How often memory is looked at while something goes on.
const LOOK: Duration = Duration::from_millis(2);

/// One line of the process's status, in bytes.
pub(crate) fn status(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line in the status")?;
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// Does something, and says how much memory that is nobody's file was held meanwhile at most. The kernel keeps no such maximum, so it is looked at often.
pub(crate) fn watched<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let look = || peak.fetch_max(status("RssAnon").unwrap_or_default(), Ordering::Relaxed);
    let worked = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                look();
                thread::park_timeout(LOOK);
            }
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        worked
    });
    look();
    Ok((worked?, peak.load(Ordering::Relaxed)))
}
