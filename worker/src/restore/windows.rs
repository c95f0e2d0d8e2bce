//! Cutting the walk into windows.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::CString;
use std::sync::Arc;

use strongroom_repository::text::escape;
use strongroom_repository::tree::order;
use strongroom_repository::{ChunkRef, Content, Entry, ErrorKind, Kind, Tree, chain};

use super::aspect::Aspect;
use super::error::RestoreError;
use super::findings::Findings;
use super::flags;
use super::names;
use super::owners::OwnerMap;
use super::plan::RestorePlan;
use super::report::ProblemKind;
use super::selection::Walk;
use super::staging::Flagged;
use super::window::{AtomicAspects, Directory, Item, SameFile, Task, Window, content_fault, same_file};

/// No window has more entries: 16,384 of about half a kilobyte are 8 MiB of memory, and three windows are alive at a time.
const WINDOW_ENTRIES: usize = 16_384;

/// A window is closed when its files have so many bytes. Each costs one flush of some 0.15 s beside the writing; larger ones leave the disk idle while
/// the first is written, and the processor while the last is read back.
const WINDOW_BYTES: u64 = 128 << 20;

/// The windows of one restore, one after the other.
pub(super) struct Windows<'a> {
    walk: Walk,
    tree: Tree,
    owners: Arc<OwnerMap>,
    findings: &'a Findings,
    /// Paths that are not restored; directories below such are added as they come.
    skipped: HashSet<Vec<u8>>,
    /// Directories that more may go into, by sort key.
    open: BTreeMap<Vec<u8>, Directory>,
    /// The first name of each file with several.
    first_names: HashMap<SameFile, Arc<[u8]>>,
    pub(super) flagged: Vec<Flagged>,
    /// Parts of a large file that still come, one for each window.
    parts: VecDeque<Item>,
    number: u64,
    damage_told: usize,
    current: Arc<[u8]>,
}

impl<'a> Windows<'a> {
    pub(super) fn new(plan: &RestorePlan, findings: &'a Findings) -> Self {
        Self {
            walk: plan.selection.walk(&plan.tree),
            tree: plan.tree.clone(),
            owners: Arc::clone(&plan.owners),
            findings,
            skipped: plan.decisions.skipped.clone(),
            open: BTreeMap::new(),
            first_names: HashMap::new(),
            flagged: Vec::new(),
            parts: VecDeque::new(),
            number: 0,
            damage_told: 0,
            current: Arc::from(&b""[..]),
        }
    }

    /// The next window, or none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Window>, RestoreError> {
        let mut window = Window { number: self.number, items: Vec::new(), completed: Vec::new() };
        let mut bytes = 0;
        while window.items.len() < WINDOW_ENTRIES && bytes < WINDOW_BYTES {
            if let Some(part) = self.parts.pop_front() {
                bytes += part.data_bytes();
                window.items.push(part);
                if self.parts.is_empty() {
                    continue;
                }
                break;
            }
            let step = self.walk.next().await?;
            self.tell_damage();
            let Some((directory, entry, _)) = step else {
                window.completed.extend(std::mem::take(&mut self.open).into_values().rev());
                break;
            };
            self.enter(&directory, &mut window.completed);
            if let Some(item) = self.item((directory, entry)).await? {
                self.parts.extend(item.in_parts());
            }
        }
        self.number += 1;
        Ok((!window.items.is_empty() || !window.completed.is_empty()).then_some(window))
    }

    fn tell_damage(&mut self) {
        for damage in &self.walk.damage()[self.damage_told..] {
            let error = format!("entries in it or after it are lost: {}", damage.error);
            self.findings.problem(&damage.after, ProblemKind::Repository, error);
        }
        self.damage_told = self.walk.damage().len();
    }

    /// Lets go of the directories that the walk has left: they sort before the one entered and do not hold it.
    fn enter(&mut self, directory: &Arc<[u8]>, completed: &mut Vec<Directory>) {
        if *directory == self.current {
            return;
        }
        self.current = Arc::clone(directory);
        let left: Vec<Vec<u8>> = self
            .open
            .range(..names::sort_key(directory))
            .filter(|(_, open)| !order::is_within(directory, &open.path))
            .map(|(key, _)| key.clone())
            .collect();
        completed.extend(left.iter().rev().filter_map(|key| self.open.remove(key)));
    }

    async fn item(&mut self, (directory, entry): (Arc<[u8]>, Entry)) -> Result<Option<Item>, RestoreError> {
        let Ok(path) = names::checked(&directory, &entry.name) else {
            let path = order::join(&directory, &entry.name);
            self.findings.problem(&path, ProblemKind::Malformed, "its name could lead out of the target");
            return Ok(None);
        };
        if self.skipped.contains(&directory[..]) {
            self.skipped.insert(path);
            return Ok(None);
        }
        if self.skipped.contains(&path) {
            return Ok(None);
        }
        let Some(task) = self.task(&path, &entry) else { return Ok(None) };
        let elsewhere = match self.elsewhere(&entry).await? {
            Ok(chunks) => chunks,
            Err(fault) => {
                self.findings.problem(&path, ProblemKind::Repository, fault);
                return Ok(None);
            }
        };
        // BUG if it fails: a checked name holds no zero.
        let name = CString::new(entry.name.as_slice()).expect("a checked name");
        let owner = self.owners.of(&entry);
        let item = Item::new(directory, name, entry, owner, task).with_chunks(elsewhere);
        if item.is_first_name_of_file()
            && let Some(fault) = content_fault(&item.entry, item.chunks())
        {
            self.findings.problem(&path, ProblemKind::Malformed, fault);
            return Ok(None);
        }
        self.note(path, &item);
        Ok(Some(item))
    }

    fn task(&mut self, path: &[u8], entry: &Entry) -> Option<Task> {
        let link = same_file(entry).filter(|_| entry.kind != Kind::Directory);
        if let Some(first) = link.and_then(|link| self.first_names.get(&link)) {
            return Some(Task::Link(Arc::clone(first)));
        }
        if let Some(link) = link {
            self.first_names.insert(link, Arc::from(path));
        }
        match entry.kind {
            Kind::Directory => Some(Task::Directory),
            Kind::File if entry.content == Content::None => Some(Task::Node),
            Kind::File => Some(Task::File),
            Kind::Symlink | Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => Some(Task::Node),
            Kind::Socket => {
                self.findings.deviation(path, Aspect::Kind, "sockets are not restored");
                None
            }
        }
    }

    /// The chunks that the entry does not list; the inner error is about this file alone.
    async fn elsewhere(&self, entry: &Entry) -> Result<Result<Vec<ChunkRef>, String>, RestoreError> {
        if !matches!(entry.content, Content::Whole | Content::Pages(_)) {
            return Ok(Ok(Vec::new()));
        }
        match self.tree.chunks(entry).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(chain(&error))),
            other => Ok(Ok(other?)),
        }
    }

    fn note(&mut self, path: Vec<u8>, item: &Item) {
        if flags::forbidding(item.entry.flags) != 0 {
            let flags = item.entry.flags.unwrap_or(0);
            self.flagged.push(Flagged { path: escape(&path), flags });
        }
        if item.task == Task::Directory {
            let entry = item.entry.clone();
            let directory =
                Directory { entry, owner: item.owner, refused: AtomicAspects::default(), path: path.clone() };
            self.open.insert(names::sort_key(&path), directory);
        }
    }
}
