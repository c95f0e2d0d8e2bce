//! The walk: every directory of the sources, listed and inspected by several threads, delivered to one consumer in the order of a snapshot's tree.
//!
//! The order is directory by directory: a directory wholly, then each of its subdirectories in the order of their names (FORMAT.md, Pages). What
//! the local state knows is compared on the spot, so that an unchanged directory is delivered as one number.
//!
//! Whoever is free, the consumer included, takes the directory that comes first in the order among those that nobody has begun. So the directory
//! the consumer needs is ready, or being listed by a thread that waits for nobody, or the next to be taken: there is no order of events in which
//! all of them wait.

mod compare;
mod list;
mod names;
mod queue;

use std::ops::Range;
use std::sync::Arc;

use crate::exclude::Filter;
use crate::filesystem::{Root, Stat};
use crate::remarks::Remark;
use crate::sources::{NodeIndex, Sources};
use crate::state::{DirectoryIndex, Ordinal, State};

use self::list::Scanner;
use self::queue::{Queue, Taken};

/// What a walk looks at; shared by its threads.
#[derive(Debug, Clone, Copy)]
pub struct Territory<'a> {
    /// Where paths begin.
    pub root: &'a Root,
    /// What to walk.
    pub sources: &'a Sources,
    /// What to leave out.
    pub filter: &'a Filter,
    /// What the last run saw, if that is known.
    pub state: Option<&'a State>,
}

/// One directory as the walk found it.
#[derive(Debug)]
pub struct Listing {
    /// Its path, relative to the root.
    pub directory: Arc<[u8]>,
    /// How many components the path has.
    pub depth: u32,
    /// What is in it.
    pub contents: Contents,
    /// Nodes that rules left out.
    pub left_out: u64,
    /// How many of the sources that were asked for are here.
    pub sources_found: u64,
    /// What there is to say about single paths.
    pub remarks: Vec<Remark>,
}

/// What is in a directory.
#[derive(Debug)]
pub enum Contents {
    /// Exactly what the state has under this number.
    Unchanged(DirectoryIndex),
    /// These nodes, sorted by name.
    Listed(Nodes),
}

/// The nodes of a directory and their names.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    nodes: Vec<Node>,
    names: Vec<u8>,
}

/// One name in a directory.
#[derive(Debug, Clone)]
pub struct Node {
    name: Range<u32>,
    /// Its metadata.
    pub stat: Stat,
    /// The same node in the state, if it has not changed since.
    pub unchanged: Option<Ordinal>,
    /// Whether the walk goes into it, a directory.
    pub descent: Descent,
}

/// Whether a directory's content belongs to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descent {
    /// It does, and the walk delivers it.
    Enters,
    /// It is no directory, or one whose content stays out.
    Stays,
}

impl Nodes {
    /// The nodes and their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|node| (self.name(node), node))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<(&[u8], &Node)> {
        self.nodes.get(at).map(|node| (self.name(node), node))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn name(&self, node: &Node) -> &[u8] {
        &self.names[node.name.start as usize..node.name.end as usize]
    }
}

/// Which part of a directory belongs to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scope {
    /// All of it, as part of a source that begins on this device; none for a directory that only leads to sources.
    source_device: Option<u32>,
    /// Its place in the tree of sources, if sources lie in it.
    node: Option<NodeIndex>,
}

/// A thread of the walk stopped without finishing, which is a fault of the program.
#[derive(Debug, thiserror::Error)]
#[error("a thread of the directory walk failed")]
pub struct WalkFailed;

/// A running walk.
#[derive(Debug)]
pub struct Walk<'a> {
    queue: Queue,
    territory: Territory<'a>,
}

impl<'a> Walk<'a> {
    /// Prepares a walk; nothing runs before [`Self::work`] or [`Consumer::next_listing`] is called.
    #[must_use]
    pub fn new(territory: Territory<'a>) -> Self {
        Self { queue: Queue::new(Self::top(territory)), territory }
    }

    /// Lists directories until there are none left: the body of each of the walk's threads.
    pub fn work(&self) {
        let guard = self.queue.watch_for_panic();
        let mut scanner = Scanner::new(self.territory);
        while let Some(task) = self.queue.take() {
            let scanned = scanner.scan(&task);
            self.queue.deliver(task, scanned);
        }
        drop(guard);
    }

    /// The one that receives the directories. Dropping it ends the walk.
    #[must_use]
    pub fn consumer(&self) -> Consumer<'_> {
        Consumer {
            walk: self,
            scanner: Scanner::new(self.territory),
            expected: std::iter::once(queue::TOP_ID..queue::TOP_ID + 1).collect(),
        }
    }

    fn top(territory: Territory<'_>) -> queue::Task {
        let whole = territory.sources.node(Sources::TOP).whole;
        let device = territory.root.device().unwrap_or(0);
        queue::Task {
            id: queue::TOP_ID,
            path: Arc::from(&b""[..]),
            depth: 0,
            entrance: queue::Entrance {
                scope: Scope { source_device: whole.then_some(device), node: Some(Sources::TOP) },
                device,
                mount: Mount::Same,
                old: territory.state.and_then(State::top),
            },
        }
    }
}

/// Whether a directory begins another file system than the one around it, and was not named as a source itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mount {
    Same,
    Other,
}

/// Receives the directories in order.
#[derive(Debug)]
pub struct Consumer<'a> {
    walk: &'a Walk<'a>,
    scanner: Scanner<'a>,
    /// Ids of directories that are to come, the next at the end.
    expected: Vec<Range<u64>>,
}

impl Consumer<'_> {
    /// The next directory, or none after the last.
    pub fn next_listing(&mut self) -> Result<Option<Listing>, WalkFailed> {
        let Some(id) = self.pop_expected() else { return Ok(None) };
        loop {
            match self.walk.queue.receive(id)? {
                Taken::Ready(listing, children) => {
                    self.expected.push(children);
                    return Ok(Some(listing));
                }
                Taken::Work(task) => {
                    let scanned = self.scanner.scan(&task);
                    self.walk.queue.deliver(task, scanned);
                }
            }
        }
    }

    fn pop_expected(&mut self) -> Option<u64> {
        loop {
            match self.expected.last_mut()?.next() {
                Some(id) => return Some(id),
                None => self.expected.pop(),
            };
        }
    }
}

impl Drop for Consumer<'_> {
    fn drop(&mut self) {
        self.walk.queue.stop();
    }
}
