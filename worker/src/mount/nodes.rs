//! The nodes that the kernel knows, by inode number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::INodeNo;
use strongroom_repository::{Entry, Kind};

use super::shelf::Shown;

/// A node of the mount.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// The mount itself.
    Top,
    /// The link to the newest snapshot.
    Latest,
    /// The top of a snapshot.
    Snapshot(Arc<Shown>),
    /// A node of a snapshot, with its path.
    Entry(Arc<Shown>, Arc<[u8]>, Arc<Entry>),
}

impl Node {
    /// The same for every mount of the repository. Two nodes of one snapshot share a number once in 2^64, or if they are one file.
    pub(super) fn number(&self) -> INodeNo {
        let hash = match self {
            Self::Top => return INodeNo::ROOT,
            Self::Latest => hash(&[b"latest"]),
            Self::Snapshot(shown) => hash(&[&shown.snapshot.id.0]),
            Self::Entry(shown, path, entry) => match entry.hardlink.filter(|_| entry.kind != Kind::Directory) {
                Some((device, inode)) => {
                    hash(&[&shown.snapshot.id.0, b"\0", &device.to_le_bytes(), &inode.to_le_bytes()])
                }
                None => hash(&[&shown.snapshot.id.0, path]),
            },
        };
        // 0 means nothing to the kernel, 1 is the top.
        INodeNo(hash.max(2))
    }

    pub(super) fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Entry(_, _, entry) => Some(entry),
            _ => None,
        }
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| _ = hasher.update(part));
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// What the kernel remembers, and how often it was told.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<HashMap<u64, (Node, u64)>>);

impl Nodes {
    /// Remembers a node that the kernel is about to be told of.
    pub(super) fn remember(&self, node: &Node) -> INodeNo {
        let number = node.number();
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.entry(number.0).or_insert_with(|| (node.clone(), 0)).1 += 1;
        number
    }

    pub(super) fn get(&self, number: INodeNo) -> Option<Node> {
        if number == INodeNo::ROOT {
            return Some(Node::Top);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number.0).map(|(node, _)| node.clone())
    }

    /// The kernel has forgotten a node so many times.
    pub(super) fn forget(&self, number: INodeNo, times: u64) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = nodes.get_mut(&number.0) {
            *told = told.saturating_sub(times);
            if *told == 0 {
                nodes.remove(&number.0);
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_kept_as_long_as_the_kernel_keeps_them() {
        let nodes = Nodes::default();
        let number = nodes.remember(&Node::Latest);
        assert_eq!(nodes.remember(&Node::Latest), number);
        nodes.forget(number, 1);
        assert!(matches!(nodes.get(number), Some(Node::Latest)));
        nodes.forget(number, 1);
        assert!(nodes.get(number).is_none());
        nodes.forget(number, 7);
        assert_eq!(nodes.len(), 0);
        assert!(matches!(nodes.get(INodeNo::ROOT), Some(Node::Top)));
    }
}
