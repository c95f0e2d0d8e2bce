//! Stored things as text, for people who must see what is really there.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::check::read_footer;
use crate::error::Error;
use crate::ids::{ChunkId, ObjectId};
use crate::index::{self, PackRow, Run};
use crate::object::{self, CONFIG, ObjectType};
use crate::pack::{FrameRow, SegmentRow};
use crate::repository::{Repository, get, list};
use crate::snapshot::Sealed;
use crate::text::escape;
use crate::tree::entry::{ChunkRef, Content, Entry};
use crate::tree::{inner, leaf};

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// The configuration.
    Config,
    /// A data or metadata pack.
    Pack,
    /// A page of a tree, by its page id.
    Page,
    /// An index run.
    Index,
    /// A snapshot.
    Snapshot,
    /// A commit, by its number.
    Commit,
    /// A checkpoint of the history, by the number of its commit.
    Checkpoint,
    /// A session.
    Session,
    /// A key object.
    Key,
}

/// Describes a stored thing; `id` may be the beginning of its name.
pub async fn describe(repository: &Arc<Repository>, thing: Thing, id: &str) -> Result<Value, Error> {
    match thing {
        Thing::Config => Ok(json!({ "object": CONFIG, "config": repository.config() })),
        Thing::Pack => pack(repository, id).await,
        Thing::Page => page(repository, id).await,
        Thing::Index => run(repository, id).await,
        Thing::Snapshot => snapshot(repository, id).await,
        Thing::Commit => commit(repository, id).await,
        Thing::Checkpoint => checkpoint(repository, id).await,
        Thing::Session => {
            let (name, bytes) = fetch(repository, &["sessions"], id).await?;
            Ok(json!({ "object": name, "session": repository.open_session(&name, &bytes)?.0 }))
        }
        Thing::Key => key(repository, id).await,
    }
}

/// The one object under `folders` whose last name begins with `id`.
async fn fetch(repository: &Repository, folders: &[&str], id: &str) -> Result<(String, bytes::Bytes), Error> {
    let mut found = Vec::new();
    for folder in folders {
        let names = list(&*repository.store, folder).await?.into_iter().map(|(name, _)| name);
        found.extend(names.filter(|name| name.rsplit('/').next().is_some_and(|last| last.starts_with(id))));
    }
    match found.as_slice() {
        [name] => Ok((name.clone(), get(&*repository.store, name).await?)),
        [] => Err(Error::NoSnapshot(format!("no object under {} begins with '{id}'", folders.join(" or ")))),
        many => Err(Error::NoSnapshot(format!("'{id}' begins the names of {} objects: give more digits", many.len()))),
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn last_id(name: &str) -> Result<ObjectId, Error> {
    let id = name.rsplit('/').next().and_then(|hex| hex.parse().ok());
    id.ok_or_else(|| Error::damaged(name, "its name is not a hash"))
}

fn frame(row: &FrameRow, segment: Option<SegmentRow>) -> Value {
    json!({
        "segment": segment.map(|segment| segment.nonce),
        "ordinal": row.ordinal,
        "offset": row.offset,
        "sealed-length": row.sealed_length,
        "plain-length": row.plain_length,
        "compression": if row.compression == 1 { "zstd" } else { "none" },
    })
}

async fn pack(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let (name, bytes) = fetch(repository, &["packs", "pages"], id).await?;
    let kind = if name.starts_with("pages/") { ObjectType::PagePack } else { ObjectType::Pack };
    let row = PackRow { id: last_id(&name)?, kind, size: bytes.len() as u64 };
    let footer = read_footer(repository, row, &bytes, &name)?;
    let segments = &footer.contents.segments;
    let frames = footer.frames().map(|(row, chunks)| {
        let mut described = frame(row, segments.get(row.segment as usize).copied());
        described["chunks"] =
            chunks.iter().map(|chunk| json!({ "id-prefix": hex(&chunk.prefix), "length": chunk.length })).collect();
        described
    });
    Ok(json!({
        "object": name,
        "size": row.size,
        "name-matches-bytes": ObjectId::of(&bytes) == row.id,
        "segments": segments.iter().map(|segment| json!({ "nonce": segment.nonce, "epoch": segment.epoch })).collect::<Vec<_>>(),
        "frames": frames.collect::<Vec<_>>(),
    }))
}

async fn run(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let (name, bytes) = fetch(repository, &["index"], id).await?;
    let content = index::open_run(&repository.key.shared.inventory, &repository.id(), &last_id(&name)?, &bytes)?;
    let run = Run::open(Arc::new(content)).map_err(Error::malformed(&name))?;
    let packs: Vec<Value> = run
        .packs()
        .map(|pack| json!({ "pack": object::hashed_name(pack.kind, &pack.id), "size": pack.size }))
        .collect();
    let frames: Vec<Value> = (0..run.frame_count() as u32)
        .filter_map(|number| run.frame(number))
        .map(|(pack, row)| {
            let mut described = frame(&row, run.segment(row.segment));
            described["pack"] = json!(pack);
            described
        })
        .collect();
    Ok(json!({ "object": name, "size": bytes.len(), "chunks": run.chunk_count(), "packs": packs, "frames": frames }))
}

async fn snapshot(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let (name, bytes) = fetch(repository, &["snapshots"], id).await?;
    let sealed = Sealed::check(&bytes, last_id(&name)?, &repository.id())?;
    let inventory = sealed.inventory(&repository.id(), &repository.key.shared.inventory)?;
    let manifest = match &repository.key.reader {
        Some(secrets) => json!(sealed.manifest(&repository.id(), &secrets.epochs)?),
        None => json!("sealed: a writer's key does not open it"),
    };
    Ok(json!({
        "object": name,
        "signer": sealed.signer,
        "signer-name": repository.signer_name(&sealed.signer).await?,
        "in-force": repository.history().has_snapshot(&sealed.id),
        "inventory": inventory,
        "frames-needed": inventory.live.frames(),
        "manifest": manifest,
    }))
}

async fn commit(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let number = match id {
        "latest" => repository.history().newest,
        digits => digits.parse().map_err(|_| Error::NoSnapshot(format!("'{id}' is not the number of a commit")))?,
    };
    let name = object::commit_name(number);
    let bytes = get(&*repository.store, &name).await?;
    let (commit, signer) = repository.open_commit(number, &bytes)?;
    let signer_name = repository.signer_name(&signer).await?;
    Ok(
        json!({ "object": name, "hash": ObjectId::of(&bytes), "signer": signer, "signer-name": signer_name, "commit": commit }),
    )
}

async fn checkpoint(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let there = repository.checkpoints().await?;
    let number = match id {
        "latest" => there.first(),
        digits => there.iter().find(|number| digits.parse() == Ok(**number)),
    };
    let Some(&number) = number else {
        return Err(Error::NoSnapshot(format!("there is no checkpoint '{id}'; there are those of commits {there:?}")));
    };
    let name = object::checkpoint_name(number);
    let history = repository.open_checkpoint(number, &get(&*repository.store, &name).await?)?;
    let unknown = || json!("of a release that folds more or less into it than this one");
    Ok(json!({ "object": name, "history": history.map_or_else(unknown, |history| json!(history)) }))
}

async fn key(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let records = repository.key_records().await?.into_iter();
    let found: Vec<_> =
        records.filter(|(name, _)| name.strip_prefix("keys/").is_some_and(|hex| hex.starts_with(id))).collect();
    match found.as_slice() {
        [(name, record)] => Ok(json!({ "object": name, "key": record })),
        many => Err(Error::NoSnapshot(format!("'{id}' begins the names of {} key objects", many.len()))),
    }
}

async fn page(repository: &Arc<Repository>, id: &str) -> Result<Value, Error> {
    let id: ChunkId = id.parse().map_err(|_| Error::NoSnapshot(format!("'{id}' is not a page id of 64 hex digits")))?;
    let bytes = repository.read_page(&id).await?;
    let malformed = |fault| Error::malformed(format!("page {id}"))(fault);
    Ok(match bytes.first() {
        Some(&leaf::KIND) => {
            let entries = leaf::decode(&bytes).map_err(malformed)?;
            let entries: Vec<Value> =
                entries.iter().map(|(directory, entry)| describe_entry(directory, entry)).collect();
            json!({ "page": id, "kind": "leaf", "bytes": bytes.len(), "entries": entries })
        }
        Some(&inner::KIND) => {
            let (level, children) = inner::decode(&bytes).map_err(malformed)?;
            let children: Vec<Value> = children
                .iter()
                .map(|child| {
                    let (directory, name) = (escape(&child.first_directory), escape(&child.first_name));
                    json!({ "page": child.id, "first-directory": directory, "first-name": name, "entries": child.entries, "bytes": child.bytes })
                })
                .collect();
            json!({ "page": id, "kind": "inner", "level": level, "children": children })
        }
        _ => {
            let chunks = inner::decode_chunk_list(&bytes).map_err(malformed)?;
            json!({ "page": id, "kind": "chunk-list", "chunks": describe_chunks(&chunks) })
        }
    })
}

fn describe_chunks(chunks: &[ChunkRef]) -> Vec<Value> {
    chunks.iter().map(|chunk| json!({ "id": chunk.id, "length": chunk.length })).collect()
}

/// An entry as JSON; also what `ls --json` prints.
#[must_use]
pub fn describe_entry(directory: &[u8], entry: &Entry) -> Value {
    let time = |time: crate::tree::entry::Time| format!("{}.{:09}", time.seconds, time.nanoseconds);
    let content = match &entry.content {
        Content::None => Value::Null,
        Content::Whole => json!("whole"),
        Content::Chunks(chunks) => json!({ "chunks": describe_chunks(chunks) }),
        Content::Pages(pages) => {
            json!({ "pages": pages.iter().map(|page| json!({ "page": page.id, "bytes": page.covered_bytes })).collect::<Vec<_>>() })
        }
    };
    let xattrs: serde_json::Map<String, Value> =
        entry.xattrs.iter().map(|(name, value)| (escape(name), json!(hex(value)))).collect();
    json!({
        "directory": escape(directory),
        "name": escape(&entry.name),
        "kind": format!("{:?}", entry.kind).to_lowercase(),
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "user": &*entry.user,
        "group": &*entry.group,
        "mtime": time(entry.mtime),
        "birth": entry.birth.map(time),
        "size": entry.size,
        "hardlink": entry.hardlink,
        "xattrs": xattrs,
        "flags": entry.flags,
        "project": entry.project,
        "extents": entry.extents.as_ref().map(|extents| extents.iter().map(|extent| [extent.offset, extent.length]).collect::<Vec<_>>()),
        "blake3": entry.hash.map(|hash| hex(&hash)),
        "target": entry.target.as_deref().map(escape),
        "device": entry.device,
        "torn": entry.consistency.torn,
        "content": content,
    })
}
