//! What is in all snapshots: of one repository, or of all that a site has.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use strongroom_controller::journal::Journal;
use strongroom_plans::{Name, RepositorySpec, Site};
use strongroom_repository::names::Names;
use strongroom_repository::tree::order::join;
use strongroom_repository::{ChunkId, Located, ObjectId, Snapshot};

use super::FindArgs;
use super::candidates::{Candidates, Match, Point};
use super::pattern::Pattern;
use crate::access::{self, Opened};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Doing, Failure};
use crate::fleet::JOURNAL;
use crate::{choice, forget, site_directory};

/// Of a path there may be many restore points, and whoever names it wants to choose; whoever looks for names wants to see many of them.
const POINTS: (usize, usize) = (10, 1);
/// Fewer pages are read before anybody wonders.
const QUIET_PAGES: u64 = 1000;

pub(super) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = &args.everywhere;
    let (pattern, points) = match (&wanted.path, &wanted.name) {
        (Some(path), _) => (Pattern::of_path(path)?, POINTS.0),
        (None, name) => (Pattern::parse(name.as_deref().unwrap_or_default())?, POINTS.1),
    };
    let points = wanted.points.map_or(points, std::num::NonZeroUsize::get);
    let mut places = places(args, context)?;
    if places.iter().all(|place| place.opened.is_err()) {
        // There is nowhere to look: why the first one could not be opened is the answer.
        places.truncate(1);
        places.pop().map_or(Ok(()), |place| place.opened.map(drop))?;
    }
    let mut search = Search { args, context, pattern, found: BTreeMap::new(), is_cut: false, is_damaged: false };
    let any_out_of_reach = search.look(&places)?;
    let Search { found, is_cut, mut is_damaged, .. } = search;
    let mut matches: Vec<Match> =
        found.into_iter().map(|((host, path), all)| Match::new(host, path, all, points)).collect();
    is_damaged |= describe(&mut matches, &places, context)?;
    let exit = match () {
        () if any_out_of_reach => Exit::StoreOutOfReach,
        () if is_damaged => Exit::Damaged,
        () if matches.is_empty() => Exit::NotFound,
        () => Exit::Success,
    };
    context.output.answer(&Candidates { as_of: wanted.at.unwrap_or_else(Timestamp::now), matches, is_cut })?;
    Ok(exit)
}

/// An open repository, or why it could not be opened.
struct Place {
    /// The site's name of it; without a site, where it is.
    name: String,
    opened: Result<Opened, Failure>,
    /// The snapshots that were proven by a restore.
    proven: HashSet<ObjectId>,
}

fn places(args: &FindArgs, context: &Context) -> Result<Vec<Place>, Failure> {
    let state = context.state_dir()?;
    let proven = |opened: &Opened| forget::proven(&state, opened.repository.id());
    let Some(directory) = &args.everywhere.site else {
        let opened = access::open(args.url()?, &args.key, context)?;
        return Ok(vec![Place { name: opened.location.to_string(), proven: proven(&opened), opened: Ok(opened) }]);
    };
    let site = site_directory::load(directory, "find files")?;
    let by_runs = proven_by_runs(&site, context)?;
    let open = |(name, spec): (&Name, &RepositorySpec)| {
        let opened = access::open_declared(spec, &args.key, context);
        let here = opened.as_ref().map(proven).unwrap_or_default();
        Place { name: name.to_string(), opened, proven: by_runs.union(&here).copied().collect() }
    };
    Ok(site.repositories().iter().map(open).collect())
}

/// What the controller's journal says, where the controller is on this machine.
fn proven_by_runs(site: &Site, context: &Context) -> Result<HashSet<ObjectId>, Failure> {
    let path = context.state_dir()?.join(JOURNAL);
    let mut proven = HashSet::new();
    if path.exists() {
        let journal = context.wait("open the journal", Journal::open(&path))?;
        for plan in site.plans().values() {
            let of_runs = context.wait("read what was proven", journal.proven_snapshots(plan.name().as_str()))?;
            proven.extend(of_runs.iter().filter_map(|id| id.parse::<ObjectId>().ok()));
        }
    }
    Ok(proven)
}

struct Search<'a> {
    args: &'a FindArgs,
    context: &'a Context,
    pattern: Pattern,
    /// By host and path, and then by snapshot.
    found: BTreeMap<(String, Vec<u8>), HashMap<ObjectId, Point>>,
    is_cut: bool,
    is_damaged: bool,
}

impl Search<'_> {
    /// Looks in each of them; whether some could not be looked in.
    fn look(&mut self, places: &[Place]) -> Result<bool, Failure> {
        let mut any_out_of_reach = false;
        for (number, place) in places.iter().enumerate() {
            match &place.opened {
                Ok(opened) => self.look_in(number, place, opened)?,
                Err(failure) => {
                    any_out_of_reach = true;
                    self.context.say(&format!("{} is left out: {failure}", place.name));
                }
            }
        }
        Ok(any_out_of_reach)
    }

    fn look_in(&mut self, number: usize, place: &Place, opened: &Opened) -> Result<(), Failure> {
        let all = choice::all(opened, self.context)?;
        self.is_damaged |= !all.unreadable.is_empty();
        let names = self.names(place, opened, &all.readable)?;
        let meant = all.readable.iter().filter(|snapshot| self.is_meant(snapshot));
        let meant = meant.filter_map(|snapshot| snapshot.manifest.root.map(|root| (snapshot, root)));
        let (snapshots, roots): (Vec<&Snapshot>, Vec<ChunkId>) = meant.unzip();
        let (limit, threads) = (self.args.everywhere.limit.get(), self.context.threads());
        let matches = |directory: &[u8], name: &[u8]| self.pattern.matches_raw(directory, name);
        let found = names.find(&roots, limit, threads, &matches);
        let found = found.doing(|| format!("search the names in {}", place.name))?;
        self.is_cut |= found.is_cut;
        for path in found.paths {
            let whole = join(&path.directory, &path.name);
            for (tree, page) in path.at {
                self.add((number, place), snapshots[tree], &whole, page);
            }
        }
        Ok(())
    }

    fn names(&mut self, place: &Place, opened: &Opened, snapshots: &[Snapshot]) -> Result<Names, Failure> {
        let told = Cell::new(false);
        let telling = |pages| {
            if pages > QUIET_PAGES && !told.replace(true) {
                self.context.say(&format!("reading the names in {}: the next search has them", place.name));
            }
        };
        let what = format!("read the names in {}", place.name);
        let names = self.context.wait(&what, opened.repository.names(snapshots, telling))?;
        for (page, why) in names.unreadable() {
            self.is_damaged = true;
            tracing::warn!("what page {page} names is not found: {why}");
        }
        Ok(names)
    }

    fn is_meant(&self, snapshot: &Snapshot) -> bool {
        let wanted = &self.args.everywhere;
        let manifest = &snapshot.manifest;
        (wanted.hosts.is_empty() || wanted.hosts.contains(&manifest.host))
            && wanted.at.is_none_or(|at| manifest.time <= at)
    }

    /// Copies have the same snapshots: they are one point, in several repositories.
    fn add(&mut self, (number, place): (usize, &Place), snapshot: &Snapshot, path: &[u8], page: ChunkId) {
        let points = self.found.entry((snapshot.manifest.host.clone(), path.to_vec())).or_default();
        let point = points.entry(snapshot.id).or_insert_with(|| Point::new(snapshot, page));
        point.places.push(number);
        point.repositories.push(place.name.clone());
        point.is_proven |= place.proven.contains(&snapshot.id);
    }
}

/// Reads what the entries are, each page once; whether one of them cannot be read.
fn describe(matches: &mut [Match], places: &[Place], context: &Context) -> Result<bool, Failure> {
    let mut by_page: HashMap<ChunkId, Vec<(&[u8], &mut Point)>> = HashMap::new();
    for Match { raw, points, .. } in matches {
        points.iter_mut().for_each(|point| by_page.entry(point.page).or_default().push((raw, point)));
    }
    let mut is_damaged = false;
    for (page, mut wanted) in by_page {
        let Some(mut entries) = read(&page, &wanted[0].1.places, places, context)? else {
            is_damaged = true;
            continue;
        };
        for (path, point) in &mut wanted {
            let is_it = |(directory, entry): &Located| join(directory, &entry.name) == *path;
            point.entry = entries.iter().position(is_it).map(|at| entries[at].1.clone());
        }
        entries.clear();
    }
    Ok(is_damaged)
}

/// The entries of a page, from the first repository that can read it.
fn read(
    page: &ChunkId,
    holding: &[usize],
    places: &[Place],
    context: &Context,
) -> Result<Option<Vec<Located>>, Failure> {
    for opened in holding.iter().filter_map(|number| places.get(*number)?.opened.as_ref().ok()) {
        match context.wait("read what was found", opened.repository.leaf(page)) {
            Ok(entries) => return Ok(Some(entries)),
            Err(failure) if matches!(failure.exit(), Exit::Stopped(_)) => return Err(failure),
            Err(failure) => tracing::warn!("{failure}"),
        }
    }
    Ok(None)
}
