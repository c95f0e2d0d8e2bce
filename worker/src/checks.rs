//! A plan's checks: commands in the directory to which was restored, each run to its end or to its time-out, and the end of what it printed.
//!
//! It runs without a shell, isolated or not (`isolation`), in a process group of its own that is ended as a whole, with nothing on standard input. One thread waits for its end and for its
//! output at once; nothing is collected without bound.

mod bounds;
mod isolation;
mod own;
mod probe;

use std::fs::OpenOptions;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::ready_check::TIME;

pub use self::bounds::Bounds;
pub use self::isolation::Isolation;
pub use self::probe::{Probe, probe};

/// Longer than an integrity check of a large database takes, shorter than a night.
pub const TIME_OUT: Duration = Duration::from_secs(600);
/// The last lines say why; more would drown the record.
const OUTPUT_BYTES_MAX: usize = 4 << 10;
/// How soon a request to stop is noticed while a check is quiet.
const GLANCE: Duration = Duration::from_millis(200);

/// A check that was made, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What it said.
    pub verdict: CheckVerdict,
    /// The end of what it printed.
    pub output: String,
    /// How long it took.
    pub milliseconds: u64,
}

/// What a check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// It ended with exit code 0.
    Agreed,
    /// It ended with another code.
    Disagreed(i32),
    /// A signal ended it.
    Killed(i32),
    /// It did not end in time.
    TimedOut,
    /// A process of it computed for longer than it may.
    CpuUsedUp,
    /// It could not be started.
    NotStarted,
    /// It ended with exit code 0, and printed something else than it must.
    Otherwise,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Restored<'a> {
    /// The directory to which was restored.
    pub folder: &'a Path,
    /// The time of the restore point, where it is known; checks are told.
    pub time: Option<Timestamp>,
}

/// A check was ended because somebody does not want it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl Check {
    /// Only this counts as passed.
    #[must_use]
    pub fn agreed(&self) -> bool {
        self.verdict == CheckVerdict::Agreed
    }
}

/// Runs a check where was restored. `stop` is asked now and then whether it is to end early.
pub fn run(
    command: &[String],
    restored: Restored<'_>,
    isolation: Isolation,
    bounds: Bounds,
    stop: &dyn Fn() -> bool,
) -> Result<Check, Stopped> {
    let begin = || {
        let mut command = isolation.command(&bounds.around(&own::started_by(command)?))?;
        command.env_remove(TIME).envs(restored.time.map(|time| (TIME, time.to_string())));
        start(command, restored.folder)
    };
    let check = follow(command, begin, bounds.time, stop)?;
    let took = Duration::from_millis(check.milliseconds);
    Ok(Check { verdict: bounds.verdict(started(check.verdict, &check.output), took), ..check })
}

fn follow(
    command: &[String],
    begin: impl FnOnce() -> io::Result<(Child, PipeReader)>,
    time_out: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Check, Stopped> {
    let begun = Instant::now();
    let (verdict, output) = match begin() {
        Ok((child, reader)) => Watch { child, reader, tail: Tail::default(), stop }.finish(time_out)?,
        Err(error) => (CheckVerdict::NotStarted, error.to_string()),
    };
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Check { command: command.to_vec(), verdict, output, milliseconds })
}

/// What the check said, as seen through the programs that start it: by these codes they say that they could not, as shells do.
fn started(verdict: CheckVerdict, output: &str) -> CheckVerdict {
    let by = [isolation::UNSHARE, bounds::PRLIMIT];
    let is_theirs = || by.iter().any(|program| output.starts_with(&format!("{program}: ")));
    match verdict {
        CheckVerdict::Disagreed(126 | 127) if is_theirs() => CheckVerdict::NotStarted,
        CheckVerdict::Disagreed(1) if isolation::tells_of_a_kill(output) => CheckVerdict::Killed(bounds::KILL),
        _ => verdict,
    }
}

fn start(mut command: Command, folder: &Path) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
    let nothing = OpenOptions::new().read(true).open("/dev/null")?;
    command.current_dir(folder).process_group(0).stdin(nothing);
    command.stdout(Stdio::from(OwnedFd::from(writer.try_clone()?))).stderr(Stdio::from(OwnedFd::from(writer)));
    Ok((command.spawn()?, reader))
}

struct Watch<'a> {
    child: Child,
    reader: PipeReader,
    tail: Tail,
    stop: &'a dyn Fn() -> bool,
}

impl Watch<'_> {
    fn finish(mut self, time_out: Duration) -> Result<(CheckVerdict, String), Stopped> {
        let ended = self.wait(Instant::now() + time_out);
        // Whatever happened, nothing of the check goes on in a directory that will be removed.
        self.kill_group();
        let status = self.child.wait();
        self.drain();
        let verdict = match (ended, status) {
            (Ok(Some(())), Ok(status)) => verdict(status),
            (Ok(None), _) => CheckVerdict::TimedOut,
            (Err(WaitFault::Stopped), _) => return Err(Stopped),
            (Err(WaitFault::System(error)), _) | (Ok(Some(())), Err(error)) => {
                self.tail.add(error.to_string().as_bytes());
                CheckVerdict::NotStarted
            }
        };
        Ok((verdict, self.tail.into_text()))
    }

    /// Some when the child has ended, none when its time is over.
    fn wait(&mut self, deadline: Instant) -> Result<Option<()>, WaitFault> {
        let pid = Pid::from_child(&self.child);
        let child = pidfd_open(pid, PidfdFlags::empty()).map_err(WaitFault::system)?;
        let mut is_open = true;
        loop {
            if (self.stop)() {
                return Err(WaitFault::Stopped);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let events = look(&child, is_open.then_some(&self.reader), left.min(GLANCE)).map_err(WaitFault::System)?;
            if events.has_output {
                is_open = self.drain();
            }
            if events.has_ended {
                return Ok(Some(()));
            }
        }
    }

    /// Reads what there is; false at the end of the pipe.
    fn drain(&mut self) -> bool {
        let mut buffer = [0; OUTPUT_BYTES_MAX];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.tail.add(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            // A command that prints without end must not keep us from looking at the clock.
            if self.tail.is_flooded() {
                return true;
            }
        }
    }

    fn kill_group(&self) {
        // The group is gone when its last process is; that is what we want.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

enum WaitFault {
    Stopped,
    System(io::Error),
}

impl WaitFault {
    fn system(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

struct Events {
    has_output: bool,
    has_ended: bool,
}

fn look(child: &OwnedFd, reader: Option<&PipeReader>, longest: Duration) -> io::Result<Events> {
    let mut watched = vec![PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN)];
    watched.extend(reader.map(|reader| PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)));
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    match poll(&mut watched, Some(&longest)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
    Ok(Events { has_ended: is_ready(0), has_output: is_ready(1) })
}

fn verdict(status: ExitStatus) -> CheckVerdict {
    match (status.code(), status.signal()) {
        (Some(0), _) => CheckVerdict::Agreed,
        (Some(code), _) => CheckVerdict::Disagreed(code),
        (None, signal) => CheckVerdict::Killed(signal.unwrap_or(0)),
    }
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    since_look: usize,
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        self.since_look += bytes.len();
        self.bytes.extend_from_slice(bytes);
        let surplus = self.bytes.len().saturating_sub(OUTPUT_BYTES_MAX);
        self.bytes.drain(..surplus);
    }

    /// After every megabyte.
    fn is_flooded(&mut self) -> bool {
        let flooded = self.since_look > 1 << 20;
        if flooded {
            self.since_look = 0;
        }
        flooded
    }

    fn into_text(self) -> String {
        strongroom_repository::text::escape(&self.bytes).replace("\\x0a", "\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Restored<'static> {
        Restored { folder: Path::new("/"), time: None }
    }

    #[test]
    fn a_check_is_told_the_time_of_the_restore_point() {
        let told = |time| {
            let command = ["sh", "-c", "echo ${STRONGROOM_TIME-none}"].map(str::to_owned);
            let restored = Restored { time, ..root() };
            run(&command, restored, Isolation::None, Bounds::default(), &|| false).unwrap().output
        };
        assert_eq!(told("2026-11-20T03:00:00Z".parse().ok()), "2026-11-20T03:00:00Z");
        assert_eq!(told(None), "none");
    }

    fn check(command: &[&str], time_out: Duration) -> Check {
        check_so(command, Isolation::None, time_out)
    }

    fn check_so(command: &[&str], isolation: Isolation, time_out: Duration) -> Check {
        check_within(command, isolation, Bounds::of_time(time_out))
    }

    fn check_within(command: &[&str], isolation: Isolation, bounds: Bounds) -> Check {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        run(&command, root(), isolation, bounds, &|| false).unwrap()
    }

    #[test]
    fn who_takes_more_than_it_may_does_not_agree() {
        let isolation = Isolation::here().unwrap();
        let within = |cpu_seconds, memory_bytes, script| {
            let bounds = Bounds { cpu_seconds, memory_bytes, ..Bounds::default() };
            check_within(&["sh", "-c", script], isolation, bounds)
        };
        // The shell itself, and a command of it.
        assert_eq!(within(Some(1), None, "while :; do :; done").verdict, CheckVerdict::CpuUsedUp);
        assert_eq!(within(Some(1), None, "sh -c 'while :; do :; done'; exit $?").verdict, CheckVerdict::CpuUsedUp);
        assert_eq!(within(Some(60), None, "kill -9 $$; exit 137").verdict, by_kill(isolation));
        let hungry = "head -c 200000000 /dev/zero | tail -n 1 > /dev/null; exit $?";
        let starved = within(None, Some(64 << 20), hungry);
        assert!(!starved.agreed() && starved.output.contains("memory"), "{starved:?}");
        let agreed = within(Some(60), Some(1 << 30), hungry);
        assert!(agreed.agreed(), "{agreed:?}");
        let absent = Bounds { cpu_seconds: Some(1), ..Bounds::default() };
        for isolation in [isolation, Isolation::None] {
            assert_eq!(check_within(&["/does/not/exist"], isolation, absent).verdict, CheckVerdict::NotStarted);
        }
    }

    /// The first process of a namespace cannot kill itself.
    fn by_kill(isolation: Isolation) -> CheckVerdict {
        match isolation {
            Isolation::Namespaces => CheckVerdict::Disagreed(137),
            Isolation::None => CheckVerdict::Killed(9),
        }
    }

    #[test]
    fn a_check_that_nobody_wants_any_more_ends() {
        let command = ["sleep", "1000"].map(str::to_owned);
        let stopped = run(&command, root(), Isolation::None, Bounds::default(), &|| true);
        assert_eq!(stopped, Err(Stopped));
        let nothing = run(&[], root(), Isolation::None, Bounds::default(), &|| false).unwrap();
        assert_eq!(nothing.verdict, CheckVerdict::NotStarted);
    }

    #[test]
    fn every_way_to_end_has_its_verdict() {
        let long = Duration::from_secs(60);
        let result = check(&["sh", "-c", "pwd; echo no >&2; exit 3"], long);
        assert_eq!((result.verdict, result.output.as_str()), (CheckVerdict::Disagreed(3), "/\nno"));
        assert_eq!(check(&["true"], long).verdict, CheckVerdict::Agreed);
        assert_eq!(check(&["sh", "-c", "kill -9 $$"], long).verdict, CheckVerdict::Killed(9));
        assert_eq!(check(&["/does/not/exist"], long).verdict, CheckVerdict::NotStarted);
    }

    #[test]
    fn what_does_not_end_is_ended_with_all_its_children() {
        let begun = Instant::now();
        let result = check(&["sh", "-c", "sleep 1000 & echo child $!; sleep 1000"], Duration::from_millis(300));
        assert_eq!(result.verdict, CheckVerdict::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(60));
        let child = result.output.strip_prefix("child ").and_then(|id| Pid::from_raw(id.parse().ok()?)).unwrap();
        if let Ok(child) = pidfd_open(child, PidfdFlags::empty()) {
            let mut watched = [PollFd::new(&child, PollFlags::IN)];
            let ended = poll(&mut watched, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap();
            assert_eq!(ended, 1, "a child of the check goes on");
        }
    }

    #[test]
    fn a_flood_is_cut_to_its_end_and_stopped_in_time() {
        let result = check(&["sh", "-c", "yes 0123456789; echo never"], Duration::from_millis(300));
        assert_eq!(result.verdict, CheckVerdict::TimedOut);
        assert!(result.output.len() <= OUTPUT_BYTES_MAX && result.output.contains("0123456789"));
        let result = check(&["sh", "-c", "yes | head -c 300000; echo last words"], Duration::from_secs(60));
        assert_eq!(result.verdict, CheckVerdict::Agreed);
        assert!(result.output.ends_with("last words"), "{}", result.output);
    }
    /// Whether a process of this machine has this word on its command line.
    fn runs(word: &str) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.any(|line| line.split(|byte| *byte == 0).any(|found| found == word.as_bytes()))
    }

    #[test]
    fn an_isolated_check_sees_no_network_and_no_processes_and_leaves_none() {
        if !rustix::process::geteuid().is_root() {
            assert_eq!(Isolation::here().unwrap(), Isolation::None);
            return;
        }
        assert_eq!(Isolation::here().unwrap(), Isolation::Namespaces);
        let long = Duration::from_secs(60);
        let isolated = |script| check_so(&["sh", "-c", script], Isolation::Namespaces, long);
        let said = isolated("echo $$; grep -c : /proc/net/dev; ls -d /proc/[0-9]* | wc -l; exit 3");
        let lines: Vec<&str> = said.output.lines().collect();
        assert_eq!((said.verdict, &lines[..2]), (CheckVerdict::Disagreed(3), &["1", "1"][..]));
        assert!(lines[2].parse::<u32>().unwrap() <= 4, "{}", said.output);
        let absent = check_so(&["/does/not/exist"], Isolation::Namespaces, long);
        assert_eq!(absent.verdict, CheckVerdict::NotStarted);
        assert_eq!(isolated("exit 127").verdict, CheckVerdict::Disagreed(127));
        let long_sleep = format!("{}.25", 100_000 + std::process::id());
        let stays = format!("setsid sleep {long_sleep} & sleep 0.1");
        assert_eq!(isolated(&stays).verdict, CheckVerdict::Agreed);
        assert!(!runs(&long_sleep), "a child of the check goes on");
    }
}
