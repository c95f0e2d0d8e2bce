//! Reading a snapshot's tree: look-ups and listings in O(log n) pages, and walks in order.

use std::cmp::Ordering;
use std::sync::Arc;

use super::entry::{ChunkRef, Content, Entry, Kind};
use super::inner::{self, Child};
use super::leaf::{self, Located};
use super::order;
use crate::error::Error;
use crate::ids::ChunkId;
use crate::repository::Repository;
use crate::snapshot::Snapshot;

/// A snapshot's tree.
#[derive(Debug, Clone)]
pub struct Tree {
    repository: Arc<Repository>,
    root: Option<ChunkId>,
}

impl Repository {
    /// The tree of a snapshot.
    #[must_use]
    pub fn tree(self: &Arc<Self>, snapshot: &Snapshot) -> Tree {
        Tree { repository: Arc::clone(self), root: snapshot.manifest.root }
    }

    /// What a leaf page holds, such as one that a search of the [`names`](crate::names) led to.
    pub async fn leaf(&self, page: &ChunkId) -> Result<Vec<Located>, Error> {
        let bytes = self.read_page(page).await?;
        leaf::decode(&bytes).map_err(Error::malformed(format!("page {page}")))
    }
}

impl Tree {
    /// The tree below a page at its top.
    #[must_use]
    pub fn at(repository: &Arc<Repository>, root: ChunkId) -> Self {
        Self { repository: Arc::clone(repository), root: Some(root) }
    }

    /// The page at the top.
    #[must_use]
    pub fn root(&self) -> Option<ChunkId> {
        self.root
    }

    /// The entry at a path (relative to `/`, without a leading slash).
    pub async fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let (directory, name) = order::split(path);
        let mut cursor = self.seek(directory, name).await?;
        let found = cursor.next_entry().await?;
        Ok(found.filter(|(at, entry)| **at == *directory && entry.name == name).map(|(_, entry)| entry))
    }

    /// The entries of a directory, by name.
    pub async fn list(&self, directory: &[u8]) -> Result<Vec<Entry>, Error> {
        let mut cursor = self.seek(directory, b"").await?;
        let mut entries = Vec::new();
        while let Some((at, entry)) = cursor.next_entry().await? {
            if *at != *directory {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Everything at and below a path: its own entry first, then what it holds in tree order. The empty path is everything.
    #[must_use]
    pub fn walk(&self, path: &[u8]) -> TreeWalk {
        TreeWalk { tree: self.clone(), top: path.to_vec(), state: WalkState::Top }
    }

    /// All chunks of a file, chunk pages opened.
    pub async fn chunks(&self, entry: &Entry) -> Result<Vec<ChunkRef>, Error> {
        match &entry.content {
            Content::None => Ok(Vec::new()),
            Content::Whole => Ok(self.repository.whole_chunk(entry).into_iter().collect()),
            Content::Chunks(chunks) => Ok(chunks.clone()),
            Content::Pages(pages) => {
                let mut chunks = Vec::new();
                for page in pages {
                    let bytes = self.repository.read_page(&page.id).await?;
                    chunks.extend(
                        inner::decode_chunk_list(&bytes).map_err(Error::malformed(format!("page {}", page.id)))?,
                    );
                }
                Ok(chunks)
            }
        }
    }

    /// The sum of the file sizes below a directory, in bytes: from the sums in inner pages, so O(log n) pages are read.
    pub async fn bytes_below(&self, top: &[u8]) -> Result<u64, Error> {
        let mut cursor = self.seek(top, b"").await?;
        let mut bytes = 0;
        loop {
            for (directory, entry) in cursor.entries.by_ref() {
                if !order::is_within(&directory, top) {
                    return Ok(bytes);
                }
                bytes += entry.size;
            }
            let Some((_, children)) = cursor.above.last_mut() else { return Ok(bytes) };
            let Some(child) = children.next() else {
                cursor.above.pop();
                continue;
            };
            // Where the one after it begins below the top, all of it lies there.
            match children.as_slice().first() {
                Some(next) if order::is_within(&next.first_directory, top) => bytes += child.bytes,
                _ => cursor.descend(child.id, None).await?,
            }
        }
    }

    /// A cursor at the first entry that is not before (directory, name).
    async fn seek(&self, directory: &[u8], name: &[u8]) -> Result<Cursor, Error> {
        let mut cursor = Cursor::new(&self.repository);
        cursor.seek(self.root, (directory, name)).await?;
        Ok(cursor)
    }
}

/// A position in the leaves, with the way that leads to it.
struct Cursor {
    repository: Arc<Repository>,
    /// The children still to come, level by level from the top.
    above: Vec<(u64, std::vec::IntoIter<Child>)>,
    entries: std::vec::IntoIter<Located>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Cursor({} levels)", self.above.len())
    }
}

impl Cursor {
    fn new(repository: &Arc<Repository>) -> Self {
        Self { repository: Arc::clone(repository), above: Vec::new(), entries: Vec::new().into_iter() }
    }

    /// Goes to the first entry that is not before the key. If a page on the way cannot be read, the cursor is behind what that page holds.
    async fn seek(&mut self, root: Option<ChunkId>, key: (&[u8], &[u8])) -> Result<(), Error> {
        let Some(root) = root else { return Ok(()) };
        self.descend(root, Some(key)).await?;
        let entries = std::mem::take(&mut self.entries);
        let is_before = |located: &Located| order::keys((&located.0, &located.1.name), key) == Ordering::Less;
        self.entries = entries.skip_while(is_before).collect::<Vec<_>>().into_iter();
        Ok(())
    }

    /// Goes down from a page to a leaf: to the one that would hold the key, or to the first.
    async fn descend(&mut self, page: ChunkId, key: Option<(&[u8], &[u8])>) -> Result<(), Error> {
        let mut page = page;
        loop {
            let bytes = self.repository.read_page(&page).await?;
            let malformed = |fault| Error::malformed(format!("page {page}"))(fault);
            if bytes.first() == Some(&leaf::KIND) {
                self.entries = leaf::decode(&bytes).map_err(malformed)?.into_iter();
                return Ok(());
            }
            let (level, children) = inner::decode(&bytes).map_err(malformed)?;
            // Levels fall on the way down, so a page that leads back up cannot make us run in circles.
            if self.above.last().is_some_and(|(above, _)| level >= *above) {
                return Err(Error::damaged(format!("page {page}"), "its level is not below its parent's"));
            }
            let skip = key.map_or(0, |key| covering(&children, key));
            let mut children = children.into_iter();
            let next = children.nth(skip);
            self.above.push((level, children));
            page = next.ok_or_else(|| Error::damaged(format!("page {page}"), "it has no children"))?.id;
        }
    }

    async fn next_entry(&mut self) -> Result<Option<Located>, Error> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            let Some((_, children)) = self.above.last_mut() else { return Ok(None) };
            match children.next() {
                Some(child) => self.descend(child.id, None).await?,
                None => {
                    self.above.pop();
                }
            }
        }
    }
}

/// The last child whose first key is not after the key.
fn covering(children: &[Child], key: (&[u8], &[u8])) -> usize {
    let not_after = |child: &Child| order::keys((&child.first_directory, &child.first_name), key) != Ordering::Greater;
    children.partition_point(not_after).saturating_sub(1)
}

/// A walk through a subtree. After an error it goes on behind the page that could not be read: who can do with less than everything asks again.
#[derive(Debug)]
pub struct TreeWalk {
    tree: Tree,
    top: Vec<u8>,
    state: WalkState,
}

#[derive(Debug)]
enum WalkState {
    Top,
    Start,
    Below(Cursor),
    Done,
}

impl TreeWalk {
    /// The next entry with its directory, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Located>, Error> {
        loop {
            match &mut self.state {
                WalkState::Top => {
                    self.state = WalkState::Start;
                    if !self.top.is_empty() {
                        return self.top().await;
                    }
                }
                WalkState::Start => {
                    let mut cursor = Cursor::new(&self.tree.repository);
                    let sought = cursor.seek(self.tree.root, (&self.top, b"")).await;
                    self.state = WalkState::Below(cursor);
                    sought?;
                }
                WalkState::Below(cursor) => match cursor.next_entry().await? {
                    Some((at, entry)) if order::is_within(&at, &self.top) => return Ok(Some((at, entry))),
                    _ => self.state = WalkState::Done,
                },
                WalkState::Done => return Ok(None),
            }
        }
    }

    /// The entry of the top itself.
    async fn top(&mut self) -> Result<Option<Located>, Error> {
        let top = self.tree.lookup(&self.top).await?;
        if top.as_ref().is_none_or(|entry| entry.kind != Kind::Directory) {
            self.state = WalkState::Done;
        }
        Ok(top.map(|entry| (Arc::from(order::split(&self.top).0), entry)))
    }
}
