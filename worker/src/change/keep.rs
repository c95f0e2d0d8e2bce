//! What was there before: files kept in the change's folder until it has ended.

use std::path::{Path, PathBuf};

use super::set::hash;
use super::{Attributes, Change, ChangeError, Node};

impl Change<'_> {
    /// Keeps each file that is replaced or removed, and reads it back. Links and directories are in the journal.
    pub(super) fn keep(&self) -> Result<(), ChangeError> {
        for (number, step) in self.steps.iter().enumerate() {
            let Node::File { hash: wanted, .. } = &step.old else { continue };
            let bytes = self.read(&step.path)?;
            if hash(&bytes) != *wanted {
                return Err(ChangeError::Moved(step.path.clone()));
            }
            self.put(&self.kept(number), &bytes)?;
        }
        self.flush(&self.folder())
    }

    /// The bytes of a file as it was.
    pub(super) fn before(&self, number: usize, wanted: &str) -> Result<Vec<u8>, ChangeError> {
        let kept = self.kept(number);
        let bytes = self.read(&kept)?;
        if hash(&bytes) == wanted { Ok(bytes) } else { Err(ChangeError::ReadBack(kept)) }
    }

    /// Keeps what is neither old nor new, before it is put back: somebody has worked on it.
    pub(super) fn keep_found(&self, number: usize, path: &Path) -> Result<(), ChangeError> {
        let found = self.folder().join(format!("found-{number}"));
        if let Node::File { .. } = self.look(path)?
            && self.look(&found)? == Node::Absent
        {
            let bytes = self.read(path)?;
            self.put(&found, &bytes)?;
            self.flush(&self.folder())?;
            tracing::warn!(path = %path.display(), kept = %found.display(), "somebody has changed what is reverted");
        }
        Ok(())
    }

    /// Takes away what is of no use to anybody once the change has ended. What stays lying there is in nobody's way, and is told of.
    pub(super) fn clear(&self) {
        let kept = (0..self.steps.len()).map(|number| self.kept(number));
        let staged = self.steps.iter().flat_map(|step| step.staged.clone().into_iter().chain([step.back()]));
        for path in kept.chain(staged) {
            if let Err(error) = self.remove_left(&path) {
                tracing::warn!(error = strongroom_repository::chain(&error), "left lying after a change");
            }
        }
    }

    pub(super) fn remove_left(&self, path: &Path) -> Result<(), ChangeError> {
        match self.look(path)? {
            Node::Absent => Ok(()),
            _ => self.files().remove(path).map_err(|source| ChangeError::files("remove", path, source)),
        }
    }

    /// A file of our own, flushed and read back.
    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), ChangeError> {
        let made = self.files().create(path, bytes, &Attributes::private(0o600));
        made.map_err(|source| ChangeError::files("write", path, source))?;
        self.flush(path)?;
        if self.read(path)? == bytes { Ok(()) } else { Err(ChangeError::ReadBack(path.to_owned())) }
    }

    fn kept(&self, number: usize) -> PathBuf {
        self.folder().join(format!("before-{number}"))
    }
}
