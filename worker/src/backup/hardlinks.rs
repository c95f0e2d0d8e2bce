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
        group.left = group.left.saturating_sub(1);
        let is_last = group.left == 0;
        let (mut entry, fingerprint) = if is_last { self.groups.remove(&key)?.first? } else { group.first.clone()? };
        entry.name = name.to_vec();
        Some((entry, fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repository::Kind;

    #[test]
    fn the_first_name_is_read_and_the_last_one_forgets() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), b"x").unwrap();
        std::fs::hard_link(directory.path().join("a"), directory.path().join("b")).unwrap();
        std::fs::hard_link(directory.path().join("a"), directory.path().join("c")).unwrap();
        let place = std::fs::File::open(directory.path()).unwrap();
        let stat = Stat::at(std::os::fd::AsFd::as_fd(&place), c"a").unwrap();
        let mut links = Hardlinks::default();
        assert_eq!(links.admit(&stat), Role::Reader);
        assert_eq!(links.admit(&stat), Role::Follower);
        links.captured(&stat, &Entry::new(b"a".to_vec(), Kind::File), Fingerprint::of(&stat));
        assert_eq!(links.follow(&stat, b"b").unwrap().0.name, b"b");
        assert_eq!(links.follow(&stat, b"c").unwrap().0.name, b"c");
        assert!(links.groups.is_empty());
        assert_eq!(links.admit(&stat), Role::Reader);
        assert!(links.follow(&stat, b"b").is_none(), "the reader has not given anything yet");
    }
}
