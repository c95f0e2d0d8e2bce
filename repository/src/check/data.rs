//! Every byte of every pack: hashed against its name, and each frame opened and its chunks compared with theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Bad, CheckProgress, CheckReport};
use crate::error::{Error, chain};
use crate::ids::ObjectId;
use crate::index::{FrameId, Index, PackRow, Place};
use crate::object::{self, ObjectType};
use crate::pack::{PackFooter, TRAILER_SIZE, Trailer};
use crate::read::NameOf;
use crate::repository::{Repository, get_range};

/// What the index says lies in one pack.
struct PackContent {
    pack: PackRow,
    chunks: Vec<([u8; 16], Place)>,
}

/// What one pack turned out to be.
#[derive(Default)]
struct PackVerdict {
    faults: Vec<String>,
    bad: Vec<(FrameId, u32)>,
    verified: u64,
}

/// What is read at once.
const RANGE_BYTES: u64 = 8 << 20;

/// Packs that are read at once: one is hashed and opened while the next is on its way.
const PACKS_AT_ONCE: usize = 2;

pub(super) async fn check(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    progress: &CheckProgress,
    report: &mut CheckReport,
    bad: &mut Bad,
) -> Result<(), Error> {
    let packs = contents(index);
    let total = packs.iter().map(|content| content.pack.size).sum();
    progress.bytes_total.store(total, Ordering::Relaxed);
    let mut checks = futures::stream::StreamExt::buffered(
        futures::stream::iter(
            packs.into_iter().map(|content| check_pack(Arc::clone(repository), Arc::clone(index), content)),
        ),
        PACKS_AT_ONCE,
    );
    while let Some(done) = futures::stream::StreamExt::next(&mut checks).await {
        let (name, size, read) = done?;
        progress.bytes_done.fetch_add(size, Ordering::Relaxed);
        // What is missing or cut off was reported before; here it only is not read.
        let Some(verdict) = read else { continue };
        report.bytes_read += size;
        report.chunks_verified += verdict.verified;
        verdict.faults.into_iter().for_each(|fault| report.fault(&name, fault));
        bad.extend(verdict.bad);
    }
    Ok(())
}

/// What is bad in some packs; in one that is not there whole, everything.
pub(super) async fn check_packs(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    packs: &BTreeSet<ObjectId>,
    bad: &mut Bad,
) -> Result<(), Error> {
    for content in contents(index).into_iter().filter(|content| packs.contains(&content.pack.id)) {
        let all: Vec<_> = content.chunks.iter().map(|(_, place)| (place.frame, place.offset)).collect();
        match check_pack(Arc::clone(repository), Arc::clone(index), content).await {
            Ok((_, _, Some(verdict))) => bad.extend(verdict.bad),
            Ok((_, _, None)) => bad.extend(all),
            Err(error) if crate::scrub::is_about_one_object(&error) => bad.extend(all),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn contents(index: &Index) -> Vec<PackContent> {
    let mut by_pack: BTreeMap<ObjectId, PackContent> = BTreeMap::new();
    for pack in index.packs() {
        by_pack.entry(pack.id).or_insert_with(|| PackContent { pack, chunks: Vec::new() });
    }
    for (prefix, place) in index.entries() {
        let pack = index.frame(place.frame).map(|frame| frame.pack.id);
        if let Some(content) = pack.and_then(|id| by_pack.get_mut(&id)) {
            content.chunks.push((prefix, place));
        }
    }
    let mut contents: Vec<PackContent> = by_pack.into_values().collect();
    contents
        .iter_mut()
        .for_each(|content| content.chunks.sort_unstable_by_key(|(_, place)| (place.frame, place.offset)));
    contents
}

type Checked = (String, u64, Option<PackVerdict>);

async fn check_pack(repository: Arc<Repository>, index: Arc<Index>, content: PackContent) -> Result<Checked, Error> {
    let name = object::hashed_name(content.pack.kind, &content.pack.id);
    let size = content.pack.size;
    let bytes = match read_whole(&repository, &name, size).await {
        Ok(bytes) => bytes,
        Err(Error::Missing { .. } | Error::Damaged { .. }) => return Ok((name, size, None)),
        Err(error) => return Err(error),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "hashing and opening 64 MiB is CPU work, and this is its one owner in a check"
    )]
    let verdict = tokio::task::spawn_blocking(move || examine(&repository, &index, &content, &bytes));
    let verdict = verdict.await.map_err(|lost| Error::Poisoned(lost.to_string().into()))??;
    Ok((name, size, Some(verdict)))
}

/// Reads a pack in ranges: a local store reads those past the page cache, which costs a tenth of what one read of the whole would.
async fn read_whole(repository: &Repository, name: &str, size: u64) -> Result<Bytes, Error> {
    let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while (whole.len() as u64) < size {
        let start = whole.len() as u64;
        let end = size.min(start + RANGE_BYTES);
        whole.extend_from_slice(&get_range(&*repository.store, name, start..end).await?);
    }
    Ok(whole.into())
}

fn examine(repository: &Repository, index: &Index, content: &PackContent, bytes: &Bytes) -> Result<PackVerdict, Error> {
    let mut verdict = PackVerdict::default();
    if ObjectId::of(bytes) != content.pack.id {
        verdict.faults.push("its bytes do not match its name".into());
    }
    if let Err(error) = check_footer(repository, content.pack, bytes) {
        verdict.faults.push(chain(&error));
    }
    for chunks in content.chunks.chunk_by(|(_, left), (_, right)| left.frame == right.frame) {
        match open(repository, index, chunks[0].1.frame, bytes) {
            Ok(plain) => check_chunks(repository, content.pack.kind, chunks, &plain, &mut verdict),
            Err(error) if error.kind() == crate::error::ErrorKind::Corrupt => {
                verdict.faults.push(chain(&error));
                verdict.bad.extend(chunks.iter().map(|(_, place)| (place.frame, place.offset)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(verdict)
}

fn open(repository: &Repository, index: &Index, frame: FrameId, bytes: &Bytes) -> Result<Vec<u8>, Error> {
    let info = index.frame(frame).ok_or_else(|| Error::damaged("the index", "a chunk has no frame"))?;
    let start = info.row.offset as usize;
    let end = start + crate::pack::FRAME_HEADER_SIZE + info.row.sealed_length as usize;
    let sealed = bytes.get(start..end).ok_or_else(|| Error::damaged("the index", "a frame lies beyond its pack"))?;
    repository.open_frame_of(index, frame, sealed)
}

fn check_chunks(
    repository: &Repository,
    kind: ObjectType,
    chunks: &[([u8; 16], Place)],
    plain: &[u8],
    verdict: &mut PackVerdict,
) {
    let of = if kind == ObjectType::PagePack { NameOf::Page } else { NameOf::Chunk };
    for (prefix, place) in chunks {
        let start = place.offset as usize;
        let whole = plain.get(start..start + place.length as usize);
        if whole.is_some_and(|bytes| repository.name(of, blake3::hash(bytes).as_bytes()).prefix() == *prefix) {
            verdict.verified += 1;
        } else {
            verdict.faults.push(format!("the chunk at byte {start} of a frame does not match its name"));
            verdict.bad.push((place.frame, place.offset));
        }
    }
}

fn check_footer(repository: &Repository, pack: PackRow, bytes: &Bytes) -> Result<(), Error> {
    let name = object::hashed_name(pack.kind, &pack.id);
    object::body(bytes, pack.kind, &repository.id(), &name)?;
    read_footer(repository, pack, bytes, &name).map(|_| ())
}

/// Opens the footer at the end of `tail`, which holds at least footer and trailer.
pub(crate) fn read_footer(
    repository: &Repository,
    pack: PackRow,
    tail: &[u8],
    name: &str,
) -> Result<PackFooter, Error> {
    let split = tail.len().checked_sub(TRAILER_SIZE).ok_or_else(|| Error::damaged(name, "it is too short"))?;
    let trailer = Trailer::decode(&tail[split..]).map_err(Error::malformed(name))?;
    let start = split.checked_sub(trailer.footer_length as usize);
    let footer = start.map(|start| &tail[start..split]).ok_or_else(|| Error::damaged(name, "its footer is cut off"))?;
    if blake3::hash(footer).as_bytes()[..16] != trailer.footer_hash {
        return Err(Error::damaged(name, "its footer does not match its trailer"));
    }
    PackFooter::open(&repository.key.shared.inventory, &repository.id(), pack.kind, (pack.id, pack.size), footer, name)
}
