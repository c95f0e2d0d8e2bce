//! A plan of the kind `backup`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::address::{Places, RepositoryAddress};
use crate::fault::{Code, Fault, Faults};
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::load::LoadLimits;
use crate::name::{Line, Name};
use crate::overlap;
use crate::plan_kind::{self, DRILL, PlanKind, RESTORE};
use crate::preset::Inherited;
use crate::prove::ProofDemand;
use crate::report::quoted;
use crate::retain::RetentionRules;
use crate::said::Said;
use crate::schedule::{PlacedSchedule, RunKind, Schedule};
use crate::source::Source;
use crate::text::{Place, Span};
use crate::tree::{Content, Entry, Node};
use crate::values::{self, Refusal};
use crate::words::{self, Meaning, Word};

/// What is backed up, to where, for how long, and how it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPlan {
    name: Name,
    owner: Option<Line>,
    sources: Vec<Source>,
    repository: RepositoryAddress,
    repository_place: Place,
    copies: Vec<RepositoryAddress>,
    said: Vec<Said>,
    schedule: Option<Schedule>,
    retain: RetentionRules,
    prove: Option<ProofDemand>,
    limits: LoadLimits,
    tags: BTreeMap<Name, Line>,
}

static SHAPE: Shape = Shape {
    title: "a backup plan",
    keys: &[
        ("kind", Meaning::Now("backup")),
        ("name", Meaning::Now("this-host")),
        ("owner", Meaning::Now("team-web")),
        ("sources", Meaning::Now("[{ files: [/etc] }]")),
        ("repository", Meaning::Now("~/backup")),
        (COPIES, Meaning::Now("[/mnt/offsite/backup]")),
        ("schedule", Meaning::Now("{ full: weekly sun 01:30, incremental: daily 01:30 }")),
        ("retain", Meaning::Now("{ daily: 14, weekly: 8, at-least: 3 }")),
        ("prove", Meaning::Now("{ level: restored }")),
        ("limits", Meaning::Now("{ upload: 20 MiB }")),
        ("tags", Meaning::Now("{ system: billing }")),
        (
            "hosts",
            Meaning::InSite(
                "take it out: run by itself, the plan backs up the host on which it is run; or put it into the `plans` of a site",
            ),
        ),
        ("include", Meaning::InSite("write out what the part holds; or put the plan into the `plans` of a site")),
        ("preset", Meaning::InSite("write out what the preset holds; or put the plan into the `plans` of a site")),
        (
            "objectives",
            Meaning::InSite(
                "take it out: records of restores compare them, and those are of a site's plans; or put the plan into the `plans` of a site",
            ),
        ),
        (
            "priority",
            Meaning::InSite(
                "take it out: run by itself, the plan waits for no other; or put it into the `plans` of a site",
            ),
        ),
    ],
};

static KINDS: &[Word<()>] =
    &[("backup", Meaning::Now(())), (RESTORE, Meaning::InSite(RESTORE_REMEDY)), (DRILL, Meaning::InSite(DRILL_REMEDY))];

const RESTORE_REMEDY: &str =
    "put the file into the `plans` of a site: its systems are those of the site's plans and hosts";
const DRILL_REMEDY: &str = "put the file into the `plans` of a site: what it drills are the site's plans";

impl BackupPlan {
    /// The plan's name, unique within a site.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Who is asked when something is wrong.
    pub fn owner(&self) -> Option<&Line> {
        self.owner.as_ref()
    }

    /// What is backed up, at least one; each becomes a snapshot.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The repository as the plan names it.
    pub fn repository(&self) -> &RepositoryAddress {
        &self.repository
    }

    /// Further copies of the repository, which each run brings up to date without reading the source again.
    pub fn copies(&self) -> &[RepositoryAddress] {
        &self.copies
    }

    /// The directories of the copies, those that are of this machine, in their order.
    pub fn copy_paths(&self, places: &Places<'_>) -> Vec<Option<PathBuf>> {
        self.copies.iter().map(|copy| copy.resolve(places)).collect()
    }

    /// When it is run; without this, only by hand.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// What a run reads when nobody says: everything, if the schedule knows nothing else; else what has changed.
    pub fn usual_kind(&self) -> RunKind {
        match &self.schedule {
            Some(schedule) if schedule.incremental().is_none() => RunKind::Full,
            _ => RunKind::Incremental,
        }
    }

    /// What is kept.
    pub fn retain(&self) -> &RetentionRules {
        &self.retain
    }

    /// How a backup is proven; without this, its restore points stay unproven.
    pub fn prove(&self) -> Option<&ProofDemand> {
        self.prove.as_ref()
    }

    /// Takes a demand from where it is said for several plans.
    pub(crate) fn take_demand(&mut self, demand: &ProofDemand, said: impl Iterator<Item = Said>) {
        self.prove = Some(demand.clone());
        self.said.extend(said);
    }

    /// How much of its host a run may take.
    pub fn limits(&self) -> LoadLimits {
        self.limits
    }

    /// What every snapshot of this plan is marked with.
    pub fn tags(&self) -> &BTreeMap<Name, Line> {
        &self.tags
    }

    /// What holds for it and is said, and where: in its file; of a site's plan, also in its preset.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The repository's directory, which no source may cover; none where it is elsewhere. Symbolic links are not followed: a caller who knows
    /// of some hands in places without them.
    pub fn repository_path(&self, places: &Places<'_>) -> Result<Option<PathBuf>, Faults> {
        let Some(path) = self.repository.resolve(places) else { return Ok(None) };
        let fault = overlap::with_repository(&self.sources, &path).map(|refusal| {
            let place = self.repository_place.clone();
            let (reason, remedy) = (refusal.to_string(), refusal.remedy().to_owned());
            Fault::new(Code::RepositoryInSource, place, reason, remedy)
        });
        Faults::from_found(Vec::from_iter(fault), 0).map_or(Ok(Some(path)), Err)
    }

    pub(crate) fn read(root: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let elsewhere = match plan_kind::of(root) {
            (PlanKind::Backup, _) => None,
            (PlanKind::Restore, span) => Some((span, "a restore plan", RESTORE_REMEDY)),
            (PlanKind::Drill, span) => Some((span, "a drill", DRILL_REMEDY)),
        };
        if let Some((span, what, remedy)) = elsewhere {
            findings.report(Code::OnlyInSite, span, format!("{what} means something only in a site"), remedy);
            return None;
        }
        let fields = Fields::of(root, &SHAPE, findings)?;
        let parts = Parts::read(&fields, Inherited::Nothing, ProofDemand::read_alone, findings);
        let repository = fields.required("repository", findings, |node, findings| {
            let address: RepositoryAddress = values::written(node, findings)?;
            Some((address, node.span.clone()))
        });
        let (repository, span) = repository?;
        report_in_source(&repository, parts.sources.as_deref(), &span, findings);
        let copies = fields.optional(COPIES, findings, |node, findings| {
            let copies = values::faultless_items(node, "a directory or a URL", findings, |node, findings| {
                let address: RepositoryAddress = values::written(node, findings)?;
                report_in_source(&address, parts.sources.as_deref(), &node.span, findings);
                Some((address, node.span.clone()))
            })?;
            report_stored_twice(&repository, &copies, findings);
            Some(copies.into_iter().map(|(address, _)| address).collect())
        });
        let places = StoredAt { repository, place: findings.text().place(&span), copies: copies.unwrap_or_default() };
        parts.plan(places, fields.said(findings.text()))
    }
}

/// The key of further copies.
pub(crate) const COPIES: &str = "copies";

fn report_in_source(address: &RepositoryAddress, sources: Option<&[Source]>, span: &Span, findings: &mut Findings<'_>) {
    let fixed = address.fixed().zip(sources);
    if let Some(refusal) = fixed.and_then(|(path, sources)| overlap::with_repository(sources, &path)) {
        findings.refuse(Code::RepositoryInSource, span, &refusal);
    }
}

/// A copy in the same place protects from nothing.
pub(crate) fn report_stored_twice<T: PartialEq + fmt::Display>(
    repository: &T,
    copies: &[(T, Span)],
    findings: &mut Findings<'_>,
) {
    for (number, (copy, span)) in copies.iter().enumerate() {
        let other = copies[..number].iter().map(|(other, _)| other).chain([repository]).find(|other| *other == copy);
        if let Some(other) = other {
            let reason = format!("what the plan stores lies in {} already", quoted(&other.to_string()));
            findings.report(Code::StoredTwice, span, reason, "take it out, or name another place");
        }
    }
}

/// Where a plan stores.
pub(crate) struct StoredAt {
    pub(crate) repository: RepositoryAddress,
    pub(crate) place: Place,
    pub(crate) copies: Vec<RepositoryAddress>,
}

/// What a plan says whether it is a site's or not; nothing where a fault was reported.
pub(crate) struct Parts {
    kind: Option<()>,
    pub(crate) name: Option<Name>,
    owner: Option<Line>,
    pub(crate) sources: Option<Vec<Source>>,
    pub(crate) schedule: Option<PlacedSchedule>,
    retain: Option<RetentionRules>,
    prove: Option<ProofDemand>,
    limits: Option<LoadLimits>,
    tags: Option<BTreeMap<Name, Line>>,
}

/// How `prove` is read: who looks after a plan decides when it may be proven.
type ReadProve = fn(&Node, &mut Findings<'_>) -> Option<ProofDemand>;

impl Parts {
    /// What the plan does not say itself is the preset's.
    pub(crate) fn read(
        fields: &Fields<'_>,
        inherited: Inherited<'_>,
        read_prove: ReadProve,
        findings: &mut Findings<'_>,
    ) -> Self {
        let kind =
            fields.required("kind", findings, |node, findings| words::word(node, "kind of plan", KINDS, findings));
        let name = fields.required("name", findings, values::written);
        let owner = fields.optional("owner", findings, values::written);
        let sources = fields.required("sources", findings, read_sources);
        let says = |key| fields.node(key).is_some();
        let schedule = inherited.part(says("schedule"), |preset| &preset.schedule);
        let schedule = schedule.or_else(|| fields.optional("schedule", findings, Schedule::read));
        let retain = inherited.part(says("retain"), |preset| &preset.retain).or_else(|| match inherited {
            Inherited::Unknown => fields.optional("retain", findings, RetentionRules::read),
            _ => fields.required("retain", findings, RetentionRules::read),
        });
        let prove = inherited.part(says("prove"), |preset| &preset.prove);
        let prove = prove.or_else(|| fields.optional("prove", findings, read_prove));
        let limits = inherited.part(says("limits"), |preset| &preset.limits);
        let limits = limits.or_else(|| fields.optional("limits", findings, LoadLimits::read));
        let tags = fields.optional("tags", findings, read_tags);
        Self { kind, name, owner, sources, schedule, retain, prove, limits, tags }
    }

    pub(crate) fn plan(self, stored: StoredAt, said: Vec<Said>) -> Option<BackupPlan> {
        self.kind?;
        Some(BackupPlan {
            name: self.name?,
            owner: self.owner,
            sources: self.sources?,
            repository: stored.repository,
            repository_place: stored.place,
            copies: stored.copies,
            said,
            schedule: self.schedule.map(|placed| placed.schedule),
            retain: self.retain?,
            prove: self.prove,
            limits: self.limits.unwrap_or_default(),
            tags: self.tags.unwrap_or_default(),
        })
    }
}

fn read_sources(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<Source>> {
    let what = "a source such as { files: [/etc] }";
    let sources = values::faultless_items(node, what, findings, Source::read)?;
    overlap::report_paths_read_twice(&sources, findings);
    Some(sources.into_iter().map(|(source, _)| source).collect())
}

fn read_tags(node: &Node, findings: &mut Findings<'_>) -> Option<BTreeMap<Name, Line>> {
    let Content::Mapping(entries) = &node.content else {
        let remedy = "write names and values, such as { system: billing }";
        values::wrong_type(node, "tags", remedy, findings);
        return None;
    };
    if entries.is_empty() {
        let remedy = "leave the key out if you need none";
        findings.report(Code::EmptyCollection, &node.span, "there are no tags in it", remedy);
    }
    let tags: Vec<_> = entries.iter().map(|entry| read_tag(entry, findings)).collect();
    tags.into_iter().collect()
}

fn read_tag(entry: &Entry, findings: &mut Findings<'_>) -> Option<(Name, Line)> {
    let value = values::written(&entry.value, findings);
    let name: Result<Name, Refusal> = entry.key.parse();
    let name = name.map_err(|refusal| findings.refuse(Code::BadName, &entry.key_span, &refusal));
    Some((name.ok()?, value?))
}
