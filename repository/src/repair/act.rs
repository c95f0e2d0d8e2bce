//! Carrying a plan out. Every step can be the last one: the next repair goes on from there.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Serialize;

use super::heal::{Bench, Groups};
use super::{Copy, How, Item, RepairPlan, repack, staged_name};
use crate::error::Error;
use crate::history::Operation;
use crate::ids::ObjectId;
use crate::object::{self, ObjectType};
use crate::rebuild::{self, Act};
use crate::repository::{Repository, put_new};
use crate::scrub::Store;
use crate::scrub::examine::read_whole;

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RepairReport {
    /// Objects that are what they were again.
    pub repaired: Vec<String>,
    /// Packs of which everything that is needed lies in new packs.
    pub repacked: Vec<String>,
    /// The new packs.
    pub new_packs: u64,
    /// Repacked ones that stay for now, condemned: open sessions may have built on them, and the prune after these deletes them.
    pub waiting: Vec<ObjectId>,
    /// Objects that nobody needed.
    pub deleted: Vec<String>,
    /// Packs that are condemned no longer.
    pub reprieved: Vec<ObjectId>,
    /// The commit that says so, or that puts new packs into the index and condemns what stays damaged.
    pub commit: Option<u64>,
    /// The commit that put a new index in force.
    pub index_commit: Option<u64>,
}

/// Carries out exactly this plan. `authority` is the open repository whose keys decide: that in `store` itself, or a copy that still opens.
pub async fn run(
    authority: &Arc<Repository>,
    store: &Store,
    copies: &[Copy],
    plan: &RepairPlan,
) -> Result<RepairReport, Error> {
    let groups = Groups::default();
    let bench = Bench { authority, store, copies, groups: &groups };
    let mut report = RepairReport::default();
    for item in
        plan.items.iter().filter(|item| !matches!(item.how, How::Cannot | How::RebuiltIndex | How::Repacked { .. }))
    {
        match item.how {
            How::Deleted => {
                delete(&**store, &item.object).await?;
                report.deleted.push(item.object.clone());
            }
            _ => {
                restore(&bench, item).await?;
                report.repaired.push(item.object.clone());
            }
        }
    }
    let runs: Vec<&Item> = plan.items.iter().filter(|item| item.how == How::RebuiltIndex).collect();
    if !runs.is_empty() {
        report.index_commit = rebuild::index(authority, Act::ForReal).await?.commit;
        for item in runs {
            delete_old_run(authority, &item.object).await?;
            report.repaired.push(item.object.clone());
        }
    }
    repack::run(&bench, plan, &mut report).await?;
    let condemned = |pack: &&ObjectId| authority.history().condemned.contains_key(*pack);
    let packs: Vec<ObjectId> = plan.reprieve.iter().filter(condemned).copied().collect();
    if !packs.is_empty() {
        report.commit = Some(authority.commit_operations(vec![Operation::Reprieve { packs: packs.clone() }]).await?);
        report.reprieved = packs;
    }
    Ok(report)
}

/// Puts the right bytes in an object's place. The rotten one is deleted only when they are durable beside it.
async fn restore(bench: &Bench<'_>, item: &Item) -> Result<(), Error> {
    let (name, staged) = (item.object.as_str(), staged_name(&item.object));
    let planned = || Error::damaged(name, "it can no longer be repaired as planned: plan again");
    let bytes = bench.bytes(name, &item.how).await?.ok_or_else(planned)?;
    if item.how != How::Interrupted {
        delete(&**bench.store, &staged).await?;
        put_and_compare(bench, &staged, &bytes).await?;
    }
    delete(&**bench.store, name).await?;
    put_and_compare(bench, name, &bytes).await?;
    delete(&**bench.store, &staged).await
}

/// Creates an object and reads it back: what the store says is not enough to delete anything.
async fn put_and_compare(bench: &Bench<'_>, name: &str, bytes: &Bytes) -> Result<(), Error> {
    put_new(&**bench.store, name, bytes.clone()).await?;
    match read_whole(bench.store, name).await? {
        Some(read) if read == *bytes => Ok(()),
        _ => Err(Error::damaged(name, "it was written just now, and is not what was written")),
    }
}

async fn delete(store: &dyn ObjectStore, name: &str) -> Result<(), Error> {
    match store.delete(&Path::from(name)).await {
        Err(error) if crate::store::kind(&error) != crate::store::ErrorKind::NotFound => {
            Err(Error::Store { doing: "delete", name: name.into(), source: error })
        }
        _ => Ok(()),
    }
}

/// A rotten run that the new index has replaced is of no use to anybody.
async fn delete_old_run(repository: &Arc<Repository>, name: &str) -> Result<(), Error> {
    let in_force = repository.history().index.iter().any(|id| object::hashed_name(ObjectType::Index, id) == name);
    if in_force {
        return Ok(());
    }
    delete(&*repository.store, name).await
}
