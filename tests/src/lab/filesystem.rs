//! A host's root: an overlay over the cached Debian root, and in it what makes the host this one and no other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rand::RngExt;

use crate::program::tool;

/// What makes a host this one.
#[derive(Debug)]
pub(super) struct Identity {
    /// What tests call it.
    pub(super) name: String,
    /// What it calls itself.
    pub(super) hostname: String,
    /// Its `/etc/hosts`.
    pub(super) hosts_file: String,
    /// Who may log in as root.
    pub(super) authorized_keys: String,
}

/// Mounts a root below `folder`; `source` is the name by which the mount is found again.
pub(super) fn mount(debian: &Path, folder: &Path, source: &str) -> Result<PathBuf> {
    let [upper, work, root] = ["upper", "work", "root"].map(|name| folder.join(name));
    for folder in [&upper, &work, &root] {
        fs::create_dir_all(folder)?;
    }
    // With an index, the names of a hard-linked file stay one file when it is changed, as on any other file system.
    let options =
        format!("index=on,lowerdir={},upperdir={},workdir={}", debian.display(), upper.display(), work.display());
    tool(Command::new("mount").args(["-t", "overlay", "-o", &options, source]).arg(&root))?;
    Ok(root)
}

/// Gives a root its identity.
pub(super) fn identify(root: &Path, identity: &Identity) -> Result<()> {
    let machine_id: u128 = rand::rng().random();
    fs::write(root.join("etc/machine-id"), format!("{machine_id:032x}\n"))?;
    fs::write(root.join("etc/hostname"), format!("{}\n", identity.hostname))?;
    fs::write(root.join("etc/hosts"), &identity.hosts_file)?;
    let ssh = root.join("root/.ssh");
    fs::create_dir_all(&ssh)?;
    fs::set_permissions(&ssh, Permissions::from_mode(0o700))?;
    fs::write(ssh.join("authorized_keys"), &identity.authorized_keys)?;
    fs::set_permissions(ssh.join("authorized_keys"), Permissions::from_mode(0o600))?;
    // One host key of each kind, as on any Debian host.
    tool(Command::new("ssh-keygen").args(["-A", "-f"]).arg(root)).map(|_| ())
}
