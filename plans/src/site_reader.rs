//! From the files of a site to the [`Site`]: what each file says, then what they say about each other.
//!
//! Each file has its own findings, so that every fault is shown with its file. A file that cannot be read hides
//! nothing in the others, and brings no faults of their own to them: what it would have declared is not called
//! unknown.

use std::collections::BTreeMap;

use crate::calendar::Calendar;
use crate::dead_man::DeadMan;
use crate::declared::Declared;
use crate::drill_plan::{DrillDraft, settle};
use crate::fault::{Code, Faults};
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::fleet::{FleetDraft, FleetPlan, report_unknown_calendars};
use crate::grow::FileKind;
use crate::host::{Host, PlacedHost};
use crate::include::{INCLUDE, PartFiles};
use crate::limits::Limits;
use crate::name::Name;
use crate::notification::Notification;
use crate::own_state::OwnState;
use crate::people::Person;
use crate::plan_kind::PlanKind;
use crate::preset::Preset;
use crate::quota::Quota;
use crate::report::quoted;
use crate::restore_plan::RestoreDraft;
use crate::restore_system::Known;
use crate::restores::RestoreRules;
use crate::said::Said;
use crate::schedule::Zone;
use crate::site::Site;
use crate::site_circles::{report_circles_of_hosts, report_circles_of_plans};
use crate::site_file::{BegunPlan, Shared, SiteFile};
use crate::site_files::{HOSTS_FILE, Part, SITE_FILE, SiteFiles};
use crate::site_repository::RepositorySpec;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::variables::{VARIABLES, Variables};
use crate::words::Meaning;

/// `site.yaml` as far as it could be read.
#[derive(Debug)]
pub(crate) struct SiteDraft {
    name: Option<Name>,
    zone: Option<Zone>,
    pub(crate) repositories: Declared<RepositorySpec>,
    pub(crate) presets: Declared<Preset>,
    pub(crate) calendars: Declared<Calendar>,
    limits: Limits,
    notifications: Vec<Notification>,
    said: Vec<Said>,
    dead_man: Option<DeadMan>,
    own_state: OwnState,
    quotas: Vec<(Quota, Option<Span>)>,
    people: Declared<Person>,
    restores: RestoreRules,
}

/// A file of the plans: what was found wrong with it, and what it says.
pub(crate) struct ReadFile<'t, D> {
    pub(crate) path: &'t str,
    pub(crate) findings: Findings<'t>,
    pub(crate) draft: D,
}

pub(crate) type PlanFile<'t> = ReadFile<'t, FleetDraft>;
pub(crate) type RestoreFile<'t> = ReadFile<'t, RestoreDraft>;
pub(crate) type DrillFile<'t> = ReadFile<'t, DrillDraft>;

/// All plans, by their kinds.
struct Drafts {
    plans: Vec<FleetDraft>,
    restores: Vec<RestoreDraft>,
    drills: Vec<DrillDraft>,
}

/// Keys of the site that only matter by what they give elsewhere, where it is said.
const UNSAID: [&str; 3] = ["presets", VARIABLES, INCLUDE];

static SITE: Shape = Shape {
    title: "a site",
    keys: &[
        ("name", Meaning::Now("my-site")),
        (INCLUDE, Meaning::Now("[parts/calendars.yaml]")),
        (VARIABLES, Meaning::Now("{ dumps: /srv/dumps }")),
        ("zone", Meaning::Now("Asia/Shanghai")),
        ("repositories", Meaning::Now("main: { at: /srv/strongroom/main }")),
        ("presets", Meaning::Now("nightly: { retain: { daily: 14, at-least: 3 } }")),
        ("calendars", Meaning::Now("year-end: { days: [12-20..01-05], freeze: [rollout, upgrade] }")),
        ("limits", Meaning::Now("{ runs: 8, per-host: 1, per-repository: 4 }")),
        ("notifications", Meaning::Now("[{ command: [/usr/local/bin/page], on: [failed, missed] }]")),
        ("dead-man", Meaning::Now("{ url: \"https://monitor.example.org/ping\", every: 5m }")),
        ("own-state", Meaning::Now("{ prove: monthly }")),
        ("quotas", Meaning::Now("[{ repository: main, hosts: tenant=north, hard: 100 GiB }]")),
        ("people", Meaning::Now("wang: { users: [wang], roles: { operator: \"*\" } }")),
        ("restores", Meaning::Now("{ test: { hosts: env=test, approvals: 1 }, valid: 4h }")),
    ],
};

static HOSTS: Shape =
    Shape { title: "the file of hosts", keys: &[("hosts", Meaning::Now("web1: { address: 10.0.0.5 }"))] };

pub(crate) fn read(files: &SiteFiles) -> Result<Site, Faults> {
    let of = |part| of(files, part);
    let site_file = of(Part::Site).next().unwrap_or_else(|| missing(files, SITE_FILE));
    let hosts_file = of(Part::Hosts).next().unwrap_or_else(|| missing(files, HOSTS_FILE));
    let plan_files: Vec<SiteFile<'_>> = of(Part::Plan).collect();
    let part_files: Vec<SiteFile<'_>> = of(Part::Included).collect();
    let stray_files: Vec<SiteFile<'_>> = of(Part::Stray).collect();

    let parts = part_files.iter().map(|file| (file.path, file.shown.as_str(), file.content.unwrap_or_default()));
    let mut shared = Shared { parts: PartFiles::new(parts), variables: Variables::unreadable(), is_all_read: true };
    let (mut site_findings, site) = site_file.read_site(&mut shared);
    let (mut hosts_findings, root) = hosts_file.begin(FileKind::HOSTS);
    let hosts = root.map_or_else(Declared::unreadable, |root| read_hosts(&root, &mut hosts_findings));
    let begun: Vec<BegunPlan<'_>> = plan_files.iter().map(|file| file.begin_plan(&mut shared)).collect();
    let (backups, others): (Vec<_>, Vec<_>) = begun.into_iter().partition(|file| file.kind() == PlanKind::Backup);
    let mut plans: Vec<PlanFile<'_>> = backups.into_iter().map(|file| file.read(&site, &hosts)).collect();
    // Those of other kinds name backup plans, so they come after.
    let (mut restores, mut drills) = read_others(others, &plans, &hosts);

    report_names_twice(&mut plans, &mut restores, &mut drills);
    settle(&mut drills, &mut plans);
    report_unknown_plans(&site, &mut site_findings, &mut plans);
    report_circles_of_plans(&mut plans);
    report_circles_of_hosts(&hosts, &mut hosts_findings);

    let mut strays: Vec<Findings<'_>> = stray_files.iter().map(SiteFile::refuse_stray).collect();
    // What could not be read might use them.
    if shared.is_all_read {
        shared.variables.report_unused(&mut site_findings);
        let unused = part_files.iter().filter(|file| !shared.parts.is_included(file.path));
        strays.extend(unused.map(SiteFile::refuse_unused));
    }
    let findings = [site_findings, hosts_findings].into_iter().chain(strays);
    let (of_plans, drafts): (Vec<_>, Vec<_>) = plans.into_iter().map(|plan| (plan.findings, plan.draft)).unzip();
    let (of_restores, restores): (Vec<_>, Vec<_>) =
        restores.into_iter().map(|plan| (plan.findings, plan.draft)).unzip();
    let (of_drills, drills): (Vec<_>, Vec<_>) = drills.into_iter().map(|plan| (plan.findings, plan.draft)).unzip();
    let findings = findings.chain(of_plans).chain(of_restores).chain(of_drills);
    let faults = Faults::joined(findings.filter_map(Findings::into_faults));
    match (faults, site.conclude(hosts, Drafts { plans: drafts, restores, drills }, files)) {
        (None, Some(site)) => Ok(site),
        (Some(faults), _) => Err(faults),
        // BUG: a reader that gives up says why.
        (None, None) => unreachable!("a site was refused without a fault"),
    }
}

/// The hosts, as far as their own file says.
pub(crate) fn read_hosts_file(files: &SiteFiles) -> Result<BTreeMap<Name, Host>, Faults> {
    let file = of(files, Part::Hosts).next().unwrap_or_else(|| missing(files, HOSTS_FILE));
    let (mut findings, root) = file.begin(FileKind::HOSTS);
    let hosts = root.map_or_else(Declared::unreadable, |root| read_hosts(&root, &mut findings));
    report_circles_of_hosts(&hosts, &mut findings);
    findings.into_faults().map_or_else(|| Ok(hosts.into_values(|placed| placed.host)), Err)
}

fn of(files: &SiteFiles, part: Part) -> impl Iterator<Item = SiteFile<'_>> {
    files.of(part).map(|(path, shown, content)| SiteFile { path, shown, content: Some(content) })
}

fn missing<'t>(files: &SiteFiles, path: &'t str) -> SiteFile<'t> {
    SiteFile { path, shown: files.shown(path), content: None }
}

/// Reads the tree of a plan as if nothing were known of its site.
pub(crate) fn read_plan_alone(root: &Node, findings: &mut Findings<'_>) {
    FleetDraft::read(root, ("", b""), &SiteDraft::unreadable(), &Declared::unreadable(), findings);
}

/// Reads the tree of `site.yaml`, whatever it declares.
pub(crate) fn read_site_alone(root: &Node, findings: &mut Findings<'_>) {
    SiteDraft::read(root, findings);
}

/// Reads the tree of `hosts.yaml`.
pub(crate) fn read_hosts_alone(root: &Node, findings: &mut Findings<'_>) {
    read_hosts(root, findings);
}

fn read_hosts(root: &Node, findings: &mut Findings<'_>) -> Declared<PlacedHost> {
    let Some(fields) = Fields::of(root, &HOSTS, findings) else { return Declared::unreadable() };
    // Only to be told when it is missing: what it holds is read below.
    fields.required("hosts", findings, |_, _| Some(()));
    let hosts = Declared::read(&fields, "hosts", findings, Host::read);
    for PlacedHost { host, jump_span } in hosts.values() {
        if let Some((jump, span)) = host.jump().zip(jump_span.as_ref()) {
            hosts.look_up("host", jump, span, findings);
        }
    }
    hosts
}

fn read_others<'t>(
    files: Vec<BegunPlan<'t>>,
    plans: &[PlanFile<'_>],
    hosts: &Declared<PlacedHost>,
) -> (Vec<RestoreFile<'t>>, Vec<DrillFile<'t>>) {
    let plans = by_name(plans);
    let (restores, drills): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.kind() == PlanKind::Restore);
    let known = Known { plans: &plans, hosts };
    let restores = restores.into_iter().map(|file| file.read_restore(known)).collect();
    (restores, drills.into_iter().map(|file| file.read_drill(&plans)).collect())
}

/// The backup plans that were read, for those of other kinds to name them.
fn by_name<'p>(plans: &'p [PlanFile<'_>]) -> Declared<&'p FleetPlan> {
    let names = plans.iter().map(|file| Some((file.draft.name.as_ref()?.0.to_string(), file.draft.plan.as_ref())));
    names.collect::<Option<_>>().map_or_else(Declared::unreadable, Declared::of)
}

/// Each plan after the first of its name, in the order of the files, kind after kind.
fn report_names_twice<'t>(plans: &mut [PlanFile<'t>], restores: &mut [RestoreFile<'t>], drills: &mut [DrillFile<'t>]) {
    let mut first_in: BTreeMap<Name, &str> = BTreeMap::new();
    let plans = plans.iter_mut().map(|file| (file.path, &mut file.findings, &file.draft.name));
    let restores = restores.iter_mut().map(|file| (file.path, &mut file.findings, &file.draft.name));
    let drills = drills.iter_mut().map(|file| (file.path, &mut file.findings, &file.draft.name));
    for (path, findings, name) in plans.chain(restores).chain(drills) {
        let Some((name, span)) = name else { continue };
        match first_in.get(name) {
            Some(first) => {
                let reason = format!("{first} holds a plan {} already", quoted(name.as_str()));
                findings.report(Code::NameTwice, span, reason, "give one of the two another name");
            }
            None => {
                first_in.insert(name.clone(), path);
            }
        }
    }
}

/// Plans that `after` names, in presets and in plans.
fn report_unknown_plans(site: &SiteDraft, site_findings: &mut Findings<'_>, plans: &mut [PlanFile<'_>]) {
    let names = plans.iter().map(|plan| plan.draft.name.as_ref().map(|(name, _)| (name.to_string(), Some(()))));
    let declared = names.collect::<Option<_>>().map_or_else(Declared::unreadable, Declared::of);
    for (quota, span) in &site.quotas {
        if let Some((plan, span)) = quota.plan().zip(span.as_ref()) {
            declared.look_up("plan", plan, span, site_findings);
        }
    }
    for placed in site.presets.values().filter_map(|preset| preset.schedule.as_ref()) {
        if let Some((after, span)) = placed.schedule.after().zip(placed.after_span.as_ref()) {
            declared.look_up("plan", after, span, site_findings);
        }
    }
    for PlanFile { findings, draft, .. } in plans {
        if let Some((after, Some(span))) = &draft.after {
            declared.look_up("plan", after, span, findings);
        }
    }
}

impl SiteDraft {
    pub(crate) fn unreadable() -> Self {
        Self {
            name: None,
            zone: None,
            repositories: Declared::unreadable(),
            presets: Declared::unreadable(),
            calendars: Declared::unreadable(),
            limits: Limits::default(),
            notifications: Vec::new(),
            said: Vec::new(),
            dead_man: None,
            own_state: OwnState::default(),
            quotas: Vec::new(),
            people: Declared::unreadable(),
            restores: RestoreRules::default(),
        }
    }

    pub(crate) fn read(root: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(root, &SITE, findings)?;
        let draft = Self {
            name: fields.required("name", findings, values::written),
            zone: fields.required("zone", findings, values::written),
            repositories: Declared::read(&fields, "repositories", findings, RepositorySpec::read),
            presets: Declared::read(&fields, "presets", findings, |_, node, findings| Preset::read(node, findings)),
            calendars: Declared::read(&fields, "calendars", findings, |_, node, findings| {
                Calendar::read(node, findings)
            }),
            limits: fields.optional("limits", findings, Limits::read).unwrap_or_default(),
            notifications: fields.optional("notifications", findings, Notification::read_all).unwrap_or_default(),
            dead_man: fields.optional("dead-man", findings, DeadMan::read),
            own_state: fields.optional("own-state", findings, OwnState::read).unwrap_or_default(),
            quotas: Vec::new(),
            people: Person::read_all(&fields, findings),
            restores: fields.optional("restores", findings, RestoreRules::read).unwrap_or_default(),
            said: fields
                .said(findings.text())
                .into_iter()
                .filter(|said| !UNSAID.iter().any(|key| said.is_of(key)))
                .collect(),
        };
        let quotas = |node: &Node, findings: &mut Findings<'_>| Quota::read_all(node, &draft.repositories, findings);
        let quotas = fields.optional("quotas", findings, quotas).unwrap_or_default();
        let draft = Self { quotas, ..draft };
        for placed in draft.presets.values().filter_map(|preset| preset.schedule.as_ref()) {
            report_unknown_calendars(placed, &draft, findings);
        }
        Some(draft)
    }

    /// The site, if nothing is missing from it.
    fn conclude(self, hosts: Declared<PlacedHost>, drafts: Drafts, files: &SiteFiles) -> Option<Site> {
        let Drafts { plans, restores, drills } = drafts;
        let drills = drills.into_iter().map(|draft| draft.plan.map(|plan| (plan.name().clone(), plan)));
        let restores = restores.into_iter().map(|draft| draft.plan.map(|plan| (plan.name().clone(), plan)));
        let plans = plans.into_iter().map(|draft| draft.plan.map(|plan| (plan.name().clone(), plan)));
        Some(Site {
            name: self.name?,
            zone: self.zone?,
            repositories: self.repositories.into_values(|spec| spec),
            calendars: self.calendars.into_values(|calendar| calendar),
            limits: self.limits,
            notifications: self.notifications,
            dead_man: self.dead_man,
            own_state: self.own_state,
            quotas: self.quotas.into_iter().map(|(quota, _)| quota).collect(),
            people: self.people.into_values(|person| person),
            restores: self.restores,
            hosts: hosts.into_values(|placed| placed.host),
            plans: plans.collect::<Option<_>>()?,
            restore_plans: restores.collect::<Option<_>>()?,
            drill_plans: drills.collect::<Option<_>>()?,
            version: files.version(),
            said: self.said,
        })
    }
}
