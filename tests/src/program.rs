//! Running programs: ours, under a deadline and never forgiven a panic; and the tools that judge it.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::random::seeded;

/// A run that takes longer hangs; the longest here, a 3 GiB sparse file in an unoptimised build, takes seconds.
const DEADLINE: Duration = Duration::from_secs(300);

/// How a run of the program ended, and what it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Its exit code; None when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Outcome {
    fn new(command: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (code, signal) = (output.status.code(), output.status.signal());
        Self { command, code, signal, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Passes it on if it ended with this exit code.
    pub fn expect(self, code: i32) -> Result<Self> {
        self.expect_one_of(&[code])
    }

    /// Passes it on if it ended with one of these exit codes.
    pub fn expect_one_of(self, codes: &[i32]) -> Result<Self> {
        ensure!(self.code.is_some_and(|code| codes.contains(&code)), "expected exit code {codes:?} of\n{self}");
        Ok(self)
    }

    /// Everything that it printed and said.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The one JSON document that it printed.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON document from\n{self}"))
    }

    /// The JSON documents that it printed, one a line.
    pub fn json_lines(&self) -> Result<Vec<Value>> {
        let parsed = self.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        parsed.with_context(|| format!("no JSON lines from\n{self}"))
    }

    fn without_panic(self) -> Result<Self> {
        let panicked = self.code == Some(101) || self.stderr.contains("panicked at");
        // SIGABRT is how Rust ends on a panic in a panic, SIGSEGV and SIGBUS how it ends on worse.
        let crashed = self.signal.is_some_and(|signal| signal != Signal::KILL.as_raw());
        ensure!(!panicked && !crashed, "it panicked or crashed:\n{self}");
        Ok(self)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, signal, stdout, stderr } = self;
        let ended = code.map(|code| format!("exit code {code}")).or(signal.map(|signal| format!("signal {signal}")));
        writeln!(out, "  $ {command}\n  {}", ended.unwrap_or_default())?;
        writeln!(out, "  --- stdout ---\n{}\n  --- stderr ---\n{}", shortened(stdout), shortened(stderr))
    }
}

/// The ends of a long text: the middle of a listing helps nobody.
fn shortened(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= 2 * LINES {
        return lines.join("\n");
    }
    format!("{}\n  […]\n{}", lines[..LINES].join("\n"), lines[lines.len() - LINES..].join("\n"))
}

/// A run that has not ended yet.
#[derive(Debug)]
pub struct Running {
    command: String,
    process: OwnedFd,
    output: Receiver<std::io::Result<Output>>,
}

impl Running {
    /// Starts a program with its output caught.
    pub fn start(command: &mut Command) -> Result<Self> {
        let shown = shown(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("start {shown}"))?;
        let pid = Pid::from_raw(child.id().try_into()?).context("a process has an id")?;
        // A descriptor means this process and no later one of the same number.
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        Ok(Self { command: shown, process, output })
    }

    /// Waits for its end, as long as the deadline allows.
    pub fn wait(self) -> Result<Outcome> {
        match self.output.recv_timeout(DEADLINE) {
            Ok(output) => Outcome::new(self.command, &output?).without_panic(),
            Err(_) => {
                self.kill()?;
                bail!("`{}` did not end within {} s", self.command, DEADLINE.as_secs())
            }
        }
    }

    /// Waits for its end and kills it if that has not come after `time`.
    pub fn kill_after(self, time: Duration) -> Result<Outcome> {
        match self.output.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => self.kill()?,
            Err(RecvTimeoutError::Disconnected) => bail!("nobody waited for `{}`", self.command),
            Ok(output) => return Outcome::new(self.command, &output?).without_panic(),
        }
        self.wait()
    }

    /// Kills it at the first moment at which `is_time` holds, and waits for its end.
    pub fn kill_when(self, mut is_time: impl FnMut() -> bool) -> Result<Outcome> {
        loop {
            if is_time() {
                self.kill()?;
                return self.wait();
            }
            match self.output.try_recv() {
                Ok(output) => return Outcome::new(self.command, &output?).without_panic(),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    /// Stops it in its tracks, as a machine that falls asleep.
    pub fn suspend(&self) -> Result<()> {
        self.send(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.send(Signal::CONT)
    }

    fn kill(&self) -> Result<()> {
        self.send(Signal::KILL)
    }

    fn send(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.process, signal) {
            // It ended by itself.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Kills runs at seeded random moments of their duration. How long they take is learned on the way: a machine is busier at one time than at another.
#[derive(Debug)]
pub struct RandomKills {
    takes: Duration,
    rounds: usize,
    killed: usize,
}

impl RandomKills {
    /// `takes` is how long a run took that nobody killed.
    #[must_use]
    pub fn new(takes: Duration) -> Self {
        Self { takes, rounds: 0, killed: 0 }
    }

    /// Runs a command and kills it at the moment that belongs to the seed, unless it was faster.
    pub fn strike(&mut self, command: &mut Command, seed: u64) -> Result<Outcome> {
        let moment = self.takes.mul_f64(seeded(seed).random_range(0.0..1.0));
        let began = Instant::now();
        let outcome = Running::start(command)?.kill_after(moment)?;
        self.rounds += 1;
        match outcome.signal {
            Some(_) => self.killed += 1,
            None => self.takes = self.takes.min(began.elapsed()),
        }
        Ok(outcome)
    }

    /// Fails if hardly any run was killed, which would show nothing.
    pub fn were_enough(&self) -> Result<()> {
        ensure!(self.killed * 3 > self.rounds, "only {} of {} runs were killed", self.killed, self.rounds);
        Ok(())
    }
}

/// Runs a command of the product to its end.
pub fn run(command: &mut Command) -> Result<Outcome> {
    Running::start(command)?.wait()
}

/// Runs a tool that has to succeed; returns what it printed.
pub fn tool(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {shown}"))?;
    ensure!(output.status.success(), "`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// The program under test: `STRONGROOM`, or the one that was built beside this test (target/PROFILE/deps/engine-… and target/PROFILE/strongroom).
pub fn strongroom() -> Result<PathBuf> {
    match std::env::var_os("STRONGROOM") {
        Some(path) => Ok(path.into()),
        None => built("strongroom"),
    }
}

/// The worker that was built beside this test.
pub fn worker() -> Result<PathBuf> {
    built("strongroom-worker")
}

fn built(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?.join(name);
    ensure!(path.exists(), "{} is not there: `tests/run engine` builds it", path.display());
    Ok(path)
}

/// Whether a tool is installed.
#[must_use]
pub fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).any(|folder| folder.join(name).exists())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
