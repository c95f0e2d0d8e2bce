//! Hosts of the inventory, reached over their own sshd with the controller's key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_plans::{Host, Name, Site, UserName};
use tokio::sync::watch;

use crate::links::{Dial, Line, Purpose, Stream, Unreachable};
use crate::ssh::target::CONNECT_TIMEOUT;
use crate::ssh::{Connection, HostKeys, Identity, SshError, Target};

/// Dials the hosts of the site that is in force; lines that are there stay when that changes.
#[derive(Debug)]
pub struct Dialer {
    site: watch::Receiver<Arc<Site>>,
    identity: Identity,
    known_hosts: PathBuf,
}

impl Dialer {
    /// With one key for all hosts, and one file of their keys.
    #[must_use]
    pub fn new(site: watch::Receiver<Arc<Site>>, identity: Identity, known_hosts: PathBuf) -> Self {
        Self { site, identity, known_hosts }
    }

    /// How a host is reached, its jump hosts included.
    pub fn target(&self, host: &str) -> Result<Target, Unreachable> {
        let site = Arc::clone(&self.site.borrow());
        Roads { hosts: site.hosts(), identity: &self.identity, known_hosts: &self.known_hosts }.to(host)
    }
}

/// How the hosts of an inventory are reached with the controller's key.
#[derive(Debug, Clone, Copy)]
pub struct Roads<'a> {
    /// They have been checked: their jumps end, and lead to hosts among them.
    pub hosts: &'a BTreeMap<Name, Host>,
    /// The controller's key.
    pub identity: &'a Identity,
    /// The file of the host keys.
    pub known_hosts: &'a Path,
}

impl Roads<'_> {
    /// To a host's worker.
    pub fn to(&self, host: &str) -> Result<Target, Unreachable> {
        let host = self.find(host)?;
        Ok(self.road(host, host.user(), self.through(host.jump())?))
    }

    /// To the host behind which another one is, and which only has to lead there: its worker's key could not.
    pub fn through(&self, jump: Option<&Name>) -> Result<Option<Box<Target>>, Unreachable> {
        let mut hosts = Vec::new();
        let mut next = jump;
        while let Some(name) = next {
            let host = self.find(name.as_str())?;
            next = host.jump();
            hosts.push(host);
        }
        let behind = |before, host: &Host| Some(Box::new(self.road(host, host.jump_user(), before)));
        Ok(hosts.into_iter().rev().fold(None, behind))
    }

    fn find(&self, name: &str) -> Result<&Host, Unreachable> {
        let found = self.hosts.values().find(|host| host.name().as_str() == name);
        found.ok_or_else(|| Unreachable { why: format!("the site has no host {name}"), passing: false })
    }

    fn road(&self, host: &Host, user: &UserName, jump: Option<Box<Target>>) -> Target {
        Target {
            address: host.address().to_string(),
            port: host.port(),
            user: user.to_string(),
            identities: vec![self.identity.clone()],
            known_hosts: HostKeys::File(self.known_hosts.to_owned()),
            jump,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

#[async_trait]
impl Dial for Dialer {
    async fn dial(&self, host: &str) -> Result<Box<dyn Line>, Unreachable> {
        let target = self.target(host)?;
        let connection = crate::ssh::connect(&target).await.map_err(unreachable)?;
        Ok(Box::new(SshLine(connection)))
    }
}

struct SshLine(Connection);

#[async_trait]
impl Line for SshLine {
    async fn open(&self, purpose: Purpose) -> Result<Box<dyn Stream>, Unreachable> {
        let stream = self.0.open(purpose.command()).await.map_err(unreachable)?;
        Ok(Box::new(stream))
    }
}

fn unreachable(error: SshError) -> Unreachable {
    Unreachable { passing: error.retry(), why: strongroom_repository::chain(&error) }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::SiteFiles;

    use super::*;

    /// Each login of a road, from the host back to where it begins.
    fn logins(mut target: Option<&Target>) -> Vec<String> {
        let mut logins = Vec::new();
        while let Some(here) = target {
            logins.push(format!("{}@{}", here.user, here.place()));
            target = here.jump.as_deref();
        }
        logins
    }

    #[test]
    fn a_host_on_the_way_is_entered_by_another_door_than_its_worker() {
        let mut files = SiteFiles::new("");
        let hosts = "hosts:\n  web1: { address: 10.0.0.5, jump: inner }\n  inner: { address: 10.0.0.1, port: 2222, jump: outer }\n  \
                     outer: { address: gate.example.org, jump-user: passer-by }\n";
        files.insert("hosts.yaml", hosts);
        let hosts = Site::read_hosts(&files).unwrap();
        let identity = Identity::Agent("agent".into());
        let roads = Roads { hosts: &hosts, identity: &identity, known_hosts: Path::new("known-hosts") };
        let [web1, inner, outer] =
            ["strongroom@10.0.0.5", "strongroom-jump@10.0.0.1:2222", "passer-by@gate.example.org"];
        assert_eq!(logins(Some(&roads.to("web1").unwrap())), [web1, inner, outer]);
        assert_eq!(logins(Some(&roads.to("outer").unwrap())), ["strongroom@gate.example.org"]);
        assert_eq!(logins(roads.through(Some(&"inner".parse().unwrap())).unwrap().as_deref()), [inner, outer]);
        assert!(roads.through(None).unwrap().is_none());
        assert!(roads.to("web2").is_err());
    }
}
