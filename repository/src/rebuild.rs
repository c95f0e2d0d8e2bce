//! Making the index anew from the packs' footers: they say everything that it says.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::check::read_footer;
use crate::error::{Error, ErrorKind, chain};
use crate::history::Operation;
use crate::ids::ObjectId;
use crate::index::{self, PackRow};
use crate::live::Live;
use crate::object::{self, ObjectType};
use crate::pack::{PackContents, TRAILER_SIZE, Trailer};
use crate::repository::{Repository, get_range, list, put_new};

/// What a rebuild did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RebuildReport {
    /// Packs that the new index names: those that snapshots need.
    pub packs: u64,
    /// Chunks and pages found in them.
    pub chunks: u64,
    /// Packs whose footer cannot be read, and why; what they hold is not in the new index.
    pub unreadable: Vec<String>,
    /// The commit that put the new index in force; none for a dry run.
    pub commit: Option<u64>,
}

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Put the new index in force.
    ForReal,
    /// Only say what would be.
    DryRun,
}

/// Builds a new index from all packs and replaces the one in force; needs the admin's authority, so a reader's key.
pub async fn index(repository: &Arc<Repository>, act: Act) -> Result<RebuildReport, Error> {
    repository.key.secrets("replace the index")?;
    let mut report = RebuildReport { packs: 0, chunks: 0, unreadable: Vec::new(), commit: None };
    let mut packs: Vec<PackContents> = Vec::new();
    for kind in [ObjectType::Pack, ObjectType::PagePack] {
        for (name, size) in list(&*repository.store, kind.folder()).await? {
            match read_pack(repository, kind, &name, size).await {
                Ok(contents) => packs.push(contents),
                Err(error) if error.kind() == ErrorKind::Corrupt => report.unreadable.push(chain(&error)),
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(needed) = needed_frames(repository).await? {
        packs.retain(|pack| is_needed(pack, &needed));
    }
    packs.sort_by_key(|pack| (pack.kind, pack.id));
    report.packs = packs.len() as u64;
    report.chunks = packs.iter().map(|pack| pack.chunks.len() as u64).sum();
    if act == Act::ForReal {
        report.commit = Some(replace(repository, &packs).await?);
    }
    Ok(report)
}

/// What the snapshots in force need; nothing if one of them cannot be read, since nobody knows then.
async fn needed_frames(repository: &Arc<Repository>) -> Result<Option<Live>, Error> {
    let mut needed = Live::default();
    for added in &repository.history().snapshots {
        match repository.snapshot_inventory(added.snapshot).await {
            Ok(inventory) => needed.merge(&inventory.live),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(needed))
}

/// A pack that nobody needs is left to the next prune, or belongs to a session that will name it itself. Named here, it could be deleted beside us, and backups would build on it.
fn is_needed(pack: &PackContents, needed: &Live) -> bool {
    let mut frames = pack.frames.iter();
    frames.any(|(frame, _)| needed.contains(&pack.segments[frame.segment as usize].nonce, frame.ordinal))
}

async fn replace(repository: &Arc<Repository>, packs: &[PackContents]) -> Result<u64, Error> {
    // As long as its record stands, no prune takes the new run for a stray.
    let own = repository.begin_maintenance(Timestamp::now()).await?;
    let replaced = put_and_commit(repository, packs).await;
    repository.end_maintenance(own).await;
    replaced
}

async fn put_and_commit(repository: &Repository, packs: &[PackContents]) -> Result<u64, Error> {
    let sealed = index::seal_run(&repository.key.shared.inventory, &repository.id(), packs);
    put_new(&*repository.store, &object::hashed_name(ObjectType::Index, &sealed.id), sealed.object).await?;
    let drop = repository.history().index.clone();
    repository.commit_operations(vec![Operation::ReplaceIndex { drop, add: vec![sealed.id] }]).await
}

async fn read_pack(repository: &Repository, kind: ObjectType, name: &str, size: u64) -> Result<PackContents, Error> {
    let id = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok());
    let id = id.ok_or_else(|| Error::damaged(name, "its name is not that of a pack"))?;
    let short = || Error::damaged(name, "it is too short");
    let trailer_at = size.checked_sub(TRAILER_SIZE as u64).ok_or_else(short)?;
    let trailer = get_range(&*repository.store, name, trailer_at..size).await?;
    let trailer = Trailer::decode(&trailer).map_err(Error::malformed(name))?;
    let start = trailer_at.checked_sub(u64::from(trailer.footer_length)).ok_or_else(short)?;
    let tail = get_range(&*repository.store, name, start..size).await?;
    Ok(read_footer(repository, PackRow { id, kind, size }, &tail, name)?.contents)
}
