//! Files with several names: their content is read once.

use std::collections::HashMap;

use strongroom_repository::Entry;

use crate::filesystem::Stat;
use crate::state::Fingerprint;

/// How many files with further names are remembered at once. At some 500 bytes each that is 50 MiB; a file beyond them is read once for each of
/// its names, which costs time and no space.
const GROUPS_MAX: usize = 100_000;

/// The files whose other names are still to come.
#[derive(Debug, Default)]
pub(super) struct Hardlinks {
    groups: HashMap<(u32, u64), Group>,
}

#[derive(Debug)]
struct Group {
    /// Names that are still expected.
    left: u32,
    /// What was captured under the first name; none while that is being read, or if it failed.
    first: Option<(Entry, Fingerprint)>,
}

/// What is to be done for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Read it: it is the first name, or has no other.
    Reader,
    /// Wait for what the first name gives.
    Follower,
}

impl Hardlinks {
    /// Decides for a regular file that must be read; called in the order of the tree.
    pub(super) fn admit(&mut self, stat: &Stat) -> Role {
        if stat.links < 2 || !stat.is_file() {
            return Role::Reader;
        }
        let key = (stat.device, stat.inode);
        if self.groups.contains_key(&key) {
            return Role::Follower;
        }
        if self.groups.len() < GROUPS_MAX {
            self.groups.insert(key, Group { left: stat.links - 1, first: None });
        }
        Role::Reader
    }

    /// Keeps what the first name gave.
    pub(super) fn captured(&mut self, stat: &Stat, entry: &Entry, fingerprint: Fingerprint) {
        if let Some(group) = self.groups.get_mut(&(stat.device, stat.inode)) {
            group.first = Some((entry.clone(), fingerprint));
        }
    }

    /// The entry for a further name, as the first one was captured; none if that failed.
    pub(super) fn follow(&mut self, stat: &Stat, name: &[u8]) -> Option<(Entry, Fingerprint)> {
        let key = (stat.device, stat.inode);
        let group = self.groups.get_mut(&key)?;
        let (mut entry, fingerprint) = group.first.clone()?;
        entry.name = name.to_vec();
        group.left = group.left.saturating_sub(1);
        Some((entry, fingerprint))
    }
}
