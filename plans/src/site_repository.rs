//! A repository that the site declares: `main: { at: /srv/strongroom/main }`.
//!
//! The controller always opens it at `at`. Hosts reach it through the controller (`access: gateway`), or by themselves (`access: direct`) at `on-hosts`, which is `at`
//! where nothing else is said.

use std::path::PathBuf;

use serde::Serialize;

use crate::address::RepositoryAddress;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::name::Name;
use crate::report::quoted;
use crate::tree::Node;
use crate::values;
use crate::words::{self, Meaning, Word};

/// Where plans of the site store, and how their hosts get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepositorySpec {
    name: Name,
    at: RepositoryAddress,
    access: Access,
}

/// How a host reaches a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Through the controller, which stores for it and never removes for it: the host holds no credential.
    Gateway,
    /// By itself, where the host has it; absolute. Faster, and whoever takes the host over can remove what is there.
    Direct(RepositoryAddress),
}

static SHAPE: Shape = Shape {
    title: "a repository",
    keys: &[
        ("at", Meaning::Now("/srv/strongroom/main")),
        (ACCESS, Meaning::Now("gateway")),
        (ON_HOSTS, Meaning::Now("/mnt/strongroom/main")),
    ],
};

const ACCESS: &str = "access";
const ON_HOSTS: &str = "on-hosts";

/// What stands at `access`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Gateway,
    Direct,
}

static WAYS: &[Word<Way>] = &[("gateway", Meaning::Now(Way::Gateway)), ("direct", Meaning::Now(Way::Direct))];

impl Access {
    /// The directory that hosts write to themselves, as they have it.
    pub fn directory_on_hosts(&self) -> Option<PathBuf> {
        match self {
            Self::Gateway => None,
            Self::Direct(address) => address.fixed(),
        }
    }
}

impl RepositorySpec {
    /// The name by which plans call it.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The directory on the controller's machine; absolute.
    pub fn directory(&self) -> PathBuf {
        // BUG if there is none: `read` takes no other address.
        self.at.fixed().unwrap_or_default()
    }

    /// How hosts reach it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn at(&self) -> &RepositoryAddress {
        &self.at
    }

    pub(crate) fn read(name: &Name, node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let at = fields.required("at", findings, |node, findings| {
            whole(node, "write the whole path of a directory on the controller's machine, from / on", findings)
        });
        let way = fields
            .optional(ACCESS, findings, |node, findings| words::word(node, "way to a repository", WAYS, findings));
        let on_hosts = fields.optional(ON_HOSTS, findings, |node, findings| {
            whole(node, "write the whole path of the directory as the hosts have it mounted, from / on", findings)
        });
        let is_unread = fields.node(ACCESS).is_some() && way.is_none();
        if let Some(node) = fields.node(ON_HOSTS).filter(|_| way != Some(Way::Direct) && !is_unread) {
            let reason = "hosts that store through the controller do not open the repository themselves";
            let remedy = "take `on-hosts` out; or write `access: direct`, if hosts are to write to that directory";
            findings.report(Code::KeyBeside, &node.span, reason, remedy);
        }
        let at = at?;
        let access = match way {
            Some(Way::Direct) if fields.node(ON_HOSTS).is_none() => Access::Direct(at.clone()),
            Some(Way::Direct) => on_hosts.map_or(Access::Gateway, Access::Direct),
            Some(Way::Gateway) | None => Access::Gateway,
        };
        Some(Self { name: name.clone(), at, access })
    }
}

/// An address that is the same for everybody, or a fault.
fn whole(node: &Node, remedy: &str, findings: &mut Findings<'_>) -> Option<RepositoryAddress> {
    let address: RepositoryAddress = values::written(node, findings)?;
    if address.fixed().is_none() {
        let reason = format!("the repository {} is not the same for everybody", quoted(address.as_str()));
        findings.report(Code::BadRepository, &node.span, reason, remedy);
    }
    Some(address)
}
