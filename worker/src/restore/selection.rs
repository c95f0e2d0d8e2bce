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
            last: Arc::from(&b""[..]),
            damage: Vec::new(),
            found_any: false,
            first_error: None,
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
    /// The directory of what was shown last.
    last: Arc<[u8]>,
    damage: Vec<Damage>,
    found_any: bool,
    first_error: Option<Error>,
}

/// Pages of the tree that could not be read: the entries in them are lost, those after them are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// The directory that was being shown.
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
                match self.step_on_the_way(&path).await {
                    Ok(Some(step)) => return Ok(Some(step)),
                    Ok(None) => {}
                    // It is made with default metadata when something is to be put into it.
                    Err(RestoreError::Repository(error)) => self.pass_over(error)?,
                    Err(other) => return Err(other),
                }
                continue;
            }
            if let Some(below) = &mut self.walk {
                match below.walk.next().await {
                    Ok(Some((directory, entry))) => {
                        below.found = Found::Something;
                        self.found_any = true;
                        self.last = Arc::clone(&directory);
                        return Ok(Some((directory, entry, Role::Selected)));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        below.found = Found::Something;
                        self.pass_over(error)?;
                        continue;
                    }
                }
                // An empty snapshot holds everything that it was asked for.
                if below.found == Found::Nothing && !below.path.is_empty() {
                    return Err(RestoreError::NotInSnapshot(escape(&below.path)));
                }
            }
            match self.paths.next() {
                Some(path) => self.begin(path),
                None => return self.end(),
            }
        }
    }

    /// The damage met so far.
    pub(super) fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// A damaged page is passed over: the walk goes on with the page after it.
    fn pass_over(&mut self, error: Error) -> Result<(), RestoreError> {
        if error.kind() != ErrorKind::Corrupt {
            return Err(error.into());
        }
        let fault = Damage { after: self.last.to_vec(), error: chain(&error) };
        // One bad frame costs all pages in it: it is told once.
        if self.damage.last().is_none_or(|before| before.error != fault.error) {
            self.damage.push(fault);
        }
        self.first_error.get_or_insert(error);
        Ok(())
    }

    /// Less than everything is worth restoring; nothing is not.
    fn end(&mut self) -> Result<Option<Step>, RestoreError> {
        match self.first_error.take().filter(|_| !self.found_any) {
            Some(error) => Err(error.into()),
            None => Ok(None),
        }
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
