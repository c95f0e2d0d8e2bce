//! Checking a repository: is everything there that the history promises, and do the bytes still say what they said?
//!
//! Order: history, index, packs (with every byte on request), then the trees, so that each bad frame is translated into the files that it costs.
//! A check reads; it never repairs. Everything found is reported, not just the first fault.

mod data;
mod groups;
mod history;
mod parity;
mod trees;

pub(crate) use data::read_footer;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;

use crate::error::{Error, chain};
use crate::group::Protection;
use crate::ids::ObjectId;
use crate::index::{self, FrameId, Index};
use crate::object::{self, ObjectType};
use crate::read::FrameName;
use crate::repository::{Repository, get, list};

/// How deep a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything that is small, and the presence and size of every pack.
    Structure,
    /// Also every byte of every pack: hashed, opened, and each chunk compared with its name.
    ReadData,
}

/// How far a check has come; for a progress bar.
#[derive(Debug, Default)]
pub struct CheckProgress {
    /// Bytes of packs done.
    pub bytes_done: AtomicU64,
    /// Bytes of packs to do.
    pub bytes_total: AtomicU64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which object.
    pub object: String,
    /// What is wrong with it.
    pub fault: String,
}

/// A file that cannot be restored whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Affected {
    /// In which snapshot.
    pub snapshot: ObjectId,
    /// Its path, escaped; or a range of paths, where the page that names them is lost.
    pub path: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckReport {
    /// Commits in the history.
    pub commits: u64,
    /// Snapshots in force.
    pub snapshots: u64,
    /// Packs that the index names.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Bytes of packs that were read and hashed.
    pub bytes_read: u64,
    /// Chunks and pages whose content was compared with their name.
    pub chunks_verified: u64,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    /// Every file that this costs.
    pub affected: Vec<Affected>,
    /// Packs that have no parity, in a repository whose packs should: no fault, but rot in them does not heal.
    pub without_parity: Vec<String>,
    /// From how many losses packs come back by their groups; none if there are no groups.
    pub protection: Option<Protection>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.affected.is_empty()
    }

    fn fault(&mut self, object: impl Into<String>, fault: impl Into<String>) {
        self.faults.push(Fault { object: object.into(), fault: fault.into() });
    }

    /// Takes note of damage; anything else (no access, no network) ends the check, because it says nothing about the bytes.
    fn note<T>(&mut self, object: &str, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == crate::error::ErrorKind::Corrupt => {
                self.fault(object, chain(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Where chunks and pages cannot be read: frame, and offset in it. They are lost if they lie nowhere else.
type Bad = HashSet<(FrameId, u32)>;

/// Checks a repository; needs a reader's key.
pub async fn run(
    repository: &Arc<Repository>,
    depth: Depth,
    progress: Arc<CheckProgress>,
) -> Result<CheckReport, Error> {
    repository.key.secrets("check what is stored")?;
    let mut report = CheckReport::default();
    history::check(repository, &mut report).await?;
    let index = Arc::new(check_index(repository, &mut report).await?);
    let mut bad = check_presence(repository, &index, &mut report).await?;
    if depth == Depth::ReadData {
        data::check(repository, &index, &progress, &mut report, &mut bad).await?;
    }
    parity::check(repository, &index, depth, &mut report).await?;
    groups::check(repository, &index, depth, &mut report).await?;
    trees::check(repository, &index, &bad, &mut report).await?;
    report.affected.sort();
    report.affected.dedup();
    Ok(report)
}

/// The files that packs which are not what they were cost, as things stand; and those of snapshots and pages that cannot be read. What lies well elsewhere too is not lost.
pub(crate) async fn affected(repository: &Arc<Repository>, packs: &BTreeSet<ObjectId>) -> Result<Vec<Affected>, Error> {
    affected_but(repository, packs, &HashSet::new()).await
}

/// The same, were it not for frames that are good elsewhere.
pub(crate) async fn affected_but(
    repository: &Arc<Repository>,
    packs: &BTreeSet<ObjectId>,
    good: &HashSet<FrameName>,
) -> Result<Vec<Affected>, Error> {
    let index = repository.open_index().await?;
    let mut report = CheckReport::default();
    let mut bad = Bad::new();
    data::check_packs(repository, &index, packs, &mut bad).await?;
    bad.retain(|(frame, _)| index.lasting_name(*frame).is_none_or(|name| !good.contains(&name)));
    trees::check(repository, &index, &bad, &mut report).await?;
    report.affected.sort();
    report.affected.dedup();
    Ok(report.affected)
}

/// Reads every run from the store itself; a run that is damaged there may still be whole in the local cache, and then the rest of the check uses that.
async fn check_index(repository: &Arc<Repository>, report: &mut CheckReport) -> Result<Index, Error> {
    let mut index = Index::default();
    for id in &repository.history().index {
        let name = object::hashed_name(ObjectType::Index, id);
        let read = async {
            let bytes = get(&*repository.store, &name).await?;
            index::open_run(&repository.key.shared.inventory, &repository.id(), id, &bytes)
        };
        match report.note(&name, read.await)? {
            Some(content) => index.add_content(&repository.cache, *id, content)?,
            None if index.add_cached(&repository.cache, *id).is_ok() => {}
            None => report.fault(&name, "nothing can be found through it: run 'strongroom repo rebuild-index'"),
        }
    }
    Ok(index)
}

/// Whether every pack is there in its full size; what is in the others is bad.
async fn check_presence(repository: &Arc<Repository>, index: &Index, report: &mut CheckReport) -> Result<Bad, Error> {
    let mut stored: HashMap<String, u64> = HashMap::new();
    for kind in [ObjectType::Pack, ObjectType::PagePack] {
        stored.extend(list(&*repository.store, kind.folder()).await?);
    }
    let mut lost = HashSet::new();
    let mut seen = HashSet::new();
    for pack in index.packs().filter(|pack| seen.insert(pack.id)) {
        report.packs += 1;
        report.pack_bytes += pack.size;
        let name = object::hashed_name(pack.kind, &pack.id);
        match stored.get(&name) {
            Some(size) if *size == pack.size => continue,
            Some(size) => report.fault(&name, format!("it has {size} bytes instead of {}", pack.size)),
            None => report.fault(&name, "it is missing"),
        }
        lost.insert(pack.id);
    }
    let is_lost = |place: &index::Place| index.frame(place.frame).is_some_and(|frame| lost.contains(&frame.pack.id));
    Ok(match lost.is_empty() {
        true => Bad::new(),
        false => {
            index.entries().filter(|(_, place)| is_lost(place)).map(|(_, place)| (place.frame, place.offset)).collect()
        }
    })
}
