//! What an unfinished session has stored so far, noted beside its source, so that it can be taken up again: after a crash, a cut line, the end of a window. What
//! is noted is not sent a second time.
//!
//! The session goes on under its own id. So nothing is new to anybody else: its record still pins what it began from, and a session that was fenced meanwhile is not
//! taken up again but begun anew.
//!
//! The file is a cache: 8 bytes of magic, then *notes*, each u32 length ‖ 16 bytes of BLAKE3 ‖ body. The first body is JSON, the repository's id and the session's record;
//! the others are u8 kind ‖ pack id 32 ‖ u64 size ‖ the content of the pack's footer. It is not flushed: what a power cut tore off is sent again. Nothing behind a
//! note that is not what was written is believed.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SessionRecord;
use crate::codec::{Malformed, Reader};
use crate::file_lock::FileLock;
use crate::history::History;
use crate::ids::{ObjectId, RepositoryId, SessionId};
use crate::object::ObjectType;
use crate::pack::{PackContents, PackFooter};

const MAGIC: &[u8; 8] = b"SRNOTES1";

/// The first note.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    repository: RepositoryId,
    session: SessionRecord,
}

/// The notes of the session that is open; locked, so that two sessions of one source never share them.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: FileLock,
}

/// What an earlier session left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) record: SessionRecord,
    /// Packs that are durable and in no commit yet.
    pub(super) packs: Vec<PackContents>,
}

impl Notes {
    /// Takes the notes at `path`, and what is in them if `fits` says that it may be gone on from. None if another session has them.
    pub(super) fn take(
        path: &Path,
        fits: impl FnOnce(&RepositoryId, &SessionRecord) -> bool,
    ) -> io::Result<Option<(Self, Option<Left>)>> {
        if let Some(folder) = path.parent() {
            crate::cache::create_folder(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let Some(mut file) = FileLock::take(file)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let found = read(&bytes).filter(|(head, ..)| fits(&head.repository, &head.session));
        let end = found.as_ref().map_or(0, |(.., end)| *end as u64);
        file.set_len(end)?;
        file.seek(io::SeekFrom::Start(end))?;
        let left = found.map(|(head, packs, _)| Left { record: head.session, packs });
        Ok(Some((Self { path: path.to_owned(), file }, left)))
    }

    /// Begins the notes of a new session.
    pub(super) fn begin(&mut self, repository: RepositoryId, session: &SessionRecord) -> io::Result<()> {
        // BUG if it fails: a session record serialises.
        let head =
            serde_json::to_vec(&Head { repository, session: session.clone() }).expect("a session record serialises");
        self.file.write_all(&[&MAGIC[..], &note(&head)].concat())
    }

    /// Notes a pack that is durable.
    pub(super) fn add(&mut self, pack: &PackContents) -> io::Result<()> {
        self.file.write_all(&note(&body(pack)))
    }

    /// The session is committed: there is nothing to take up.
    pub(super) fn discard(self) {
        // What stays is about a session that the history knows as ended, and is left aside by the next one.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether a session that left notes may be gone on with: it is of this repository, still open, and pins what the new run builds on.
pub(super) fn may_go_on(record: &SessionRecord, parent: Option<ObjectId>, history: &History) -> bool {
    let has_ended = history.snapshots.iter().any(|added| added.session == record.session);
    let is_open = !has_ended && !history.fenced.contains(&record.session);
    is_open && (parent.is_none() || parent == record.parent)
}

fn note(body: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(body);
    [&(body.len() as u32).to_le_bytes()[..], &hash.as_bytes()[..16], body].concat()
}

fn body(pack: &PackContents) -> Vec<u8> {
    [&[pack.kind as u8][..], &pack.id.0, &pack.size.to_le_bytes(), &pack.footer_content()].concat()
}

/// The head, the packs, and where the last good note ends.
fn read(bytes: &[u8]) -> Option<(Head, Vec<PackContents>, usize)> {
    let mut from = Reader::new(bytes);
    (from.array::<8>("magic").ok()? == *MAGIC).then_some(())?;
    let head = serde_json::from_slice(next(&mut from).ok()?).ok()?;
    let (mut packs, mut end) = (Vec::new(), from.position());
    while let Ok(pack) = next(&mut from).and_then(pack) {
        packs.push(pack);
        end = from.position();
    }
    Some((head, packs, end))
}

fn next<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = from.u32("note length")?;
    let hash = from.array::<16>("note hash")?;
    let body = from.take(length as usize, "note")?;
    if blake3::hash(body).as_bytes()[..16] == hash { Ok(body) } else { Err(from.malformed("note")) }
}

fn pack(body: &[u8]) -> Result<PackContents, Malformed> {
    let mut from = Reader::new(body);
    let kind = match from.u8("kind")? {
        kind if kind == ObjectType::Pack as u8 => ObjectType::Pack,
        kind if kind == ObjectType::PagePack as u8 => ObjectType::PagePack,
        _ => return Err(from.malformed("kind")),
    };
    let (id, size) = (ObjectId(from.array("pack id")?), from.u64("pack size")?);
    let content = from.take(from.remaining(), "footer")?;
    PackFooter::decode(content, kind, id, size).map(|footer| footer.contents)
}

/// The parser, for the table of all parsers.
pub(crate) fn parse(bytes: &[u8]) {
    drop(read(bytes));
}

/// A session with one pack, as it would be noted.
pub(crate) fn sample(pack: &PackContents) -> Vec<u8> {
    let session =
        SessionRecord { session: SessionId([3; 16]), base: 7, parent: None, started: jiff::Timestamp::UNIX_EPOCH };
    let head =
        serde_json::to_vec(&Head { repository: RepositoryId([0; 16]), session }).expect("a session record serialises");
    [&MAGIC[..], &note(&head), &note(&body(pack))].concat()
}
