//! Which entries of a snapshot a restore is about, in the order of the tree.

use std::sync::Arc;
use std::vec;

use strongroom_repository::text::escape;
use strongroom_repository::tree::order;
use strongroom_repository::{Entry, Error, ErrorKind, Kind, Tree, TreeWalk, chain};

use super::error::RestoreError;
use super::names;

/// The paths asked for: sorted as the tree is, none within another. One empty path is everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    paths: Vec<Vec<u8>>,
}

/// Why an entry is part of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It was asked for, or is below what was asked for.
    Selected,
    /// It is a directory on the way. Where it exists, it stays as it is.
    OnTheWay,
}

impl Selection {
    /// Cleans up what was asked for.
    pub(super) fn new(paths: &[Vec<u8>]) -> Result<Self, RestoreError> {
        let mut clean = paths.iter().map(|path| clean(path)).collect::<Result<Vec<_>, _>>()?;
        if clean.is_empty() {
            clean.push(Vec::new());
        }
        clean.sort_by_key(|path| names::sort_key(path));
        clean.dedup_by(|later, earlier| order::is_within(later, earlier));
        Ok(Self { paths: clean })
    }

    /// The paths; one empty path means everything.
    pub(super) fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    /// Walks the entries, each once.
    pub(super) fn walk(&self, tree: &Tree) -> Walk {
        Walk {
            tree: tree.clone(),
            paths: self.paths.clone().into_iter(),
            on_the_way: Vec::new(),
            walk: None,
            shown: Vec::new(),
            last: Vec::new(),
            damage: Vec::new(),
        }
    }
}

fn clean(path: &[u8]) -> Result<Vec<u8>, RestoreError> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if !parts.iter().all(|part| names::is_safe(part)) {
        return Err(RestoreError::BadPath(escape(path)));
    }
    Ok(parts.join(&b'/'))
}

/// A walk through the selected entries.
#[derive(Debug)]
pub(super) struct Walk {
    tree: Tree,
    paths: vec::IntoIter<Vec<u8>>,
    /// Directories above the next path, the nearest first.
    on_the_way: Vec<Vec<u8>>,
    walk: Option<Below>,
    /// Directories on the way to the path before, which are not shown again.
    shown: Vec<Vec<u8>>,
    /// The path shown last.
    last: Vec<u8>,
    damage: Vec<Damage>,
}

/// Pages of the tree that could not be read: the entries in them are lost, those after them are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// The last path before them.
    pub(super) after: Vec<u8>,
    /// What is wrong.
    pub(super) error: String,
}

/// The walk below one path.
#[derive(Debug)]
struct Below {
    walk: TreeWalk,
    path: Vec<u8>,
    found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Something,
}

/// An entry, the directory that it is in, and why it is here.
pub(super) type Step = (Arc<[u8]>, Entry, Role);

impl Walk {
    /// The next entry, or none at the end. A directory comes before everything in it.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, RestoreError> {
        loop {
            if let Some(path) = self.on_the_way.pop() {
                if let Some(step) = self.step_on_the_way(&path).await? {
                    return Ok(Some(step));
                }
                continue;
            }
            if let Some(below) = &mut self.walk {
                match below.walk.next().await {
                    Ok(Some((directory, entry))) => {
                        below.found = Found::Something;
                        self.last = order::join(&directory, &entry.name);
                        return Ok(Some((directory, entry, Role::Selected)));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.pass_over(error)?;
                        continue;
                    }
                }
                // An empty snapshot holds everything that it was asked for.
                if below.found == Found::Nothing && !below.path.is_empty() {
                    return Err(RestoreError::NotInSnapshot(escape(&below.path)));
                }
            }
            let Some(path) = self.paths.next() else { return Ok(None) };
            self.begin(path);
        }
    }

    /// The damage met so far.
    pub(super) fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// A damaged page below the top is passed over: the walk goes on with the page after it. The same fault twice in a row means that there is no way on.
    fn pass_over(&mut self, error: Error) -> Result<(), RestoreError> {
        let fault = Damage { after: self.last.clone(), error: chain(&error) };
        if error.kind() != ErrorKind::Corrupt || self.damage.last().is_some_and(|before| before.error == fault.error) {
            return Err(error.into());
        }
        self.damage.push(fault);
        Ok(())
    }

    fn begin(&mut self, path: Vec<u8>) {
        let mut above: Vec<Vec<u8>> = Vec::new();
        let mut directory = order::split(&path).0;
        while !directory.is_empty() {
            above.push(directory.to_vec());
            directory = order::split(directory).0;
        }
        self.on_the_way = above.iter().filter(|directory| !self.shown.contains(directory)).cloned().collect();
        self.shown = above;
        self.walk = Some(Below { walk: self.tree.walk(&path), path, found: Found::Nothing });
    }

    async fn step_on_the_way(&self, path: &[u8]) -> Result<Option<Step>, RestoreError> {
        let found = self.tree.lookup(path).await?.filter(|entry| entry.kind == Kind::Directory);
        Ok(found.map(|entry| (Arc::from(order::split(path).0), entry, Role::OnTheWay)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expect: &[&str]) {
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let expect: Vec<Vec<u8>> = expect.iter().map(|path| path.as_bytes().to_vec()).collect();
        assert_eq!(Selection::new(&paths).unwrap().paths(), expect, "{paths:?}");
    }

    #[test]
    fn paths_are_cleaned_sorted_and_merged() {
        check(&[], &[""]);
        check(&["/"], &[""]);
        check(&["/etc", "etc/", "./etc/ssh"], &["etc"]);
        check(&["srv/a-b", "srv/a", "srv/a/c", "etc"], &["etc", "srv/a", "srv/a-b"]);
        check(&["/etc", "/"], &[""]);
        assert!(matches!(Selection::new(&[b"etc/../root".to_vec()]), Err(RestoreError::BadPath(_))));
    }
}
