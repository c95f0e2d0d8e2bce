//! The merger: directories in, in the order of the tree; entries out, in the same order; and between them the work of the lanes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;

use strongroom_repository::{Entry, Kind, Problem, Totals, UnplacedTree, chain, text};

use super::hardlinks::{Hardlinks, Role};
use super::kept::TreeSink;
use super::run::{BackupError, Running};
use super::{BackupEvent, EventSink};
use crate::capture::Outcome;
use crate::filesystem::Stat;
use crate::read::{Job, JobId, Pool, Target, Targets};
use crate::remarks::{Doing, Notice, Remark};
use crate::state::{DirectoryIndex, Fingerprint, Record, State, StateWriter, Tallies};
use crate::walk::{Consumer, Contents, Descent, Listing, Node, Nodes};

/// Jobs that were handed out and are not yet written. While one lane reads a large file, the others may get this far ahead: about a MiB each.
const JOBS_AHEAD_MAX: usize = 64;

/// Nodes of one job, so that empty files do not make a job endless.
const JOB_NODES_MAX: usize = 512;

/// Nodes that wait for their turn to be written, at some 150 bytes each.
const OPEN_NODES_MAX: usize = 64 * 1024;

/// How many problems a record spells out; the rest is only counted.
const PROBLEMS_MAX: usize = 1000;

/// What a merge counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    pub(super) problems: Vec<Problem>,
    pub(super) left_out: u64,
    pub(super) torn: u64,
    pub(super) sources_missing: usize,
    found: Tallies,
}

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

/// Nodes for the next job.
#[derive(Default)]
struct Batch {
    targets: Vec<Targets>,
    nodes: usize,
    bytes: u64,
}

/// What happened when an entry's turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Written,
    /// The lanes are not done with it.
    Waits,
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
        while let Some(listing) = directories.next()? {
            self.running.check()?;
            self.admit(listing)?;
        }
        self.send_batch()?;
        while !self.in_flight.is_empty() {
            self.wait_for_front()?;
        }
        self.drain()?;
        debug_assert!(self.open.is_empty() && self.outcomes.is_empty());
        self.tally.totals.files = self.tally.found.files;
        self.tally.totals.directories = self.tally.found.directories;
        self.tally.totals.others = self.tally.found.others;
        self.tally.totals.bytes = self.tally.found.bytes;
        Ok((self.tree.finish()?, self.tally))
    }

    /// Takes a directory in and hands out what has to be read.
    fn admit(&mut self, listing: Listing) -> Result<(), BackupError> {
        listing.remarks.into_iter().for_each(|remark| self.remark(remark));
        self.tally.left_out += listing.left_out;
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

    fn feed(&mut self, directory: Arc<[u8]>, depth: u32, nodes: Nodes) -> Result<(), BackupError> {
        let count = nodes.len();
        self.open_nodes += count + 1;
        self.running.expect(count as u64, nodes.iter().map(|(_, node)| content_bytes(&node.stat)).sum());
        let listed = Listed { directory: Arc::clone(&directory), depth, nodes, next: 0, followers: VecDeque::new() };
        self.open.push_back(Open::Listed(Box::new(listed)));
        for at in 0..count {
            self.fed = at;
            // Handing out may write what came before, but this directory stays the last until all of it is handed out.
            let Some((name, stat)) = self.fresh_node(at) else { continue };
            match self.links.admit(&stat) {
                Role::Follower => self.add_follower(at),
                Role::Reader => self.hand_out(&directory, Target { name, stat })?,
            }
        }
        self.fed = count;
        Ok(())
    }

    /// A node of the last directory, if a lane has to look at it.
    fn fresh_node(&self, at: usize) -> Option<(CString, Stat)> {
        let Some(Open::Listed(listed)) = self.open.back() else { return None };
        let (name, node) = listed.nodes.get(at).filter(|(_, node)| node.unchanged.is_none())?;
        Some((CString::new(name).ok()?, node.stat))
    }

    fn add_follower(&mut self, at: usize) {
        if let Some(Open::Listed(listed)) = self.open.back_mut() {
            listed.followers.push_back(at);
        }
    }

    fn hand_out(&mut self, directory: &Arc<[u8]>, target: Target) -> Result<(), BackupError> {
        let parameters = self.running.repository.parameters();
        let bytes = content_bytes(&target.stat);
        // A large file is a job of its own, so that what stands before it need not wait for it.
        let is_large = bytes >= u64::from(parameters.large_file);
        if is_large {
            self.send_batch()?;
        }
        match self.batch.targets.last_mut() {
            Some(last) if last.directory == *directory => last.nodes.push(target),
            _ => self.batch.targets.push(Targets { directory: Arc::clone(directory), nodes: vec![target] }),
        }
        self.batch.nodes += 1;
        self.batch.bytes += bytes;
        if is_large || self.batch.nodes >= JOB_NODES_MAX || self.batch.bytes >= u64::from(parameters.frame_target) {
            self.fed += 1;
            self.send_batch()?;
        }
        Ok(())
    }

    fn send_batch(&mut self) -> Result<(), BackupError> {
        if self.batch.nodes == 0 {
            return Ok(());
        }
        while self.in_flight.len() >= JOBS_AHEAD_MAX {
            self.wait_for_front()?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.in_flight.push_back(self.pool.submit(Job::Nodes(batch.targets)));
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

    /// Writes entries as long as nothing has to be waited for.
    fn drain(&mut self) -> Result<(), BackupError> {
        while let Some(open) = self.open.pop_front() {
            let is_last = self.open.is_empty();
            match open {
                Open::Unchanged(index) => self.write_unchanged(index)?,
                Open::Listed(mut listed) => {
                    let limit = if is_last { self.fed } else { listed.nodes.len() };
                    if self.write_listed(&mut listed, limit)? == Turn::Waits {
                        self.open.push_front(Open::Listed(listed));
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn write_unchanged(&mut self, index: DirectoryIndex) -> Result<(), BackupError> {
        self.open_nodes -= 1;
        let (span, tallies) = self.state.and_then(|state| state.span(index)).ok_or(BackupError::StateDamaged)?;
        self.running.expect(tallies.entries(), tallies.bytes);
        self.running.progress.advance(tallies.entries(), tallies.bytes);
        self.tally.found.add(&tallies);
        self.next_state.borrow_mut().unchanged(index);
        Ok(self.tree.keep(span)?)
    }

    fn write_listed(&mut self, listed: &mut Listed, limit: usize) -> Result<Turn, BackupError> {
        if listed.next == 0 {
            self.next_state.borrow_mut().begin_directory(listed.depth);
        }
        while listed.next < limit {
            let Some((name, node)) = listed.nodes.get(listed.next) else { break };
            let turn = if listed.followers.front() == Some(&listed.next) {
                listed.followers.pop_front();
                self.write_follower(&listed.directory, name, node)?
            } else {
                self.write_node(&listed.directory, name, node)?
            };
            if turn == Turn::Waits {
                return Ok(Turn::Waits);
            }
            listed.next += 1;
        }
        if listed.next < listed.nodes.len() {
            return Ok(Turn::Waits);
        }
        self.open_nodes -= listed.nodes.len() + 1;
        self.next_state.borrow_mut().end_directory();
        Ok(Turn::Written)
    }

    fn write_node(&mut self, directory: &[u8], name: &[u8], node: &Node) -> Result<Turn, BackupError> {
        if let Some(ordinal) = node.unchanged {
            let kind = node.stat.kind().unwrap_or(Kind::File);
            self.tally.found.count(kind, node.stat.size);
            self.running.progress.advance(1, content_bytes(&node.stat));
            let record = Record { fingerprint: Fingerprint::of(&node.stat), descent: node.descent };
            self.next_state.borrow_mut().entry(name, &record, kind);
            self.tree.keep(ordinal.0..ordinal.0 + 1)?;
            return Ok(Turn::Written);
        }
        if self.outcomes.is_empty() {
            let Some(ready) = self.in_flight.front().and_then(|id| self.pool.take(*id)) else { return Ok(Turn::Waits) };
            self.in_flight.pop_front();
            self.outcomes.extend(ready?);
        }
        match self.outcomes.pop_front() {
            Some(outcome) => self.write_outcome(directory, node, outcome).map(|()| Turn::Written),
            None => Ok(Turn::Waits),
        }
    }

    fn write_outcome(&mut self, directory: &[u8], node: &Node, outcome: Outcome) -> Result<(), BackupError> {
        let capture = match outcome {
            Outcome::Captured(capture) => capture,
            Outcome::LeftOut(remark) => {
                self.remark(remark);
                return Ok(());
            }
        };
        capture.remarks.into_iter().for_each(|remark| self.remark(remark));
        self.tally.totals.bytes_read += capture.bytes_read;
        if capture.entry.kind == Kind::File {
            self.tally.totals.files_changed += 1;
            self.links.captured(&node.stat, &capture.entry, capture.fingerprint);
        }
        self.write_entry(directory, &capture.entry, capture.fingerprint, node.descent)
    }

    fn write_entry(&mut self, directory: &[u8], entry: &Entry, fingerprint: Fingerprint, descent: Descent) -> Result<(), BackupError> {
        self.tally.found.count(entry.kind, entry.size);
        // The tallies of the state are of the entry, whose size is what was read.
        let fingerprint = if entry.kind == Kind::File { Fingerprint { size: entry.size, ..fingerprint } } else { fingerprint };
        self.next_state.borrow_mut().entry(&entry.name, &Record { fingerprint, descent }, entry.kind);
        Ok(self.tree.push(directory, entry)?)
    }

    /// Writes a further name of a file. If its first name failed, this one is read after all.
    fn write_follower(&mut self, directory: &Arc<[u8]>, name: &[u8], node: &Node) -> Result<Turn, BackupError> {
        if let Some((entry, fingerprint)) = self.links.follow(&node.stat, name) {
            self.running.progress.advance(1, entry.size);
            self.write_entry(directory, &entry, fingerprint, node.descent)?;
            return Ok(Turn::Written);
        }
        let Ok(name) = CString::new(name) else { return Ok(Turn::Written) };
        let targets = Targets { directory: Arc::clone(directory), nodes: vec![Target { name, stat: node.stat }] };
        let id = self.pool.submit(Job::Nodes(vec![targets]));
        for outcome in self.pool.wait(id)?? {
            self.write_outcome(directory, node, outcome)?;
        }
        Ok(Turn::Written)
    }

    fn remark(&mut self, remark: Remark) {
        match &remark {
            Remark::Problem(problem) => {
                self.tally.totals.problems += 1;
                self.tally.sources_missing += usize::from(problem.doing == Doing::FindSource);
                if self.tally.problems.len() < PROBLEMS_MAX {
                    let path = format!("/{}", text::escape(&problem.path));
                    self.tally.problems.push(Problem { path, error: chain(problem) });
                }
            }
            Remark::Notice { notice, .. } => self.tally.torn += u64::from(*notice == Notice::Torn),
        }
        (self.events)(BackupEvent::Remark(remark));
    }
}

fn content_bytes(stat: &Stat) -> u64 {
    if stat.is_file() { stat.size } else { 0 }
}
