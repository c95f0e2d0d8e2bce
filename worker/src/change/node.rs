//! What is at a path, as far as a change can set and compare it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is at a path. Names and values that need not be text are [escaped](strongroom_repository::text).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Node {
    /// Nothing.
    Absent,
    /// A file of so many bytes, and their BLAKE3 as `b3sum` prints it.
    File { hash: String, bytes: u64, attributes: Attributes },
    /// A symbolic link. Its permissions mean nothing, its owner hardly anything.
    Symlink { target: String, uid: u32, gid: u32 },
    /// A directory, whatever is in it.
    Directory { attributes: Attributes },
    /// A device, fifo or socket: never made, replaced or removed.
    Special,
}

/// What a file or a directory has beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permissions: the twelve low bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, ACLs and capabilities among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extended: BTreeMap<String, String>,
}

/// The kernel gives a new file its label by the system's policy; only a label that is asked for is compared.
const LABEL: &str = "security.selinux";

impl Node {
    /// Whether this is what was wanted.
    #[must_use]
    pub fn is_as(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (
                Self::File { hash, bytes, attributes },
                Self::File { hash: wanted_hash, bytes: wanted_bytes, attributes: wanted },
            ) => (hash, bytes) == (wanted_hash, wanted_bytes) && attributes.are_as(wanted),
            (Self::Directory { attributes }, Self::Directory { attributes: wanted }) => attributes.are_as(wanted),
            (one, other) => one == other,
        }
    }

    /// In a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File { .. } => "a file",
            Self::Symlink { .. } => "a symbolic link",
            Self::Directory { .. } => "a directory",
            Self::Special => "a device, fifo or socket",
        }
    }
}

impl Attributes {
    /// Those of a file or directory of this process's own, for its owner only.
    #[must_use]
    pub fn private(mode: u32) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { mode, uid, gid, extended: BTreeMap::new() }
    }

    fn are_as(&self, wanted: &Self) -> bool {
        let is_compared = |name: &str| name != LABEL || wanted.extended.contains_key(LABEL);
        (self.mode, self.uid, self.gid) == (wanted.mode, wanted.uid, wanted.gid)
            && self.extended.iter().filter(|(name, _)| is_compared(name)).eq(wanted.extended.iter())
    }

    /// What replaces something keeps its label, unless it asks for another.
    pub(super) fn keep_label_of(&mut self, replaced: &Self) {
        if let Some(label) = replaced.extended.get(LABEL) {
            self.extended.entry(LABEL.to_owned()).or_insert_with(|| label.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(extended: &[(&str, &str)]) -> Attributes {
        let extended = extended.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Attributes { mode: 0o644, extended, ..Attributes::default() }
    }

    #[test]
    fn a_label_is_compared_where_it_is_asked_for() {
        let check = |there: &[(&str, &str)], wanted: &[(&str, &str)], expect| {
            let node = |extended| Node::Directory { attributes: attributes(extended) };
            assert_eq!(node(there).is_as(&node(wanted)), expect, "{there:?} {wanted:?}");
        };
        check(&[(LABEL, "etc_t")], &[], true);
        check(&[(LABEL, "etc_t")], &[(LABEL, "etc_t")], true);
        check(&[(LABEL, "etc_t")], &[(LABEL, "ssh_t")], false);
        check(&[], &[(LABEL, "etc_t")], false);
        check(&[("user.a", "1")], &[], false);
        let mut new = attributes(&[]);
        new.keep_label_of(&attributes(&[(LABEL, "etc_t"), ("user.a", "1")]));
        assert_eq!(new, attributes(&[(LABEL, "etc_t")]));
    }
}
