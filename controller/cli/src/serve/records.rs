//! Records of the restores that are over: each is made once its end stands in the journal, or at the next start.

use std::sync::PoisonError;

use jiff::Timestamp;
use strongroom_controller::journal::{Entry, Event, JournalError};
use strongroom_controller::requests::Request;
use strongroom_controller::restore_record::{Setting, compose};

use super::runner::Runner;
use crate::backup::program;
use crate::failure::{Cause, Failure};

impl Runner<'_> {
    /// Makes the records that are owed. One that cannot be made now is owed still: the restore is over either way.
    pub(super) fn record_owed(&self) {
        let _alone = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = self.context.wait("read the journal", self.journal.restores_unrecorded());
        let made = owed.map(|owed| owed.iter().map(|restore| self.record(restore)).collect::<Vec<_>>());
        for failure in made.unwrap_or_else(|failure| vec![Err(failure)]).into_iter().filter_map(Result::err) {
            tracing::error!(%failure, "a restore has no record yet: it is tried again after the next one, and at the next start");
        }
    }

    /// All that the journal says of a restore; with its request, where it had one, and all that it says of that.
    async fn told_of(&self, restore: &str) -> Result<(Option<Request>, Vec<Entry>), JournalError> {
        let entries = self.journal.entries_of_restore(restore).await?;
        match entries.iter().find_map(|entry| entry.event.request()) {
            None => Ok((None, entries)),
            Some(number) => {
                let request = self.journal.request(number).await?;
                Ok((request, self.journal.entries_of_request(number).await?))
            }
        }
    }

    fn record(&self, restore: &str) -> Result<(), Failure> {
        let what = || format!("make the record of {restore}");
        let (request, entries) = self.context.wait("read the journal", self.told_of(restore))?;
        let setting = {
            let site = self.site.borrow();
            let zone = site.zone().iana_name().unwrap_or("UTC").to_owned();
            Setting { site: site.name().to_string(), zone, program: program() }
        };
        // An end without a begin was written by nobody.
        let record = compose(setting, restore, request, &entries)
            .map_err(|why| Failure::new(what(), Cause::Damaged(format!("the journal's entries: {why}"))))?;
        let put = self.context.wait(&what(), async {
            let written = self.shelf.put(&record).await;
            written.map_err(|source| Cause::File { doing: "write", path: record.restore.clone().into(), source })
        });
        let (restore, key) = (restore.to_owned(), self.shelf.key().to_string());
        let event = Event::RestoreRecorded { restore, sums: put?, key };
        self.context.wait("write the journal", self.journal.append(Timestamp::now(), event)).map(drop)
    }
}
