//! What is asked for: what is to be at which path.

use std::path::PathBuf;

use super::{Attributes, Node};

/// What is to be at some paths, all at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// In any order, each path once.
    pub wanted: Vec<Wanted>,
}

/// What is to be at one path.
#[derive(Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Absolute, without `.`, `..` and doubled or final slashes.
    pub path: PathBuf,
    /// What.
    pub content: Content,
}

/// What is to be at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing. A directory has to be empty by then.
    Absent,
    /// A file.
    File { bytes: Vec<u8>, attributes: Attributes },
    /// A symbolic link.
    Symlink { target: Vec<u8>, uid: u32, gid: u32 },
    /// A directory; what is in it stays.
    Directory { attributes: Attributes },
}

impl Content {
    /// What a look at the path shows afterwards.
    #[must_use]
    pub fn node(&self) -> Node {
        match self {
            Self::Absent => Node::Absent,
            Self::File { bytes, attributes } => {
                Node::File { hash: hash(bytes), bytes: bytes.len() as u64, attributes: attributes.clone() }
            }
            Self::Symlink { target, uid, gid } => {
                Node::Symlink { target: strongroom_repository::text::escape(target), uid: *uid, gid: *gid }
            }
            Self::Directory { attributes } => Node::Directory { attributes: attributes.clone() },
        }
    }
}

/// As `b3sum` prints it.
pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The path and the kind: a content may be secret.
impl std::fmt::Debug for Wanted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} at '{}'", self.content.node().name(), self.path.display())
    }
}
