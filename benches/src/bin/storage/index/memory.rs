//! What this process holds in memory, as the kernel counts it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How often memory is looked at while something goes on.
const LOOK: Duration = Duration::from_millis(2);

/// One line of the process's status, in bytes.
fn status(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line in the status")?;
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// The most that was held at once, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peak {
    /// What is nobody's file.
    pub(crate) anonymous: u64,
    /// Pages of mapped files.
    pub(crate) mapped: u64,
}

/// Does something, and says how much memory was held meanwhile at most. The kernel keeps no such maxima, so it is looked at often.
pub(crate) fn watched<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Peak)> {
    let (done, anonymous, mapped) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let look = || {
        anonymous.fetch_max(status("RssAnon").unwrap_or_default(), Ordering::Relaxed);
        mapped.fetch_max(status("RssFile").unwrap_or_default(), Ordering::Relaxed);
    };
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
    let peak = Peak { anonymous: anonymous.load(Ordering::Relaxed), mapped: mapped.load(Ordering::Relaxed) };
    Ok((worked?, peak))
}
