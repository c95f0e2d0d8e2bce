//! After a start of the host or of the daemon: whatever has not ended is ended, unless it still may be confirmed.

use super::{Change, ChangeError, ChangeId, Changes, JOURNAL, Moment, Node, Record};

/// What became of a change that was found unfinished.
#[derive(Debug)]
pub struct Recovered {
    /// Which.
    pub id: ChangeId,
    /// All old; or why not.
    pub ended: Result<(), ChangeError>,
}

impl Changes<'_> {
    /// Ends every change that was cut off, backwards; one that waits to be confirmed goes on waiting until its deadline. One that cannot be ended leaves the others to be.
    pub fn recover(&self, why: &str, now: &Moment) -> Result<Vec<Recovered>, ChangeError> {
        let mut recovered = Vec::new();
        for id in self.ids()? {
            let ended = match self.change(id.clone()) {
                Ok(None) => self.remove_beginning(&id),
                Ok(Some(change)) if change.has_ended() => {
                    change.clear();
                    continue;
                }
                Ok(Some(change)) if change.may_be_confirmed(now) => continue,
                Ok(Some(mut change)) => change.revert(why),
                Err(error) => Err(error),
            };
            recovered.push(Recovered { id, ended });
        }
        Ok(recovered)
    }

    /// A folder without a record: nothing had been staged.
    fn remove_beginning(&self, id: &ChangeId) -> Result<(), ChangeError> {
        let (folder, journal) = (self.folder(id), self.folder(id).join(JOURNAL));
        let failed = |source| ChangeError::files("remove", &folder, source);
        for name in self.files.names(&journal).map_err(failed)? {
            self.files.remove(&journal.join(name)).map_err(failed)?;
        }
        for folder in [&journal, &folder] {
            if self.files.look(folder).map_err(failed)? != Node::Absent {
                self.files.remove(folder).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Change<'_> {
    /// Whether it waits for that, and its deadline has not passed.
    #[must_use]
    pub fn may_be_confirmed(&self, now: &Moment) -> bool {
        *self.journal.last() == Record::Switched && self.deadline().is_some_and(|deadline| deadline.left(now).is_some())
    }

    /// Reads the journal anew, after a write to it has failed: what it says is what counts.
    pub fn read_again(&mut self) -> Result<(), ChangeError> {
        if let Some(change) = self.changes.change(self.id.clone())? {
            self.journal = change.journal;
        }
        Ok(())
    }
}
