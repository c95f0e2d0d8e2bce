//! Namespaces of a check's own: of the machine's network it sees nothing, of its processes only those that it has begun, and what it mounts is gone with it.
//!
//! They are made by `unshare` of util-linux, which does that for root alone. A check that root cannot isolate is not run: what was restored may be a database that would join
//! its cluster, or a service that would send mail. Other users' checks run as they are, and their results say so.

use std::io;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

/// It ends with the thread that waits for it, also when this program is killed.
const WITH_US: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
pub(super) const UNSHARE: &str = "unshare";
/// The first process of the new namespace is the check; all others in it end with it.
const NAMESPACES: [&str; 7] = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/// How a check is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In namespaces of its own.
    Namespaces,
    /// In a process group of its own, and nothing more.
    None,
}

impl Isolation {
    /// As far as this user can; root can always, or it is an error.
    pub fn here() -> io::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::None);
        }
        let failed = |why: String| io::Error::other(format!("not run, because it cannot be isolated here: {why}"));
        let tried = namespaces().arg("true").stdin(Stdio::null()).output();
        let tried = tried.map_err(|error| failed(format!("{}: {error}", WITH_US[0])))?;
        match tried.status.success() {
            true => Ok(Self::Namespaces),
            false => Err(failed(String::from_utf8_lossy(&tried.stderr).trim().to_owned())),
        }
    }

    /// The command that runs the check so.
    pub(super) fn command(self, check: &[String]) -> io::Result<Command> {
        let (program, arguments) =
            check.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program"))?;
        let mut command = match self {
            Self::None => Command::new(program),
            Self::Namespaces => {
                let mut command = namespaces();
                command.arg(program);
                command
            }
        };
        command.args(arguments);
        Ok(command)
    }
}

/// `unshare` ends as the check has, by the same signal. For SIGKILL it tries to make ready what cannot be, and says so.
pub(super) fn tells_of_a_kill(output: &str) -> bool {
    output.lines().last().is_some_and(|last| last.starts_with(UNSHARE) && last.contains("sigprocmask"))
}

/// What runs a command in namespaces of its own.
fn namespaces() -> Command {
    let mut command = Command::new(WITH_US[0]);
    command.args(&WITH_US[1..]).arg(UNSHARE).args(NAMESPACES);
    command
}
