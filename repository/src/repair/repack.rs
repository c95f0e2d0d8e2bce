//! Carrying out the third rung: the frames of the plan go into new packs, durable; one commit puts these into the index and condemns the packs that are beyond repair; and
//! those of which nothing is needed any more go, as in a prune. A crash leaves all as good as before, and strays for the next prune.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use jiff::Timestamp;

use super::frames::{self, Source, Take};
use super::heal::Bench;
use super::{How, RepairPlan, RepairReport};
use crate::carry;
use crate::error::{Error, ErrorKind, chain};
use crate::history::{History, Operation};
use crate::ids::ObjectId;
use crate::pack::{MovedPack, PackContents};
use crate::prune;
use crate::read::FrameName;
use crate::repository::Repository;
use crate::scrub::pack_id;

/// Brings the frames, condemns the packs, and lets those go that can.
pub(super) async fn run(bench: &Bench<'_>, plan: &RepairPlan, report: &mut RepairReport) -> Result<(), Error> {
    let repository = bench.authority;
    let going: BTreeSet<ObjectId> = repacked(plan).filter(|(_, lost)| *lost == 0).map(|(pack, _)| pack).collect();
    if going.is_empty() && plan.takes.0.is_empty() && plan.condemn.is_empty() {
        return Ok(());
    }
    // As long as its record stands, no prune takes the new packs for strays.
    let own = repository.begin_maintenance(Timestamp::now()).await?;
    let moved = bring_and_commit(bench, plan, report).await;
    repository.end_maintenance(own).await;
    moved?;
    if !going.is_empty() {
        sweep(repository, &going, report).await?;
    }
    let whole = plan.items.iter().filter(|item| pack_id(&item.object).is_some_and(|pack| going.contains(&pack)));
    report.repacked = whole.map(|item| item.object.clone()).collect();
    Ok(())
}

/// The packs of which frames go into new ones, and how many frames of each nobody has.
fn repacked(plan: &RepairPlan) -> impl Iterator<Item = (ObjectId, u64)> {
    plan.items.iter().filter_map(|item| match &item.how {
        How::Repacked { lost_frames, .. } => Some((pack_id(&item.object)?, *lost_frames)),
        _ => None,
    })
}

async fn bring_and_commit(bench: &Bench<'_>, plan: &RepairPlan, report: &mut RepairReport) -> Result<(), Error> {
    let repository = bench.authority;
    let packs = bring(bench, plan).await?;
    report.new_packs = packs.len() as u64;
    let mut operations = Vec::new();
    if !packs.is_empty() {
        let run = prune::put_run(repository, packs).await?;
        operations.push(Operation::ReplaceIndex { drop: Vec::new(), add: vec![run] });
    }
    let known: HashSet<ObjectId> = repository.open_index().await?.packs().map(|pack| pack.id).collect();
    let history = repository.history();
    let is_new = |pack: &&ObjectId| known.contains(*pack) && !history.condemned.contains_key(*pack);
    let condemn: Vec<ObjectId> = plan.condemn.iter().filter(is_new).copied().collect();
    if !condemn.is_empty() {
        operations.push(Operation::Condemn { packs: condemn });
    }
    if operations.is_empty() {
        return Ok(());
    }
    let runs = history.index.clone();
    let unchanged = |now: &History| match runs.iter().all(|run| now.index.contains(run)) {
        true => Ok(()),
        false => Err(Error::Fenced("a prune has changed the index meanwhile: run this repair again".into())),
    };
    report.commit = Some(repository.commit_when(operations, unchanged).await?);
    Ok(())
}

/// New packs of all frames of the plan, durable.
async fn bring(bench: &Bench<'_>, plan: &RepairPlan) -> Result<Vec<PackContents>, Error> {
    let takes = &plan.takes.0;
    let mut packs = Vec::new();
    if takes.is_empty() {
        return Ok(packs);
    }
    let names: HashSet<FrameName> = takes.iter().map(|take| take.frame).collect();
    let damaged: BTreeSet<ObjectId> = repacked(plan).map(|(pack, _)| pack).collect();
    let copies = frames::open_copies(bench).await;
    let sources = frames::sources(bench, &copies, &names, &damaged).await?;
    for takes in takes.chunk_by(|left, right| left.kind == right.kind) {
        let mut filling = Filling { repository: bench.authority, pack: None, packs: &mut packs };
        for takes in takes.chunk_by(|left, right| left.source == right.source) {
            let source = sources.get(takes[0].source).ok_or_else(planned)?;
            filling.take(source, takes).await?;
        }
        filling.finish().await?;
    }
    Ok(packs)
}

fn planned() -> Error {
    Error::damaged("a copy", "it no longer has what was found there: plan again")
}

/// The pack that is being filled, and those that are full.
struct Filling<'a> {
    repository: &'a std::sync::Arc<Repository>,
    pack: Option<MovedPack>,
    packs: &'a mut Vec<PackContents>,
}

impl Filling<'_> {
    async fn take(&mut self, source: &Source, takes: &[Take]) -> Result<(), Error> {
        let names: Vec<FrameName> = takes.iter().map(|take| take.frame).collect();
        let mut missing: HashMap<FrameName, ()> = names.iter().map(|name| (*name, ())).collect();
        for batch in source.batches(&names) {
            let mut good = source.good(&batch).await?;
            good.sort_by_key(|(name, _)| *name);
            for (name, frame) in good {
                missing.remove(&name);
                let (id, kind) = (self.repository.id(), frame.info.pack.kind);
                let pack = self.pack.get_or_insert_with(|| MovedPack::new(id, kind));
                pack.add(&frame.info.segment, &frame.info.row, frame.chunks, Bytes::clone(&frame.sealed));
                if pack.size() >= self.repository.config.parameters.pack_target as usize {
                    self.finish().await?;
                }
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(planned()) }
    }

    async fn finish(&mut self) -> Result<(), Error> {
        if let Some(pack) = self.pack.take() {
            self.packs.push(carry::store(self.repository, pack).await?);
        }
        Ok(())
    }
}

/// Takes packs out of the index and deletes them, unless an open session may have built on them: then a later prune does.
async fn sweep(
    repository: &std::sync::Arc<Repository>,
    going: &BTreeSet<ObjectId>,
    report: &mut RepairReport,
) -> Result<(), Error> {
    match prune::sweep(repository, going, Timestamp::now()).await {
        Ok(swept) => report.index_commit = swept.commit.or(report.index_commit),
        // What snapshots need is not all known, or not all there: nothing is deleted.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Refused) => {
            tracing::warn!("packs that are condemned stay for now: {}", chain(&error));
        }
        Err(error) => return Err(error),
    }
    let condemned = &repository.history().condemned;
    report.waiting = going.iter().filter(|pack| condemned.contains_key(*pack)).copied().collect();
    Ok(())
}
