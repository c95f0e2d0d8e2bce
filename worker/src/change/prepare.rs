//! Up to the last moment at which nothing has changed for anybody.

use std::collections::BTreeSet;
use std::path::Path;

use super::plan::parent;
use super::{
    Attributes, Change, ChangeError, ChangeId, ChangeSet, Changes, Content, Files, JOURNAL, Journal, Node, Plan,
    Record, plan,
};

impl<'a> Changes<'a> {
    /// What a set means now; nothing is written.
    pub fn plan(&self, id: &ChangeId, set: &ChangeSet) -> Result<Plan, ChangeError> {
        plan(self.files, self.home, id, set).map_err(ChangeError::Refused)
    }

    /// Keeps what is there and stages what is to come. If that fails the change is given up, and nothing of it is left but its journal.
    pub fn prepare(&self, id: ChangeId, set: &ChangeSet) -> Result<Change<'a>, ChangeError> {
        if let Some(other) = self.under_way()? {
            return Err(ChangeError::UnderWay(other.id));
        }
        if self.change(id.clone())?.is_some() {
            return Err(ChangeError::Known(id));
        }
        let steps = self.plan(&id, set)?.steps;
        let journal = self.folder(&id).join(JOURNAL);
        self.make_folders(&journal)?;
        let journal = Journal::begin(self.files, &journal, (self.now)(), Record::Begun { steps: steps.clone() })?;
        let mut change = Change { changes: *self, id, steps, journal };
        match change.keep_and_stage(set) {
            Ok(()) => Ok(change),
            Err(error) => {
                change.abandon(&strongroom_repository::chain(&error))?;
                Err(error)
            }
        }
    }

    /// The folder and those above it, as far as they are missing, each durable before what is put into it.
    fn make_folders(&self, folder: &Path) -> Result<(), ChangeError> {
        let failed = |source| ChangeError::files("make", folder, source);
        let missing = folder.ancestors().take_while(|above| *above != parent(self.home));
        for folder in missing.collect::<Vec<_>>().into_iter().rev() {
            if self.files.look(folder).map_err(failed)? == Node::Absent {
                self.files.make_directory(folder).map_err(failed)?;
            }
            self.files.flush(parent(folder)).map_err(failed)?;
        }
        Ok(())
    }
}

impl<'a> Change<'a> {
    fn keep_and_stage(&mut self, set: &ChangeSet) -> Result<(), ChangeError> {
        self.keep()?;
        self.write(Record::Kept)?;
        self.stage(set)?;
        self.write(Record::Staged)
    }

    fn stage(&self, set: &ChangeSet) -> Result<(), ChangeError> {
        let mut directories = BTreeSet::new();
        for step in &self.steps {
            let Some(staged) = &step.staged else { continue };
            let content = set.wanted.iter().find(|one| one.path == step.path).map(|one| &one.content);
            self.make(staged, &step.new, content)?;
            if !self.look(staged)?.is_as(&step.new) {
                return Err(ChangeError::ReadBack(staged.clone()));
            }
            directories.insert(parent(staged));
        }
        directories.into_iter().try_for_each(|directory| self.flush(directory))
    }

    fn make(&self, staged: &Path, new: &Node, content: Option<&Content>) -> Result<(), ChangeError> {
        match (new, content) {
            (Node::File { attributes, .. }, Some(Content::File { bytes, .. })) => {
                self.make_file(staged, bytes, attributes)
            }
            (_, Some(Content::Symlink { target, uid, gid })) => self.make_link(staged, target, *uid, *gid),
            // Nothing else is staged.
            _ => Ok(()),
        }
    }

    pub(super) fn make_file(&self, path: &Path, bytes: &[u8], attributes: &Attributes) -> Result<(), ChangeError> {
        let made = self.files().create(path, bytes, attributes);
        made.map_err(|source| ChangeError::files("write", path, source))?;
        self.flush(path)
    }

    pub(super) fn make_link(&self, path: &Path, target: &[u8], uid: u32, gid: u32) -> Result<(), ChangeError> {
        let made = self.files().link(path, target, uid, gid);
        made.map_err(|source| ChangeError::files("make the link", path, source))
    }

    /// Ends a change of which nobody has seen anything.
    pub(super) fn abandon(&mut self, why: &str) -> Result<(), ChangeError> {
        self.clear();
        self.write(Record::Aborted { why: why.to_owned() })
    }

    pub(super) fn files(&self) -> &'a dyn Files {
        self.changes.files
    }

    pub(super) fn look(&self, path: &Path) -> Result<Node, ChangeError> {
        self.files().look(path).map_err(|source| ChangeError::files("look at", path, source))
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, ChangeError> {
        self.files().read(path).map_err(|source| ChangeError::files("read", path, source))
    }

    pub(super) fn flush(&self, path: &Path) -> Result<(), ChangeError> {
        self.files().flush(path).map_err(|source| ChangeError::files("flush", path, source))
    }
}
