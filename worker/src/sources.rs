//! What a run walks: the sources that were asked for, merged into one tree of paths.
//!
//! The directories on the way to a source are entries of the snapshot too, with their metadata but without their other content. A source that is
//! a symbolic link, or is reached through one, is resolved: the link is kept as what it is, and what it leads to is walked under its real path, so
//! that asking for `/data` never stores a mere link. Overlapping sources are one.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use strongroom_repository::text::escape;
use strongroom_repository::tree::order::join;

/// How many links one source may lead through, as in the kernel.
const LINKS_MAX: usize = 40;

/// A path that cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Paths of sources are absolute.
    #[error("the source '{0}' is not an absolute path")]
    Relative(String),
    /// A chain of links that does not end.
    #[error("the source '{0}' leads through more than 40 symbolic links")]
    LinkLoop(String),
    /// A link could not be read.
    #[error("cannot resolve the source '{path}'")]
    Resolve {
        /// The source.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A node of the tree of sources.
pub type NodeIndex = u32;

/// The sources as a tree of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    nodes: Vec<SourceNode>,
}

/// One directory on the way to a source, or a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceNode {
    /// The next names on the way, in order.
    pub children: BTreeMap<Vec<u8>, NodeIndex>,
    /// It is a source: everything below belongs to the backup.
    pub whole: bool,
}

impl Sources {
    /// The node of the root directory.
    pub const TOP: NodeIndex = 0;

    /// Resolves and merges `paths`, which are absolute. A path that does not exist is kept: the walk reports it.
    pub fn resolve(root: &Path, paths: &[PathBuf]) -> Result<Self, SourceError> {
        let mut sources = Self { nodes: vec![SourceNode::default()] };
        for path in paths {
            sources.add(root, path)?;
        }
        Ok(sources)
    }

    /// A node of the tree.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &SourceNode {
        &self.nodes[index as usize]
    }

    /// The node of a name below another node.
    #[must_use]
    pub fn child(&self, index: NodeIndex, name: &[u8]) -> Option<NodeIndex> {
        self.node(index).children.get(name).copied()
    }

    /// The sources at and below a node whose path this is.
    #[must_use]
    pub fn whole_below(&self, index: NodeIndex, path: &[u8]) -> Vec<Vec<u8>> {
        let node = self.node(index);
        let mut found = if node.whole { vec![path.to_vec()] } else { Vec::new() };
        for (name, child) in &node.children {
            found.extend(self.whole_below(*child, &join(path, name)));
        }
        found
    }

    fn add(&mut self, root: &Path, path: &Path) -> Result<(), SourceError> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let shown = || escape(bytes);
        if !path.is_absolute() {
            return Err(SourceError::Relative(shown()));
        }
        let mut rest: VecDeque<Vec<u8>> = components(bytes).collect();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(component) = rest.pop_front() {
            if component == b".." {
                done.pop();
                continue;
            }
            done.push(component);
            let Some(target) =
                link_target(root, &done).map_err(|source| SourceError::Resolve { path: shown(), source })?
            else {
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(SourceError::LinkLoop(shown()));
            }
            self.insert(&done);
            done.pop();
            if target.first() == Some(&b'/') {
                done.clear();
            }
            components(&target).rev().for_each(|component| rest.push_front(component));
        }
        self.insert(&done);
        Ok(())
    }

    fn insert(&mut self, path: &[Vec<u8>]) {
        let mut at = Self::TOP;
        for name in path {
            at = match self.child(at, name) {
                Some(child) => child,
                None => self.append(at, name),
            };
        }
        self.nodes[at as usize].whole = true;
    }

    fn append(&mut self, parent: NodeIndex, name: &[u8]) -> NodeIndex {
        let index = self.nodes.len() as NodeIndex;
        self.nodes.push(SourceNode::default());
        self.nodes[parent as usize].children.insert(name.to_vec(), index);
        index
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// Where the last component leads, if it is a symbolic link.
fn link_target(root: &Path, path: &[Vec<u8>]) -> io::Result<Option<Vec<u8>>> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let path = root.join(std::ffi::OsStr::from_bytes(&path.join(&b'/')));
    match std::fs::read_link(&path) {
        Ok(target) => Ok(Some(target.into_os_string().into_vec())),
        // EINVAL: no link. What is missing or cannot be searched is the walk's to report.
        Err(fault) => match fault.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied => Ok(None),
            _ => Err(fault),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The sources as paths, those that are walked whole with a star.
    fn shown(sources: &Sources) -> Vec<String> {
        fn visit(sources: &Sources, at: NodeIndex, path: &str, out: &mut Vec<String>) {
            let node = sources.node(at);
            out.push(format!("{path}{}", if node.whole { "*" } else { "" }));
            for (name, child) in &node.children {
                visit(sources, *child, &format!("{path}/{}", escape(name)), out);
            }
        }
        let mut out = Vec::new();
        visit(sources, Sources::TOP, "", &mut out);
        out
    }

    fn check(root: &Path, paths: &[&str], expect: &[&str]) {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        assert_eq!(shown(&Sources::resolve(root, &paths).unwrap()), expect, "{paths:?}");
    }

    #[test]
    fn sources_merge_and_links_are_resolved() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        std::fs::create_dir_all(at("usr/lib/modules")).unwrap();
        symlink("usr/lib", at("lib")).unwrap();
        symlink("/usr/lib/modules", at("usr/absolute")).unwrap();
        symlink("loop", at("loop")).unwrap();
        check(top.path(), &["/"], &["*"]);
        check(top.path(), &["/usr/", "/usr/lib", "//usr/./lib/../lib"], &["", "/usr*", "/usr/lib*"]);
        check(top.path(), &["/absent/deep"], &["", "/absent", "/absent/deep*"]);
        check(top.path(), &["/lib/modules"], &["", "/lib*", "/usr", "/usr/lib", "/usr/lib/modules*"]);
        check(top.path(), &["/usr/absolute"], &["", "/usr", "/usr/absolute*", "/usr/lib", "/usr/lib/modules*"]);
        assert!(matches!(Sources::resolve(top.path(), &["/loop".into()]), Err(SourceError::LinkLoop(_))));
        assert!(matches!(Sources::resolve(top.path(), &["etc".into()]), Err(SourceError::Relative(_))));
    }
}
