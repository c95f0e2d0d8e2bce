//! Reading a state, believing nothing that its hash does not confirm.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use strongroom_repository::{ChunkId, CondemnedFrames, ObjectId, TreeRoot};

use super::head::{Head, Places};
use super::layout::{MAGIC, RECORD_BYTES, ROW_BYTES, Row, checksum};
use super::{DirectoryIndex, Fingerprint, Ordinal, Record, StateError, StateKey, Tallies, map};

/// A node that changed this shortly before the scan began may have changed again after it was read, without a new time: clocks of file systems
/// tick every 1 to 10 ms.
const TICK_NS: i64 = 10_000_000;

/// The same where times have no fractions, as on file systems that count seconds or pairs of them.
const COARSE_TICK_NS: i64 = 2_000_000_000;

/// The last run, mapped.
#[derive(Debug)]
pub struct State {
    body: Mmap,
    head: Head,
    rows: std::ops::Range<usize>,
    table: TreeTable,
    /// The first entry of each leaf, and at the end the number of entries.
    leaf_starts: Vec<u32>,
    /// Leaves that need frames which the repository has lost; none if it has lost nothing of this tree.
    doubtful: Option<Vec<bool>>,
}

/// The tree that the last run stored, and where the plain bytes of its leaves are in the body.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TreeTable {
    pub(super) tree: TreeRoot,
    pub(super) pages: Vec<PagePlace>,
}

/// Where a leaf page is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PagePlace {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) checksum: [u8; 16],
}

impl State {
    /// Opens the state of the last run over the same sources.
    pub fn open(folder: &Path, key: &StateKey) -> Result<Self, StateError> {
        let places = Places::new(folder, key);
        let head = Head::read(&places.head)?;
        if head.key != key.digest() {
            return Err(StateError::Foreign);
        }
        let file = File::open(&places.body).map_err(StateError::file("read", &places.body))?;
        let body = map::map(&file).map_err(StateError::file("map", &places.body))?;
        Self::parse(head, body)
    }

    fn parse(head: Head, body: Mmap) -> Result<Self, StateError> {
        if !body.starts_with(MAGIC) {
            return Err(StateError::Damaged("the body has another format"));
        }
        let start = usize::try_from(head.tables_offset).ok();
        let end = head.tables_offset.checked_add(head.tables_length).and_then(|end| usize::try_from(end).ok());
        let span = start.zip(end).filter(|(start, end)| start <= end && *end <= body.len());
        let (start, end) = span.ok_or(StateError::Damaged("the tables are missing"))?;
        let tables = &body[start..end];
        if ObjectId::of(tables) != head.tables_hash {
            return Err(StateError::Damaged("the tables' hash is wrong"));
        }
        // The tables are what was written, so from here on a fault would be one of the writer; it is reported all the same.
        let fault = || StateError::Damaged("the tables cannot be parsed");
        let (count, rest) = tables.split_first_chunk::<8>().ok_or_else(fault)?;
        let rows_length = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(ROW_BYTES))
            .ok_or_else(fault)?;
        let json = rest.get(rows_length..).ok_or_else(fault)?;
        let table: TreeTable = serde_json::from_slice(json).map_err(|_| fault())?;
        if table.pages.len() != table.tree.leaves.len() {
            return Err(fault());
        }
        let rows = start + 8..start + 8 + rows_length;
        let mut leaf_starts = vec![0u32];
        let mut entries = 0u32;
        for leaf in &table.tree.leaves {
            entries = entries.checked_add(leaf.entries).ok_or_else(fault)?;
            leaf_starts.push(entries);
        }
        Ok(Self { body, head, rows, table, leaf_starts, doubtful: None })
    }

    /// Takes note of what the repository has lost: what needs any of it counts as changed, so that it is read and stored again.
    pub fn doubt(&mut self, lost: &CondemnedFrames) {
        if lost.touch(&self.table.tree.live) {
            self.doubtful = Some(self.table.tree.leaves.iter().map(|leaf| lost.touch(&leaf.live)).collect());
        }
    }

    /// Whether the repository has lost something of this tree.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.doubtful.is_some()
    }

    /// Whether an entry may be taken over as it is.
    #[must_use]
    #[inline]
    pub fn is_safe(&self, entry: Ordinal) -> bool {
        self.doubtful.as_ref().is_none_or(|doubtful| !doubtful.get(self.leaf_of(entry.0)).is_some_and(|is| *is))
    }

    /// The snapshot that it describes.
    #[must_use]
    pub fn snapshot(&self) -> ObjectId {
        self.head.snapshot
    }

    /// That snapshot's tree.
    #[must_use]
    pub fn tree(&self) -> &TreeRoot {
        &self.table.tree
    }

    /// Every page of that tree.
    pub fn pages(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.tree().leaves.iter().map(|leaf| leaf.id).chain(self.tree().inner.iter().copied())
    }

    /// Number of entries.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.leaf_starts.last().copied().unwrap_or(0)
    }

    /// Number of directories that the walk listed.
    #[must_use]
    pub fn directories(&self) -> u32 {
        (self.rows.len() / ROW_BYTES) as u32
    }

    /// The entries of a leaf.
    #[must_use]
    pub fn leaf_span(&self, leaf: usize) -> std::ops::Range<u32> {
        self.leaf_starts[leaf]..self.leaf_starts[leaf + 1]
    }

    /// The leaf that an entry is in.
    #[must_use]
    pub fn leaf_of(&self, ordinal: u32) -> usize {
        self.leaf_starts.partition_point(|start| *start <= ordinal).saturating_sub(1)
    }

    /// The plain bytes of a leaf, if they are what was written.
    #[must_use]
    pub fn leaf_page(&self, leaf: usize) -> Option<&[u8]> {
        let (place, page) = self.leaf_page_unchecked(leaf)?;
        (checksum(page) == place.checksum).then_some(page)
    }

    pub(super) fn leaf_page_unchecked(&self, leaf: usize) -> Option<(PagePlace, &[u8])> {
        let place = self.table.pages.get(leaf)?;
        Some((*place, self.part(place.offset, place.length)?))
    }

    /// The top directory.
    #[must_use]
    pub fn top(&self) -> Option<DirectoryIndex> {
        (self.directories() > 0).then_some(DirectoryIndex(0))
    }

    /// The directory that follows everything below this one.
    #[must_use]
    pub fn after(&self, directory: DirectoryIndex) -> DirectoryIndex {
        // A number out of range stays out of range, and has no directory.
        DirectoryIndex(self.row(directory).map_or(u32::MAX - 1, |row| row.after))
    }

    /// A directory as the last run saw it; none if its bytes are not what was written.
    #[must_use]
    pub fn directory(&self, directory: DirectoryIndex) -> Option<OldDirectory<'_>> {
        let row = self.row(directory)?;
        let block = self.block(&row)?;
        if checksum(block) != row.checksum {
            return None;
        }
        let count = row.tallies.entries() as usize;
        let (records, names) = block.split_at_checked(count.checked_mul(RECORD_BYTES)?)?;
        Some(OldDirectory { records: records.as_chunks().0, names, first: row.first })
    }

    /// The entries of a directory, and how many of which kind they are.
    #[must_use]
    pub fn span(&self, directory: DirectoryIndex) -> Option<(std::ops::Range<u32>, Tallies)> {
        let row = self.row(directory)?;
        Some((row.first..row.first.checked_add(u32::try_from(row.tallies.entries()).ok()?)?, row.tallies))
    }

    /// Whether a node changed so shortly before the last scan that it may have changed again unseen.
    #[must_use]
    #[inline]
    pub fn is_racy(&self, fingerprint: &Fingerprint) -> bool {
        let newest = fingerprint.ctime_ns.max(fingerprint.mtime_ns);
        if newest < self.head.scan_began_ns.saturating_sub(COARSE_TICK_NS) {
            return false;
        }
        let is_coarse = newest % 1_000_000_000 == 0;
        is_coarse || newest >= self.head.scan_began_ns.saturating_sub(TICK_NS)
    }

    pub(super) fn row(&self, directory: DirectoryIndex) -> Option<Row> {
        let table = &self.body[self.rows.clone()];
        table.as_chunks::<ROW_BYTES>().0.get(directory.0 as usize).map(Row::decode)
    }

    pub(super) fn block(&self, row: &Row) -> Option<&[u8]> {
        self.part(row.offset, u64::from(row.length))
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    fn part(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = usize::try_from(offset.checked_add(length)?).ok()?;
        self.body.get(start..end)
    }
}

/// One directory of the last run.
#[derive(Debug, Clone, Copy)]
pub struct OldDirectory<'a> {
    records: &'a [[u8; RECORD_BYTES]],
    names: &'a [u8],
    first: u32,
}

impl<'a> OldDirectory<'a> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// An entry's name; names are in order.
    #[must_use]
    #[inline]
    pub fn name(&self, at: usize) -> &'a [u8] {
        let start = at.checked_sub(1).map_or(0, |before| Record::decode(&self.records[before]).1);
        let end = Record::decode(&self.records[at]).1;
        self.names.get(start as usize..end as usize).unwrap_or_default()
    }

    /// What an entry looked like.
    #[must_use]
    #[inline]
    pub fn record(&self, at: usize) -> Record {
        Record::decode(&self.records[at]).0
    }

    /// An entry's number in the tree.
    #[must_use]
    pub fn ordinal(&self, at: usize) -> Ordinal {
        Ordinal(self.first + at as u32)
    }
}
