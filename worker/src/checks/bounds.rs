//! What a check may take: its time by the clock, and for each of its processes memory and processor time, by `prlimit` of util-linux.
//!
//! Deliberately absent: a bound on how many processes there are. The kernel counts them by user, and root's it does not count.

use std::time::Duration;

use super::{CheckVerdict, TIME_OUT};

/// What a check may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// After this it is ended.
    pub time: Duration,
    /// How long each process may compute.
    pub cpu_seconds: Option<u64>,
    /// How many bytes of addresses each process may have.
    pub memory_bytes: Option<u64>,
}

pub(super) const PRLIMIT: &str = "prlimit";
/// A process that does not end by SIGXCPU is killed after this. The first process of a namespace never gets that signal.
const CPU_GRACE_SECONDS: u64 = 1;
pub(super) const KILL: i32 = 9;
const XCPU: i32 = 24;
/// So a shell tells that a command of it was ended by a signal.
const BY_SIGNAL: i32 = 128;

impl Default for Bounds {
    fn default() -> Self {
        Self::of_time(TIME_OUT)
    }
}

impl Bounds {
    /// Nothing but the time is bounded.
    #[must_use]
    pub fn of_time(time: Duration) -> Self {
        Self { time, cpu_seconds: None, memory_bytes: None }
    }

    /// The command that runs a check so.
    pub(super) fn around(&self, check: &[String]) -> Vec<String> {
        let cpu = self.cpu_seconds.map(|soft| format!("--cpu={soft}:{}", soft.saturating_add(CPU_GRACE_SECONDS)));
        let memory = self.memory_bytes.map(|bytes| format!("--as={bytes}"));
        let limits: Vec<String> = cpu.into_iter().chain(memory).collect();
        if limits.is_empty() || check.is_empty() {
            return check.to_vec();
        }
        let words = [PRLIMIT.to_owned()].into_iter().chain(limits).chain(["--".to_owned()]);
        words.chain(check.iter().cloned()).collect()
    }

    /// What the check said, when it took so long.
    pub(super) fn verdict(&self, verdict: CheckVerdict, took: Duration) -> CheckVerdict {
        let Some(cpu_seconds) = self.cpu_seconds else { return verdict };
        let signal = match verdict {
            CheckVerdict::Killed(signal) => signal,
            CheckVerdict::Disagreed(code) => code - BY_SIGNAL,
            _ => return verdict,
        };
        // Others kill, too, such as a kernel without memory; but not for this before its time.
        let is_for_this = signal == XCPU || (signal == KILL && took.as_secs() >= cpu_seconds);
        if is_for_this { CheckVerdict::CpuUsedUp } else { verdict }
    }
}
