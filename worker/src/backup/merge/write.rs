//! Entries are written when their turn comes.

use std::ffi::CString;
use std::sync::Arc;

use strongroom_repository::{Entry, Kind};

use super::{Listed, Merger, Open};
use crate::backup::BackupError;
use crate::capture::Outcome;
use crate::read::{Job, Target, Targets};
use crate::state::{DirectoryIndex, Fingerprint, Record};
use crate::walk::{Descent, Node};

/// What happened when an entry's turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Written,
    /// The lanes are not done with it.
    Waits,
}

impl Merger<'_> {
    /// Writes entries as long as nothing has to be waited for.
    pub(super) fn drain(&mut self) -> Result<(), BackupError> {
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
        self.tally.add(&tallies);
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
            self.tally.count(kind, node.stat.size);
            self.running.progress.advance(1, node.stat.content_bytes());
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

    fn write_entry(
        &mut self,
        directory: &[u8],
        entry: &Entry,
        fingerprint: Fingerprint,
        descent: Descent,
    ) -> Result<(), BackupError> {
        self.tally.count(entry.kind, entry.size);
        // The tallies of the state are of the entry, whose size is what was read.
        let fingerprint =
            if entry.kind == Kind::File { Fingerprint { size: entry.size, ..fingerprint } } else { fingerprint };
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
}
