//! The merger: directories in, in the order of the tree; entries out, in the same order; and between them the work of the lanes.

mod hand_out;
mod write;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use strongroom_repository::UnplacedTree;

use super::hardlinks::Hardlinks;
use super::kept::TreeSink;
use super::run::Running;
use super::tally::Tally;
use super::{BackupError, BackupEvent, EventSink};
use crate::capture::Outcome;
use crate::read::{JobId, Pool};
use crate::remarks::Remark;
use crate::state::{DirectoryIndex, State, StateWriter};
use crate::walk::{Consumer, Contents, Listing, Nodes};

use self::hand_out::Batch;

/// Nodes that wait for their turn to be written, at some 150 bytes each.
const OPEN_NODES_MAX: usize = 64 * 1024;

/// A directory whose entries are being written.
enum Open {
    Unchanged(DirectoryIndex),
    Listed(Box<Listed>),
}

struct Listed {
    directory: Arc<[u8]>,
    depth: u32,
    nodes: Nodes,
    /// The node to be written next.
    next: usize,
    /// Places of nodes that take what another name of the same file gave.
    followers: VecDeque<usize>,
}

/// Joins the walk, the state and the lanes.
pub(super) struct Merger<'a> {
    running: Running<'a>,
    pool: &'a Pool,
    state: Option<&'a State>,
    next_state: &'a RefCell<StateWriter>,
    tree: TreeSink<'a>,
    events: &'a mut EventSink,
    open: VecDeque<Open>,
    open_nodes: usize,
    /// How many nodes of the last open directory were handed out.
    fed: usize,
    batch: Batch,
    in_flight: VecDeque<JobId>,
    outcomes: VecDeque<Outcome>,
    links: Hardlinks,
    tally: Tally,
}

impl<'a> Merger<'a> {
    pub(super) fn new(
        running: Running<'a>,
        pool: &'a Pool,
        state: Option<&'a State>,
        next_state: &'a RefCell<StateWriter>,
        events: &'a mut EventSink,
    ) -> Self {
        Self {
            running,
            pool,
            state,
            next_state,
            tree: TreeSink::new(Arc::clone(running.session), state, next_state),
            events,
            open: VecDeque::new(),
            open_nodes: 0,
            fed: 0,
            batch: Batch::default(),
            in_flight: VecDeque::new(),
            outcomes: VecDeque::new(),
            links: Hardlinks::default(),
            tally: Tally::default(),
        }
    }

    /// Runs to the end of the walk.
    pub(super) fn run(mut self, mut directories: Consumer<'_>) -> Result<(UnplacedTree, Tally), BackupError> {
        while let Some(listing) = directories.next_listing()? {
            self.running.check()?;
            self.admit(listing)?;
        }
        self.send_batch()?;
        while !self.in_flight.is_empty() {
            self.wait_for_front()?;
        }
        self.drain()?;
        debug_assert!(self.open.is_empty() && self.outcomes.is_empty());
        Ok((self.tree.finish()?, self.tally))
    }

    /// Takes a directory in and hands out what has to be read.
    fn admit(&mut self, listing: Listing) -> Result<(), BackupError> {
        listing.remarks.into_iter().for_each(|remark| self.remark(remark));
        self.tally.left_out += listing.left_out;
        self.tally.sources_found += listing.sources_found;
        match listing.contents {
            Contents::Unchanged(index) => {
                self.open.push_back(Open::Unchanged(index));
                self.open_nodes += 1;
                self.fed = 0;
            }
            Contents::Listed(nodes) => self.feed(listing.directory, listing.depth, nodes)?,
        }
        self.drain()?;
        while self.open_nodes > OPEN_NODES_MAX {
            self.send_batch()?;
            self.wait_for_front()?;
        }
        Ok(())
    }

    /// Waits for the oldest job, and writes everything that waited for it.
    fn wait_for_front(&mut self) -> Result<(), BackupError> {
        if let Some(id) = self.in_flight.pop_front() {
            self.running.check()?;
            self.outcomes.extend(self.pool.wait(id)??);
        }
        self.drain()
    }

    fn remark(&mut self, remark: Remark) {
        self.tally.note(&remark);
        (self.events)(BackupEvent::Remark(remark));
    }
}
