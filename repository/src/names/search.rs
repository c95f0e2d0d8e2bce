//! Who has what: all blocks are searched, on several threads, and what is found is led back to the pages that have the entries.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::block::{self, Block};
use super::{Names, list};
use crate::codec::Malformed;
use crate::error::Error;
use crate::ids::ChunkId;

/// What is looked for. It is asked on several threads.
pub trait Sought: Sync {
    /// Whether something in this directory may be it. Asked once for all names of a page that are in it.
    fn may_be_in(&self, directory: &[u8]) -> bool;

    /// Whether this is it.
    fn is(&self, directory: &[u8], name: &[u8]) -> bool;
}

/// Asked with directory and name.
impl<F: Fn(&[u8], &[u8]) -> bool + Sync> Sought for F {
    fn may_be_in(&self, _: &[u8]) -> bool {
        true
    }

    fn is(&self, directory: &[u8], name: &[u8]) -> bool {
        self(directory, name)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// By directory and name.
    pub paths: Vec<FoundPath>,
    /// Whether there is more: these come first.
    pub is_cut: bool,
}

/// A path, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPath {
    /// The directory that it is in.
    pub directory: Vec<u8>,
    /// Its name there.
    pub name: Vec<u8>,
    /// The trees that have it, by their place among those that were searched, each with the leaf page in which its entry is.
    pub at: Vec<(usize, ChunkId)>,
}

/// The lists in which each path is. Never more than the limit: the first ones stay.
#[derive(Debug, Default)]
struct Hits {
    lists: BTreeMap<(Vec<u8>, Vec<u8>), Vec<u32>>,
    is_cut: bool,
}

impl Names {
    /// The first `limit` paths in the trees below `roots` that are sought.
    pub fn find(
        &self,
        roots: &[ChunkId],
        limit: usize,
        threads: NonZeroUsize,
        sought: &impl Sought,
    ) -> Result<Found, Error> {
        let trees: Vec<&[u32]> = roots.iter().map(|root| self.trees.get(root).map_or(&[][..], Vec::as_slice)).collect();
        let used = self.lists_of(trees.iter().copied());
        let hits = self.search(&used, limit, threads, sought).map_err(Error::malformed("the cache of names"))?;
        Ok(self.led_back(hits, &trees))
    }

    fn search(
        &self,
        used: &[bool],
        limit: usize,
        threads: NonZeroUsize,
        sought: &impl Sought,
    ) -> Result<Hits, Malformed> {
        let next = AtomicUsize::new(0);
        let first_lists: Vec<usize> = self.first_lists();
        let work = || {
            let mut hits = Hits::default();
            while let Some((block, first)) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                self.blocks.get(at).zip(first_lists.get(at))
            } {
                let lists = used.get(*first..).unwrap_or_default();
                let lists = lists.get(..block.lists as usize).unwrap_or_default();
                if lists.contains(&true) {
                    hits.search(block, (*first, lists), limit, sought)?;
                }
            }
            Ok(hits)
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(work)).collect();
            let mut hits = work()?;
            for other in others {
                // BUG if it panicked: nothing in it does.
                hits.add(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?, limit);
            }
            Ok(hits)
        })
    }

    /// The number of each block's first list.
    fn first_lists(&self) -> Vec<usize> {
        let mut first = 0;
        let before = |block: &Block| {
            let this = first;
            first += block.lists as usize;
            this
        };
        self.blocks.iter().map(before).collect()
    }

    fn led_back(&self, hits: Hits, trees: &[&[u32]]) -> Found {
        let mut paths_of: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut paths = Vec::with_capacity(hits.lists.len());
        for (at, ((directory, name), lists)) in hits.lists.into_iter().enumerate() {
            lists.into_iter().for_each(|list| paths_of.entry(list).or_default().push(at));
            paths.push(FoundPath { directory, name, at: Vec::new() });
        }
        for (tree, leaves) in trees.iter().enumerate() {
            for leaf in leaves.iter().filter_map(|number| self.leaves.get(*number as usize)) {
                for path in paths_of.get(&leaf.list).into_iter().flatten() {
                    if let Some(path) = paths.get_mut(*path) {
                        path.at.push((tree, leaf.page));
                    }
                }
            }
        }
        Found { paths, is_cut: hits.is_cut }
    }
}

impl Hits {
    fn search(
        &mut self,
        block: &Block,
        (first, used): (usize, &[bool]),
        limit: usize,
        sought: &impl Sought,
    ) -> Result<(), Malformed> {
        let plain = block.unpack()?;
        for (at, (list, is_used)) in block::lists(&plain).zip(used).enumerate() {
            let list = list?;
            if *is_used {
                let number = u32::try_from(first + at).map_err(|_| Malformed { what: "list", at: first })?;
                let enters = |directory: &[u8]| sought.may_be_in(directory);
                list::each(list, enters, |directory, name| {
                    if sought.is(directory, name) {
                        self.add_one((directory, name), [number], limit);
                    }
                });
            }
        }
        Ok(())
    }

    fn add_one(&mut self, path: (&[u8], &[u8]), lists: impl IntoIterator<Item = u32>, limit: usize) {
        // Of a million hits nearly all end here.
        let last = self.lists.last_key_value().map(|((directory, name), _)| (&directory[..], &name[..]));
        if self.lists.len() >= limit && last.is_some_and(|last| last < path) {
            self.is_cut = true;
            return;
        }
        self.lists.entry((path.0.to_vec(), path.1.to_vec())).or_default().extend(lists);
        if self.lists.len() > limit {
            self.lists.pop_last();
            self.is_cut = true;
        }
    }

    fn add(&mut self, other: Self, limit: usize) {
        self.is_cut |= other.is_cut;
        for ((directory, name), lists) in other.lists {
            self.add_one((&directory, &name), lists, limit);
        }
    }
}
