//! `strongroom host`: hosts become part of a site, and leave it.

mod add;
mod facts;
mod inventory;
mod jump;
mod list;
mod remove;
mod upgrade;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use strongroom_controller::install::{Admin, Done, InstallError, Notice, Plan, Program, carry_out};
use strongroom_controller::ssh::target::CONNECT_TIMEOUT;
use strongroom_controller::ssh::{HostKeys, Identity, Target, connect};
use strongroom_plans::Name;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::ControllerArgs;

/// Add, list, show, upgrade or remove hosts
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    Add(add::AddArgs),
    List(list::ListArgs),
    Show(facts::ShowArgs),
    Facts(facts::FactsArgs),
    Upgrade(upgrade::UpgradeArgs),
    Remove(remove::RemoveArgs),
}

impl HostCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Add(args) => add::run(args, context),
            Self::List(args) => list::run(args, context),
            Self::Show(args) => facts::show(args, context),
            Self::Facts(args) => facts::facts(args, context),
            Self::Upgrade(args) => upgrade::run(args, context),
            Self::Remove(args) => remove::run(args, context),
        }
    }
}

/// How an administrator logs in. The controller's own login can do nothing but reach the worker.
#[derive(Debug, Args)]
struct AdminArgs {
    /// Who logs in to set the host up: root, or a user with sudo without a password
    #[arg(long, value_name = "USER", default_value = "root")]
    user: String,

    /// The port of the host's sshd
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    port: u16,

    /// The administrator's private key [default: the SSH agent's keys]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// The host of the site through which this one is reached, with the controller's key
    #[arg(long, value_name = "NAME", requires = "site")]
    jump: Option<Name>,
}

impl AdminArgs {
    /// The administrator's way to a host.
    fn target(&self, address: &str, known_hosts: HostKeys, jump: Option<Box<Target>>) -> Result<Target, Failure> {
        Ok(Target {
            address: address.to_owned(),
            port: self.port,
            user: self.user.clone(),
            identities: self.identities()?,
            known_hosts,
            jump,
            connect_timeout: CONNECT_TIMEOUT,
        })
    }

    fn identities(&self) -> Result<Vec<Identity>, Failure> {
        match (&self.identity, std::env::var_os("SSH_AUTH_SOCK")) {
            (Some(path), _) => {
                let identity = Identity::from_file(path, None);
                Ok(vec![identity.doing(|| "read the administrator's key".into())?])
            }
            (None, Some(socket)) => Ok(vec![Identity::Agent(socket.into())]),
            (None, None) => {
                let why = Cause::Usage("no key was given, and there is no SSH agent".into());
                Err(Failure::new("log in as an administrator", why).advise("give --identity FILE, or start an agent"))
            }
        }
    }
}

/// What `host add` and `host upgrade` have in common.
#[derive(Debug, Args)]
struct InstallArgs {
    /// The worker's program [default: strongroom-worker beside this program]
    #[arg(long, value_name = "FILE")]
    worker: Option<PathBuf>,

    #[command(flatten)]
    admin: AdminArgs,

    /// Only show the steps
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl InstallArgs {
    /// What is installed.
    fn program(&self, context: &Context) -> Result<Program, Failure> {
        let beside = || std::env::current_exe().map(|own| own.with_file_name("strongroom-worker"));
        let path = self.worker.clone().map_or_else(beside, Ok);
        let path = path.map_err(|source| Cause::File { doing: "find", path: "strongroom".into(), source });
        let path = path.doing(|| "find the worker's program".into())?;
        let read = context.wait("read the worker's program", Program::read(&path));
        read.map_err(|failure| {
            failure.advise("build it with `cargo build --release`, or say where it is with --worker FILE")
        })
    }
}

/// Does a plan's steps on a host, and says which.
fn carry(plan: &Plan, admin: &Target, context: &Context) -> Result<(), Failure> {
    let what = format!("set up {}", admin.place());
    context.wait(&what, async {
        let connection = connect(admin).await?;
        let admin = Admin::new(connection, &admin.user).await?;
        carry_out(plan, &admin, &mut |notice| tell(&notice, context)).await
    })
}

fn tell(notice: &Notice, context: &Context) {
    match notice {
        Notice::Beginning { number, of, title } => context.say(&format!("step {number} of {of}: {title}")),
        Notice::Ended { done: Done::AlreadySo, .. } => context.say("  it is so already"),
        Notice::Ended { done: Done::Made, .. } => {}
        Notice::Ended { done: Done::Proven(attempts), .. } => {
            attempts.iter().for_each(|attempt| context.say(&format!("  {attempt}")));
        }
    }
}

impl From<InstallError> for Cause {
    fn from(error: InstallError) -> Self {
        Self::Program(Box::new(error))
    }
}
