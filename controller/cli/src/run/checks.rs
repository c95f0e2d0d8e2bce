//! A plan's check: one command, run to its end or to its time-out, and the end of what it printed.
//!
//! It runs without a shell, isolated where that can be had (`isolation`), in a process group of its own that is ended as a whole, with nothing on standard input. One thread waits for its end and for its
//! output at once; nothing is collected without bound.

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
use strongroom_controller::{CheckResult, CheckVerdict};
use strongroom_plans::CheckCommand;

use super::isolation::Isolation;
use crate::signals::Signals;

/// Longer than an integrity check of a large database takes, shorter than a night.
pub(super) const TIME_OUT: Duration = Duration::from_secs(600);
/// The last lines say why; more would drown the record.
const OUTPUT_BYTES_MAX: usize = 4 << 10;
/// How soon a signal is noticed while a check is quiet.
const GLANCE: Duration = Duration::from_millis(200);

/// A signal of the operator arrived while the check ran.
#[derive(Debug)]
pub(super) struct Interrupted(pub(super) u8);

/// Runs a check in `folder`, isolated as far as this user can.
pub(super) fn run(
    check: &CheckCommand,
    folder: &Path,
    time_out: Duration,
    signals: &Signals,
) -> Result<CheckResult, Interrupted> {
    let started = Timestamp::now();
    let isolation = Isolation::here();
    let isolated = matches!(isolation, Ok(Isolation::Namespaces));
    let (verdict, output) = match isolation {
        Ok(isolation) => run_so(check, folder, isolation, time_out, signals)?,
        Err(error) => (CheckVerdict::NotStarted, error.to_string()),
    };
    Ok(CheckResult { command: check.to_string(), verdict, started, finished: Timestamp::now(), output, isolated })
}

fn run_so(
    check: &CheckCommand,
    folder: &Path,
    isolation: Isolation,
    time_out: Duration,
    signals: &Signals,
) -> Result<(CheckVerdict, String), Interrupted> {
    let (child, reader) = match start(isolation.command(check), folder) {
        Ok(started) => started,
        Err(error) => return Ok((CheckVerdict::NotStarted, error.to_string())),
    };
    let (verdict, output) = Watch { child, reader, tail: Tail::default(), signals }.finish(time_out)?;
    Ok((isolation.verdict(verdict, &output), output))
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
    signals: &'a Signals,
}

impl Watch<'_> {
    fn finish(mut self, time_out: Duration) -> Result<(CheckVerdict, String), Interrupted> {
        let ended = self.wait(Instant::now() + time_out);
        // Whatever happened, nothing of the check goes on in a directory that will be removed.
        self.kill_group();
        let status = self.child.wait();
        self.drain();
        let verdict = match (ended, status) {
            (Ok(Some(())), Ok(status)) => verdict(status),
            (Ok(None), _) => CheckVerdict::TimedOut,
            (Err(WaitFault::Interrupted(signal)), _) => return Err(Interrupted(signal)),
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
            if let Some(signal) = self.signals.received() {
                return Err(WaitFault::Interrupted(signal));
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
    Interrupted(u8),
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

    struct Said {
        verdict: CheckVerdict,
        output: String,
    }

    fn check(command: &[&str], time_out: Duration) -> Said {
        check_so(command, Isolation::None, time_out)
    }

    fn check_so(command: &[&str], isolation: Isolation, time_out: Duration) -> Said {
        let quoted: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
        let plan = format!(
            "kind: backup\nname: t\nsources: [{{ files: [/etc] }}]\nrepository: /r\nretain: {{ daily: 1 }}\nprove: {{ level: restored, checks: [[{}]] }}\n",
            quoted.join(", ")
        );
        let plan = strongroom_plans::parse("t.yaml", &plan).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let signals = Signals::watch(runtime.handle()).unwrap();
        let check = &plan.prove().unwrap().checks()[0];
        let (verdict, output) = run_so(check, Path::new("/"), isolation, time_out, &signals).unwrap();
        Said { verdict, output }
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
