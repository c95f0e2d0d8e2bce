//! One host of a lab: reached over SSH, looked at from outside, and treated badly.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::Lab;
use super::filesystem::{self, Identity};
use super::machine::Machine;
use super::network::Link;
use super::process::Process;
use crate::program::{self, Outcome};
use crate::wait;

/// A boot takes about five seconds on an idle machine; a busy one with several hosts at once takes many times that.
const UP_TIME_MAX: Duration = Duration::from_secs(180);

/// For an answer over a link that may be dead.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A Debian host.
#[derive(Debug)]
pub struct Host {
    name: String,
    hostname: String,
    address: Ipv4Addr,
    key: PathBuf,
    known_hosts: PathBuf,
    link: Link,
    machine: Machine,
}

impl Host {
    /// Makes a host that is off.
    pub(super) fn prepare(lab: &Lab, number: u8, identity: &Identity, debian: &Path) -> Result<Self> {
        let (lab_name, name) = (lab.record.name(), &identity.name);
        let folder = lab.path(name);
        let root = filesystem::mount(debian, &folder, &format!("strongroom-lab-{lab_name}"))?;
        filesystem::identify(&root, identity)?;
        let link = lab.network.link(number, &format!("strongroom-lab-{lab_name}-{name}"))?;
        Ok(Self {
            name: name.clone(),
            hostname: identity.hostname.clone(),
            address: lab.network.address_of(number),
            key: lab.key(),
            known_hosts: lab.known_hosts(),
            link,
            machine: Machine::new(lab_name, name, root, folder.join("console")),
        })
    }

    /// What the test calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it calls itself: another name, as on many a network.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Where its SSH daemon listens, on port 22.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its root as seen from this machine, whether it is on or off.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.machine.root()
    }

    /// A file of the host, by its absolute path there, as seen from this machine.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Runs a line of shell as root on the host, over SSH with the operator's key. Exit code 255 means that there was no connection, or no longer one.
    pub fn ssh(&self, line: &str) -> Result<Outcome> {
        program::run(self.ssh_command().arg(line))
    }

    /// The same for a line that must succeed; returns what it printed, without the last line's end.
    pub fn ask(&self, line: &str) -> Result<String> {
        Ok(self.ssh(line)?.expect(0)?.stdout.trim_end().to_owned())
    }

    /// `ssh` to this host without a command, for what [`Host::ssh`] cannot do.
    #[must_use]
    pub fn ssh_command(&self) -> Command {
        let mut command = Command::new("ssh");
        let known_hosts = format!("UserKnownHostsFile=\"{}\"", self.known_hosts.display());
        let connect = format!("ConnectTimeout={}", ANSWER_TIME_MAX.as_secs());
        let options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
        ];
        // A connection over a link that is cut ends by itself after fifteen seconds.
        let alive = ["ServerAliveInterval=5", "ServerAliveCountMax=3"];
        command.args(["-F", "none", "-i"]).arg(&self.key);
        for option in options.into_iter().chain(alive).chain([known_hosts.as_str(), connect.as_str()]) {
            command.args(["-o", option]);
        }
        command.arg(format!("root@{}", self.address));
        command
    }

    /// Its boot id: another one after every boot.
    pub fn boot_id(&self) -> Result<String> {
        self.ask("cat /proc/sys/kernel/random/boot_id")
    }

    /// Cuts it off: packets are lost, and neither side is told.
    pub fn cut(&self) -> Result<()> {
        self.link.cut()
    }

    /// Puts it back on the network.
    pub fn join(&self) -> Result<()> {
        self.link.join()
    }

    /// Limits its link to so many bits a second, each way.
    pub fn limit(&self, bits_per_second: u64) -> Result<()> {
        self.link.limit(Some(bits_per_second))
    }

    /// Takes the limit away.
    pub fn unlimit(&self) -> Result<()> {
        self.link.limit(None)
    }

    /// Shuts it down in order, and waits until it is off. Works on a host that is cut off too.
    pub fn power_off(&self) -> Result<()> {
        self.machine.switch_off()
    }

    /// Ends all its processes at once, as when the power fails.
    pub fn power_cut(&self) -> Result<()> {
        self.machine.cut_power()
    }

    /// Switches it on, and waits until it is up.
    pub fn power_on(&self) -> Result<()> {
        self.switch_on()?;
        self.wait_until_up()
    }

    /// Reboots it in order, and waits until it is up again.
    pub fn reboot(&self) -> Result<()> {
        let before = self.boot_id()?;
        // The connection ends with the host, sooner or later than the command.
        self.ssh("systemctl reboot")?.expect_one_of(&[0, 255])?;
        self.while_on("another boot id", || {
            ensure!(self.boot_id()? != before, "it still runs");
            Ok(())
        })?;
        self.wait_until_up()
    }

    /// Whether it is on, or booting.
    pub fn is_on(&self) -> Result<bool> {
        self.machine.is_on()
    }

    /// Kills every SSH connection at the host's end, without a farewell on the line; returns how many processes that were.
    pub fn kill_sshd_sessions(&self) -> Result<usize> {
        self.kill("sshd session", |process| {
            process.words.first().is_some_and(|state| state.starts_with("sshd: ") && !state.contains("[listener]"))
        })
    }

    /// Kills the worker daemon; systemd may start it again.
    pub fn kill_worker(&self) -> Result<usize> {
        self.kill("worker daemon", |process| {
            process.program() == "strongroom-worker" && process.words.get(1).is_some_and(|word| word == "serve")
        })
    }

    /// Kills the processes that are meant; returns how many. There must be one.
    pub fn kill(&self, what: &str, is_meant: impl Fn(&Process) -> bool) -> Result<usize> {
        let mut meant = self.processes()?;
        meant.retain(is_meant);
        ensure!(!meant.is_empty(), "{} runs no {what}", self.name);
        meant.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        Ok(meant.len())
    }

    /// All processes of the host, as this machine sees them.
    pub fn processes(&self) -> Result<Vec<Process>> {
        self.machine.processes()
    }

    /// Waits until systemd has started everything and SSH works; fails if a unit failed.
    pub fn wait_until_up(&self) -> Result<()> {
        self.while_on("its SSH daemon answers", || self.greeting().map(drop))?;
        let state = self.while_on("its systemd is ready", || {
            let said = self.ssh("systemctl is-system-running --wait")?;
            ensure!(said.code != Some(255), "no SSH yet:\n{said}");
            Ok(said.stdout.trim().to_owned())
        })?;
        if state == "running" {
            return Ok(());
        }
        let failed = self.ssh("systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend")?;
        anyhow::bail!("{} is {state}:\n{failed}", self.name)
    }

    pub(super) fn switch_on(&self) -> Result<()> {
        self.machine.switch_on()
    }

    /// Its lines for a `known_hosts` file.
    pub(super) fn known_hosts_line(&self) -> Result<String> {
        let mut lines = String::new();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let key = std::fs::read_to_string(self.file(&format!("/etc/ssh/ssh_host_{kind}_key.pub")))?;
            lines += &format!("{} {key}", self.address);
        }
        Ok(lines)
    }

    /// What its SSH daemon says first.
    fn greeting(&self) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((self.address, 22)), ANSWER_TIME_MAX)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let mut said = [0; 4];
        stream.read_exact(&mut said).context("it says nothing")?;
        ensure!(said == *b"SSH-", "it says {said:?}");
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits for something of a host that is on; one that goes off meanwhile will never do it.
    fn while_on<T>(&self, what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
        let waited = wait::until(what, UP_TIME_MAX, || match self.machine.is_on() {
            Ok(true) => ask().map(Ok),
            Ok(false) => Ok(Err(anyhow::anyhow!("{} went off", self.name))),
            Err(died) => Ok(Err(died)),
        });
        waited.with_context(|| format!("{}, whose console says\n{}", self.name, self.machine.console_end()))?
    }
}
