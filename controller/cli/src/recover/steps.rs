//! The next commands, in order.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_plans::{Reach, S3Credentials};

use super::RecoverArgs;
use super::found::HostFound;
use super::rebuild::Rebuilt;
use crate::failure::{Cause, Doing, Failure};
use crate::own_state::{KEYS, SITE, STATE};
use crate::places;
use crate::shown::shell_word;

/// Something that a person does now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) why: String,
    pub(super) commands: Vec<String>,
}

impl Step {
    fn new(why: impl Into<String>, commands: impl IntoIterator<Item = String>) -> Self {
        Self { why: why.into(), commands: commands.into_iter().collect() }
    }
}

/// What is to be done, the first thing first.
pub(super) fn next(rebuilt: &Rebuilt, hosts: &[HostFound], args: &RecoverArgs) -> Result<Vec<Step>, Failure> {
    let failed = |source| Cause::File { doing: "find", path: args.into.clone(), source };
    let into = std::path::absolute(&args.into).map_err(failed).doing(|| "say what comes next".into())?;
    let word = |name: &str| shell_word(&into.join(name));
    let mut steps = Vec::new();
    let missing = missing_files(rebuilt);
    if !missing.is_empty() {
        let files = missing.iter().map(|path| shell_word(path));
        steps.push(Step::new("bring these files, which the site names and which were never stored:", files));
    }
    let keys = places::keys()?;
    steps.push(Step::new(
        "put the keys where the controller looks for them (those of further repositories come from their own sheets)",
        [format!("install -D -m 600 -t {} {}/*.json", shell_word(&keys), word(KEYS))],
    ));
    let serve = format!("strongroom serve --site {} --state-dir {}", word(SITE), word(STATE));
    steps.push(Step::new(
        "start the controller; what is due is run from now on, hosts' jobs that go on are taken up",
        [serve],
    ));
    steps.push(Step::new(
        "look: hosts that are still there come back by themselves, by the keys in known-hosts",
        ["strongroom status".into(), "strongroom host list".into()],
    ));
    steps.push(lost_hosts(hosts, &into));
    Ok(steps)
}

/// A host that was made anew has another key, which a person confirms, and then what it had.
fn lost_hosts(hosts: &[HostFound], into: &Path) -> Step {
    let site = shell_word(&into.join(SITE));
    let commands = hosts.iter().flat_map(|found| {
        let HostFound { host, address, jump, .. } = found;
        let jump = jump.as_ref().map(|jump| format!(" --jump {jump}")).unwrap_or_default();
        let enrol = format!("strongroom host add {host} {address} --site {site}{jump}");
        let restore = format!(
            "strongroom restore latest@{host} --on {host} --target /srv/restored --reason 'the machine was lost' --dry-run"
        );
        let restore = found.newest.map(|_| restore);
        [Some(enrol), restore].into_iter().flatten()
    });
    let why = "only for hosts that are lost, too, in this order: install Debian, confirm the new host key, look, then restore without --dry-run";
    Step::new(why, commands)
}

/// Files elsewhere by which stores are reached, as far as they are not on this machine.
fn missing_files(rebuilt: &Rebuilt) -> Vec<PathBuf> {
    let specs = rebuilt.site.site.repositories().values();
    let named = specs.flat_map(|spec| match spec.reach() {
        Reach::Folder => Vec::new(),
        Reach::S3(s3) => {
            let credentials = match &s3.credentials {
                Some(S3Credentials::File { path, .. }) => Some(path),
                Some(S3Credentials::Command(_)) | None => None,
            };
            [s3.ca.as_ref(), credentials].into_iter().flatten().collect()
        }
        Reach::Sftp(sftp) => [sftp.ssh_key.as_ref(), sftp.known_hosts.as_ref()].into_iter().flatten().collect(),
    });
    let mut missing: Vec<PathBuf> = named.map(|path| path.as_path().to_owned()).filter(|path| !path.exists()).collect();
    missing.sort();
    missing.dedup();
    missing
}
