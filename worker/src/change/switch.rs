//! From old to new, and the word that it stays so.

use std::collections::BTreeSet;
use std::path::Path;

use super::plan::parent;
use super::{Change, ChangeError, Moment, Node, Record, Step};

impl Change<'_> {
    /// Makes all paths new. Whatever goes wrong on the way is undone again, and is the error.
    pub fn switch(&mut self, deadline: Moment) -> Result<(), ChangeError> {
        match self.journal.last() {
            Record::Staged => {}
            other => return Err(ChangeError::NotStaged { id: self.id.clone(), is: other.name() }),
        }
        if let Some(error) = self.steps.iter().find_map(|step| self.moved(step)) {
            self.abandon(&strongroom_repository::chain(&error))?;
            return Err(error);
        }
        self.write(Record::Intended { deadline })?;
        let switched = self.steps.iter().try_for_each(|step| self.make_new(step)).and_then(|()| self.settle());
        let switched = switched.and_then(|()| self.steps.iter().try_for_each(|step| self.is_new(step)));
        if let Err(error) = switched {
            self.revert(&strongroom_repository::chain(&error))?;
            return Err(error);
        }
        self.write(Record::Switched)
    }

    /// Says that it stays: new for good. Too late is too late, whatever the host's clock says.
    pub fn confirm(&mut self, by: &str, now: &Moment) -> Result<(), ChangeError> {
        match self.journal.last() {
            Record::Switched => {}
            Record::Confirmed { .. } => return Ok(()),
            other => return Err(ChangeError::NotSwitched { id: self.id.clone(), is: other.name() }),
        }
        if !self.may_be_confirmed(now) {
            return Err(ChangeError::TooLate(self.id.clone()));
        }
        self.write(Record::Confirmed { by: by.to_owned() })?;
        self.clear();
        Ok(())
    }

    /// Until when it can be confirmed, once it is being switched.
    #[must_use]
    pub fn deadline(&self) -> Option<&Moment> {
        self.journal.records().iter().find_map(|written| match &written.record {
            Record::Intended { deadline } => Some(deadline),
            _ => None,
        })
    }

    /// Somebody else has changed it since it was planned, or it cannot be looked at any more.
    fn moved(&self, step: &Step) -> Option<ChangeError> {
        match self.look(&step.path) {
            Ok(now) if now.is_as(&step.old) => None,
            Ok(_) => Some(ChangeError::Moved(step.path.clone())),
            Err(error) => Some(error),
        }
    }

    fn make_new(&self, step: &Step) -> Result<(), ChangeError> {
        match (&step.new, &step.staged) {
            (Node::Directory { .. }, _) => self.make_directory(&step.path, &step.new),
            (Node::Absent, _) => self.remove(&step.path),
            (_, Some(staged)) => self.rename(staged, &step.path),
            // BUG: files and links are staged, and nothing else is ever wanted.
            (other, None) => unreachable!("{} that is not staged", other.name()),
        }
    }

    fn is_new(&self, step: &Step) -> Result<(), ChangeError> {
        match self.look(&step.path)?.is_as(&step.new) {
            true => Ok(()),
            false => Err(ChangeError::ReadBack(step.path.clone())),
        }
    }

    /// A directory that may be there already.
    pub(super) fn make_directory(&self, path: &Path, wanted: &Node) -> Result<(), ChangeError> {
        let Node::Directory { attributes } = wanted else { return Ok(()) };
        let failed = |source| ChangeError::files("make the directory", path, source);
        if self.look(path)? == Node::Absent {
            self.files().make_directory(path).map_err(failed)?;
        }
        self.files().set_attributes(path, attributes).map_err(failed)
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), ChangeError> {
        self.files().rename(from, to).map_err(|source| ChangeError::files("replace", to, source))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<(), ChangeError> {
        self.files().remove(path).map_err(|source| ChangeError::files("remove", path, source))
    }

    /// Makes durable what became of the names, and the directories themselves.
    pub(super) fn settle(&self) -> Result<(), ChangeError> {
        let mut directories = BTreeSet::new();
        for step in &self.steps {
            directories.extend([parent(&step.path)].into_iter().chain(step.staged.as_deref().map(parent)));
            directories.extend(
                matches!((&step.old, &step.new), (Node::Directory { .. }, _) | (_, Node::Directory { .. }))
                    .then_some(step.path.as_path()),
            );
        }
        for directory in directories {
            if self.look(directory)? != Node::Absent {
                self.flush(directory)?;
            }
        }
        Ok(())
    }
}
