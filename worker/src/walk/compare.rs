//! A directory as it is, beside the directory as the last run saw it.

use std::cmp::Ordering;

use super::list::Entered;
use super::{Descent, Node, Nodes};
use crate::state::{DirectoryIndex, OldDirectory, Ordinal, Record, State};

/// The outcome for the directory as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sameness {
    /// The same names, and nothing has changed behind any of them.
    Same(DirectoryIndex),
    /// Anything else; the nodes say which of them are unchanged.
    Different,
}

/// Marks the nodes that are unchanged, and finds the old directory of each one that the walk enters.
pub(super) fn directory(
    state: &State,
    index: DirectoryIndex,
    nodes: &mut Nodes,
    entrances: &mut [Entered],
) -> Sameness {
    // A damaged part of the state is as good as none.
    let Some(old) = state.directory(index) else { return Sameness::Different };
    let mut same = old.len() == nodes.len();
    let mut old = OldNames { state, directory: old, at: 0, child: index.first_child() };
    let mut entrances = entrances.iter_mut().peekable();
    let Nodes { nodes, names } = nodes;
    for (position, node) in nodes.iter_mut().enumerate() {
        let name = &names[node.name.start as usize..node.name.end as usize];
        let before = old.seek(name);
        if let Some(entered) = entrances.next_if(|entered| entered.node == position) {
            entered.entrance.old = before.as_ref().and_then(|before| before.directory);
        }
        let unchanged = |before: &Before| is_unchanged(state, &before.record, node) && state.is_safe(before.ordinal);
        node.unchanged = before.filter(unchanged).map(|before| before.ordinal);
        same &= node.unchanged.is_some();
    }
    if same { Sameness::Same(index) } else { Sameness::Different }
}

fn is_unchanged(state: &State, record: &Record, node: &Node) -> bool {
    record.fingerprint.matches(&node.stat) && record.descent == node.descent && !state.is_racy(&record.fingerprint)
}

/// Goes through the old names in order, and keeps count of the old directories below them.
struct OldNames<'a> {
    state: &'a State,
    directory: OldDirectory<'a>,
    at: usize,
    child: DirectoryIndex,
}

/// What the last run saw under a name.
struct Before {
    ordinal: Ordinal,
    record: Record,
    directory: Option<DirectoryIndex>,
}

impl OldNames<'_> {
    fn seek(&mut self, name: &[u8]) -> Option<Before> {
        while self.at < self.directory.len() {
            let order = self.directory.name(self.at).cmp(name);
            if order == Ordering::Greater {
                return None;
            }
            let before = self.step();
            if order == Ordering::Equal {
                return Some(before);
            }
        }
        None
    }

    fn step(&mut self) -> Before {
        let record = self.directory.record(self.at);
        let directory = (record.descent == Descent::Enters).then_some(self.child);
        if directory.is_some() {
            self.child = self.state.after(self.child);
        }
        let ordinal = self.directory.ordinal(self.at);
        self.at += 1;
        Before { ordinal, record, directory }
    }
}
