//! A worker's daemon on this machine, for tests that need a host and no machine of its own.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use strongroom_tests::{program, wait};

/// Long enough for any machine.
const SOON: Duration = Duration::from_secs(60);

/// The daemon, whose sockets lie in `run` of its folder. It is killed when dropped.
pub(crate) struct Worker(Child);

impl Worker {
    /// One that answers.
    pub(crate) fn answering(home: &Path) -> Result<Self> {
        let mut command = Command::new(program::worker()?);
        command.arg("serve").stdin(Stdio::null()).stderr(Stdio::null());
        for (option, folder) in [("--run-dir", "run"), ("--state-dir", "state"), ("--cache-dir", "cache")] {
            command.arg(option).arg(home.join(folder));
        }
        let worker = command.spawn().map(Self).context("the worker")?;
        wait::until("the worker answers", SOON, || Ok(UnixStream::connect(home.join("run/gateway.sock"))?))?;
        Ok(worker)
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// It answers nobody any more, and looks alive.
    pub(crate) fn suspend(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), Signal::STOP)?)
    }

    /// It goes on.
    pub(crate) fn resume(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), Signal::CONT)?)
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
