//! An operator of a fleet: a site directory, a home with everything that the controller and the command line remember, and the controller as a process
//! that can be killed, stopped and told to read its site again.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{self, Outcome};
use crate::wait;

/// A controller that is told to stop finishes its current step first.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// Somebody with a site. Another operator is another machine.
#[derive(Debug, Clone)]
pub struct Operator {
    home: PathBuf,
    /// The site directory.
    pub site: PathBuf,
}

impl Operator {
    /// An operator whose home, and in it an empty site directory, is made at `home`.
    pub fn new(home: &Path) -> Result<Self> {
        let site = home.join("site");
        for folder in [&site, &home.join("run")] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { home: home.into(), site })
    }

    /// What the program remembers.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// The bare program in the operator's environment.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Command> {
        let mut command = Command::new(program::strongroom()?);
        self.equip(command.args(arguments));
        Ok(command)
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Outcome> {
        program::run(&mut self.command(arguments)?)
    }

    /// Starts the controller. It ends with the thread that starts it, however that ends.
    pub fn serve(&self) -> Result<Controller> {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program::strongroom()?)
            .args(["serve", "--site"])
            .arg(&self.site);
        self.equip(&mut command);
        Controller::start(&mut command, &self.home.join("controller.log"))
    }

    /// Nothing of the machine's own environment: what the program needs must be in the home.
    fn equip(&self, command: &mut Command) {
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", &self.home).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("RUST_BACKTRACE", "1");
        command.env("STRONGROOM_CACHE_DIR", self.home.join("cache"));
        command.env("STRONGROOM_STATE_DIR", self.home.join("state"));
        command.env("STRONGROOM_SOCKET", self.home.join("run/controller.sock"));
    }
}

/// A controller that runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Controller {
    child: Child,
    log: PathBuf,
    /// What earlier ones wrote to the same file.
    log_begin: usize,
}

impl Controller {
    fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(log)?;
        let log_begin = file.metadata()?.len().try_into()?;
        command.stdin(Stdio::null()).stderr(File::try_clone(&file)?).stdout(file);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.into(), log_begin })
    }

    /// The number of its process, which is its own as long as nobody waits for its end.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said so far.
    pub fn log(&self) -> Result<String> {
        let all = fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(&all[self.log_begin..]).into_owned())
    }

    /// Waits for something that it is to bring about; there is no use in that once it has ended.
    pub fn wait_until<T>(&mut self, what: &str, time: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
        let waited = wait::until(what, time, || match self.child.try_wait()? {
            None => ask().map(Ok),
            Some(status) => Ok(Err(anyhow::anyhow!("it ended with {status}"))),
        });
        waited.and_then(|answer| answer).with_context(|| format!("{what}; the controller said\n{}", self.shown()))
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "it ended with {status}:\n{}", self.shown());
        Ok(())
    }

    /// SIGTERM: it finishes its current step. Says how it ended.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let ended =
            wait::until("the controller stops", STOP_TIME_MAX, || self.child.try_wait()?.context("it still runs"));
        let status = ended.with_context(|| self.shown())?;
        ensure!(!self.log()?.contains("panicked at"), "it panicked:\n{}", self.shown());
        Ok(status)
    }

    /// SIGHUP: it reads its site again.
    pub fn reload(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the controller had ended with {ended:?}:\n{}", self.shown());
        // Nobody else waits for it, so the number is still its own.
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    fn shown(&self) -> String {
        self.log().unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sandbox;

    /// A stand-in that says what it is told.
    const OBEDIENT: &str =
        "trap 'echo again' HUP; trap 'echo stopped; exit 7' TERM; echo ready; while :; do sleep 0.01; done";

    const SOON: Duration = Duration::from_secs(30);

    fn started(script: &str) -> Result<(Sandbox, Controller)> {
        let sandbox = Sandbox::new("operator")?;
        fs::write(sandbox.path("log"), "of an earlier one\n")?;
        let controller = Controller::start(Command::new("sh").args(["-c", script]), &sandbox.path("log"))?;
        Ok((sandbox, controller))
    }

    fn says(controller: &mut Controller, text: &str) -> Result<()> {
        let log = controller.log.clone();
        controller.wait_until(text, SOON, || {
            ensure!(fs::read_to_string(&log)?.contains(text), "not said");
            Ok(())
        })
    }

    #[test]
    fn a_controller_is_told_to_reload_and_to_stop() -> Result<()> {
        let (_sandbox, mut controller) = started(OBEDIENT)?;
        says(&mut controller, "ready")?;
        controller.reload()?;
        says(&mut controller, "again")?;
        ensure!(controller.log()? == "ready\nagain\n", "{}", controller.log()?);
        ensure!(controller.stop()?.code() == Some(7));
        Ok(())
    }

    #[test]
    fn a_controller_is_killed() -> Result<()> {
        let (_sandbox, mut controller) = started(OBEDIENT)?;
        says(&mut controller, "ready")?;
        controller.kill()
    }

    #[test]
    fn nobody_waits_for_a_controller_that_has_ended() -> Result<()> {
        let (_sandbox, mut controller) = started("echo no site; exit 2")?;
        let refused = controller.wait_until("the moon", SOON, || -> Result<()> { anyhow::bail!("new moon") });
        let text = refused.map_err(|error| format!("{error:#}"));
        ensure!(
            text.as_ref().is_err_and(|text| text.contains("exit status: 2") && text.contains("no site")),
            "{text:?}"
        );
        Ok(())
    }
}
