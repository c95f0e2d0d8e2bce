//! The plan while it is being made: what each entry and verdict adds to it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use strongroom_repository::text::escape;
use strongroom_repository::{ChunkRef, Content, Entry, FrameId, Kind, Repository};

use super::names;
use super::options::Overwrite;
use super::plan::{Decisions, PathNote};
use super::selection::{Role, Step};
use super::survey::{Seen, Verdict};
use super::window::{SameFile, same_file};

/// How many paths of a kind a plan shows; the counts are of all.
pub(super) const SHOWN_MAX: usize = 100;

/// What file systems allocate at least.
const BLOCK_BYTES: u64 = 4096;

/// What is known so far.
#[derive(Debug)]
pub(super) struct Draft {
    repository: Arc<Repository>,
    overwrite: Overwrite,
    pub(super) decisions: Decisions,
    pub(super) files: u64,
    pub(super) hard_links: u64,
    pub(super) directories: u64,
    pub(super) others: u64,
    pub(super) bytes: u64,
    pub(super) needed_bytes: u64,
    pub(super) replaced: Listed,
    pub(super) kept: Listed,
    pub(super) unchanged: u64,
    pub(super) torn: Listed,
    pub(super) lost: Listed,
    frames: BTreeSet<FrameId>,
    links: HashSet<SameFile>,
    groups: HashMap<SameFile, Vec<Member>>,
}

/// Paths that are counted, the first of them kept.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) paths: Vec<String>,
    pub(super) total: u64,
}

impl Listed {
    pub(super) fn add(&mut self, path: &[u8]) {
        self.total += 1;
        if self.paths.len() < SHOWN_MAX {
            self.paths.push(escape(path));
        }
    }
}

/// One name of a file with several, and what the target has there.
#[derive(Debug)]
struct Member {
    path: Vec<u8>,
    /// The entry and its chunks, if it is equal but for its links.
    unchanged: Option<(Entry, Vec<ChunkRef>)>,
    identity: Option<(u32, u64)>,
}

impl Draft {
    pub(super) fn new(repository: &Arc<Repository>, overwrite: Overwrite) -> Self {
        Self {
            repository: Arc::clone(repository),
            overwrite,
            decisions: Decisions::default(),
            files: 0,
            hard_links: 0,
            directories: 0,
            others: 0,
            bytes: 0,
            needed_bytes: 0,
            replaced: Listed::default(),
            kept: Listed::default(),
            unchanged: 0,
            torn: Listed::default(),
            lost: Listed::default(),
            frames: BTreeSet::new(),
            links: HashSet::new(),
            groups: HashMap::new(),
        }
    }

    /// Takes an entry in. `elsewhere` are its chunks if the entry itself does not list them.
    pub(super) fn take(&mut self, step: &Step, seen: &Seen, elsewhere: &[ChunkRef]) {
        let (directory, entry, role) = step;
        // What has no safe name is not restored; the run names it.
        let Ok(path) = names::checked(directory, &entry.name) else { return };
        if self.decisions.skipped.contains(&directory[..]) {
            self.skip(path, entry);
            self.kept.total += 1;
            return;
        }
        if entry.consistency.torn {
            self.torn.add(&path);
        }
        let chunks = if elsewhere.is_empty() { listed_chunks(entry) } else { elsewhere };
        self.remember_link(&path, entry, seen, chunks);
        match &seen.verdict {
            Verdict::Create => self.count(&path, entry, chunks),
            Verdict::Merge => self.merge(path, entry, *role),
            Verdict::Replace => {
                self.replaced.add(&path);
                self.count(&path, entry, chunks);
            }
            Verdict::Unchanged => {
                self.unchanged += 1;
                self.skip(path, entry);
            }
            Verdict::Keep => {
                self.kept.add(&path);
                self.skip(path, entry);
            }
            Verdict::Conflict(note) => {
                self.decisions.conflicts.push(PathNote { path: escape(&path), note: note.to_string() });
                self.skip(path, entry);
            }
        }
    }

    fn skip(&mut self, path: Vec<u8>, _entry: &Entry) {
        self.decisions.skipped.insert(path);
    }

    fn merge(&mut self, path: Vec<u8>, entry: &Entry, role: Role) {
        self.directories += 1;
        if role == Role::Selected && self.overwrite != Overwrite::Never {
            self.decisions.merged.push((path, entry.clone()));
        }
    }

    fn count(&mut self, path: &[u8], entry: &Entry, chunks: &[ChunkRef]) {
        self.needed_bytes += BLOCK_BYTES;
        match entry.kind {
            Kind::Directory => self.directories += 1,
            Kind::Socket => {}
            _ if same_file(entry).is_some_and(|link| !self.links.insert(link)) => self.hard_links += 1,
            Kind::File => {
                self.files += 1;
                self.bytes += entry.data_bytes();
                self.needed_bytes += entry.data_bytes().next_multiple_of(BLOCK_BYTES);
                self.count_frames(path, chunks);
            }
            _ => self.others += 1,
        }
    }

    fn count_frames(&mut self, path: &[u8], chunks: &[ChunkRef]) {
        let mut all_known = true;
        for chunk in chunks {
            match self.repository.locate(&chunk.id) {
                Ok(place) => _ = self.frames.insert(place.frame),
                Err(_) => all_known = false,
            }
        }
        if !all_known {
            self.lost.add(path);
        }
    }

    fn remember_link(&mut self, path: &[u8], entry: &Entry, seen: &Seen, chunks: &[ChunkRef]) {
        let (Some(link), Overwrite::Changed) = (same_file(entry), self.overwrite) else { return };
        let unchanged = (seen.verdict == Verdict::Unchanged).then(|| (entry.clone(), chunks.to_vec()));
        let member = Member { path: path.to_vec(), unchanged, identity: seen.identity };
        self.groups.entry(link).or_default().push(member);
    }

    /// Names of one file that are equal one by one but are not one file in the target are replaced all together.
    pub(super) fn settle_links(&mut self) {
        for members in std::mem::take(&mut self.groups).into_values() {
            let first = members.first().and_then(|member| member.identity);
            if members.iter().all(|member| member.unchanged.is_some() && member.identity == first) {
                continue;
            }
            for member in members {
                let Some((entry, chunks)) = member.unchanged else { continue };
                self.decisions.skipped.remove(&member.path);
                self.unchanged -= 1;
                self.replaced.add(&member.path);
                self.count(&member.path, &entry, &chunks);
            }
        }
    }

    /// Number of packs, number of frames, bytes to fetch.
    pub(super) fn transfer(&self) -> (u64, u64, u64) {
        let packs: HashSet<String> =
            self.frames.iter().filter_map(|frame| self.repository.frame_pack(*frame)).collect();
        let bytes = self.frames.iter().map(|frame| u64::from(self.repository.frame_sealed_length(*frame))).sum();
        (packs.len() as u64, self.frames.len() as u64, bytes)
    }
}

fn listed_chunks(entry: &Entry) -> &[ChunkRef] {
    match &entry.content {
        Content::Chunks(chunks) => chunks,
        Content::None | Content::Whole | Content::Pages(_) => &[],
    }
}
