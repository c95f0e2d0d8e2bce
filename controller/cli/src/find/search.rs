//! The search itself: in every repository that is open, whoever asked for it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use strongroom_controller::journal::Proven;
use strongroom_controller::pace::Pace;
use strongroom_repository::names::Names;
use strongroom_repository::tree::order::join;
use strongroom_repository::{ChunkId, Error, Kind, Located, ObjectId, Repository, Snapshot, Tree};

use super::candidates::{Candidates, LeftOut, Match, Point};
use super::wanted::Wanted;
use crate::access::Opened;
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Doing, Failure};

/// Fewer pages are read before anybody wonders.
const QUIET_PAGES: u64 = 1000;
/// What lies below so many directories is summed up; a few pages are read for each.
const SUMMED_MAX: usize = 200;

/// A repository in which is looked.
pub(crate) struct Place<'o> {
    /// The site's name of it; without a site, where it is.
    pub(crate) name: String,
    /// Or why it cannot be looked in.
    pub(crate) opened: Result<&'o Opened, String>,
    /// What was proven of its snapshots.
    pub(crate) proven: HashMap<ObjectId, Proven>,
}

/// Looks in all of them.
pub(crate) fn search(
    wanted: &Wanted,
    places: &[Place<'_>],
    pace: Option<Pace>,
    context: &Context,
) -> Result<Candidates, Failure> {
    let found = BTreeMap::new();
    let mut search = Search { wanted, context, found, left_out: Vec::new(), is_cut: false, is_damaged: false };
    search.look(places)?;
    let Search { found, left_out, is_cut, mut is_damaged, .. } = search;
    let matches = found.into_iter().map(|((host, path), all)| Match::new(host, path, all, wanted.points));
    let mut matches: Vec<Match> = matches.collect();
    is_damaged |= describe(&mut matches, places, pace, context)?;
    Ok(Candidates { as_of: wanted.as_of(), matches, is_cut, is_damaged, left_out })
}

struct Search<'a> {
    wanted: &'a Wanted,
    context: &'a Context,
    /// By host and path, and then by snapshot.
    found: BTreeMap<(String, Vec<u8>), HashMap<ObjectId, Point>>,
    left_out: Vec<LeftOut>,
    is_cut: bool,
    is_damaged: bool,
}

impl Search<'_> {
    fn look(&mut self, places: &[Place<'_>]) -> Result<(), Failure> {
        for (number, place) in places.iter().enumerate() {
            match &place.opened {
                Ok(opened) => self.look_in(number, place, opened)?,
                Err(why) => self.left_out.push(LeftOut { repository: place.name.clone(), why: why.clone() }),
            }
        }
        Ok(())
    }

    fn look_in(&mut self, number: usize, place: &Place<'_>, opened: &Opened) -> Result<(), Failure> {
        let all = choice::all(opened, self.context)?;
        self.is_damaged |= !all.unreadable.is_empty();
        let names = self.names(place, opened, &all.readable)?;
        let meant = all.readable.iter().filter(|snapshot| self.wanted.is_meant(&snapshot.manifest));
        let meant = meant.filter_map(|snapshot| snapshot.manifest.root.map(|root| (snapshot, root)));
        let (snapshots, roots): (Vec<&Snapshot>, Vec<ChunkId>) = meant.unzip();
        let found = names.find(&roots, self.wanted.limit, self.context.threads(), &self.wanted.pattern);
        let found = found.doing(|| format!("search the names in {}", place.name))?;
        self.is_cut |= found.is_cut;
        for path in found.paths {
            let whole = join(&path.directory, &path.name);
            for (tree, page) in path.at {
                let point = Point::new(snapshots[tree], roots[tree], page);
                self.add((number, place), &snapshots[tree].manifest.host, &whole, point);
            }
        }
        Ok(())
    }

    fn names(&mut self, place: &Place<'_>, opened: &Opened, snapshots: &[Snapshot]) -> Result<Names, Failure> {
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

    /// Copies have the same snapshots: they are one point, in several repositories.
    fn add(&mut self, (number, place): (usize, &Place<'_>), host: &str, path: &[u8], found: Point) {
        let points = self.found.entry((host.to_owned(), path.to_vec())).or_default();
        let known = place.proven.get(&found.snapshot).cloned();
        let point = points.entry(found.snapshot).or_insert(found);
        point.places.push(number);
        point.repositories.push(place.name.clone());
        point.proof = [point.proof.take(), known].into_iter().flatten().max_by_key(|proven| proven.at);
    }
}

/// Reads what the entries are, each page once; whether one of them cannot be read.
fn describe(
    matches: &mut [Match],
    places: &[Place<'_>],
    pace: Option<Pace>,
    context: &Context,
) -> Result<bool, Failure> {
    let mut by_page: HashMap<ChunkId, Vec<(&[u8], &mut Point)>> = HashMap::new();
    for Match { raw, points, .. } in matches {
        points.iter_mut().for_each(|point| by_page.entry(point.page).or_default().push((raw, point)));
    }
    let (mut is_damaged, mut directories) = (false, 0);
    for (page, mut wanted) in by_page {
        let leaf = async |repository: &Arc<Repository>| repository.leaf(&page).await;
        let Some(entries) = read(&wanted[0].1.places, places, context, leaf)? else {
            is_damaged = true;
            continue;
        };
        for (path, point) in &mut wanted {
            let is_it = |(directory, entry): &&Located| join(directory, &entry.name) == *path;
            let Some((_, entry)) = entries.iter().find(is_it) else { continue };
            directories += usize::from(entry.kind == Kind::Directory);
            let root = point.root;
            let below = async |repository: &Arc<Repository>| Tree::at(repository, root).bytes_below(path).await;
            let bytes = match entry.kind {
                Kind::Directory if directories > SUMMED_MAX => None,
                Kind::Directory => read(&point.places, places, context, below)?,
                _ => Some(entry.size),
            };
            point.describe(entry, bytes, pace);
        }
    }
    Ok(is_damaged)
}

/// What the first repository says that can read it.
fn read<T>(
    holding: &[usize],
    places: &[Place<'_>],
    context: &Context,
    ask: impl AsyncFn(&Arc<Repository>) -> Result<T, Error>,
) -> Result<Option<T>, Failure> {
    for opened in holding.iter().filter_map(|number| places.get(*number)?.opened.as_ref().ok()) {
        match context.wait("read what was found", ask(&opened.repository)) {
            Ok(read) => return Ok(Some(read)),
            Err(failure) if matches!(failure.exit(), Exit::Stopped(_)) => return Err(failure),
            Err(failure) => tracing::warn!("{failure}"),
        }
    }
    Ok(None)
}
