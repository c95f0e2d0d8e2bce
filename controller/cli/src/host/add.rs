//! `strongroom host add`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_controller::install::{self, AddOrder, Plan};
use strongroom_controller::ssh::target::CONNECT_TIMEOUT;
use strongroom_controller::ssh::{ControllerKey, HostKeys, PublicKey, ShownKey, SshError, Target, ensure_key, scan};

use super::inventory::{self, NewHost};
use super::{InstallArgs, carry, facts, jump};
use crate::access::create_private;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::serve::{KNOWN_HOSTS, SSH_KEY};

/// Install the worker on a host and add it to the site
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the host's key first, to be compared with the host's own (`ssh-keygen -lf \
/etc/ssh/ssh_host_ed25519_key.pub` there). Then it copies the worker, starts it as a systemd unit, \
lets the controller's key reach it and nothing else, and tries that nothing else is possible. Doing \
it again repairs what is not as it should be.

Examples:
  strongroom host add web1 10.0.0.5 --site /etc/strongroom
  strongroom host add web1 10.0.0.5 --site /etc/strongroom --label role=web --user admin --dry-run
  strongroom host add web1 10.0.0.5 --site /etc/strongroom --fingerprint SHA256:e3b0c44298fc1c149af…
  strongroom host add db1 10.1.0.7 --site /etc/strongroom --jump gate")]
pub(crate) struct AddArgs {
    /// What the host is called in the site
    #[arg(value_name = "NAME")]
    name: strongroom_plans::Name,

    /// Its IP address, or its name in the DNS
    #[arg(value_name = "ADDRESS")]
    address: String,

    /// The site's directory
    #[arg(long, value_name = "DIR")]
    site: PathBuf,

    /// A label by which plans choose the host; may be given more than once
    #[arg(long = "label", value_name = "LABEL=VALUE", value_parser = parse_label)]
    labels: Vec<(strongroom_plans::Name, strongroom_plans::Name)>,

    /// The fingerprint that one of the host's keys must have; without it, it is asked on the terminal
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<String>,

    #[command(flatten)]
    install: InstallArgs,
}

fn parse_label(text: &str) -> Result<(strongroom_plans::Name, strongroom_plans::Name), String> {
    let (key, value) = text.split_once('=').ok_or("write LABEL=VALUE")?;
    let name = |text: &str| text.parse().map_err(|refusal: strongroom_plans::Refusal| refusal.to_string());
    Ok((name(key)?, name(value)?))
}

pub(super) fn run(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("add the host {}", args.name);
    let state = context.state_dir()?;
    create_private(&state).doing(what)?;
    let program = args.install.program(context)?;
    let key = context.wait(&what(), ensure_key(&state.join(SSH_KEY)))?;
    if let Some(jump) = &args.install.admin.jump {
        jump::check(&args.site, &args.name, jump, &what())?;
    }
    let way = jump::way(Some(&args.site), &args.install.admin, context, &what())?;
    let host_keys = confirmed(args, shown(args, way.as_deref(), &key, context)?, context)?;
    let host = args.install.admin.target(&args.address, HostKeys::Confirmed(host_keys.clone()), way)?;
    let known_hosts = state.join(KNOWN_HOSTS);
    let plan = install::add(&AddOrder { host: host.clone(), host_keys, key, known_hosts, program });
    if args.install.dry_run {
        context.output.answer(&Steps::new(&plan))?;
        return Ok(Exit::Success);
    }
    carry(&plan, &host, context)?;
    let new = NewHost {
        name: &args.name,
        address: &args.address,
        port: args.install.admin.port,
        jump: args.install.admin.jump.as_ref(),
        labels: &args.labels,
    };
    let file = inventory::add(&args.site, &new).doing(what)?;
    let reloaded = args.install.controller.try_reload(context);
    if reloaded {
        facts::try_refresh(args.name.as_str(), &args.install.controller, context);
    }
    context.output.answer(&Added {
        host: args.name.to_string(),
        address: args.address.clone(),
        inventory: file,
        reloaded,
    })?;
    Ok(Exit::Success)
}

/// The keys that the host shows, also from behind its jump host.
fn shown(
    args: &AddArgs,
    way: Option<&Target>,
    key: &ControllerKey,
    context: &Context,
) -> Result<Vec<PublicKey>, Failure> {
    let what = format!("see the host keys of {}", args.address);
    let scanning =
        async { Ok::<_, SshError>(scan(&args.address, args.install.admin.port, way, CONNECT_TIMEOUT).await) };
    context.wait(&what, scanning)?.map_err(|error| {
        let advice = jump::advice(&error, key);
        let failure = Failure::new(what, error);
        advice.into_iter().fold(failure, Failure::advise)
    })
}

/// The host's keys, once a person has said that they are the host's.
fn confirmed(args: &AddArgs, keys: Vec<PublicKey>, context: &Context) -> Result<Vec<PublicKey>, Failure> {
    let shown: Vec<ShownKey> = keys.iter().map(ShownKey::of).collect();
    let listed = || shown.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let refuse = |why: String| Failure::new(format!("trust the host at {}", args.address), Cause::Key(why));
    if let Some(fingerprint) = &args.fingerprint {
        return match shown.iter().any(|key| key.fingerprint == *fingerprint) {
            true => Ok(keys),
            false => Err(refuse(format!("it shows {}, and none of them is {fingerprint}", listed()))
                .advise("compare with the host itself: somebody may stand between")),
        };
    }
    context.say(&format!("{} shows {}", args.address, listed()));
    if args.install.dry_run {
        return Ok(keys);
    }
    match confirm::confirmed("is that the host's own?") {
        Some(true) => Ok(keys),
        Some(false) => Err(refuse("its key was not confirmed".into())),
        None => Err(refuse("nobody is there to confirm its key".into())
            .advise("compare it with the host's own, then give --fingerprint SHA256:…")),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Steps {
    dry_run: bool,
    host: String,
    steps: Vec<String>,
}

impl Steps {
    pub(super) fn new(plan: &Plan) -> Self {
        let steps = plan.steps.iter().map(|step| step.title.clone()).collect();
        Self { dry_run: true, host: plan.place.clone(), steps }
    }
}

impl Answer for Steps {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "on {}, this would", self.host)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(out, "  {}. {step}", at + 1)?;
        }
        writeln!(out, "nothing was done")
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Added {
    host: String,
    address: String,
    /// Where it stands in the site.
    inventory: PathBuf,
    /// Whether a running controller knows it.
    reloaded: bool,
}

impl Answer for Added {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} ({}) has its worker, and stands in {}", self.host, self.address, self.inventory.display())?;
        match self.reloaded {
            true => writeln!(out, "the controller knows it; next: strongroom run PLAN --host {} --watch", self.host),
            false => {
                writeln!(out, "next: strongroom serve --site DIR, or strongroom site load where a controller runs")
            }
        }
    }
}
