//! What is wrong, and how each of it will be repaired. Reads, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::heal::{Bench, Groups, commit_number};
use super::{Copy, FOLDER, How, Item, RepairPlan, Suspects, foreseen, frames, object_of};
use crate::check;
use crate::error::Error;
use crate::ids::{ObjectId, SessionId};
use crate::live::Live;
use crate::object::{self, ObjectType};
use crate::parity;
use crate::repository::{Repository, list, parse_hint, size};
use crate::scrub::examine::{Verdict, examine};
use crate::scrub::{Store, Stored, pack_id, required, stored_objects};

/// How far ahead of the history a hint is believed: it may be nonsense.
const LOST_COMMITS_MAX: u64 = 1000;

/// Plans the repair of an open repository; needs a reader's key.
pub async fn plan(repository: &Arc<Repository>, copies: &[Copy], suspects: Suspects<'_>) -> Result<RepairPlan, Error> {
    repository.key.secrets("repair what is stored")?;
    let groups = Groups::default();
    let bench = Bench { authority: repository, store: &repository.store, copies, groups: &groups };
    let stored = stored_objects(&*repository.store).await?;
    // What others add or remove meanwhile must not look like a loss: the history comes after the listing, and what seems to be missing is asked for.
    repository.refresh().await?;
    let needed = needed_condemned(repository).await?;
    let looked_at = suspicious(repository, &stored, &needed, suspects).await?;
    let mut plan = RepairPlan { reprieve: needed, ..RepairPlan::default() };
    let mut without_pack = Vec::new();
    for (name, object) in looked_at {
        let Some(fault) = fault_of(&bench, &name, object.as_ref()).await? else { continue };
        let how = choose(&bench, &name).await?;
        if how == How::Cannot && object.is_none() && name.starts_with(ObjectType::Parity.folder()) {
            without_pack.push(Item { object: name, fault, how });
            continue;
        }
        if let (How::Cannot, Some(pack)) = (&how, pack_id(&name)) {
            plan.reprieve.remove(&pack);
        } else if let Some(pack) = pack_id(&name)
            && repository.history().condemned.contains_key(&pack)
        {
            plan.reprieve.insert(pack);
        }
        plan.items.push(Item { object: name, fault, how });
    }
    recode_after_packs(repository, &mut plan, without_pack);
    leftovers(&bench, &mut plan).await?;
    plan.items.sort_by_key(|item| (order(&item.object, &item.how), item.object.clone()));
    if !plan.heals_all() {
        frame_by_frame(&bench, &mut plan).await?;
    }
    Ok(plan)
}

/// Parity whose pack comes back in the same repair is made from it then. What is missing of packs that are themselves beyond repair is no loss.
fn recode_after_packs(repository: &Repository, plan: &mut RepairPlan, missing: Vec<Item>) {
    let comes_back = |how: &How| matches!(how, How::Interrupted | How::Parity | How::Group | How::Copy { .. });
    let packs = plan.items.iter().filter(|item| comes_back(&item.how));
    let packs: BTreeSet<String> = packs.filter_map(|item| Some(parity::name_of(&pack_id(&item.object)?))).collect();
    plan.items.extend(missing.into_iter().filter(|item| packs.contains(&item.object)));
    if repository.config.parameters.parity_percent > 0 {
        let cannot = plan.items.iter_mut().filter(|item| item.how == How::Cannot && packs.contains(&item.object));
        cannot.for_each(|item| item.how = How::Recoded);
    }
}

/// Where whole objects cannot be had: which frames can, and what that still costs.
async fn frame_by_frame(bench: &Bench<'_>, plan: &mut RepairPlan) -> Result<(), Error> {
    let foreseen = foreseen::repository(bench, plan).await?;
    let copies = frames::open_copies(bench).await;
    frames::stand_by(&foreseen, &copies, bench);
    frames::plan(bench, &foreseen, &copies, plan).await?;
    drop_parity_of_repacked(plan);
    if !plan.heals_all() {
        let hopeless = plan.items.iter().filter(|item| !item.how.heals());
        let packs: BTreeSet<ObjectId> = hopeless.filter_map(|item| pack_id(&item.object)).collect();
        let brought = plan.takes.0.iter().map(|take| take.frame).collect();
        plan.lost = check::affected_but(&foreseen, &packs, &brought).await?;
    }
    Ok(())
}

/// Damaged parity of a damaged pack that goes helps nobody.
fn drop_parity_of_repacked(plan: &mut RepairPlan) {
    let whole = plan.items.iter().filter(|item| matches!(item.how, How::Repacked { lost_frames: 0, .. }));
    let parities: BTreeSet<String> =
        whole.filter_map(|item| pack_id(&item.object)).map(|pack| parity::name_of(&pack)).collect();
    for item in plan.items.iter_mut().filter(|item| item.how == How::Cannot && parities.contains(&item.object)) {
        item.how = How::Deleted;
    }
}

/// Plans how a repository that cannot be opened can be opened again: its configuration, its keys and its history, with a copy that still opens as the judge.
pub async fn plan_to_open(judge: &Arc<Repository>, store: &Store, copies: &[Copy]) -> Result<RepairPlan, Error> {
    let groups = Groups::default();
    let bench = Bench { authority: judge, store, copies, groups: &groups };
    let mut suspects: BTreeMap<String, Option<Stored>> = BTreeMap::from([(object::CONFIG.to_owned(), None)]);
    let stored = stored_objects(&**store).await?;
    let newest = stored.iter().filter_map(|object| commit_number(&object.name)).max().unwrap_or(0);
    let hint = crate::repository::get(&**store, object::HINT).await.ok();
    let newest = newest.max(hint.and_then(|bytes| parse_hint(&bytes)).unwrap_or(0)).min(judge.history().newest);
    suspects.extend((1..=newest).map(|number| (object::commit_name(number), None)));
    let opens = |name: &str| name == object::CONFIG || name.starts_with("keys/") || name.starts_with("commits/");
    suspects
        .extend(stored.into_iter().filter(|found| opens(&found.name)).map(|found| (found.name.clone(), Some(found))));
    let mut plan = RepairPlan::default();
    for (name, object) in suspects {
        let Some(fault) = fault_of(&bench, &name, object.as_ref()).await? else { continue };
        let how = choose(&bench, &name).await?;
        plan.items.push(Item { object: name, fault, how });
    }
    plan.items.sort_by_key(|item| (order(&item.object, &item.how), item.object.clone()));
    Ok(plan)
}

/// Everything to be looked at; none for what is not stored.
async fn suspicious(
    repository: &Arc<Repository>,
    stored: &[Stored],
    needed: &BTreeSet<ObjectId>,
    suspects: Suspects<'_>,
) -> Result<BTreeMap<String, Option<Stored>>, Error> {
    let mut looked_at: BTreeMap<String, Option<Stored>> =
        required(repository).await?.into_iter().map(|name| (name, None)).collect();
    let newest = repository.history().newest;
    let hint = crate::repository::hint(&*repository.store).await;
    // A commit that went without leaving a hole is missed by the hint alone.
    looked_at
        .extend((newest + 1..=hint.min(newest + LOST_COMMITS_MAX)).map(|number| (object::commit_name(number), None)));
    let interrupted: BTreeSet<String> =
        staged(&repository.store).await?.into_iter().map(|(_, object)| object).collect();
    looked_at.extend(interrupted.iter().map(|name| (name.clone(), None)));
    if repository.config.parameters.parity_percent > 0 {
        let index = repository.open_index().await?;
        looked_at.extend(index.packs().map(|pack| (parity::name_of(&pack.id), None)));
    }
    for object in stored.iter().filter(|object| !object.name.starts_with(ObjectType::Group.folder())) {
        let is_small = !["packs", "pages", "parity"].iter().any(|folder| object.name.starts_with(folder));
        let is_known = match suspects {
            Suspects::Everything => true,
            Suspects::Known(ledger) => {
                ledger.get(&object.name).is_some_and(|it| it.outcome == crate::scrub::Outcome::Bad)
            }
        };
        let is_condemned = pack_id(&object.name).is_some_and(|pack| needed.contains(&pack));
        match is_small || is_known || is_condemned || interrupted.contains(&object.name) {
            true => drop(looked_at.insert(object.name.clone(), Some(object.clone()))),
            // It is there, and nobody has said anything against it.
            false => drop(looked_at.remove(&object.name)),
        }
    }
    Ok(looked_at)
}

/// What is wrong with an object, if anything is.
async fn fault_of(bench: &Bench<'_>, name: &str, listed: Option<&Stored>) -> Result<Option<String>, Error> {
    let found = match listed {
        Some(object) => Some(object.clone()),
        None => {
            size(&**bench.store, name).await?.map(|size| Stored { name: name.to_owned(), size, since: Timestamp::MIN })
        }
    };
    let Some(object) = found.as_ref() else { return Ok(Some("it is missing".into())) };
    Ok(match examine(bench.authority, bench.store, object).await? {
        Verdict::Good => None,
        Verdict::Gone => Some("it is missing".into()),
        Verdict::Bad(finding) => Some(finding.fault),
        Verdict::Unreadable(finding, _) => Some(finding.fault),
    })
}

/// The first way that leads to the right bytes, tried out.
async fn choose(bench: &Bench<'_>, name: &str) -> Result<How, Error> {
    if name.starts_with(ObjectType::Checkpoint.folder()) {
        // The commits say all that it said; and another copy's, which looks as good, is of another history.
        return Ok(How::Deleted);
    }
    let mut ways = vec![How::Interrupted];
    match name.split('/').next() {
        Some("packs" | "pages") => ways.extend([How::Parity, How::Group]),
        Some("parity") => ways.push(How::Recoded),
        _ => {}
    }
    ways.extend(
        bench.copies.iter().enumerate().map(|(number, copy)| How::Copy { number, location: copy.location.clone() }),
    );
    for how in ways {
        if bench.bytes(name, &how).await?.is_some() {
            return Ok(how);
        }
    }
    Ok(match name.split('/').next() {
        Some("index") => How::RebuiltIndex,
        Some("sessions") if has_ended(bench.authority, name) => How::Deleted,
        // Without it, prunes wait for the session again.
        Some("rests") => How::Deleted,
        Some("parity") if is_orphan(bench, name).await? => How::Deleted,
        _ => How::Cannot,
    })
}

fn has_ended(repository: &Repository, name: &str) -> bool {
    let session = name.rsplit('/').next().and_then(|hex| hex.parse::<SessionId>().ok());
    session.is_none_or(|session| repository.history().snapshots.iter().any(|added| added.session == session))
}

/// Whether the pack of a parity is neither stored nor known.
async fn is_orphan(bench: &Bench<'_>, name: &str) -> Result<bool, Error> {
    let Some(id) = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok()) else { return Ok(true) };
    for kind in [ObjectType::Pack, ObjectType::PagePack] {
        if size(&**bench.store, &object::hashed_name(kind, &id)).await?.is_some() {
            return Ok(false);
        }
    }
    let index = bench.authority.open_index().await?;
    Ok(!index.packs().any(|pack| pack.id == id))
}

/// Packs that are condemned and hold what a snapshot needs and nothing else has.
async fn needed_condemned(repository: &Arc<Repository>) -> Result<BTreeSet<ObjectId>, Error> {
    let frames = repository.condemned_frames().await?;
    if frames.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut live = Live::default();
    for added in &repository.history().snapshots {
        match repository.snapshot_inventory(added.snapshot).await {
            Ok(inventory) => live.merge(&inventory.live),
            Err(error) if error.kind() == crate::error::ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    Ok(frames.needed_by(&live).packs())
}

/// What interrupted repairs left, with the object that it is for.
async fn staged(store: &Store) -> Result<Vec<(String, String)>, Error> {
    let listed = list(&**store, FOLDER).await?;
    Ok(listed.into_iter().filter_map(|(name, _)| object_of(&name).map(|object| (name, object))).collect())
}

/// What an interrupted repair left of an object that is in its place, or that it does not help, is deleted.
async fn leftovers(bench: &Bench<'_>, plan: &mut RepairPlan) -> Result<(), Error> {
    let completes = |plan: &RepairPlan, object: &str| {
        plan.items.iter().any(|item| item.object == object && item.how == How::Interrupted)
    };
    for (name, object) in staged(bench.store).await? {
        if !completes(plan, &object) {
            let fault = "it is left from a repair that was interrupted".into();
            plan.items.push(Item { object: name, fault, how: How::Deleted });
        }
    }
    Ok(())
}

/// What opens the repository comes first, then what others are made from; the index is built of packs that are good again.
fn order(object: &str, how: &How) -> (u8, u8) {
    let folder = match object.split('/').next() {
        Some("config") => 0,
        Some("keys") => 1,
        Some("commits") => 2,
        Some("packs" | "pages") => 3,
        Some("parity") => 4,
        _ => 5,
    };
    (folder, u8::from(*how == How::RebuiltIndex))
}
