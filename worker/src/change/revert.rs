//! From new, or from something between, back to old.

use std::path::PathBuf;

use super::plan::parent;
use super::{Change, ChangeError, Node, Record, Step};

impl Step {
    /// Where what was there lies until it is renamed.
    pub(super) fn back(&self) -> PathBuf {
        let place = self.staged.as_deref().and_then(|staged| staged.file_name()?.to_str()?.strip_suffix(".new"));
        let name = match place {
            Some(name) => format!("{name}.old"),
            None => format!(".strongroom-{}.old", self.path.file_name().unwrap_or_default().to_string_lossy()),
        };
        parent(&self.path).join(name)
    }
}

impl Change<'_> {
    /// Makes all paths old again, and looks at each. Twice is the same as once; a change of which nobody has seen anything is given up.
    pub fn revert(&mut self, why: &str) -> Result<(), ChangeError> {
        match self.journal.last() {
            Record::Reverted | Record::Aborted { .. } => return Ok(()),
            Record::Confirmed { .. } => return Err(ChangeError::Confirmed(self.id.clone())),
            Record::Begun { .. } | Record::Kept | Record::Staged => return self.abandon(why),
            Record::Reverting { .. } => {}
            Record::Intended { .. } | Record::Switched | Record::Inconsistent { .. } => {
                self.write(Record::Reverting { why: why.to_owned() })?;
            }
        }
        for (number, step) in self.steps.iter().enumerate().rev() {
            // One that fails leaves the others to be put back; what is left is seen below.
            if let Err(error) = self.put_back(number, step) {
                tracing::error!(error = strongroom_repository::chain(&error), "a path cannot be put back");
            }
        }
        self.settle()?;
        let is_left = |step: &&Step| !self.look(&step.path).is_ok_and(|now| now.is_as(&step.old));
        let left: Vec<PathBuf> = self.steps.iter().filter(is_left).map(|step| step.path.clone()).collect();
        if !left.is_empty() {
            self.write(Record::Inconsistent { left: left.clone() })?;
            return Err(ChangeError::Inconsistent { id: self.id.clone(), left });
        }
        self.write(Record::Reverted)?;
        self.clear();
        Ok(())
    }

    fn put_back(&self, number: usize, step: &Step) -> Result<(), ChangeError> {
        let now = self.look(&step.path)?;
        if now.is_as(&step.old) {
            return Ok(());
        }
        if !now.is_as(&step.new) {
            self.keep_found(number, &step.path)?;
        }
        let back = step.back();
        match &step.old {
            Node::Absent => self.remove(&step.path),
            Node::Directory { .. } => self.make_directory(&step.path, &step.old),
            Node::File { hash, attributes, .. } => {
                self.remove_left(&back)?;
                self.make_file(&back, &self.before(number, hash)?, attributes)?;
                self.rename(&back, &step.path)
            }
            Node::Symlink { target, uid, gid } => {
                self.remove_left(&back)?;
                self.make_link(&back, &strongroom_repository::text::unescape(target), *uid, *gid)?;
                self.rename(&back, &step.path)
            }
            // BUG: a plan refuses to replace one.
            Node::Special => unreachable!("a special file was replaced"),
        }
    }
}
