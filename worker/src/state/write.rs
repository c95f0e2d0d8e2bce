//! Writing the state of a run while it goes on, and putting it in place after the commit.
//!
//! As long as the run meets exactly what the old state has, nothing is written: only the count of what was the same goes up. At the first
//! difference the parts counted so far are copied, and from then on everything is written as it comes. So an unchanged run writes the head alone.
//!
//! A state that cannot be written does not disturb the run; the error waits for [`StateWriter::finish`].

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_repository::{ChunkId, Kind, ObjectId, TreeRoot};

use super::head::{Head, Places, create_temporary};
use super::layout::{MAGIC, Row, checksum};
use super::open::{PagePlace, TreeTable};
use super::{DirectoryIndex, Record, State, StateError, StateKey, Tallies};

/// Bytes gathered before each write, so that small blocks do not cost a call each.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// Writes the next state.
#[derive(Debug)]
pub struct StateWriter {
    places: Places,
    key: String,
    old: Option<Arc<State>>,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// Everything so far is the first so many directories and leaves of the old state.
    Echo { directories: u32, leaves: usize },
    /// It is written to a new body.
    Write(Box<Body>),
    /// It could not be written.
    Broken(StateError),
}

/// A body that is being written.
#[derive(Debug)]
struct Body {
    file: BufWriter<File>,
    temporary: PathBuf,
    at: u64,
    rows: Vec<Row>,
    pages: Vec<(ChunkId, PagePlace)>,
    entries: u32,
    records: Vec<u8>,
    names: Vec<u8>,
    depth: u32,
    tallies: Tallies,
}

impl Drop for Body {
    fn drop(&mut self) {
        // After the rename there is nothing here by this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl StateWriter {
    /// Begins the state of a run that started from `old`, if there was one.
    #[must_use]
    pub fn new(folder: &std::path::Path, key: &StateKey, old: Option<Arc<State>>) -> Self {
        Self {
            places: Places::new(folder, key),
            key: key.digest(),
            old,
            mode: Mode::Echo { directories: 0, leaves: 0 },
        }
    }

    /// The next directory is exactly this one of the old state.
    pub fn unchanged(&mut self, directory: DirectoryIndex) {
        match &mut self.mode {
            Mode::Echo { directories, .. } if *directories == directory.0 => *directories += 1,
            _ => self.write(|body, old| body.copy_directory(old, directory)),
        }
    }

    /// The next directory is a new or changed one; its entries follow.
    pub fn begin_directory(&mut self, depth: u32) {
        self.write(|body, _| {
            body.depth = depth;
            Ok(())
        });
    }

    /// The next entry of the directory that was begun.
    pub fn entry(&mut self, name: &[u8], record: &Record, kind: Kind) {
        self.write(|body, _| {
            body.names.extend_from_slice(name);
            record.encode(u32::try_from(body.names.len()).map_err(|_| TOO_LARGE)?, &mut body.records);
            body.tallies.count(kind, record.fingerprint.size);
            Ok(())
        });
    }

    /// The directory that was begun is complete.
    pub fn end_directory(&mut self) {
        self.write(|body, _| body.end_directory());
    }

    /// The next leaf of the tree is this one of the old state.
    pub fn old_leaf(&mut self, leaf: usize) {
        match &mut self.mode {
            Mode::Echo { leaves, .. } if *leaves == leaf => *leaves += 1,
            _ => self.write(|body, old| body.copy_leaf(old, leaf)),
        }
    }

    /// The next leaf of the tree is a new one.
    pub fn new_leaf(&mut self, id: ChunkId, page: &[u8]) {
        self.write(|body, _| body.leaf(id, page, checksum(page)));
    }

    /// Puts the state in place; only after the snapshot was committed.
    pub fn finish(mut self, snapshot: ObjectId, tree: &TreeRoot, scan_began_ns: i64) -> Result<(), StateError> {
        self.places.create_folder()?;
        let head = match &self.old {
            Some(old) if self.echoes_all(old) => Head { snapshot, scan_began_ns, ..old.head().clone() },
            _ => {
                self.write(|_, _| Ok(()));
                let body = match self.mode {
                    Mode::Write(body) => body,
                    Mode::Broken(fault) => return Err(fault),
                    Mode::Echo { .. } => return Err(StateError::Absent),
                };
                let (tables_offset, tables_length, tables_hash) = (*body).finish(tree, &self.places)?;
                Head { key: self.key, snapshot, scan_began_ns, tables_offset, tables_length, tables_hash }
            }
        };
        head.write(&self.places.head)
    }

    fn echoes_all(&self, old: &State) -> bool {
        matches!(self.mode, Mode::Echo { directories, leaves } if directories == old.directories() && leaves == old.tree().leaves.len())
    }

    /// Does something with the new body, which is begun first if need be.
    fn write(&mut self, act: impl FnOnce(&mut Body, Option<&State>) -> Result<(), StateError>) {
        if let Mode::Echo { directories, leaves } = self.mode {
            self.mode = match self.begin_body(directories, leaves) {
                Ok(body) => Mode::Write(Box::new(body)),
                Err(fault) => Mode::Broken(fault),
            };
        }
        if let Mode::Write(body) = &mut self.mode
            && let Err(fault) = act(body, self.old.as_deref())
        {
            self.mode = Mode::Broken(fault);
        }
    }

    fn begin_body(&self, directories: u32, leaves: usize) -> Result<Body, StateError> {
        self.places.create_folder()?;
        let (file, temporary) = create_temporary(&self.places.body)?;
        let mut body = Body {
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            temporary,
            at: 0,
            rows: Vec::new(),
            pages: Vec::new(),
            entries: 0,
            records: Vec::new(),
            names: Vec::new(),
            depth: 0,
            tallies: Tallies::default(),
        };
        body.append(MAGIC)?;
        for directory in 0..directories {
            body.copy_directory(self.old.as_deref(), DirectoryIndex(directory))?;
        }
        for leaf in 0..leaves {
            body.copy_leaf(self.old.as_deref(), leaf)?;
        }
        Ok(body)
    }
}

const NO_SUCH_PART: StateError = StateError::Damaged("a part that was counted on is missing");
const TOO_LARGE: StateError = StateError::Damaged("there are more entries than the state can hold");

impl Body {
    fn append(&mut self, bytes: &[u8]) -> Result<u64, StateError> {
        let offset = self.at;
        self.file.write_all(bytes).map_err(StateError::file("write", &self.temporary))?;
        self.at += bytes.len() as u64;
        Ok(offset)
    }

    fn copy_directory(&mut self, old: Option<&State>, directory: DirectoryIndex) -> Result<(), StateError> {
        let old = old.ok_or(NO_SUCH_PART)?;
        let row = old.row(directory).ok_or(NO_SUCH_PART)?;
        // Its checksum goes with it: a block that was damaged since it was compared will be found by the next run.
        let block = old.block(&row).ok_or(NO_SUCH_PART)?;
        let offset = self.append(block)?;
        self.push_row(Row { offset, ..row })
    }

    fn end_directory(&mut self) -> Result<(), StateError> {
        let mut records = std::mem::take(&mut self.records);
        let split = records.len();
        records.append(&mut self.names);
        let row = Row {
            offset: self.append(&records)?,
            length: u32::try_from(records.len()).map_err(|_| TOO_LARGE)?,
            checksum: checksum(&records),
            first: 0,
            depth: self.depth,
            after: 0,
            tallies: std::mem::take(&mut self.tallies),
        };
        debug_assert_eq!(split as u64, row.tallies.entries() * super::layout::RECORD_BYTES as u64);
        records.clear();
        self.records = records;
        self.push_row(row)
    }

    fn push_row(&mut self, row: Row) -> Result<(), StateError> {
        let first = self.entries;
        let count = u32::try_from(row.tallies.entries()).map_err(|_| TOO_LARGE)?;
        self.entries = first.checked_add(count).ok_or(TOO_LARGE)?;
        self.rows.push(Row { first, ..row });
        Ok(())
    }

    fn copy_leaf(&mut self, old: Option<&State>, leaf: usize) -> Result<(), StateError> {
        let old = old.ok_or(NO_SUCH_PART)?;
        let id = old.tree().leaves.get(leaf).ok_or(NO_SUCH_PART)?.id;
        let (place, page) = old.leaf_page_unchecked(leaf).ok_or(NO_SUCH_PART)?;
        self.leaf(id, page, place.checksum)
    }

    fn leaf(&mut self, id: ChunkId, page: &[u8], checksum: [u8; 16]) -> Result<(), StateError> {
        let place = PagePlace { offset: self.append(page)?, length: page.len() as u64, checksum };
        self.pages.push((id, place));
        Ok(())
    }

    /// Writes the tables and gives the body its name.
    fn finish(mut self, tree: &TreeRoot, places: &Places) -> Result<(u64, u64, ObjectId), StateError> {
        link_subtrees(&mut self.rows);
        let mut tables = (self.rows.len() as u64).to_le_bytes().to_vec();
        self.rows.iter().for_each(|row| row.encode(&mut tables));
        let table = self.tree_table(tree)?;
        serde_json::to_writer(&mut tables, &table).map_err(|_| StateError::Damaged("the tables cannot be written"))?;
        let offset = self.append(&tables)?;
        self.file.flush().map_err(StateError::file("write", &self.temporary))?;
        std::fs::rename(&self.temporary, &places.body).map_err(StateError::file("rename", &self.temporary))?;
        Ok((offset, tables.len() as u64, ObjectId::of(&tables)))
    }

    /// Joins what the repository says of the leaves with where their bytes are.
    fn tree_table(&mut self, tree: &TreeRoot) -> Result<TreeTable, StateError> {
        let entries: u64 = tree.leaves.iter().map(|leaf| u64::from(leaf.entries)).sum();
        let same_ids = self.pages.iter().map(|(id, _)| id).eq(tree.leaves.iter().map(|leaf| &leaf.id));
        if !same_ids || entries != u64::from(self.entries) {
            return Err(StateError::Damaged("the leaves and the directories do not agree"));
        }
        Ok(TreeTable { tree: tree.clone(), pages: self.pages.iter().map(|(_, place)| *place).collect() })
    }
}

/// Fills in, for each directory, the one that follows its subtree.
fn link_subtrees(rows: &mut [Row]) {
    let mut open: Vec<usize> = Vec::new();
    for at in 0..rows.len() {
        while let Some(last) = open.pop_if(|last| rows[*last].depth >= rows[at].depth) {
            rows[last].after = at as u32;
        }
        open.push(at);
    }
    for last in open {
        rows[last].after = rows.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtrees_end_where_a_directory_no_deeper_begins() {
        let depths = [0, 1, 2, 3, 2, 1, 1, 2];
        let row =
            Row { offset: 0, length: 0, checksum: [0; 16], first: 0, depth: 0, after: 0, tallies: Tallies::default() };
        let mut rows: Vec<Row> = depths.iter().map(|depth| Row { depth: *depth, ..row }).collect();
        link_subtrees(&mut rows);
        let after: Vec<u32> = rows.iter().map(|row| row.after).collect();
        assert_eq!(after, [8, 5, 4, 4, 5, 6, 8, 8]);
    }
}
