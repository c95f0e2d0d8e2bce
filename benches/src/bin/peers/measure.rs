//! One command, measured: wall time by the monotonic clock, CPU time and peak memory as the kernel accounts them to the child.
//!
//! CPU time is user plus system of the child and of all its descendants that were waited for (bupstash's `serve`, the floor's
//! `tar` and `zstd`). Peak memory is the largest resident set of any one of these processes, not their sum: the kernel
//! keeps the maximum. Processes begin with the high-water mark of who started them, so ours is lowered before every start
//! and this program keeps its memory small: figures below its own few megabytes mean "no more than that".

use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one command took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

/// Runs a command to its end. Its standard error goes to `log`; its output too, unless the command says otherwise.
pub(crate) fn measure(command: &mut Command, log: &Path) -> Result<Usage> {
    command.stdin(Stdio::null()).stderr(File::create(log)?);
    // Writing 5 resets VmHWM of this process (proc(5)).
    fs::write("/proc/self/clear_refs", "5").context("lowering the high-water mark of memory")?;
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
    let (status, usage) = wait(child.id())?;
    let wall = started.elapsed();
    if !(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0) {
        bail!("{command:?} ended with wait status {status:#x}: {}", tail(log));
    }
    Ok(Usage {
        wall,
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        // The kernel reports KiB.
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024,
    })
}

#[expect(unsafe_code, reason = "neither std nor rustix gives the rusage of one child; covered by the tests below")]
fn wait(child: u32) -> io::Result<(libc::c_int, libc::rusage)> {
    let child = libc::pid_t::try_from(child).map_err(io::Error::other)?;
    // SAFETY: rusage is plain numbers, for which zero is a value; both pointers are to live locals of the right type.
    unsafe {
        let (mut status, mut usage) = (0, std::mem::zeroed());
        while libc::wait4(child, &mut status, 0, &mut usage) != child {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok((status, usage))
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = i128::from(time.tv_sec) * 1_000_000 + i128::from(time.tv_usec);
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// The last words of a failed command.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().replace('\n', " | ");
    let skipped = text.chars().count().saturating_sub(400);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Usage> {
        let folder = tempfile::tempdir()?;
        measure(Command::new("sh").args(["-c", script]).stdout(Stdio::null()), &folder.path().join("log"))
    }

    #[test]
    fn memory_and_work_of_a_grandchild_count() {
        let idle = shell("true").unwrap();
        // dd holds one block of 128 MiB; the shell goes on after it, so dd is a process of its own.
        let busy = shell("dd if=/dev/zero of=/dev/null bs=128M count=10 2>&1; true").unwrap();
        assert!(idle.peak_bytes < 128 << 20, "idle: {idle:?}");
        assert!(busy.peak_bytes >= 128 << 20, "busy: {busy:?}");
        assert!(busy.cpu > idle.cpu && busy.wall >= busy.cpu / 2);
    }

    #[test]
    fn a_failed_command_is_an_error_with_its_last_words() {
        let error = shell("echo no such luck >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("no such luck"), "{error}");
        assert!(shell("kill -9 $$").is_err());
    }
}
