//! A file of the kind `drill`: how the restore points of several plans are proven, said once.
//!
//! It comes to what it would if its `prove` stood in each of the plans: they take it over while the site is read, and
//! nobody after that asks where it was said.

use crate::declared::Declared;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::fleet::FleetPlan;
use crate::include::INCLUDE;
use crate::name::{Line, Name};
use crate::plan_kind::DRILL;
use crate::prove::ProofDemand;
use crate::report::quoted;
use crate::said::Said;
use crate::site_reader::{DrillFile, PlanFile};
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::version::ContentHash;
use crate::words::{self, Meaning, Word};

/// Several plans, and what drills of their restore points have to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPlan {
    name: Name,
    owner: Option<Line>,
    plans: Vec<Name>,
    prove: ProofDemand,
    said: Vec<Said>,
    file: String,
    version: ContentHash,
}

/// Such a file as far as it tells.
#[derive(Debug, Default)]
pub(crate) struct DrillDraft {
    pub(crate) name: Option<(Name, Span)>,
    /// The plans that it names, and that there are.
    plans: Vec<(Name, Span)>,
    pub(crate) plan: Option<DrillPlan>,
}

/// The key of a demand, here as in the plans.
pub(crate) const PROVE: &str = "prove";

static SHAPE: Shape = Shape {
    title: "a drill",
    keys: &[
        ("kind", Meaning::Now(DRILL)),
        ("name", Meaning::Now("quarter")),
        ("owner", Meaning::Now("team-web")),
        (INCLUDE, Meaning::Now("[parts/checks.yaml]")),
        ("plans", Meaning::Now("[web, mail, ledger]")),
        (PROVE, Meaning::Now("{ level: restored, every: quarterly }")),
    ],
};

static KINDS: &[Word<()>] = &[(DRILL, Meaning::Now(()))];

impl DrillPlan {
    /// Its name, unique among all plans of the site.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Who is asked when something is wrong.
    pub fn owner(&self) -> Option<&Line> {
        self.owner.as_ref()
    }

    /// The backup plans whose restore points are drilled, at least one, each proven by nothing else.
    pub fn plans(&self) -> &[Name] {
        &self.plans
    }

    /// What a drill has to show, and when; never by each run.
    pub fn prove(&self) -> &ProofDemand {
        &self.prove
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

impl DrillDraft {
    pub(crate) fn read(
        root: &Node,
        file: (&str, &[u8]),
        known: &Declared<&FleetPlan>,
        findings: &mut Findings<'_>,
    ) -> Self {
        let Some(fields) = Fields::of(root, &SHAPE, findings) else { return Self::default() };
        let kind =
            fields.required("kind", findings, |node, findings| words::word(node, "kind of plan", KINDS, findings));
        let name: Option<Name> = fields.required("name", findings, values::written);
        let owner = fields.optional("owner", findings, values::written);
        let plans = fields.required("plans", findings, |node, findings| {
            values::faultless_items(node, "the name of a plan", findings, |node, findings| {
                let name: Name = values::written(node, findings)?;
                known.look_up("plan", &name, &node.span, findings);
                Some((name, node.span.clone()))
            })
        });
        let prove = fields.required(PROVE, findings, ProofDemand::read_drilled);
        let mut said = fields.said(findings.text());
        said.retain(|said| !said.is_of(INCLUDE));
        let span = fields.node("name").map(|node| node.span.clone());
        let placed = name.clone().zip(span);
        let plans = plans.unwrap_or_default();
        let plan = || {
            kind?;
            Some(DrillPlan {
                name: name?,
                owner,
                plans: plans.iter().map(|(name, _)| name.clone()).collect(),
                prove: prove?,
                said,
                file: file.0.to_owned(),
                version: ContentHash::of(file.1),
            })
        };
        Self { name: placed, plan: plan(), plans }
    }
}

/// Has each plan take over what is demanded of it, and reports those that are proven otherwise already.
pub(crate) fn settle(drills: &mut [DrillFile<'_>], plans: &mut [PlanFile<'_>]) {
    for DrillFile { findings, draft, .. } in drills {
        for (name, span) in &draft.plans {
            let of_name = |plan: &&mut FleetPlan| plan.name() == name;
            let Some(plan) = plans.iter_mut().filter_map(|file| file.draft.plan.as_mut()).find(of_name) else {
                continue;
            };
            if let Some(place) = plan.place_of(PROVE) {
                let at = format!("{}:{}", place.file(), place.line());
                let reason = format!("{at} says already how {} is proven", quoted(name.as_str()));
                findings.report(Code::ProvenTwice, span, reason, "take it out there, or take the plan out here");
            } else if let Some(drill) = &draft.plan {
                plan.drill_by(drill);
            }
        }
    }
}

/// Reads the tree of one as if nothing were known of its site.
pub(crate) fn read_alone(root: &Node, findings: &mut Findings<'_>) {
    DrillDraft::read(root, ("", b""), &Declared::unreadable(), findings);
}
