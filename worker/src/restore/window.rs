//! A window: a run of entries, bounded in number and bytes, that is written, flushed and read back as one.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use strongroom_repository::tree::order;
use strongroom_repository::{ChunkRef, Content, Entry, FileHash, Kind};

use super::aspect::Aspects;
use super::node::Wanted;
use super::part::{LARGE_BYTES, Part};

/// Entries in progress.
#[derive(Debug)]
pub(super) struct Window {
    /// Its number, from 0.
    pub(super) number: u64,
    pub(super) items: Vec<Item>,
    /// Directories that nothing more goes into, deepest first: they get their metadata when the window is written.
    pub(super) completed: Vec<Directory>,
}

/// A directory whose metadata is still to be set.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: Vec<u8>,
    pub(super) entry: Entry,
    pub(super) owner: (u32, u32),
    pub(super) refused: AtomicAspects,
}

impl Directory {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { entry: &self.entry, owner: self.owner }
    }
}

/// What is to be done with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// Make the directory.
    Directory,
    /// Write the file from its chunks.
    File,
    /// Make a link, a fifo, a device, or a file without data.
    Node,
    /// Give the file at this path another name.
    Link(Arc<[u8]>),
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Not all of it is there.
    Waiting = 0,
    /// It is there, with its metadata.
    Written = 1,
    /// Its content was found in the staging directory, read back and equal.
    Resumed = 2,
    /// It cannot be restored.
    Failed = 3,
}

/// One entry in progress.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) directory: Arc<[u8]>,
    pub(super) name: CString,
    pub(super) entry: Entry,
    pub(super) owner: (u32, u32),
    pub(super) task: Task,
    /// The file's chunks if its entry does not list them.
    elsewhere: Vec<ChunkRef>,
    /// Which part of a large file this is.
    pub(super) part: Option<Part>,
    /// Which chunks of the part an interrupted run has left.
    pub(super) found: OnceLock<Vec<bool>>,
    state: AtomicU8,
    /// Pieces that are not written yet.
    pub(super) pieces_left: AtomicU32,
    created: OnceLock<bool>,
    /// What could not be set, so that the comparison does not say it again.
    pub(super) refused: AtomicAspects,
}

/// A set of aspects that one thread leaves for another.
#[derive(Debug, Default)]
pub(super) struct AtomicAspects(AtomicU16);

impl AtomicAspects {
    pub(super) fn set(&self, aspects: Aspects) {
        self.0.store(aspects.bits(), Ordering::Release);
    }

    pub(super) fn get(&self) -> Aspects {
        Aspects::from_bits(self.0.load(Ordering::Acquire))
    }
}

/// What the names of one file have in common. The content is part of it: if a file changed between the visits to two of its names, each comes back with
/// what was read for it.
pub(super) type SameFile = ((u64, u64), Option<FileHash>);

/// The file that an entry may be one of several names of.
pub(super) fn same_file(entry: &Entry) -> Option<SameFile> {
    entry.hardlink.map(|link| (link, entry.hash))
}

impl Item {
    pub(super) fn new(directory: Arc<[u8]>, name: CString, entry: Entry, owner: (u32, u32), task: Task) -> Self {
        Self {
            directory,
            name,
            entry,
            owner,
            task,
            elsewhere: Vec::new(),
            part: None,
            found: OnceLock::new(),
            state: AtomicU8::new(State::Waiting as u8),
            pieces_left: AtomicU32::new(0),
            created: OnceLock::new(),
            refused: AtomicAspects::default(),
        }
    }

    /// With the chunks that the entry does not list.
    pub(super) fn with_chunks(mut self, elsewhere: Vec<ChunkRef>) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// This item, or its parts if it is a large file: one for each window that it takes.
    pub(super) fn in_parts(self) -> Vec<Self> {
        if self.task != Task::File || self.entry.data_bytes() <= LARGE_BYTES {
            return vec![self];
        }
        let parts = Part::cut(self.chunks().to_vec(), self.entry.extents.as_deref(), self.entry.size);
        let entry = Entry { content: Content::None, ..self.entry };
        let item = |part| {
            let (directory, name, entry) = (Arc::clone(&self.directory), self.name.clone(), entry.clone());
            Self { part: Some(part), ..Self::new(directory, name, entry, self.owner, Task::File) }
        };
        parts.into_iter().map(item).collect()
    }

    /// Bytes of content in it.
    pub(super) fn data_bytes(&self) -> u64 {
        match &self.part {
            Some(part) => part.chunks().iter().map(|chunk| u64::from(chunk.length)).sum(),
            None => self.entry.data_bytes(),
        }
    }

    /// Whether it is, or ends, a node.
    pub(super) fn is_last_part(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part.is_last)
    }

    /// Whether the file was created. Files in several pieces, and in several parts, are created once.
    pub(super) fn created(&self) -> &OnceLock<bool> {
        self.part.as_ref().map_or(&self.created, |part| &part.file.created)
    }

    pub(super) fn path(&self) -> Vec<u8> {
        order::join(&self.directory, self.name.as_bytes())
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { entry: &self.entry, owner: self.owner }
    }

    pub(super) fn chunks(&self) -> &[ChunkRef] {
        if let Some(part) = &self.part {
            return part.chunks();
        }
        match &self.entry.content {
            Content::Chunks(chunks) => chunks,
            Content::Whole | Content::Pages(_) => &self.elsewhere,
            Content::None => &[],
        }
    }

    /// Whether it is a regular file and not just another name of one.
    pub(super) fn is_first_name_of_file(&self) -> bool {
        self.entry.kind == Kind::File && !matches!(self.task, Task::Link(_))
    }

    /// Those of the whole file, if this is a part of it.
    pub(super) fn all_chunks(&self) -> &[ChunkRef] {
        self.part.as_ref().map_or_else(|| self.chunks(), |part| part.file.chunks())
    }

    /// Whether all of its content is compared with one hash when it is read back, and the file can be left out if it differs: of several names some may be
    /// in place by then.
    pub(super) fn is_judged_when_read_back(&self) -> bool {
        self.entry.hash.is_some() && self.entry.hardlink.is_none()
    }

    /// Whether a chunk of this part was found, good, in the staging directory.
    pub(super) fn has_chunk(&self, number: usize) -> bool {
        self.found.get().is_some_and(|found| found.get(number) == Some(&true))
    }

    /// Whether the whole file is one chunk, without holes.
    pub(super) fn is_one_piece(&self) -> bool {
        self.chunks().len() == 1 && self.entry.extents.is_none() && self.part.is_none()
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Waiting,
            1 => State::Written,
            2 => State::Resumed,
            _ => State::Failed,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Gives the item up, and the file that it is a part of. True for the first to do so, who says why.
    pub(super) fn fail(&self) -> bool {
        let first = self.state.swap(State::Failed as u8, Ordering::AcqRel) != State::Failed as u8;
        match &self.part {
            Some(part) => part.file.fail(),
            None => first,
        }
    }
}

/// What is wrong with an entry's content, if it could not be one state of a file: its chunks and data extents must make up its size.
pub(super) fn content_fault(entry: &Entry, chunks: &[ChunkRef]) -> Option<&'static str> {
    let stored: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let mut data = entry.size;
    if let Some(extents) = &entry.extents {
        let mut end = 0u64;
        for extent in extents {
            let ordered = extent.offset >= end;
            end = extent.offset.saturating_add(extent.length);
            if !ordered || end > entry.size {
                return Some("its data extents are not within its size");
            }
        }
        data = extents.iter().map(|extent| extent.length).sum();
    }
    (stored != data).then_some("its chunks do not make up its size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repository::{ChunkId, Extent};

    #[test]
    fn content_must_make_up_the_size() {
        let check = |size, extents: Option<&[(u64, u64)]>, chunks: &[u32], expect: Option<&str>| {
            let mut entry = Entry::new(b"f".to_vec(), Kind::File);
            entry.size = size;
            let make = |runs: &[(u64, u64)]| {
                runs.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect()
            };
            entry.extents = extents.map(make);
            let chunks: Vec<_> =
                chunks.iter().map(|length| ChunkRef { id: ChunkId([0; 32]), length: *length }).collect();
            assert_eq!(content_fault(&entry, &chunks), expect, "{size} {extents:?}");
        };
        check(0, None, &[], None);
        check(10, None, &[4, 6], None);
        check(10, None, &[4, 5], Some("its chunks do not make up its size"));
        check(100, Some(&[(10, 4), (50, 6)]), &[10], None);
        check(100, Some(&[]), &[], None);
        check(100, Some(&[(10, 4)]), &[100], Some("its chunks do not make up its size"));
        check(100, Some(&[(50, 6), (10, 4)]), &[10], Some("its data extents are not within its size"));
        check(100, Some(&[(96, 6)]), &[6], Some("its data extents are not within its size"));
        check(100, Some(&[(u64::MAX, 6)]), &[6], Some("its data extents are not within its size"));
    }

    #[test]
    fn only_the_first_failure_speaks() {
        let item =
            Item::new(Arc::from(&b"d"[..]), c"f".into(), Entry::new(b"f".to_vec(), Kind::File), (0, 0), Task::File);
        assert_eq!(item.path(), b"d/f");
        item.set_state(State::Written);
        assert!(item.fail() && !item.fail());
        assert_eq!(item.state(), State::Failed);
    }
}
