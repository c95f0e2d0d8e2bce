//! Hosts of the inventory, reached over their own sshd with the controller's key.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_plans::Site;
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
        let unknown = |host: &str| Unreachable { why: format!("the site has no host {host}"), passing: false };
        let mut names = vec![host.to_owned()];
        let mut targets = Vec::new();
        // The site has been checked: its jumps end, and lead to hosts of the site.
        while let Some(name) = names.pop() {
            let host =
                site.hosts().values().find(|found| found.name().as_str() == name).ok_or_else(|| unknown(&name))?;
            names.extend(host.jump().map(ToString::to_string));
            targets.push(Target {
                address: host.address().to_string(),
                port: host.port(),
                user: host.user().to_string(),
                identities: vec![self.identity.clone()],
                known_hosts: HostKeys::File(self.known_hosts.clone()),
                jump: None,
                connect_timeout: CONNECT_TIMEOUT,
            });
        }
        let inner = targets.into_iter().rev().reduce(|jump, target| Target { jump: Some(Box::new(jump)), ..target });
        inner.ok_or_else(|| unknown(host))
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
