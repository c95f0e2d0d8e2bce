//! The aspects of a node that a restore sets and compares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// File, directory, link or other.
    Kind,
    /// Length in bytes.
    Size,
    /// The bytes.
    Content,
    /// User and group.
    Owner,
    /// Permissions.
    Mode,
    /// Time of last modification.
    Time,
    /// Extended attributes, ACLs and capabilities among them.
    Attributes,
    /// Inode flags, as `chattr` sets them.
    Flags,
    /// Project id.
    Project,
    /// Which parts are holes.
    Holes,
    /// Where a symbolic link points.
    LinkTarget,
    /// Device numbers.
    Device,
    /// That several names are one file.
    HardLinks,
}

impl fmt::Display for Aspect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Kind => "type",
            Self::Size => "size",
            Self::Content => "content",
            Self::Owner => "owner",
            Self::Mode => "mode",
            Self::Time => "time",
            Self::Attributes => "extended attributes",
            Self::Flags => "inode flags",
            Self::Project => "project id",
            Self::Holes => "holes",
            Self::LinkTarget => "link target",
            Self::Device => "device numbers",
            Self::HardLinks => "hard links",
        })
    }
}

/// A set of aspects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Aspects(u16);

impl Aspects {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn insert(&mut self, aspect: Aspect) {
        self.0 |= 1 << aspect as u16;
    }

    pub(super) fn insert_if(&mut self, aspect: Aspect, differs: bool) {
        self.0 |= u16::from(differs) << aspect as u16;
    }

    pub(super) fn contains(self, aspect: Aspect) -> bool {
        self.0 & 1 << aspect as u16 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn bits(self) -> u16 {
        self.0
    }

    pub(super) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Aspect> {
        ALL.into_iter().filter(move |aspect| self.contains(*aspect))
    }
}

const ALL: [Aspect; 13] = [
    Aspect::Kind,
    Aspect::Size,
    Aspect::Content,
    Aspect::Owner,
    Aspect::Mode,
    Aspect::Time,
    Aspect::Attributes,
    Aspect::Flags,
    Aspect::Project,
    Aspect::Holes,
    Aspect::LinkTarget,
    Aspect::Device,
    Aspect::HardLinks,
];

impl fmt::Display for Aspects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, aspect) in self.iter().enumerate() {
            write!(out, "{}{aspect}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = Aspects::NONE;
        assert!(set.is_empty());
        set.insert(Aspect::HardLinks);
        set.insert_if(Aspect::Mode, true);
        set.insert_if(Aspect::Time, false);
        assert_eq!(set.to_string(), "mode, hard links");
        let mut other = Aspects::NONE;
        other.insert(Aspect::Mode);
        assert_eq!(set.without(other).iter().collect::<Vec<_>>(), [Aspect::HardLinks]);
        assert_eq!(Aspects::from_bits(set.bits()), set);
        assert_eq!(
            ALL.into_iter()
                .fold(Aspects::NONE, |mut all, one| {
                    all.insert(one);
                    all
                })
                .iter()
                .count(),
            ALL.len()
        );
    }
}
