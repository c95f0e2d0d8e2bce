//! Processes of a host as this machine sees them: found by their control group, and killed from outside, so that it works on a host that is cut off.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait;

/// A process that was killed may still have to write to a busy disk.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// A process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on this machine, not the one that the host knows.
    pub pid: u32,
    /// Its command line. SSH daemons write their state in the first word.
    pub words: Vec<String>,
}

impl Process {
    /// The name of its program, without folders.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word))
    }

    /// Sends it a signal, unless it has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid.try_into()?).context("a process has an id")?;
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        // The descriptor stays with one process. If that is another one of the same number, it has another command line.
        if read_words(self.pid).as_ref() != Some(&self.words) {
            return Ok(());
        }
        match pidfd_send_signal(&process, signal) {
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }
}

/// All processes of a control group and of those below it.
pub(super) fn all_in(cgroup: &str) -> Result<Vec<Process>> {
    let inside = format!(":/{cgroup}/");
    let itself = format!(":/{cgroup}\n");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // One that ends meanwhile has neither.
        let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
        if !groups.contains(&inside) && !groups.contains(&itself) {
            continue;
        }
        found.extend(read_words(pid).map(|words| Process { pid, words }));
    }
    Ok(found)
}

/// Kills all of them, and those that they start meanwhile.
pub(super) fn kill_all(cgroup: &str) -> Result<()> {
    wait::until("the processes of a host end", END_TIME_MAX, || {
        let left = all_in(cgroup)?;
        left.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        ensure!(left.is_empty(), "{} of them run", left.len());
        Ok(())
    })
}

fn read_words(pid: u32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // One that has ended and whose parent has not heard of it yet has none.
    (!words.is_empty()).then_some(words)
}
