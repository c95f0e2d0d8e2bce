//! What would be done to a host, as a list that can be printed. Pure: whoever shows it shows what the executor gets.

use std::fmt;
use std::path::PathBuf;

use super::program::Program;
use super::scripts::{self, FORCED_COMMAND, Script, WORKER_USER};
use crate::ssh::{ControllerKey, HostKeys, PublicKey, ShownKey, Target};

/// What a new host needs.
#[derive(Debug, Clone)]
pub struct AddOrder {
    /// How the host is reached: `user` and `identities` are an administrator's here, and are not used for the controller's own login.
    pub host: Target,
    /// The host keys that a person has confirmed; the only ones that the proof accepts, and what is recorded at the end.
    pub host_keys: Vec<PublicKey>,
    /// The controller's own key: its restriction is proven by trying it.
    pub key: ControllerKey,
    /// The controller's `known_hosts`.
    pub known_hosts: PathBuf,
    /// The worker's program.
    pub program: Program,
}

/// What a newer worker needs.
#[derive(Debug, Clone)]
pub struct UpgradeOrder {
    /// How the controller itself reaches the host.
    pub worker: Target,
    /// The worker's program.
    pub program: Program,
}

/// What the end of a host's backups needs.
#[derive(Debug, Clone)]
pub struct RemoveOrder {
    /// As in `known_hosts`.
    pub address: String,
    /// As in `known_hosts`.
    pub port: u16,
    /// The controller's `known_hosts`.
    pub known_hosts: PathBuf,
    /// What becomes of what the worker remembers.
    pub state: State,
}

/// What a worker remembers on its host: its ledger, its keys, its caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It stays, for a worker that comes again.
    Keep,
    /// It goes.
    Purge,
}

/// Steps in their order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Host and port.
    pub place: String,
    /// What is done.
    pub steps: Vec<Step>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Step {
    /// As an order: "make the account strongroom".
    pub title: String,
    /// What is done for it.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Looks whether this holds, and ends everything if not.
    Require(Script),
    /// Looks whether this holds, brings it about if not, and looks again.
    Ensure {
        /// The look.
        check: Script,
        /// The deed.
        make: Script,
    },
    /// The same for the program, which is uploaded first.
    Program {
        /// The look.
        check: Script,
        /// The file.
        program: Program,
    },
    /// Tries what the controller's key must not be able to do, with this login.
    Prove(Box<Target>),
    /// Logs in as the controller and waits for the worker's greeting.
    Greet(Box<Target>),
    /// Writes the host's keys into the controller's `known_hosts`.
    Record {
        /// The file.
        known_hosts: PathBuf,
        /// The host.
        address: String,
        /// Its port.
        port: u16,
        /// Its keys.
        keys: Vec<PublicKey>,
    },
    /// Takes them out.
    Forget {
        /// The file.
        known_hosts: PathBuf,
        /// The host.
        address: String,
        /// Its port.
        port: u16,
    },
}

/// The steps that give a host its worker, or repair it.
#[must_use]
pub fn add(order: &AddOrder) -> Plan {
    let worker = Box::new(Target {
        user: WORKER_USER.to_owned(),
        identities: vec![order.key.identity()],
        known_hosts: HostKeys::Confirmed(order.host_keys.clone()),
        ..order.host.clone()
    });
    let steps = vec![
        requirements(&order.program),
        step(
            format!("make the account {WORKER_USER}, which the controller logs in as"),
            Action::Ensure { check: scripts::account_check(), make: scripts::account() },
        ),
        program(&order.program),
        unit(),
        step(
            format!("let the controller's key {} start `{FORCED_COMMAND}` and nothing else", order.key.fingerprint()),
            Action::Ensure {
                check: scripts::key_check(order.key.public_line()),
                make: scripts::key(order.key.public_line()),
            },
        ),
        step("prove that the controller's key can do nothing else", Action::Prove(worker.clone())),
        step("hear the worker's greeting", Action::Greet(worker)),
        step(
            format!("record {} in {}", listed(&order.host_keys), order.known_hosts.display()),
            Action::Record {
                known_hosts: order.known_hosts.clone(),
                address: order.host.address.clone(),
                port: order.host.port,
                keys: order.host_keys.clone(),
            },
        ),
    ];
    Plan { place: order.host.place(), steps }
}

/// The steps that give a host another worker.
#[must_use]
pub fn upgrade(order: &UpgradeOrder) -> Plan {
    let steps = vec![
        requirements(&order.program),
        program(&order.program),
        unit(),
        step("hear the worker's greeting", Action::Greet(Box::new(order.worker.clone()))),
    ];
    Plan { place: order.worker.place(), steps }
}

/// The steps that rid a host of its worker. What it stored in repositories is not touched.
#[must_use]
pub fn remove(order: &RemoveOrder) -> Plan {
    let mut steps = vec![
        step(
            "stop the worker and remove its unit",
            Action::Ensure { check: scripts::unit_gone_check(), make: scripts::unit_gone() },
        ),
        step(
            "remove the worker's program",
            Action::Ensure { check: scripts::program_gone_check(), make: scripts::program_gone() },
        ),
        step(
            format!("remove the controller's key and the account {WORKER_USER}"),
            Action::Ensure { check: scripts::account_gone_check(), make: scripts::account_gone() },
        ),
    ];
    if order.state == State::Purge {
        steps.push(step(
            "delete what the worker remembers",
            Action::Ensure { check: scripts::state_gone_check(), make: scripts::state_gone() },
        ));
    }
    steps.push(step(
        format!("forget the host keys in {}", order.known_hosts.display()),
        Action::Forget { known_hosts: order.known_hosts.clone(), address: order.address.clone(), port: order.port },
    ));
    Plan { place: crate::ssh::target::place(&order.address, order.port), steps }
}

fn requirements(program: &Program) -> Step {
    step(
        format!("see that the host is a Linux of {} with systemd", program.machine),
        Action::Require(scripts::requirements(program.machine)),
    )
}

fn program(program: &Program) -> Step {
    step(
        format!("copy the worker's program ({} bytes, SHA-256 {})", program.bytes, program.sha256),
        Action::Program { check: scripts::program_check(&program.sha256), program: program.clone() },
    )
}

fn unit() -> Step {
    step("start the worker as a systemd unit", Action::Ensure { check: scripts::unit_check(), make: scripts::unit() })
}

fn step(title: impl Into<String>, action: Action) -> Step {
    Step { title: title.into(), action }
}

fn listed(keys: &[PublicKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| ShownKey::of(key).to_string()).collect();
    keys.join(", ")
}

/// The titles, numbered; in the alternate form also what is asked of the host, as it will be.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(out, "{}. {}", at + 1, step.title)?;
            if out.alternate() {
                step.action.write_scripts(out)?;
            }
        }
        Ok(())
    }
}

impl Action {
    fn write_scripts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Require(script) => write_script(out, "look", script),
            Self::Ensure { check, make } => {
                write_script(out, "look", check)?;
                write_script(out, "if not so", make)
            }
            Self::Program { check, program } => {
                write_script(out, "look", check)?;
                write_script(out, "if not so", &scripts::program("UPLOADED", &program.sha256))
            }
            Self::Prove(_) | Self::Greet(_) | Self::Record { .. } | Self::Forget { .. } => Ok(()),
        }
    }
}

fn write_script(out: &mut fmt::Formatter<'_>, what: &str, script: &Script) -> fmt::Result {
    writeln!(out, "   {what}:")?;
    for line in script.to_string().lines() {
        writeln!(out, "     {line}")?;
    }
    Ok(())
}
