//! A plan of the kind `restore`: several systems, in which order they come back, and what shows that they are up.
//!
//! Nothing of it runs by itself. Somebody has it done, as one request for each system: see `strongroom restore start`.

use std::collections::BTreeMap;

use crate::declared::Declared;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::HostAddress;
use crate::include::INCLUDE;
use crate::name::{Line, Name};
use crate::plan_kind::RESTORE;
use crate::restore_order::report_between;
use crate::restore_system::{Known, PlacedSystem, RestoreSystem};
use crate::said::Said;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::version::ContentHash;
use crate::words::{self, Meaning, Word};

/// Several systems that are restored together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePlan {
    name: Name,
    owner: Option<Line>,
    on_failure: OnFailure,
    addresses: BTreeMap<Name, HostAddress>,
    systems: Vec<RestoreSystem>,
    said: Vec<Said>,
    file: String,
    version: ContentHash,
}

/// What becomes of the others when a system does not come back verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// None begins any more.
    #[default]
    Stop,
    /// Those that do not need it go on.
    Continue,
}

/// A restore plan as far as its file tells.
#[derive(Debug)]
pub(crate) struct RestoreDraft {
    pub(crate) name: Option<(Name, Span)>,
    pub(crate) plan: Option<RestorePlan>,
}

static SHAPE: Shape = Shape {
    title: "a restore plan",
    keys: &[
        ("kind", Meaning::Now(RESTORE)),
        ("name", Meaning::Now("citizens-portal")),
        ("owner", Meaning::Now("team-portal")),
        (INCLUDE, Meaning::Now("[parts/addresses.yaml]")),
        ("on-failure", Meaning::Now("stop")),
        ("addresses", Meaning::Now("{ db1.internal: db2.internal }")),
        ("systems", Meaning::Now("[{ name: db, plan: billing, to: \"db2:/srv/restored\" }]")),
    ],
};

static KINDS: &[Word<()>] = &[(RESTORE, Meaning::Now(()))];

static ON_FAILURE: &[Word<OnFailure>] =
    &[("stop", Meaning::Now(OnFailure::Stop)), ("continue", Meaning::Now(OnFailure::Continue))];

impl RestorePlan {
    /// Its name, unique among all plans of the site.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Who is asked when something is wrong.
    pub fn owner(&self) -> Option<&Line> {
        self.owner.as_ref()
    }

    /// What becomes of the others when a system fails.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// The addresses that hold after the restore, by those that held before. Hooks and probes are told of them.
    pub fn addresses(&self) -> &BTreeMap<Name, HostAddress> {
        &self.addresses
    }

    /// The systems as they are written, at least one; no circle is among their needs.
    pub fn systems(&self) -> &[RestoreSystem] {
        &self.systems
    }

    /// The system of a name.
    pub fn system(&self, name: &str) -> Option<&RestoreSystem> {
        self.systems.iter().find(|system| system.name().as_str() == name)
    }

    /// What its file says, and where.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The file, relative to the site's directory.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The BLAKE3 of its file.
    pub fn version(&self) -> ContentHash {
        self.version
    }
}

impl OnFailure {
    /// As plans write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Continue => "continue",
        }
    }
}

impl RestoreDraft {
    pub(crate) fn read(root: &Node, file: (&str, &[u8]), known: Known<'_>, findings: &mut Findings<'_>) -> Self {
        let Some(fields) = Fields::of(root, &SHAPE, findings) else { return Self { name: None, plan: None } };
        fields.required("kind", findings, |node, findings| words::word(node, "kind of plan", KINDS, findings));
        let name: Option<Name> = fields.required("name", findings, values::written);
        let owner = fields.optional("owner", findings, values::written);
        let on_failure =
            fields.optional("on-failure", findings, |node, findings| words::word(node, "rule", ON_FAILURE, findings));
        let addresses = fields.optional("addresses", findings, read_addresses);
        let systems = fields.required("systems", findings, |node, findings| {
            let what = "a system such as { name: db, plan: billing, to: \"db2:/srv/restored\" }";
            values::faultless_items(node, what, findings, |node, findings| PlacedSystem::read(node, known, findings))
        });
        if let Some(systems) = &systems {
            report_between(systems, findings);
        }
        let mut said = fields.said(findings.text());
        said.retain(|said| !said.is_of(INCLUDE));
        let span = fields.node("name").map(|node| node.span.clone());
        let placed = name.clone().zip(span);
        let plan = || {
            Some(RestorePlan {
                name: name?,
                owner,
                on_failure: on_failure.unwrap_or_default(),
                addresses: addresses.unwrap_or_default(),
                systems: systems?.into_iter().map(|placed| placed.system).collect::<Option<_>>()?,
                said,
                file: file.0.to_owned(),
                version: ContentHash::of(file.1),
            })
        };
        Self { name: placed, plan: plan() }
    }
}

/// Reads the tree of one as if nothing were known of its site.
pub(crate) fn read_alone(root: &Node, findings: &mut Findings<'_>) {
    let (plans, hosts) = (Declared::unreadable(), Declared::unreadable());
    RestoreDraft::read(root, ("", b""), Known { plans: &plans, hosts: &hosts }, findings);
}

fn read_addresses(node: &Node, findings: &mut Findings<'_>) -> Option<BTreeMap<Name, HostAddress>> {
    let example = "`db1.internal: db2.internal`";
    let found = values::named(node, example, findings, |_, node, findings| values::written(node, findings))?;
    found.into_iter().map(|(before, now)| Some((before.parse().ok()?, now?))).collect()
}
