//! One system of a restore plan: whose data come back where, what it needs, and what runs around it.

use std::path::{Path, PathBuf};

use crate::declared::Declared;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::fleet::FleetPlan;
use crate::hook::Hook;
use crate::host::PlacedHost;
use crate::name::Name;
use crate::probe::Probe;
use crate::report::{listed, quoted};
use crate::restore_target::RestoreTarget;
use crate::source::{Input, Source};
use crate::source_path::SourcePath;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// A system that comes back as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreSystem {
    name: Name,
    needs: Vec<Name>,
    plan: Name,
    host: Name,
    to: RestoreTarget,
    promote_to: Option<SourcePath>,
    paths: Vec<SourcePath>,
    /// By which the snapshots of its source are told from others of the host.
    source_path: SourcePath,
    before: Vec<Hook>,
    after: Vec<Hook>,
    probes: Vec<Probe>,
}

/// A system, and where it names others.
pub(crate) struct PlacedSystem {
    pub(crate) name: (Name, Span),
    pub(crate) needs: Vec<(Name, Span)>,
    /// None where something is wrong with it.
    pub(crate) system: Option<RestoreSystem>,
    pub(crate) to_span: Option<Span>,
    pub(crate) promote_span: Option<Span>,
}

/// What its names can stand for.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    pub(crate) plans: &'k Declared<&'k FleetPlan>,
    pub(crate) hosts: &'k Declared<PlacedHost>,
}

const PROMOTE_TO: &str = "promote-to";

static SHAPE: Shape = Shape {
    title: "a system of a restore plan",
    keys: &[
        ("name", Meaning::Now("db")),
        ("needs", Meaning::Now("[db]")),
        ("plan", Meaning::Now("billing")),
        ("host", Meaning::Now("db1")),
        ("to", Meaning::Now("db2:/srv/restored")),
        (PROMOTE_TO, Meaning::Now("/srv/billing")),
        ("paths", Meaning::Now("[/srv/billing]")),
        ("before", Meaning::Now("[{ run: [systemctl, stop, billing], time-out: 2m }]")),
        ("after", Meaning::Now("[{ run: [systemctl, start, billing] }]")),
        ("probes", Meaning::Now("[{ run: [systemctl, is-active, billing], prints: active }]")),
    ],
};

impl RestoreSystem {
    /// Its name, unique within the plan.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The systems that must be done and verified before it begins.
    pub fn needs(&self) -> &[Name] {
        &self.needs
    }

    /// The backup plan whose restore points are taken.
    pub fn plan(&self) -> &Name {
        &self.plan
    }

    /// The host whose data they are.
    pub fn host(&self) -> &Name {
        &self.host
    }

    /// Where they come back, as the plan says it.
    pub fn to(&self) -> &RestoreTarget {
        &self.to
    }

    /// The host that gets them.
    pub fn target_host(&self) -> &Name {
        match &self.to {
            RestoreTarget::InPlace => &self.host,
            RestoreTarget::Directory { host, .. } => host,
        }
    }

    /// The directory there below which paths keep their place.
    pub fn directory(&self) -> &Path {
        match &self.to {
            RestoreTarget::InPlace => Path::new("/"),
            RestoreTarget::Directory { directory, .. } => directory.as_path(),
        }
    }

    /// Where the one path is put to be used, on the same host, once somebody has all of the plan put in place. Never of what comes back in place.
    pub fn promote_to(&self) -> Option<&SourcePath> {
        self.promote_to.as_ref()
    }

    /// What is restored; everything that its source backs up if there is none.
    pub fn paths(&self) -> &[SourcePath] {
        &self.paths
    }

    /// A path of the source whose snapshots are meant.
    pub fn source_path(&self) -> &SourcePath {
        &self.source_path
    }

    /// Commands on the target host before anything is written. One that fails ends it.
    pub fn before(&self) -> &[Hook] {
        &self.before
    }

    /// Commands there once everything is in place, and the checks of the backup plan agree.
    pub fn after(&self) -> &[Hook] {
        &self.after
    }

    /// What must agree there in the end.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Whether both would write the same place.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let is_same_host = self.target_host() == other.target_host();
        is_same_host
            && match (&self.to, &other.to) {
                (RestoreTarget::InPlace, RestoreTarget::InPlace) => {
                    let meets = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
                    self.written().iter().any(|one| other.written().iter().any(|other| meets(one, other)))
                }
                _ => self.directory() == other.directory(),
            }
    }

    /// Whether what it is put at in the end is what the other one is put at, or comes back at, or lies in it.
    pub(crate) fn is_put_onto(&self, other: &Self) -> bool {
        let Some(place) = self.promote_to.as_ref().filter(|_| self.target_host() == other.target_host()) else {
            return false;
        };
        let meets = |other: &Path| place.as_path().starts_with(other) || other.starts_with(place.as_path());
        let in_place = Some(other).filter(|other| other.to == RestoreTarget::InPlace).map(Self::written);
        let written = other.promote_to.iter().map(|place| place.as_path().to_owned());
        written.chain(in_place.unwrap_or_default()).any(|other| meets(&other))
    }

    fn written(&self) -> Vec<PathBuf> {
        let all = if self.paths.is_empty() { std::slice::from_ref(&self.source_path) } else { &self.paths[..] };
        all.iter().map(|path| path.as_path().to_owned()).collect()
    }
}

impl PlacedSystem {
    /// None where not even its name is known.
    pub(crate) fn read(node: &Node, known: Known<'_>, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let name = fields.required("name", findings, placed_name);
        let needs = fields.optional("needs", findings, |node, findings| {
            values::list(node, "the name of a system", findings, placed_name)
        });
        let plan = fields.required("plan", findings, placed_name);
        let found = plan.as_ref().and_then(|(plan, span)| known.plans.look_up("plan", plan, span, findings)).copied();
        let host = fields.optional("host", findings, placed_name);
        let host = found.and_then(|plan| host_of(plan, host.as_ref(), &node.span, findings));
        let to = fields.required("to", findings, |node, findings| read_target(node, known.hosts, findings));
        let to_span = fields.node("to").map(|node| node.span.clone());
        let promote_to = fields.optional(PROMOTE_TO, findings, values::written);
        let paths = fields.optional("paths", findings, |node, findings| {
            values::list(node, "an absolute path", findings, |node, findings| {
                Some((values::written::<SourcePath>(node, findings)?, node.span.clone()))
            })
        });
        let has_paths = fields.node("paths").is_some();
        let paths = if has_paths { paths } else { Some(Vec::new()) };
        let promote_span = fields.node(PROMOTE_TO).map(|node| node.span.clone());
        if let (Some(span), Some(paths)) = (&promote_span, &paths) {
            refuse_idle(to.as_ref(), paths.len(), span, findings);
        }
        let source_path =
            found.zip(paths.as_ref()).and_then(|(plan, paths)| source_path(plan, paths, &node.span, findings));
        let hooks = |node: &Node, findings: &mut Findings<'_>| values::list(node, Hook::WHAT, findings, Hook::read);
        let before = fields.optional("before", findings, hooks);
        let after = fields.optional("after", findings, hooks);
        let probes = fields
            .optional("probes", findings, |node, findings| values::list(node, Probe::WHAT, findings, Probe::read));
        let name = name?;
        let needs = needs.unwrap_or_default();
        let system = || {
            Some(RestoreSystem {
                name: name.0.clone(),
                needs: needs.iter().map(|(name, _)| name.clone()).collect(),
                plan: plan?.0,
                host: host?,
                to: to?,
                promote_to,
                paths: paths?.into_iter().map(|(path, _)| path).collect(),
                source_path: source_path?,
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
                probes: probes.unwrap_or_default(),
            })
        };
        let system = system();
        Some(Self { name, needs, system, to_span, promote_span })
    }
}

fn placed_name(node: &Node, findings: &mut Findings<'_>) -> Option<(Name, Span)> {
    Some((values::written(node, findings)?, node.span.clone()))
}

fn read_target(node: &Node, hosts: &Declared<PlacedHost>, findings: &mut Findings<'_>) -> Option<RestoreTarget> {
    let to = values::written(node, findings)?;
    if let RestoreTarget::Directory { host, .. } = &to {
        hosts.look_up("host", host, &node.span, findings);
    }
    Some(to)
}

/// A place for what needs none, or for more than one directory.
fn refuse_idle(to: Option<&RestoreTarget>, paths: usize, span: &Span, findings: &mut Findings<'_>) {
    if to == Some(&RestoreTarget::InPlace) {
        let reason = "what comes back in place is where it is used";
        let remedy = "take it out, or restore to a directory of a host: `to: db2:/srv/restored`";
        findings.report(Code::KeyBeside, span, reason, remedy);
    } else if paths != 1 {
        let reason = "one directory is put there, by a rename";
        findings.report(Code::KeyBeside, span, reason, "name it alone: `paths: [/srv/billing]`");
    }
}

/// Whose data they are: one of the plan's hosts, or its only one.
fn host_of(plan: &FleetPlan, said: Option<&(Name, Span)>, system: &Span, findings: &mut Findings<'_>) -> Option<Name> {
    let hosts = || listed(plan.hosts().iter().map(Name::as_str));
    match (said, plan.hosts()) {
        (Some((host, _)), of_plan) if of_plan.contains(host) => Some(host.clone()),
        (Some((host, span)), _) => {
            let reason =
                format!("the plan {} does not back up {}", quoted(plan.name().as_str()), quoted(host.as_str()));
            findings.report(Code::NotOfPlan, span, reason, format!("write one of its hosts: {}", hosts()));
            None
        }
        (None, [only]) => Some(only.clone()),
        (None, _) => {
            let reason = format!("the plan {} backs up several hosts", quoted(plan.name().as_str()));
            findings.report(Code::MissingKey, system, reason, format!("add `host:` with one of them: {}", hosts()));
            None
        }
    }
}

/// A path of the one source that is meant: each source has snapshots of its own.
fn source_path(
    plan: &FleetPlan,
    paths: &[(SourcePath, Span)],
    system: &Span,
    findings: &mut Findings<'_>,
) -> Option<SourcePath> {
    let sources = plan.plan().sources();
    let name = quoted(plan.name().as_str());
    let Some((first, _)) = paths.first() else {
        let [only] = sources else {
            let reason = format!("the plan {name} has several sources, each with snapshots of its own");
            findings.report(Code::MissingKey, system, reason, "add `paths:` with paths of one of them");
            return None;
        };
        return first_path(only);
    };
    let holds = |source: &Source, path: &SourcePath| covers(source, path.as_path());
    let source = sources.iter().find(|source| holds(source, first));
    for (path, span) in paths {
        if source.is_none_or(|source| !holds(source, path)) {
            let reason = match sources.iter().any(|source| holds(source, path)) {
                true => format!("{} is of another source than the paths before it", quoted(&path.to_string())),
                false => format!("the plan {name} does not back up {}", quoted(&path.to_string())),
            };
            let remedy = "write paths of one source of the plan; of another source, make another system";
            findings.report(Code::NotOfPlan, span, reason, remedy);
        }
    }
    source.map(|_| first.clone())
}

fn first_path(source: &Source) -> Option<SourcePath> {
    match source.input() {
        Input::Files(files) => files.files().first().cloned(),
        Input::Command(command) => Some(command.name().clone()),
    }
}

fn covers(source: &Source, path: &Path) -> bool {
    match source.input() {
        Input::Files(files) => files.files().iter().any(|root| path.starts_with(root.as_path())),
        Input::Command(command) => path == command.name().as_path(),
    }
}
