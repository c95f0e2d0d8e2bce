//! The lab: Debian hosts with systemd and sshd, booted side by side on this machine in seconds, to be cut off, rebooted, switched off and killed.
//!
//! A host is a Debian root under `systemd-nspawn`, in a network namespace of its own behind a bridge. What is under test runs on the machine itself and
//! reaches the hosts through the bridge; a host reaches the machine at [`Lab::address`], and the other hosts, but not the internet.
//!
//! What is real: systemd as process 1 with real units, logind and an SSH daemon; a machine id and SSH host keys that no other host has, a boot id that
//! changes with each boot; links that go dead, so that connections hang rather than close; a shutdown that units can delay. What is not:
//! - The kernel, its clock and its page cache are the machine's. A host that is killed loses its processes, not what it wrote without a flush.
//! - A host sees no block devices and loads no modules; `/sys` is read-only. Limits of CPU and I/O of a unit are accepted and without effect where the
//!   machine's controllers belong to control groups of version 1. Bandwidth is limited from outside ([`Host::limit`]); the kernel's delays and losses
//!   (`netem`) are not used, since many kernels have them not.
//! - The root is an overlay over one cached Debian root (`tests/lab root`): a host costs the disk what it changes. From outside it is [`Host::root`], all but
//!   `/tmp`, `/run`, `/dev`, `/proc` and `/sys`, which are in memory.
//!
//! Whatever a lab has on the machine bears its name, and its record is locked as long as this process lives, so `tests/lab` takes down also the labs of
//! tests that were killed; dropping a [`Lab`] runs the same script. Labs do not meet: each has a bridge, addresses and control groups of its own.

mod filesystem;
mod host;
mod machine;
mod network;
mod process;
mod record;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::Sandbox;
use crate::program::tool;

pub use host::Host;
pub use process::Process;

use filesystem::Identity;
use network::Network;
use record::Record;

/// Names the Debian root; `tests/lab root` makes it and prints this.
const ROOT: &str = "STRONGROOM_LAB_ROOT";

/// Says why this machine can have no lab, if it is known.
const OBSTACLE: &str = "STRONGROOM_LAB_OBSTACLE";

/// The script that runs hosts and takes labs down.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab");

/// Hosts that are up, until it is dropped. The fields go in this order: the files last, when nothing uses them any more.
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<Host>,
    network: Network,
    record: Record,
    sandbox: Sandbox,
}

impl Lab {
    /// Boots a host for each of these names, all at once, and waits until each is up: systemd has reached its target without a failed unit, and SSH answers.
    pub fn start(names: &[&str]) -> Result<Self> {
        let debian = PathBuf::from(std::env::var_os(ROOT).with_context(|| format!("{ROOT} is not set"))?);
        let sandbox = Sandbox::new("lab")?;
        make_key(&sandbox.path("admin-key"))?;
        let (record, network) = Record::begin(Network::create)?;
        // From here on, whatever fails is taken down by the drop.
        let mut lab = Self { hosts: Vec::new(), network, record, sandbox };
        lab.prepare(names, &debian)?;
        for host in &lab.hosts {
            host.switch_on()?;
        }
        for host in &lab.hosts {
            host.wait_until_up().with_context(|| format!("boot {}", host.name()))?;
        }
        Ok(lab)
    }

    /// What everything of this lab on the machine has in its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.record.name()
    }

    /// The host of this name.
    ///
    /// # Panics
    /// There must be one: a test names the hosts that it started.
    #[must_use]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name() == name).unwrap_or_else(|| panic!("the lab has no host {name}"))
    }

    /// All hosts, in the order in which they were named.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The machine's own address on the bridge: where hosts find what runs on it.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.network.address()
    }

    /// The private SSH key that opens `root` on every host: the operator's own, for setting up.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.sandbox.path("admin-key")
    }

    /// An OpenSSH `known_hosts` file with the true host keys of all hosts.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.sandbox.path("known_hosts")
    }

    /// A path in a folder that goes with the lab.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// Gives each host a root with an identity, and a link. Side by side, since making host keys takes a second.
    fn prepare(&mut self, names: &[&str], debian: &Path) -> Result<()> {
        let identities = self.identities(names)?;
        let this = &*self;
        let hosts = std::thread::scope(|scope| {
            let work: Vec<_> = (1..)
                .zip(&identities)
                .map(|(number, identity)| scope.spawn(move || Host::prepare(this, number, identity, debian)))
                .collect();
            work.into_iter().map(|work| work.join().expect("it does not panic")).collect::<Result<Vec<_>>>()
        })?;
        std::fs::write(self.known_hosts(), hosts.iter().map(Host::known_hosts_line).collect::<Result<String>>()?)?;
        self.hosts = hosts;
        Ok(())
    }

    fn identities(&self, names: &[&str]) -> Result<Vec<Identity>> {
        let authorized = std::fs::read_to_string(self.key().with_extension("pub"))?;
        let hostname = |name: &str| format!("{name}-{}", self.record.name());
        let mut neighbours = format!("127.0.0.1 localhost\n{} controller\n", self.address());
        for (number, name) in (1..).zip(names) {
            neighbours += &format!("{} {} {name}\n", self.network.address_of(number), hostname(name));
        }
        let identity = |name: &&str| Identity {
            name: (*name).to_owned(),
            hostname: hostname(name),
            hosts_file: neighbours.clone(),
            authorized_keys: authorized.clone(),
        };
        Ok(names.iter().map(identity).collect())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let done = tool(Command::new(SCRIPT).args(["down", self.record.name()]));
        // Loud, but not instead of what went wrong before.
        assert!(done.is_ok() || std::thread::panicking(), "a lab cannot be taken down: {done:?}");
    }
}

/// Why no lab can be started here, if so.
#[must_use]
pub fn obstacle() -> Option<String> {
    if let Ok(known) = std::env::var(OBSTACLE) {
        return Some(known);
    }
    std::env::var_os(ROOT).is_none().then(|| format!("{ROOT} is not set: `tests/run` and `tests/lab root` know it"))
}

fn make_key(path: &Path) -> Result<()> {
    let mut command = Command::new("ssh-keygen");
    tool(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f"]).arg(path)).map(|_| ())
}
