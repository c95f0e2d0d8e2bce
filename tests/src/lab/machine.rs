//! The power of a host: the process that runs it (`tests/lab host`), from switching on until it goes off. Reboots happen inside of that.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::SCRIPT;
use super::process::{self, Process};
use crate::wait;

/// systemd gives a unit 90 s to stop; after that it kills it and goes on.
const OFF_TIME_MAX: Duration = Duration::from_secs(120);

/// A host's power supply.
#[derive(Debug)]
pub(super) struct Machine {
    lab: String,
    name: String,
    root: PathBuf,
    console: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Machine {
    /// A machine that is off. What it says on its console is added to a file.
    pub(super) fn new(lab: &str, name: &str, root: PathBuf, console: PathBuf) -> Self {
        Self { lab: lab.to_owned(), name: name.to_owned(), root, console, running: Mutex::new(None) }
    }

    pub(super) fn root(&self) -> &PathBuf {
        &self.root
    }

    pub(super) fn switch_on(&self) -> Result<()> {
        ensure!(!matches!(self.is_on(), Ok(true)), "{} is on already", self.name);
        let console = OpenOptions::new().append(true).create(true).open(&self.console)?;
        let mut command = Command::new(SCRIPT);
        command.args(["host", &self.lab, &self.name]).arg(&self.root);
        command.stdin(Stdio::null()).stderr(File::try_clone(&console)?).stdout(console);
        *self.running() = Some(command.spawn().with_context(|| format!("start {SCRIPT}"))?);
        Ok(())
    }

    /// Presses the power button: it shuts down in order. Waits until it is off.
    pub(super) fn switch_off(&self) -> Result<()> {
        // Between two boots there is none for a moment.
        wait::until("a host to switch off", OFF_TIME_MAX, || {
            let found = self.processes()?.into_iter().find(|process| process.program() == "systemd-nspawn");
            found.context("it does not run")?.signal(Signal::TERM)
        })?;
        let ended = wait::until("it shuts down", OFF_TIME_MAX, || match self.is_on() {
            Ok(true) => bail!("{} is still on", self.name),
            ended => Ok(ended),
        });
        ended?.map(drop)
    }

    /// Pulls the plug: every process ends at once.
    pub(super) fn cut_power(&self) -> Result<()> {
        process::kill_all(&self.cgroup())?;
        if let Some(mut child) = self.running().take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Whether it runs or boots; fails if it ended in another way than by being switched off.
    pub(super) fn is_on(&self) -> Result<bool> {
        let ended = self.running().as_mut().map(Child::try_wait).transpose()?;
        match ended {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(status)) if status.success() => Ok(false),
            Some(Some(status)) => bail!("{} ended with {status}; its console:\n{}", self.name, self.console_end()),
        }
    }

    /// What runs on it and what runs it.
    pub(super) fn processes(&self) -> Result<Vec<Process>> {
        process::all_in(&self.cgroup())
    }

    /// The end of what it said on its console.
    pub(super) fn console_end(&self) -> String {
        const LINES: usize = 20;
        let text = std::fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn cgroup(&self) -> String {
        format!("strongroom-lab-{}/{}", self.lab, self.name)
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.cut_power());
    }
}
