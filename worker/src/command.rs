//! Commands around a backup or a restore, and commands whose output is backed up: run without a shell, in a clean environment and in a process group of their own that is ended as a whole.
//!
//! A [`Running`] command is a reader of what it prints. It says that it came to its end only after the command exited well; every other way to end is an error of the
//! reader, so that half a dump is never taken for a whole one.

mod tail;

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use tail::Tail;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between the request to end and the end by force.
const GRACE: Duration = Duration::from_secs(5);
/// How soon a request to stop is noticed while a command is quiet.
const GLANCE: Duration = Duration::from_millis(200);

/// How long a command around a backup may run when nobody says: longer than quiescing an application takes, shorter than a window.
pub const HOOK_TIME: Duration = Duration::from_secs(600);
/// How long a command whose output is backed up may run when nobody says: a dump of a large database runs for hours.
pub const OUTPUT_TIME: Duration = Duration::from_secs(24 * 3600);

/// What to run.
#[derive(Debug, Clone)]
pub struct Order {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// Beside the path and the language, which are always the same.
    pub environment: Vec<(String, String)>,
    /// It is ended after that.
    pub time_max: Duration,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// What it prints to standard output, until that is closed and the command has ended. Standard error is for the message.
    Output,
    /// Nothing: what it prints anywhere is for the message. Its end is enough: it may have started a service that keeps the pipe.
    End,
}

/// How a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot start '{program}'")]
    Start { program: String, source: io::Error },
    #[error("'{program}' {how}{said}")]
    Ended { program: String, how: String, said: String },
    #[error("'{program}' was stopped")]
    Stopped { program: String },
    #[error("cannot follow '{program}'")]
    Follow { program: String, source: io::Error },
}

/// A command that runs; its group is ended with the value.
#[derive(Debug)]
pub struct Running {
    program: String,
    take: Take,
    child: Child,
    /// Readable when the child has ended.
    ended: OwnedFd,
    output: Option<PipeReader>,
    errors: Option<PipeReader>,
    tail: Tail,
    time_max: Duration,
    deadline: Instant,
    stop: Arc<AtomicBool>,
    is_over: bool,
}

impl Running {
    /// Starts a command; `stop` ends it early.
    pub fn start(order: Order, take: Take, stop: Arc<AtomicBool>) -> Result<Self, CommandError> {
        let program = order.arguments.first().cloned().unwrap_or_default();
        let start = || {
            let (output, output_end) = pipe()?;
            let (errors, errors_end) = pipe()?;
            let mut command = Command::new(&program);
            command.args(order.arguments.iter().skip(1)).current_dir("/").process_group(0).stdin(Stdio::null());
            clean(&mut command).envs(order.environment);
            command.stdout(Stdio::from(output_end)).stderr(Stdio::from(errors_end));
            let child = command.spawn()?;
            let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
            Ok((child, ended, output, errors))
        };
        let started: io::Result<_> = start();
        let (child, ended, output, errors) =
            started.map_err(|source| CommandError::Start { program: program.clone(), source })?;
        Ok(Self {
            program,
            take,
            child,
            ended,
            output: Some(output),
            errors: Some(errors),
            tail: Tail::default(),
            time_max: order.time_max,
            deadline: Instant::now() + order.time_max,
            stop,
            is_over: false,
        })
    }

    /// Waits for the end; for a hook.
    pub fn finish(mut self) -> Result<(), CommandError> {
        let mut buffer = [0; 4096];
        while self.next(&mut buffer)? > 0 {}
        Ok(())
    }

    /// The next bytes; none at the end, and only at a good one.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, CommandError> {
        if self.is_over {
            return Ok(0);
        }
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(CommandError::Stopped { program: self.program.clone() });
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.failed(format!("did not end within {} s", self.time_max.as_secs())));
            }
            let ready = self.look(left.min(GLANCE)).map_err(|source| self.lost(source))?;
            if ready.errors {
                self.drain(false);
            }
            if ready.output {
                match self.take {
                    Take::End => self.drain(true),
                    Take::Output => match self.take_output(buffer).map_err(|source| self.lost(source))? {
                        Some(0) | None => {}
                        Some(count) => return Ok(count),
                    },
                }
            }
            if ready.ended && (self.take == Take::End || self.output.is_none()) {
                return self.conclude().map(|()| 0);
            }
        }
    }

    /// Some bytes, or none at all when there are none now; the pipe is dropped at its end.
    fn take_output(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(output) = &mut self.output else { return Ok(None) };
        match output.read(buffer) {
            Ok(0) if !buffer.is_empty() => {
                self.output = None;
                Ok(None)
            }
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The child has ended and has said everything.
    fn conclude(&mut self) -> Result<(), CommandError> {
        self.drain(false);
        if self.take == Take::End {
            self.drain(true);
        }
        let status = self.child.wait().map_err(|source| self.lost(source))?;
        self.is_over = true;
        match how(status) {
            None => Ok(()),
            Some(how) => Err(self.failed(how)),
        }
    }

    /// Reads for the message what there is, a bounded amount at a time.
    fn drain(&mut self, of_output: bool) {
        let pipe = if of_output { &mut self.output } else { &mut self.errors };
        let is_open = pipe.as_mut().is_none_or(|pipe| self.tail.fill(pipe));
        if !is_open {
            *pipe = None;
        }
    }

    fn look(&self, longest: Duration) -> io::Result<Ready> {
        let fds =
            [Some(self.ended.as_fd()), self.output.as_ref().map(AsFd::as_fd), self.errors.as_ref().map(AsFd::as_fd)];
        let mut watched: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        // The child's end stays readable: while its pipe is awaited, only the pipe is.
        if self.take == Take::Output && self.output.is_some() {
            watched.remove(0);
        }
        let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
        match poll(&mut watched, Some(&longest)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: Option<BorrowedFd<'_>>| {
            use std::os::fd::AsRawFd;
            let found = fd.and_then(|fd| watched.iter().find(|watched| watched.as_fd().as_raw_fd() == fd.as_raw_fd()));
            found.is_some_and(|watched| !watched.revents().is_empty())
        };
        Ok(Ready { ended: is_ready(fds[0]), output: is_ready(fds[1]), errors: is_ready(fds[2]) })
    }

    fn failed(&self, how: String) -> CommandError {
        let said = self.tail.text();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        CommandError::Ended { program: self.program.clone(), how, said }
    }

    fn lost(&self, source: io::Error) -> CommandError {
        CommandError::Follow { program: self.program.clone(), source }
    }

    fn signal_group(&self, signal: Signal) {
        // The group is gone when its last process is; that is what is wanted.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(io::Error::other)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.signal_group(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        let mut has_ended = false;
        while !has_ended && Instant::now() < deadline {
            // What still comes is of no use, but a full pipe must not keep the command from ending.
            (self.output, self.errors) = (None, None);
            has_ended = self.look(deadline.saturating_duration_since(Instant::now())).is_ok_and(|ready| ready.ended);
        }
        self.signal_group(Signal::KILL);
        drop(self.child.wait());
    }
}

struct Ready {
    ended: bool,
    output: bool,
    errors: bool,
}

/// Nothing of this program's own environment.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    command.env_clear().envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("HOME", "/root")])
}

fn pipe() -> io::Result<(PipeReader, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
    Ok((reader, writer.into()))
}

/// How a command ended, unless it ended well.
fn how(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exited with {code}")),
        (None, signal) => Some(format!("was killed by signal {}", signal.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests;
