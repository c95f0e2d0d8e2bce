//! `strongroom repo list`: the repositories of a site, and how well each system would survive the loss of some.

mod immutable;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strongroom_controller::PLAN_TAG;
use strongroom_controller::journal::Journal;
use strongroom_controller::redundancy::{Holding, Redundancy, unproven};
use strongroom_controller::site::ProofTerms;
use strongroom_plans::{FleetPlan, Media, Name, Site};
use strongroom_repository::store::ObjectLock;
use strongroom_repository::{ObjectId, RepositoryId, Snapshot};

use self::immutable::{is_immutable, newest_lock};
use crate::access::{self, KeyArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::JOURNAL;
use crate::output::Answer;
use crate::shown::{Align, Table, count, time};
use crate::{choice, forget, site_directory};

/// List the repositories of a site, and score each system 3-2-1-1-0
#[derive(Debug, Args)]
#[command(after_help = "\
Three copies of the data, themselves among them; on two kinds of media; one off-site, which two repositories with \
the same `site:` are not; one that nobody can change, as its last maintenance saw where site.yaml has `immutable:`; and \
no restore point newer than the newest proven one; under drills, the newest proof is no older than it counts. The data are where the label `site` of their host says, else where \
their plan stores. Ends with 4 if a copy lacks a system's newest restore point, with 5 if a repository cannot be opened.

Examples:
  strongroom repo list --site /etc/strongroom
  strongroom repo list --site /etc/strongroom --json | jq '.systems[] | select(.off-site == 0).host'")]
pub(crate) struct ListArgs {
    /// The directory of the site
    #[arg(long, value_name = "DIR")]
    site: PathBuf,

    #[command(flatten)]
    key: KeyArgs,
}

/// The host's label that says where it is.
const SITE_LABEL: &str = "site";

pub(crate) fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let site = site_directory::load(&args.site, "list the repositories")?;
    let seen = look(&site, &args.key, context);
    let systems = systems(&site, &seen, context)?;
    let exit = match () {
        () if seen.values().any(|seen| seen.fault.is_some()) => Exit::StoreOutOfReach,
        () if systems.iter().any(|system| !system.behind.is_empty()) => Exit::Damaged,
        () => Exit::Success,
    };
    let repositories = site.repositories().iter().map(|(name, spec)| RepositoryRow {
        name: name.clone(),
        location: spec.location(),
        site: spec.site().cloned(),
        media: spec.media(),
        repository: seen[name].id,
        snapshots: seen[name].snapshots.len() as u64,
        newest: seen[name].snapshots.iter().map(|snapshot| snapshot.manifest.time).max(),
        fault: seen[name].fault.clone(),
    });
    context.output.answer(&Listed { repositories: repositories.collect(), systems })?;
    Ok(exit)
}

/// What a repository holds, as far as it could be opened.
#[derive(Debug, Default)]
struct Seen {
    id: Option<RepositoryId>,
    snapshots: Vec<Snapshot>,
    /// The lock of the newest commit, where the site wants what is there to be immutable.
    newest_lock: Option<ObjectLock>,
    fault: Option<String>,
}

fn look(site: &Site, key: &KeyArgs, context: &Context) -> BTreeMap<Name, Seen> {
    let open = |(name, spec): (&Name, &strongroom_plans::RepositorySpec)| {
        let found = access::open_declared(spec, key, context).and_then(|opened| {
            let snapshots = choice::all(&opened, context)?.readable;
            let newest_lock = spec.immutable().and_then(|_| newest_lock(&opened, context));
            Ok(Seen { id: Some(opened.repository.id()), snapshots, newest_lock, fault: None })
        });
        (name.clone(), found.unwrap_or_else(|failure| Seen { fault: Some(failure.to_string()), ..Seen::default() }))
    };
    site.repositories().iter().map(open).collect()
}

fn systems(site: &Site, seen: &BTreeMap<Name, Seen>, context: &Context) -> Result<Vec<System>, Failure> {
    let state = context.state_dir()?;
    let path = state.join(JOURNAL);
    let journal = match path.exists() {
        true => Some(context.wait("open the journal", Journal::open(&path))?),
        false => None,
    };
    let mut immutable = BTreeSet::new();
    for (name, seen) in seen {
        if is_immutable(name, seen.newest_lock, journal.as_ref(), context)? {
            immutable.insert(name.clone());
        }
    }
    let world = World { site, seen, immutable };
    let mut systems = Vec::new();
    for plan in site.plans().values() {
        let mut proven: HashSet<ObjectId> =
            seen[plan.repository()].id.map(|id| forget::proven(&state, id)).unwrap_or_default();
        if let Some(journal) = &journal {
            let of_runs = context.wait("read what was proven", journal.proven_snapshots(plan.name().as_str()))?;
            proven.extend(of_runs.iter().filter_map(|id| id.parse::<ObjectId>().ok()));
        }
        for host in plan.hosts() {
            let drilled = journal.as_ref().map(|journal| newest_drill(journal, plan, host, context)).transpose()?;
            systems.push(System::of(&world, plan, host, &Proofs { proven: &proven, drilled: drilled.flatten() }));
        }
    }
    Ok(systems)
}

/// How long ago a drill proved a restore point last.
fn newest_drill(
    journal: &Journal,
    plan: &FleetPlan,
    host: &Name,
    context: &Context,
) -> Result<Option<SignedDuration>, Failure> {
    let known = journal.known_drills(plan.name().as_str(), host.as_str());
    let known = context.wait("read what drills have proven", known)?;
    Ok(known.good.map(|good| Timestamp::now().duration_since(good.ended)))
}

/// What is known to be proven.
struct Proofs<'a> {
    proven: &'a HashSet<ObjectId>,
    drilled: Option<SignedDuration>,
}

/// A site, and what was seen of it.
struct World<'a> {
    site: &'a Site,
    seen: &'a BTreeMap<Name, Seen>,
    immutable: BTreeSet<Name>,
}

/// One plan on one host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct System {
    plan: Name,
    host: Name,
    newest: Option<Timestamp>,
    #[serde(flatten)]
    redundancy: Redundancy,
    /// The plan's copies that lack its newest restore point.
    behind: Vec<Name>,
}

impl System {
    fn of(world: &World<'_>, plan: &FleetPlan, host: &Name, proofs: &Proofs<'_>) -> Self {
        let World { site, seen, immutable } = world;
        let is_of_it = |snapshot: &&Snapshot| {
            let manifest = &snapshot.manifest;
            manifest.host == host.as_str() && manifest.tags.get(PLAN_TAG).is_some_and(|tag| tag == plan.name().as_str())
        };
        let mut points: Vec<&Snapshot> = seen[plan.repository()].snapshots.iter().filter(is_of_it).collect();
        points.sort_by_key(|snapshot| snapshot.manifest.time);
        let newest = points.last().map(|snapshot| (snapshot.id, snapshot.manifest.time));
        let holds =
            |name: &&Name| newest.is_some_and(|(id, _)| seen[*name].snapshots.iter().any(|snapshot| snapshot.id == id));
        let holding = |name: &Name| {
            let spec = &site.repositories()[name];
            Holding { site: spec.site(), media: spec.media(), is_immutable: immutable.contains(name) }
        };
        let holdings: Vec<Holding<'_>> = site.repositories().keys().filter(holds).map(holding).collect();
        let label =
            site.hosts().get(host).and_then(|host| host.labels().iter().find(|(key, _)| key.as_str() == SITE_LABEL));
        let home = label.map(|(_, home)| home).or_else(|| site.repository_of(plan).site());
        let newer = points.iter().rev().take_while(|snapshot| !proofs.proven.contains(&snapshot.id)).count() as u64;
        let terms = plan.plan().prove().map(ProofTerms::of);
        let unproven = unproven(points.len() as u64, newer, terms, proofs.drilled);
        let behind = plan.copies().iter().filter(|copy| newest.is_some() && !holds(copy)).cloned();
        Self {
            plan: plan.name().clone(),
            host: host.clone(),
            newest: newest.map(|(_, time)| time),
            redundancy: Redundancy::of(home, &holdings, unproven),
            behind: behind.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RepositoryRow {
    name: Name,
    location: String,
    site: Option<Name>,
    media: Media,
    repository: Option<RepositoryId>,
    snapshots: u64,
    newest: Option<Timestamp>,
    /// Why it could not be opened.
    fault: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    repositories: Vec<RepositoryRow>,
    systems: Vec<System>,
}

impl Answer for Listed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("REPOSITORY", Align::Left),
            ("AT", Align::Left),
            ("SITE", Align::Left),
            ("MEDIA", Align::Left),
            ("SNAPSHOTS", Align::Right),
            ("NEWEST", Align::Left),
        ]);
        for row in &self.repositories {
            let site = row.site.as_ref().map_or("?".to_owned(), ToString::to_string);
            let newest = row.newest.map_or("-".to_owned(), time);
            table.row([
                row.name.to_string(),
                row.location.clone(),
                site,
                media(row.media).into(),
                count(row.snapshots),
                newest,
            ]);
        }
        table.write(out)?;
        for row in &self.repositories {
            row.fault.iter().try_for_each(|fault| writeln!(out, "OUT OF REACH  {}: {fault}", row.name))?;
        }
        writeln!(out)?;
        let mut table = Table::new(&[
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("NEWEST", Align::Left),
            ("COPIES", Align::Right),
            ("MEDIA", Align::Right),
            ("OFF-SITE", Align::Right),
            ("IMMUTABLE", Align::Right),
            ("UNPROVEN", Align::Right),
            ("LACKS", Align::Left),
        ]);
        for System { plan, host, newest, redundancy, behind } in &self.systems {
            let late = behind.iter().map(|copy| format!("{copy} LACKS THE NEWEST"));
            let lacks: Vec<String> = late.chain(redundancy.lacks().map(str::to_owned)).collect();
            let newest = newest.map_or("NONE".to_owned(), time);
            let numbers =
                [redundancy.copies, redundancy.media, redundancy.off_site, redundancy.immutable, redundancy.unproven];
            let [copies, media, off_site, immutable, unproven] = numbers.map(count);
            let lacks = lacks.join(", ");
            table.row([
                plan.to_string(),
                host.to_string(),
                newest,
                copies,
                media,
                off_site,
                immutable,
                unproven,
                lacks,
            ]);
        }
        table.write(out)
    }
}

fn media(media: Media) -> &'static str {
    match media {
        Media::Disk => "disk",
        Media::ObjectStorage => "object-storage",
        Media::Tape => "tape",
    }
}
