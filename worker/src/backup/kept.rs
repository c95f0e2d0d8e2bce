//! The tree on its way into the repository: runs of unchanged entries as whole pages where possible, everything else entry by entry.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use strongroom_repository::tree::leaf;
use strongroom_repository::{Entry, Error, Located, Origin, Session, TreeWriter, UnplacedTree};

use crate::state::{State, StateWriter};

/// What stops the writing of a tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] Error),
    /// A page in the local state is not what was written there. The run begins again without it.
    #[error("a page of the local state is damaged")]
    StateDamaged,
}

/// Writes a tree.
pub(super) struct TreeSink<'a> {
    writer: TreeWriter<'a>,
    state: Option<&'a State>,
    next_state: &'a RefCell<StateWriter>,
    /// Old entries that come next and are not written yet.
    kept: Range<u32>,
    /// Whether there was anything but old entries in their old order.
    only_kept: bool,
    decoded: Option<Decoded>,
}

/// An old leaf, opened.
struct Decoded {
    leaf: usize,
    entries: Vec<Located>,
}

/// Whether entries follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Something,
    Nothing,
}

impl<'a> TreeSink<'a> {
    pub(super) fn new(session: Arc<Session>, state: Option<&'a State>, next_state: &'a RefCell<StateWriter>) -> Self {
        let known = state.map(|state| state.pages().collect()).unwrap_or_default();
        let writer = TreeWriter::new(session, known, |leaf, page| next_state.borrow_mut().new_leaf(leaf.id, page));
        // Where something of the old tree is lost, even its pages are looked at one by one.
        let only_kept = state.is_none_or(|state| !state.is_doubted());
        Self { writer, state, next_state, kept: 0..0, only_kept, decoded: None }
    }

    /// The next entries are these old ones, unchanged.
    pub(super) fn keep(&mut self, entries: Range<u32>) -> Result<(), TreeError> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.kept.end != entries.start {
            self.flush(Follows::Something)?;
            self.only_kept = false;
            self.kept = entries.start..entries.start;
        }
        self.kept.end = entries.end;
        Ok(())
    }

    /// The next entry is a new one.
    pub(super) fn push(&mut self, directory: &[u8], entry: &Entry) -> Result<(), TreeError> {
        self.flush(Follows::Something)?;
        self.only_kept = false;
        Ok(self.writer.push(directory, entry, Origin::Fresh)?)
    }

    /// The tree is complete. If it is the old one, nothing is written at all.
    pub(super) fn finish(mut self) -> Result<UnplacedTree, TreeError> {
        if let Some(state) = self.state
            && self.only_kept
            && self.kept == (0..state.entries())
        {
            (0..state.tree().leaves.len()).for_each(|leaf| self.next_state.borrow_mut().old_leaf(leaf));
            return Ok(UnplacedTree::taken_over(state.tree().clone()));
        }
        self.flush(Follows::Nothing)?;
        Ok(self.writer.finish()?)
    }

    fn flush(&mut self, follows: Follows) -> Result<(), TreeError> {
        let Some(state) = self.state else { return Ok(()) };
        while !self.kept.is_empty() {
            let leaf = state.leaf_of(self.kept.start);
            let span = state.leaf_span(leaf);
            // Where the old tree ended, its last leaf ended too, though its names did not say so. It can be taken over only at the end again.
            let ends_by_itself = leaf + 1 < state.tree().leaves.len() || follows == Follows::Nothing;
            let is_whole = span.start == self.kept.start && span.end <= self.kept.end;
            if is_whole && ends_by_itself && self.writer.at_page_start() {
                self.writer.reuse_leaf(&state.tree().leaves[leaf])?;
                self.next_state.borrow_mut().old_leaf(leaf);
                self.kept.start = span.end;
            } else {
                self.copy(state, leaf, span)?;
            }
        }
        Ok(())
    }

    /// Writes the kept entries of one old leaf again.
    fn copy(&mut self, state: &State, leaf: usize, span: Range<u32>) -> Result<(), TreeError> {
        if self.decoded.as_ref().is_none_or(|decoded| decoded.leaf != leaf) {
            let page = state.leaf_page(leaf).ok_or(TreeError::StateDamaged)?;
            let entries = leaf::decode(page).map_err(|_| TreeError::StateDamaged)?;
            self.decoded = Some(Decoded { leaf, entries });
        }
        let until = span.end.min(self.kept.end);
        let wanted = (self.kept.start - span.start) as usize..(until - span.start) as usize;
        let entries =
            self.decoded.as_ref().and_then(|decoded| decoded.entries.get(wanted)).ok_or(TreeError::StateDamaged)?;
        for (directory, entry) in entries {
            self.writer.push(directory, entry, Origin::Kept(&state.tree().leaves[leaf]))?;
        }
        self.kept.start = until;
        Ok(())
    }
}
