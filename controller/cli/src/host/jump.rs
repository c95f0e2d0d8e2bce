//! The jump host of a host that is reached through another one of the site.

use std::collections::BTreeMap;
use std::path::Path;

use strongroom_controller::dialer::Roads;
use strongroom_controller::ssh::{ControllerKey, SshError, Target, ensure_key};
use strongroom_plans::{Host, Name, Site};

use super::AdminArgs;
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::serve::{KNOWN_HOSTS, SSH_KEY};
use crate::site_directory;

/// The way to the jump host, as the controller itself will take it: what it cannot pass now, no run could pass later. `what` completes "cannot …".
pub(super) fn way(
    site: Option<&Path>,
    admin: &AdminArgs,
    context: &Context,
    what: &str,
) -> Result<Option<Box<Target>>, Failure> {
    let (Some(site), Some(jump)) = (site, &admin.jump) else { return Ok(None) };
    let hosts = hosts(site, what)?;
    if !hosts.contains_key(jump) {
        return Err(Failure::new(what, Cause::Absent(format!("the site has no host {jump} to jump from")))
            .advise(format!("add it first: strongroom host add {jump} ADDRESS --site {}", site.display())));
    }
    let state = context.state_dir()?;
    let key = context.wait(what, ensure_key(&state.join(SSH_KEY)))?;
    let known_hosts = state.join(KNOWN_HOSTS);
    let roads = Roads { hosts: &hosts, identity: &key.identity(), known_hosts: &known_hosts };
    roads.through(Some(jump)).map_err(|unknown| Cause::Absent(unknown.why)).doing(|| what.into())
}

/// Refuses a jump host that the inventory would not have for this host: one behind it, or another one than it says already.
pub(super) fn check(site: &Path, name: &Name, jump: &Name, what: &str) -> Result<(), Failure> {
    let hosts = hosts(site, what)?;
    let refuse = |why: String, next: &str| Err(Failure::new(what, Cause::Usage(why)).advise(next));
    if on_the_way(&hosts, jump).any(|host| host == name) {
        return refuse(format!("{jump} is itself reached through {name}"), "name a host that is reached without it");
    }
    match hosts.get(name).map(Host::jump) {
        Some(Some(said)) if said == jump => Ok(()),
        Some(Some(said)) => refuse(format!("hosts.yaml has {name} behind {said}"), "correct one of the two"),
        Some(None) => refuse(format!("hosts.yaml has {name} without a jump host"), "write `jump:` there"),
        None => Ok(()),
    }
}

/// What to do about a jump host that does not let the controller pass, which only its operator can.
pub(super) fn advice(error: &SshError, key: &ControllerKey) -> Option<String> {
    match error {
        SshError::Jump { source, .. } if matches!(**source, SshError::Jump { .. } | SshError::RefusedBehind { .. }) => {
            advice(source, key)
        }
        SshError::Jump { source, .. } if !matches!(**source, SshError::LoginRefused { .. }) => None,
        SshError::Jump { jump, .. } | SshError::RefusedBehind { jump, .. } => Some(format!(
            "on {jump}, write this line into the authorized_keys of its `jump-user` (strongroom-jump if hosts.yaml does not say):\n\
             restrict,port-forwarding {} strongroom",
            key.public_line()
        )),
        _ => None,
    }
}

fn hosts(site: &Path, what: &str) -> Result<BTreeMap<Name, Host>, Failure> {
    Site::read_hosts(&site_directory::read(site, what)?).doing(|| what.into())
}

/// A host, the one that it is reached through, and so on.
fn on_the_way<'a>(hosts: &'a BTreeMap<Name, Host>, first: &'a Name) -> impl Iterator<Item = &'a Name> {
    std::iter::successors(Some(first), |name| hosts.get(*name).and_then(Host::jump))
}
