//! Does what a plan says, over an administrator's connection.

use std::time::Duration;

use tokio::fs::File;
use tokio::time::timeout;

use super::error::InstallError;
use super::plan::{Action, Plan, Step};
use super::program::Program;
use super::proof::{self, Attempt};
use super::scripts::{self, Script};
use crate::links::Purpose;
use crate::ssh::quoting::quoted;
use crate::ssh::{Connection, SshError, Target, connect, known_hosts};

/// A restart may wait out the old daemon's stop (90 s) and the new one's start (60 s).
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(240);
/// Sockets that every Debian with systemd has and that any user may connect to. A key that could reach one of them could reach others.
const OPEN_SOCKETS: [&str; 3] =
    ["/run/systemd/journal/stdout", "/run/dbus/system_bus_socket", "/run/systemd/journal/socket"];

/// A login that may act as root.
#[derive(Clone)]
pub struct Admin {
    connection: Connection,
    /// Runs a script from its standard input, as root.
    shell: &'static str,
}

/// What is told while a plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A step begins.
    Beginning {
        /// From 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// The step.
        title: String,
    },
    /// It is over.
    Ended {
        /// From 1.
        number: usize,
        /// With what.
        done: Done,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// There was nothing to do.
    AlreadySo,
    /// It was done, and looked at afterwards.
    Made,
    /// All this was tried with the controller's key, and refused.
    Proven(Vec<Attempt>),
}

impl Admin {
    /// Finds out how this login acts as root.
    pub async fn new(connection: Connection, user: &str) -> Result<Self, InstallError> {
        let identity = connection.run("id -u", b"").await?;
        if identity.success() && identity.stdout.trim_ascii() == b"0" {
            return Ok(Self { connection, shell: "sh -s" });
        }
        let sudo = connection.run("sudo -n true", b"").await?;
        match sudo.success() {
            true => Ok(Self { connection, shell: "sudo -n sh -s" }),
            false => Err(InstallError::NotAdmin {
                place: connection.place().to_owned(),
                user: user.to_owned(),
                complaint: sudo.complaint(),
            }),
        }
    }
}

/// Does the steps in their order and ends with the first that fails. What was done until then stays, and is found done next time.
pub async fn carry_out(plan: &Plan, admin: &Admin, tell: &mut (dyn FnMut(Notice) + Send)) -> Result<(), InstallError> {
    let of = plan.steps.len();
    for (at, step) in plan.steps.iter().enumerate() {
        let number = at + 1;
        tell(Notice::Beginning { number, of, title: step.title.clone() });
        let done = admin.carry_out(step).await?;
        tell(Notice::Ended { number, done });
    }
    Ok(())
}

impl Admin {
    async fn carry_out(&self, step: &Step) -> Result<Done, InstallError> {
        match &step.action {
            Action::Require(script) => self.make(step, script).await.map(|()| Done::AlreadySo),
            Action::Ensure { check, make } => self.ensure(step, check, self.make(step, make)).await,
            Action::Program { check, program } => self.ensure(step, check, self.upload(step, program)).await,
            Action::Prove(worker) => self.prove(step, worker).await,
            Action::Greet(worker) => greet(worker).await,
            Action::Record { known_hosts, address, port, keys } => {
                let changed = known_hosts::record(known_hosts, address, *port, keys).await?;
                Ok(if changed { Done::Made } else { Done::AlreadySo })
            }
            Action::Forget { known_hosts, address, port } => {
                let changed = known_hosts::forget(known_hosts, address, *port).await?;
                Ok(if changed { Done::Made } else { Done::AlreadySo })
            }
        }
    }

    async fn ensure(
        &self,
        step: &Step,
        check: &Script,
        make: impl Future<Output = Result<(), InstallError>>,
    ) -> Result<Done, InstallError> {
        if self.run(step, check).await?.is_ok() {
            return Ok(Done::AlreadySo);
        }
        make.await?;
        match self.run(step, check).await? {
            Ok(_) => Ok(Done::Made),
            Err(_) => Err(InstallError::NotSo { place: self.place(), step: step.title.clone() }),
        }
    }

    async fn make(&self, step: &Step, script: &Script) -> Result<(), InstallError> {
        let failed = |complaint| InstallError::Step { place: self.place(), step: step.title.clone(), complaint };
        self.run(step, script).await?.map(|_| ()).map_err(failed)
    }

    /// Uploads as whoever logs in, into a folder that nobody else can write, and installs as root.
    async fn upload(&self, step: &Step, program: &Program) -> Result<(), InstallError> {
        let failed = |complaint| InstallError::Step { place: self.place(), step: step.title.clone(), complaint };
        let made = self.connection.run("mktemp -d", b"").await?;
        let folder = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        if !made.success() || !folder.starts_with('/') {
            return Err(failed(made.complaint()));
        }
        let result = self.install_from(step, program, &format!("{folder}/strongroom-worker")).await;
        // What is left of a lost connection lies in the host's folder for temporary files.
        let _ = self.connection.run(&format!("rm -rf {}", quoted(&folder)), b"").await;
        result
    }

    async fn install_from(&self, step: &Step, program: &Program, uploaded: &str) -> Result<(), InstallError> {
        let source = |source| InstallError::Program { path: program.path.clone(), source };
        let file = File::open(&program.path).await.map_err(source)?;
        self.connection.upload(file, uploaded, 0o600).await?;
        self.make(step, &scripts::program(uploaded, &program.sha256)).await
    }

    async fn prove(&self, step: &Step, worker: &Target) -> Result<Done, InstallError> {
        let sockets = self.run(step, &scripts::open_sockets(&OPEN_SOCKETS)).await?;
        let sockets = sockets.unwrap_or_default();
        let sockets: Vec<&str> = sockets.lines().collect();
        let attempts = proof::prove(worker, &sockets).await?;
        match attempts.iter().all(|attempt| attempt.outcome.refused()) {
            true => Ok(Done::Proven(attempts)),
            false => {
                // The proof's own failure is what counts.
                let _ = self.run(step, &scripts::proof_sockets_gone()).await;
                Err(InstallError::Unrestricted { place: self.place(), attempts })
            }
        }
    }

    /// What the script printed, or its complaint if it did not end with 0.
    async fn run(&self, step: &Step, script: &Script) -> Result<Result<String, String>, InstallError> {
        let text = script.text();
        let run = timeout(SCRIPT_TIMEOUT, self.connection.run(self.shell, text.as_bytes())).await;
        let timed_out = |_| InstallError::TimedOut {
            place: self.place(),
            step: step.title.clone(),
            seconds: SCRIPT_TIMEOUT.as_secs(),
        };
        let finished = run.map_err(timed_out)??;
        Ok(match finished.success() {
            true => Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
            false => Err(finished.complaint()),
        })
    }

    fn place(&self) -> String {
        self.connection.place().to_owned()
    }
}

/// What the controller will do each time.
async fn greet(worker: &Target) -> Result<Done, InstallError> {
    let connection = connect(worker).await?;
    let greeted: Result<_, SshError> = connection.open(Purpose::Control.command()).await;
    drop(greeted?);
    connection.close().await;
    Ok(Done::AlreadySo)
}
