//! A server's process, which ends with this one, however that ends.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result, ensure};

/// A running server.
#[derive(Debug)]
pub(super) struct Process;

impl Process {
    /// Starts a server whose words go to a file.
    pub(super) fn start(words: &[&str], log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(words);
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let (sender, started) = mpsc::channel();
        // The kernel ends the server when the thread that started it is gone: that of a test would be so too early. This one waits for the server, so it is
        // gone when the server is, or with the whole process.
        std::thread::spawn(move || match command.spawn() {
            Ok(child) => {
                // Nobody listens any more if the starter has panicked; the child ends with us then.
                let _ = sender.send(Ok(child.id()));
                wait(child);
            }
            Err(error) => drop(sender.send(Err(error))),
        });
        started.recv().context("the thread of the server")?.with_context(|| format!("start {words:?}"))?;
        Ok(Self)
    }
}

fn wait(mut child: Child) {
    // How it ended is in its log.
    let _ = child.wait();
}

/// A port that nobody listened on a moment ago, for servers that cannot say which one they took.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Runs a command of a server's own to its end; returns what it printed.
pub(super) fn run(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("a program")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().context("start it")?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
