//! A repository that the site declares: `main: { at: /srv/strongroom/main }`.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Through the controller, which stores for it and never removes for it: the host holds no credential.
    Gateway,
}

static SHAPE: Shape = Shape {
    title: "a repository",
    keys: &[("at", Meaning::Now("/srv/strongroom/main")), ("access", Meaning::Now("gateway"))],
};

static ACCESS: &[Word<Access>] = &[
    ("gateway", Meaning::Now(Access::Gateway)),
    ("direct", Meaning::Later("write `gateway`, or leave the key out: hosts store through the controller")),
];

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
    pub fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn at(&self) -> &RepositoryAddress {
        &self.at
    }

    pub(crate) fn read(name: &Name, node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let at = fields.required("at", findings, |node, findings| {
            let at: RepositoryAddress = values::written(node, findings)?;
            if at.fixed().is_none() {
                let reason = format!("the repository {} is not the same for everybody", quoted(at.as_str()));
                let remedy = "write the whole path of a directory on the controller's machine, from / on";
                findings.report(Code::BadRepository, &node.span, reason, remedy);
            }
            Some(at)
        });
        let access = fields
            .optional("access", findings, |node, findings| words::word(node, "way to a repository", ACCESS, findings));
        Some(Self { name: name.clone(), at: at?, access: access.unwrap_or(Access::Gateway) })
    }
}
