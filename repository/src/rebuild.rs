//! Making the index anew from the packs' footers: they say everything that it says.

use std::sync::Arc;

use serde::Serialize;

use crate::check::read_footer;
use crate::error::{Error, ErrorKind, chain};
use crate::history::Operation;
use crate::ids::ObjectId;
use crate::index::{self, PackRow};
use crate::object::{self, ObjectType};
use crate::pack::{PackContents, TRAILER_SIZE, Trailer};
use crate::repository::{Repository, get_range, list, put_new};

/// What a rebuild did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RebuildReport {
    /// Packs whose footer was read.
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
    packs.sort_by_key(|pack| (pack.kind, pack.id));
    report.packs = packs.len() as u64;
    report.chunks = packs.iter().map(|pack| pack.chunks.len() as u64).sum();
    if act == Act::ForReal {
        report.commit = Some(replace(repository, &packs).await?);
    }
    Ok(report)
}

async fn replace(repository: &Arc<Repository>, packs: &[PackContents]) -> Result<u64, Error> {
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
