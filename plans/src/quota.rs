//! How much a repository, some hosts or a plan may take: `quotas: [{ repository: main, hosts: tenant=north, soft: 80 GiB, hard: 100 GiB }]`.
//!
//! What counts is what the snapshots need, whoever else needs it, too: so nobody runs into a limit by what others do. Without `hosts` and `plan` it is all that the repository holds.

use serde::Serialize;

use crate::declared::Declared;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::Host;
use crate::name::Name;
use crate::selector::Selector;
use crate::site_repository::RepositorySpec;
use crate::size::ByteSize;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quota {
    repository: Name,
    hosts: Option<Selector>,
    plan: Option<Name>,
    soft: Option<ByteSize>,
    hard: Option<ByteSize>,
}

static SHAPE: Shape = Shape {
    title: "a quota",
    keys: &[
        ("repository", Meaning::Now("main")),
        ("hosts", Meaning::Now("tenant=north")),
        ("plan", Meaning::Now("nightly")),
        ("soft", Meaning::Now("80 GiB")),
        ("hard", Meaning::Now("100 GiB")),
    ],
};

impl Quota {
    /// Of which repository.
    pub fn repository(&self) -> &Name {
        &self.repository
    }

    /// Whose snapshots count; none for those of all hosts.
    pub fn hosts(&self) -> Option<&Selector> {
        self.hosts.as_ref()
    }

    /// The plan whose snapshots count; none for those of all plans.
    pub fn plan(&self) -> Option<&Name> {
        self.plan.as_ref()
    }

    /// Beyond this there is a warning.
    pub fn soft(&self) -> Option<ByteSize> {
        self.soft
    }

    /// Beyond this no run begins.
    pub fn hard(&self) -> Option<ByteSize> {
        self.hard
    }

    /// Whether everything in the repository counts.
    pub fn is_of_all(&self) -> bool {
        self.hosts.is_none() && self.plan.is_none()
    }

    /// Whether a run of this plan on this host adds to what counts.
    pub fn covers(&self, repository: &Name, host: &Host, plan: &Name) -> bool {
        self.repository == *repository
            && self.hosts.as_ref().is_none_or(|hosts| hosts.matches(host))
            && self.plan.as_ref().is_none_or(|own| own == plan)
    }

    /// Reads the list of a site: each with the place of the plan that it names.
    pub(crate) fn read_all(
        node: &Node,
        repositories: &Declared<RepositorySpec>,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<(Self, Option<Span>)>> {
        let what = "a quota such as { repository: main, hosts: tenant=north, hard: 100 GiB }";
        values::list(node, what, findings, |node, findings| Self::read(node, repositories, findings))
    }

    fn read(
        node: &Node,
        repositories: &Declared<RepositorySpec>,
        findings: &mut Findings<'_>,
    ) -> Option<(Self, Option<Span>)> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let repository: Option<Name> = fields.required("repository", findings, values::written);
        if let (Some(name), Some(node)) = (&repository, fields.node("repository")) {
            repositories.look_up("repository", name, &node.span, findings);
        }
        let hosts = fields.optional("hosts", findings, values::written);
        let plan = fields.optional("plan", findings, values::written);
        let soft: Option<ByteSize> = fields.optional("soft", findings, values::written);
        let hard: Option<ByteSize> = fields.optional("hard", findings, values::written);
        let has_neither = ["soft", "hard"].iter().all(|key| fields.node(key).is_none());
        if has_neither && !fields.has_misspelt_key() {
            let reason = "a quota without a limit limits nothing";
            findings.report(Code::MissingKey, &node.span, reason, "add `hard: 100 GiB`, or `soft:` for a warning only");
        }
        if let (Some(soft), Some(hard), Some(node)) = (soft, hard, fields.node("soft"))
            && soft > hard
        {
            let reason = format!("the warning at {soft} would come after the end at {hard}");
            findings.report(Code::BadSize, &node.span, reason, "give `soft` a smaller size than `hard`");
        }
        let plan_span = fields.node("plan").map(|node| node.span.clone());
        Some((Self { repository: repository?, hosts, plan, soft, hard }, plan_span))
    }
}
