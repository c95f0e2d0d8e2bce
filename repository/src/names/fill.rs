//! What the cache does not know yet, from the pages of the snapshots that have it.

use std::collections::{HashMap, HashSet};

use super::block::Open;
use super::{Leaf, Names, list};
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ChunkId;
use crate::repository::Repository;
use crate::snapshot::Snapshot;
use crate::tree::{inner, leaf};

/// The same for all copies of a repository: their pages have the same names.
const FILE: &str = "names";

impl Repository {
    /// The names in `snapshots`, which are all that there are: what others had is forgotten in time. Reads each page that is new once; `told` is told how many were. The
    /// first time that is the metadata of the whole repository.
    pub async fn names(&self, snapshots: &[Snapshot], told: impl Fn(u64)) -> Result<Names, Error> {
        let path = self.cache.join(FILE);
        let mut names = Names::load(&path);
        let roots: HashSet<ChunkId> = snapshots.iter().filter_map(|snapshot| snapshot.manifest.root).collect();
        if roots.iter().all(|root| names.trees.contains_key(root)) {
            return Ok(names);
        }
        names = names.without_waste(&roots);
        let mut fill = Fill::new(names);
        // In their order, so that what belongs together lies together.
        for root in snapshots.iter().filter_map(|snapshot| snapshot.manifest.root) {
            if !fill.names.trees.contains_key(&root) {
                fill.tree(self, root, &told).await?;
            }
        }
        names = fill.finish()?;
        names.save(&path);
        Ok(names)
    }
}

/// Names that are being added to.
struct Fill {
    names: Names,
    by_page: HashMap<ChunkId, u32>,
    by_hash: HashMap<[u8; 32], u32>,
    open: Open,
    /// Pages read so far.
    read: u64,
}

enum Page {
    Leaf(u32),
    /// Its level, and the children.
    Inner(u64, Vec<ChunkId>),
}

impl Fill {
    fn new(mut names: Names) -> Self {
        let open = match names.blocks.pop_if(|last| !last.is_full).map(|last| last.reopen()) {
            Some(Ok(open)) => open,
            None => Open::default(),
            // Nobody wrote this: all of it is made anew.
            Some(Err(_)) => {
                names = Names::default();
                Open::default()
            }
        };
        let by_page = (0..).zip(&names.leaves).map(|(number, leaf)| (leaf.page, number)).collect();
        let by_hash = (0..).zip(&names.lists).map(|(number, hash)| (*hash, number)).collect();
        Self { names, by_page, by_hash, open, read: 0 }
    }

    async fn tree(&mut self, repository: &Repository, root: ChunkId, told: &impl Fn(u64)) -> Result<(), Error> {
        let mut leaves = Vec::new();
        let mut is_whole = true;
        // The page that comes next is the last one. Levels fall on the way down, so a page that leads back up cannot make us run in circles.
        let mut pages = vec![(root, u64::MAX)];
        while let Some((page, above)) = pages.pop() {
            if let Some(number) = self.by_page.get(&page) {
                leaves.push(*number);
                continue;
            }
            match self.page(repository, page, above).await {
                Ok(Page::Leaf(number)) => leaves.push(number),
                Ok(Page::Inner(level, children)) => pages.extend(children.into_iter().rev().map(|id| (id, level))),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    is_whole = false;
                    self.names.note_unreadable(page, chain(&error));
                }
                Err(error) => return Err(error),
            }
            told(self.read);
        }
        self.names.trees.insert(root, leaves);
        if !is_whole {
            self.names.torn.insert(root);
        }
        Ok(())
    }

    async fn page(&mut self, repository: &Repository, page: ChunkId, above: u64) -> Result<Page, Error> {
        let malformed = |fault| Error::malformed(format!("page {page}"))(fault);
        let bytes = repository.read_page(&page).await?;
        self.read += 1;
        if bytes.first() == Some(&leaf::KIND) {
            let list = list::of_page(&bytes).map_err(malformed)?;
            return Ok(Page::Leaf(self.leaf(page, &list)?));
        }
        let (level, children) = inner::decode(&bytes).map_err(malformed)?;
        if level >= above {
            return Err(Error::damaged(format!("page {page}"), "its level is not below its parent's"));
        }
        Ok(Page::Inner(level, children.into_iter().map(|child| child.id).collect()))
    }

    fn leaf(&mut self, page: ChunkId, list: &[u8]) -> Result<u32, Error> {
        let hash = *blake3::hash(list).as_bytes();
        let number = match self.by_hash.get(&hash) {
            Some(number) => *number,
            None => self.list(hash, list)?,
        };
        let leaf = next(self.names.leaves.len())?;
        self.names.leaves.push(Leaf { page, list: number });
        self.by_page.insert(page, leaf);
        Ok(leaf)
    }

    fn list(&mut self, hash: [u8; 32], list: &[u8]) -> Result<u32, Error> {
        let number = next(self.names.lists.len())?;
        self.open.push(list);
        if self.open.is_full() {
            self.close()?;
        }
        self.names.lists.push(hash);
        self.by_hash.insert(hash, number);
        Ok(number)
    }

    fn close(&mut self) -> Result<(), Error> {
        let closed = std::mem::take(&mut self.open).close();
        self.names.blocks.extend(closed.map_err(|source| Error::Cache {
            doing: "compress",
            path: FILE.into(),
            source,
        })?);
        Ok(())
    }

    fn finish(mut self) -> Result<Names, Error> {
        self.close()?;
        Ok(self.names)
    }
}

fn next(count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::damaged("the metadata", "there are more pages than can be numbered"))
}

impl Names {
    fn note_unreadable(&mut self, page: ChunkId, why: String) {
        if !self.unreadable.iter().any(|(known, _)| *known == page) {
            self.unreadable.push((page, why));
        }
    }

    /// The same, made anew where most of it is of snapshots that are gone: so it stays as large as what there is.
    fn without_waste(mut self, roots: &HashSet<ChunkId>) -> Self {
        self.trees.retain(|root, _| roots.contains(root));
        let used = self.lists_of(self.trees.values().map(Vec::as_slice));
        match used.iter().filter(|used| **used).count() * 2 < used.len() {
            true => Self::default(),
            false => self,
        }
    }

    /// Which lists the leaves have, by their numbers.
    pub(super) fn lists_of<'l>(&self, trees: impl Iterator<Item = &'l [u32]>) -> Vec<bool> {
        let mut used = vec![false; self.lists.len()];
        for leaf in trees.flatten().filter_map(|number| self.leaves.get(*number as usize)) {
            if let Some(used) = used.get_mut(leaf.list as usize) {
                *used = true;
            }
        }
        used
    }
}
