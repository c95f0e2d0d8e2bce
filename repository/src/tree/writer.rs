//! Writing a snapshot's tree: leaves are cut by the hash of names alone, so that a changed file changes one page a level.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{ChunkPageRef, ChunkRef, Content, Entry};
use super::inner::{self, Child};
use super::leaf::LeafBuilder;
use super::order;
use crate::error::Error;
use crate::ids::ChunkId;
use crate::live::Live;
use crate::session::Session;

/// Entries a leaf has at least before its names may end it, and how rarely they do: 512 + 512 entries of about 130 bytes are 128 KiB.
const LEAF_MIN: u32 = 512;
const LEAF_MODULUS: u64 = 512;
/// Entries after which a leaf ends whatever its names.
const LEAF_MAX: u32 = 2048;
/// Bytes after which a leaf ends whatever its names: huge attributes must not make a page that is costly to read.
const LEAF_BYTES_MAX: usize = 4 << 20;
const INNER_MIN: usize = 64;
const INNER_MODULUS: u64 = 64;
const INNER_MAX: usize = 512;
/// A file of more chunks keeps its list in pages of its own, so that leaves stay small.
const INLINE_CHUNKS_MAX: usize = 128;
const CHUNK_PAGE_MIN: usize = 256;
const CHUNK_PAGE_MODULUS: u64 = 1024;
const CHUNK_PAGE_MAX: usize = 4096;

/// A leaf as the local state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRef {
    /// The page.
    pub id: ChunkId,
    /// Directory of its first entry.
    pub first_dir: Vec<u8>,
    /// Name of its first entry.
    pub first_name: Vec<u8>,
    /// Entries in it.
    pub entries: u32,
    /// Sum of its file sizes, in bytes.
    pub bytes: u64,
    /// The frames that it and its files need.
    pub live: Live,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// Read now.
    Fresh,
    /// Unchanged, from this leaf of the parent snapshot.
    Kept(&'a LeafRef),
}

/// A complete tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TreeRoot {
    /// The page at the top; none if there is no entry.
    pub root: Option<ChunkId>,
    /// The leaves in order.
    pub leaves: Vec<LeafRef>,
    /// The inner pages.
    pub inner: Vec<ChunkId>,
    /// The frames that all of it needs.
    pub live: Live,
}

/// A tree whose new pages are written but not yet placed in a finished pack.
#[derive(Debug)]
pub struct UnplacedTree {
    pub(crate) root: Option<ChunkId>,
    pub(crate) leaves: Vec<UnplacedLeaf>,
    pub(crate) inner: Vec<ChunkId>,
    taken_over: Option<TreeRoot>,
}

#[derive(Debug)]
pub(crate) struct UnplacedLeaf {
    pub(crate) leaf: LeafRef,
    /// Chunks and pages whose frames are to be added to `leaf.live`.
    pub(crate) needs: Vec<ChunkId>,
}

impl UnplacedTree {
    /// The parent's tree as it is: nothing changed.
    #[must_use]
    pub fn taken_over(tree: TreeRoot) -> Self {
        Self { root: tree.root, leaves: Vec::new(), inner: Vec::new(), taken_over: Some(tree) }
    }

    pub(crate) fn is_taken_over(&self) -> bool {
        self.taken_over.is_some()
    }

    pub(crate) fn into_taken_over(self) -> TreeRoot {
        self.taken_over.unwrap_or_default()
    }
}

/// Receives each new leaf and its plain bytes.
type OnLeaf<'a> = Box<dyn FnMut(&LeafRef, &[u8]) + 'a>;

/// Takes entries in tree order and writes pages.
pub struct TreeWriter<'a> {
    session: Arc<Session>,
    known_pages: HashSet<ChunkId>,
    on_leaf: OnLeaf<'a>,
    open: LeafBuilder,
    open_first: Option<(Vec<u8>, Vec<u8>)>,
    open_live: Live,
    open_needs: Vec<ChunkId>,
    last: Option<(Vec<u8>, Vec<u8>)>,
    leaves: Vec<UnplacedLeaf>,
}

impl std::fmt::Debug for TreeWriter<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "TreeWriter({} leaves)", self.leaves.len())
    }
}

impl<'a> TreeWriter<'a> {
    /// A writer of one tree. `known_pages` are pages that the parent snapshot holds, so they need not be written again; `on_leaf` gets each new leaf.
    pub fn new(
        session: Arc<Session>,
        known_pages: HashSet<ChunkId>,
        on_leaf: impl FnMut(&LeafRef, &[u8]) + 'a,
    ) -> Self {
        Self {
            session,
            known_pages,
            on_leaf: Box::new(on_leaf),
            open: LeafBuilder::default(),
            open_first: None,
            open_live: Live::default(),
            open_needs: Vec::new(),
            last: None,
            leaves: Vec::new(),
        }
    }

    /// Whether no leaf is open, so that one may be taken over whole.
    #[must_use]
    pub fn at_page_start(&self) -> bool {
        self.open_first.is_none()
    }

    /// Appends an entry; entries come strictly ascending by (directory, name).
    pub fn push(&mut self, directory: &[u8], entry: &Entry, origin: Origin<'_>) -> Result<(), Error> {
        self.check_order(directory, &entry.name)?;
        if self.open_first.is_none() {
            self.open_first = Some((directory.to_vec(), entry.name.clone()));
        }
        self.note_needs(entry, origin);
        self.open.push(directory, entry);
        self.last = Some((directory.to_vec(), entry.name.clone()));
        let full = self.open.entries() >= LEAF_MAX || self.open.encoded_bytes() >= LEAF_BYTES_MAX;
        let cut =
            self.open.entries() >= LEAF_MIN && self.name_hash(directory, &entry.name).is_multiple_of(LEAF_MODULUS);
        if full || cut { self.close_leaf() } else { Ok(()) }
    }

    fn check_order(&self, directory: &[u8], name: &[u8]) -> Result<(), Error> {
        let Some((last_directory, last_name)) = &self.last else { return Ok(()) };
        match order::keys((last_directory, last_name), (directory, name)) {
            Ordering::Less => Ok(()),
            _ => {
                let (now, last) = (order::join(directory, name), order::join(last_directory, last_name));
                let [now, last] = [now, last].map(|path| crate::text::escape(&path));
                Err(Error::Poisoned(format!("entries came out of order: {now} after {last}").into()))
            }
        }
    }

    fn note_needs(&mut self, entry: &Entry, origin: Origin<'_>) {
        match (&entry.content, origin) {
            (Content::None, _) => {}
            (Content::Whole, _) => {
                let name = |hash| self.session.repository.key.shared.chunk_name(hash);
                self.open_needs.extend(entry.hash.as_ref().map(name));
            }
            (Content::Chunks(chunks), _) => self.open_needs.extend(chunks.iter().map(|chunk| chunk.id)),
            // The pages of an old chunk list cannot be opened here; the old leaf needed at most what this one does.
            (Content::Pages(_), Origin::Kept(leaf)) => self.open_live.merge(&leaf.live),
            (Content::Pages(pages), Origin::Fresh) => {
                for page in pages {
                    self.open_needs.push(page.id);
                    self.open_needs.extend(self.session.chunks_of_page(&page.id));
                }
            }
        }
    }

    fn name_hash(&self, directory: &[u8], name: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(self.session.repository.key.shared.page_id.expose());
        hasher.update(directory).update(&[0]).update(name);
        leading_u64(hasher.finalize().as_bytes())
    }

    fn close_leaf(&mut self) -> Result<(), Error> {
        let Some((first_dir, first_name)) = self.open_first.take() else { return Ok(()) };
        let builder = std::mem::take(&mut self.open);
        let (entries, bytes) = (builder.entries(), builder.content_bytes());
        let page = builder.finish();
        let id = self.session.store_page(&page, &self.known_pages)?;
        let mut needs = std::mem::take(&mut self.open_needs);
        needs.push(id);
        let leaf = LeafRef { id, first_dir, first_name, entries, bytes, live: std::mem::take(&mut self.open_live) };
        (self.on_leaf)(&leaf, &page);
        self.leaves.push(UnplacedLeaf { leaf, needs });
        Ok(())
    }

    /// Takes over a leaf of the parent snapshot whose entries are all unchanged; only at the start of a page.
    pub fn reuse_leaf(&mut self, leaf: &LeafRef) -> Result<(), Error> {
        if !self.at_page_start() {
            return Err(Error::Poisoned("a leaf was taken over in the middle of another".into()));
        }
        self.check_order(&leaf.first_dir, &leaf.first_name)?;
        self.last = Some((leaf.first_dir.clone(), leaf.first_name.clone()));
        self.leaves.push(UnplacedLeaf { leaf: leaf.clone(), needs: Vec::new() });
        Ok(())
    }

    /// Writes the inner pages.
    pub fn finish(mut self) -> Result<UnplacedTree, Error> {
        self.close_leaf()?;
        let mut level: Vec<Child> = self.leaves.iter().map(|unplaced| child_of(&unplaced.leaf)).collect();
        let mut inner = Vec::new();
        let mut height = 0;
        while level.len() > 1 {
            height += 1;
            level = self.write_level(height, &level, &mut inner)?;
        }
        let root = level.first().map(|child| child.id);
        Ok(UnplacedTree { root, leaves: self.leaves, inner, taken_over: None })
    }

    fn write_level(&self, height: u64, children: &[Child], inner: &mut Vec<ChunkId>) -> Result<Vec<Child>, Error> {
        let mut parents = Vec::new();
        let mut start = 0;
        for (at, child) in children.iter().enumerate() {
            let count = at + 1 - start;
            let cut = || self.name_hash(&child.first_directory, &child.first_name).is_multiple_of(INNER_MODULUS);
            if at + 1 == children.len() || count == INNER_MAX || (count >= INNER_MIN && cut()) {
                let group = &children[start..=at];
                let id = self.session.store_page(&inner::encode(height, group), &self.known_pages)?;
                inner.push(id);
                parents.push(parent_of(group, id));
                start = at + 1;
            }
        }
        Ok(parents)
    }
}

fn child_of(leaf: &LeafRef) -> Child {
    Child {
        first_directory: leaf.first_dir.clone(),
        first_name: leaf.first_name.clone(),
        id: leaf.id,
        entries: u64::from(leaf.entries),
        bytes: leaf.bytes,
    }
}

fn parent_of(group: &[Child], id: ChunkId) -> Child {
    Child {
        first_directory: group[0].first_directory.clone(),
        first_name: group[0].first_name.clone(),
        id,
        entries: group.iter().map(|child| child.entries).sum(),
        bytes: group.iter().map(|child| child.bytes).sum(),
    }
}

fn leading_u64(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(eight)
}

impl Session {
    /// How a file's chunks are referred to: in its entry if they are few, else through pages of their own.
    pub fn chunk_list(&self, chunks: &[ChunkRef]) -> Result<Content, Error> {
        match chunks.len() {
            0 => return Ok(Content::None),
            1..=INLINE_CHUNKS_MAX => return Ok(Content::Chunks(chunks.to_vec())),
            _ => {}
        }
        let mut pages = Vec::new();
        let mut start = 0;
        for (at, chunk) in chunks.iter().enumerate() {
            let count = at + 1 - start;
            let cut = count >= CHUNK_PAGE_MIN && leading_u64(&chunk.id.0).is_multiple_of(CHUNK_PAGE_MODULUS);
            if at + 1 == chunks.len() || count == CHUNK_PAGE_MAX || cut {
                let group = &chunks[start..=at];
                let id = self.store_page(&inner::encode_chunk_list(group), &HashSet::new())?;
                self.note_chunk_page(id, group);
                pages.push(ChunkPageRef { id, covered_bytes: group.iter().map(|chunk| u64::from(chunk.length)).sum() });
                start = at + 1;
            }
        }
        Ok(Content::Pages(pages))
    }
}
