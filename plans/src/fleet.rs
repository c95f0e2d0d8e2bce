//! A plan of a site: a backup plan for the hosts that it selects.

use std::fmt;

use serde::Serialize;

use crate::backup::{BackupPlan, COPIES, Parts, StoredAt, report_stored_twice};
use crate::declared::Declared;
use crate::drill_plan::{DrillPlan, PROVE};
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::PlacedHost;
use crate::include::INCLUDE;
use crate::name::Name;
use crate::objectives::Objectives;
use crate::overlap;
use crate::preset::Inherited;
use crate::prove::ProofDemand;
use crate::report::quoted;
use crate::said::Said;
use crate::schedule::PlacedSchedule;
use crate::selector::{NAME_KEY, Selector};
use crate::site_reader::SiteDraft;
use crate::site_repository::Access;
use crate::text::{Place, Span};
use crate::tree::Node;
use crate::values;
use crate::version::ContentHash;
use crate::words::{Meaning, nearest_of};

/// What is backed up on which hosts, to which of the site's repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPlan {
    plan: BackupPlan,
    selector: Selector,
    hosts: Vec<Name>,
    repository: Name,
    copies: Vec<Name>,
    access: Access,
    preset: Option<Name>,
    priority: Priority,
    objectives: Objectives,
    drill: Option<Name>,
    file: String,
    version: ContentHash,
}

/// Of runs that wait for the same place, the one of the higher priority begins first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Priority(u8);

/// A plan as far as its own file and those of the site tell, and where it names other plans.
#[derive(Debug)]
pub(crate) struct FleetDraft {
    /// Known also where the rest is faulty, so that whoever names the plan is not told that it is not there.
    pub(crate) name: Option<(Name, Span)>,
    pub(crate) after: Option<(Name, Option<Span>)>,
    pub(crate) plan: Option<FleetPlan>,
}

static SHAPE: Shape = Shape {
    title: "a plan of a site",
    keys: &[
        ("kind", Meaning::Now("backup")),
        ("name", Meaning::Now("billing")),
        ("owner", Meaning::Now("team-web")),
        ("hosts", Meaning::Now("role=db & env=prod")),
        (INCLUDE, Meaning::Now("[parts/nightly.yaml]")),
        ("sources", Meaning::Now("[{ files: [/etc] }]")),
        ("repository", Meaning::Now("main")),
        (COPIES, Meaning::Now("[offsite]")),
        ("preset", Meaning::Now("nightly")),
        ("priority", Meaning::Now("50")),
        ("schedule", Meaning::Now("{ full: weekly sun 01:30, incremental: daily 01:30 }")),
        ("retain", Meaning::Now("{ daily: 14, weekly: 8, at-least: 3 }")),
        ("prove", Meaning::Now("{ level: restored }")),
        ("limits", Meaning::Now("{ upload: 20 MiB }")),
        ("objectives", Meaning::Now("{ rto: 4h, rpo: 24h }")),
        ("tags", Meaning::Now("{ system: billing }")),
    ],
};

impl FleetPlan {
    /// What is done on each of the hosts; its repository is the directory that the site's repository has there.
    pub fn plan(&self) -> &BackupPlan {
        &self.plan
    }

    /// The plan's name, unique within the site.
    pub fn name(&self) -> &Name {
        self.plan.name()
    }

    /// The condition by which hosts are chosen.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The hosts that it chooses, by name; at least one.
    pub fn hosts(&self) -> &[Name] {
        &self.hosts
    }

    /// The site's name for the repository.
    pub fn repository(&self) -> &Name {
        &self.repository
    }

    /// The site's names of the repositories that are copies of it, and that each run brings up to date.
    pub fn copies(&self) -> &[Name] {
        &self.copies
    }

    /// How its hosts reach the repository.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The preset that gives what the plan does not say.
    pub fn preset(&self) -> Option<&Name> {
        self.preset.as_ref()
    }

    /// Its rank among runs that wait.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// What restores of its data are measured against.
    pub fn objectives(&self) -> Objectives {
        self.objectives
    }

    /// The file of the kind `drill` that says how its restore points are proven; none where the plan or its preset does.
    pub fn drill(&self) -> Option<&Name> {
        self.drill.as_ref()
    }

    pub(crate) fn drill_by(&mut self, drill: &DrillPlan) {
        let said = drill.said().iter().filter(|said| said.is_of(PROVE));
        self.plan.take_demand(drill.prove(), said.cloned());
        self.drill = Some(drill.name().clone());
    }

    /// The file, relative to the site's directory.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where one of the plan's keys, or the first value below it, stands. None for what nobody says.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.plan.said().iter().find(|said| said.is_of(key)).map(Said::place)
    }

    /// The version of the plan: the BLAKE3 of its file. What presets, parts and variables add belongs to the version of the site.
    pub fn version(&self) -> ContentHash {
        self.version
    }
}

impl Priority {
    /// From 1 up to this.
    pub const MAX: u8 = 100;

    /// From 1 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    /// The middle, so that a plan can go before and behind those that do not say.
    fn default() -> Self {
        Self(50)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FleetDraft {
    /// Nothing is known of a plan whose file cannot be read.
    pub(crate) fn unreadable() -> Self {
        Self { name: None, after: None, plan: None }
    }

    pub(crate) fn read(
        root: &Node,
        file: (&str, &[u8]),
        site: &SiteDraft,
        hosts: &Declared<PlacedHost>,
        findings: &mut Findings<'_>,
    ) -> Self {
        let Some(fields) = Fields::of(root, &SHAPE, findings) else { return Self::unreadable() };
        let preset = fields.optional("preset", findings, |node, findings| {
            let name: Name = values::written(node, findings)?;
            let preset = site.presets.look_up("preset", &name, &node.span, findings);
            Some((name, preset))
        });
        let inherited = match &preset {
            Some((_, Some(preset))) => Inherited::From(preset),
            Some((_, None)) => Inherited::Unknown,
            None if fields.node("preset").is_some() => Inherited::Unknown,
            None => Inherited::Nothing,
        };
        let parts = Parts::read(&fields, inherited, ProofDemand::read, findings);
        let name_span = fields.node("name").map(|node| node.span.clone());
        let name = parts.name.clone().zip(name_span);
        let says_schedule = fields.node("schedule").is_some();
        if let Some(placed) = parts.schedule.as_ref().filter(|_| says_schedule) {
            report_unknown_calendars(placed, site, findings);
        }
        let after = parts.schedule.as_ref().and_then(|placed| {
            let span = placed.after_span.clone().filter(|_| says_schedule);
            Some((placed.schedule.after()?.clone(), span))
        });
        let chosen = fields.required("hosts", findings, |node, findings| {
            let selector: Selector = values::written(node, findings)?;
            let chosen = chosen(&selector, hosts, &node.span, findings);
            Some((selector, chosen))
        });
        let repository = fields.required("repository", findings, |node, findings| {
            let name: Name = values::written(node, findings)?;
            let spec = site.repositories.look_up("repository", &name, &node.span, findings)?;
            let on_hosts = spec.access().directory_on_hosts().zip(parts.sources.as_ref());
            if let Some(refusal) = on_hosts.and_then(|(path, sources)| overlap::with_repository(sources, &path)) {
                findings.refuse(Code::RepositoryInSource, &node.span, &refusal);
            }
            Some((name, spec, findings.text().place(&node.span)))
        });
        let copies = fields.optional(COPIES, findings, |node, findings| {
            let copies = values::faultless_items(node, "the name of a repository", findings, |node, findings| {
                let name: Name = values::written(node, findings)?;
                let spec = site.repositories.look_up("repository", &name, &node.span, findings)?;
                Some(((name, node.span.clone()), spec.at().clone()))
            })?;
            let (names, at): (Vec<_>, Vec<_>) = copies.into_iter().unzip();
            if let Some((main, ..)) = &repository {
                report_stored_twice(main, &names, findings);
            }
            Some((names.into_iter().map(|(name, _)| name).collect::<Vec<Name>>(), at))
        });
        let (copies, copied_to) = copies.unwrap_or_default();
        let priority = fields.optional("priority", findings, |node, findings| {
            let number = values::count_up_to(node, Priority::MAX.into(), findings)?;
            u8::try_from(number.get()).ok().map(Priority)
        });
        let objectives = fields.optional("objectives", findings, Objectives::read);
        let mut said = fields.said(findings.text());
        // What a part says is said; that it is a part which says so is no value.
        said.retain(|said| !said.is_of(INCLUDE));
        said.extend(inherited.said(|key| fields.node(key).is_some()).cloned());
        let plan = chosen.zip(repository).and_then(|((selector, hosts), (repository, spec, place))| {
            Some(FleetPlan {
                plan: parts.plan(StoredAt { repository: spec.at().clone(), place, copies: copied_to }, said)?,
                selector,
                hosts,
                repository,
                copies,
                access: spec.access().clone(),
                preset: preset.map(|(name, _)| name),
                priority: priority.unwrap_or_default(),
                objectives: objectives.unwrap_or_default(),
                drill: None,
                file: file.0.to_owned(),
                version: ContentHash::of(file.1),
            })
        });
        Self { name, after, plan }
    }
}

/// A plan without a host would be a promise to nobody.
fn chosen(selector: &Selector, hosts: &Declared<PlacedHost>, span: &Span, findings: &mut Findings<'_>) -> Vec<Name> {
    let all = hosts.values().map(|placed| &placed.host);
    let chosen: Vec<Name> = all.filter(|host| selector.matches(host)).map(|host| host.name().clone()).collect();
    // One that is not read because of a fault of its own might be the one that is meant.
    if chosen.is_empty() && hosts.is_sound() {
        let labels = || hosts.values().flat_map(|placed| placed.host.labels().keys()).map(Name::as_str);
        let is_label = |key: &&str| *key == NAME_KEY || labels().any(|label| label == *key);
        let reason = format!("no host of the site matches {}", quoted(selector.as_str()));
        let remedy = match selector.keys().into_iter().find(|key| !is_label(key)) {
            Some(key) => {
                let is_name = hosts.values().any(|placed| placed.host.name().as_str() == key);
                let meant = match is_name {
                    true => Some(format!("; the host of that name is `{NAME_KEY}={key}`")),
                    false => nearest_of(key, labels()).map(|near| format!("; did you mean `{near}`?")),
                };
                format!("no host has the label {}{}", quoted(key), meant.unwrap_or_default())
            }
            None => "change the selector, or give a host the labels that it asks for".to_owned(),
        };
        findings.report(Code::NoHost, span, reason, remedy);
    }
    chosen
}

/// Reports calendars that the site does not have.
pub(crate) fn report_unknown_calendars(placed: &PlacedSchedule, site: &SiteDraft, findings: &mut Findings<'_>) {
    for (name, span) in placed.schedule.calendars().iter().zip(&placed.calendar_spans) {
        site.calendars.look_up("calendar", name, span, findings);
    }
}
