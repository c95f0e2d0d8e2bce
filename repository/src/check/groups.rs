//! Parity across packs: whether its bytes say what they said, and how many packs come back from how many losses.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::{CheckReport, Depth};
use crate::error::Error;
use crate::group::{self, Catalog};
use crate::ids::ObjectId;
use crate::index::Index;
use crate::object::{self, ObjectType};
use crate::repository::{Repository, list};
use crate::scrub::Stored;
use crate::scrub::examine::verify_hash;

pub(super) async fn check(
    repository: &Arc<Repository>,
    index: &Index,
    depth: Depth,
    report: &mut CheckReport,
) -> Result<(), Error> {
    let catalog = Catalog::read(&repository.store, &repository.id()).await?;
    if catalog.groups.is_empty() && catalog.unreadable.is_empty() {
        return Ok(());
    }
    report.protection = Some(catalog.protection(&packs_there(repository, index).await?));
    match depth {
        Depth::Structure => {
            let unreadable = catalog.unreadable.iter().map(|(id, _)| group::name_of(id));
            unreadable.for_each(|name| report.fault(name, "it does not say which packs it is for"));
        }
        Depth::ReadData => read(repository, &catalog, report).await?,
    }
    Ok(())
}

async fn packs_there(repository: &Repository, index: &Index) -> Result<BTreeSet<ObjectId>, Error> {
    let mut stored: HashMap<String, u64> = HashMap::new();
    for kind in [ObjectType::Pack, ObjectType::PagePack] {
        stored.extend(list(&*repository.store, kind.folder()).await?);
    }
    let is_there = |name: &str, size: u64| stored.get(name) == Some(&size);
    let there = index.packs().filter(|pack| is_there(&object::hashed_name(pack.kind, &pack.id), pack.size));
    Ok(there.map(|pack| pack.id).collect())
}

async fn read(repository: &Arc<Repository>, catalog: &Catalog, report: &mut CheckReport) -> Result<(), Error> {
    for (id, size) in catalog.objects() {
        let object = Stored { name: group::name_of(&id), size, since: Timestamp::UNIX_EPOCH };
        let verified = verify_hash(&repository.store, &object).await;
        if report.note(&object.name, verified)?.is_some() {
            report.bytes_read += size;
        }
    }
    Ok(())
}
