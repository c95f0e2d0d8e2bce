//! Parity: which packs have none, and whether the bytes of the others say what they said.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{CheckReport, Depth};
use crate::error::Error;
use crate::ids::ObjectId;
use crate::index::Index;
use crate::object::{self, ObjectType};
use crate::parity::Parity;
use crate::repository::{Repository, get, list};

pub(super) async fn check(
    repository: &Arc<Repository>,
    index: &Index,
    depth: Depth,
    report: &mut CheckReport,
) -> Result<(), Error> {
    let stored = list(&*repository.store, ObjectType::Parity.folder()).await?;
    if repository.config.parameters.parity_percent > 0 {
        let have: BTreeSet<ObjectId> = stored.iter().filter_map(|(name, _)| pack_of(name).ok()).collect();
        let without = index.packs().filter(|pack| !have.contains(&pack.id));
        let names: BTreeSet<String> = without.map(|pack| object::hashed_name(pack.kind, &pack.id)).collect();
        report.without_parity = names.into_iter().collect();
    }
    if depth == Depth::Structure {
        return Ok(());
    }
    for (name, size) in stored {
        let read = read(repository, &name).await;
        if report.note(&name, read)?.is_some() {
            report.bytes_read += size;
        }
    }
    Ok(())
}

async fn read(repository: &Repository, name: &str) -> Result<(), Error> {
    let pack = pack_of(name)?;
    let bytes = get(&*repository.store, name).await?;
    // Two MiB: a millisecond.
    Parity::open(&repository.id(), &pack, &bytes)?.check()
}

fn pack_of(name: &str) -> Result<ObjectId, Error> {
    let id = name.rsplit('/').next().and_then(|hex| hex.parse().ok());
    id.ok_or_else(|| Error::damaged(name, "its name is not that of a parity"))
}
