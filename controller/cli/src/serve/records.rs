//! Records of the restores that are over: each is made once its end stands in the journal, or at the next start.

use std::sync::PoisonError;

use jiff::Timestamp;
use strongroom_controller::journal::Event;
use strongroom_controller::restore_record::compose;

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

    fn record(&self, restore: &str) -> Result<(), Failure> {
        let what = || format!("make the record of {restore}");
        let entries = self.context.wait("read the journal", self.journal.entries_of_restore(restore))?;
        let (site, zone) = {
            let site = self.site.borrow();
            (site.name().to_string(), site.zone().iana_name().unwrap_or("UTC").to_owned())
        };
        let record = match compose(&site, &zone, &program(), &entries) {
            Ok(record) => record,
            // An end without a begin was written by nobody.
            Err(why) => return Err(Failure::new(what(), Cause::Damaged(format!("the journal's entries: {why}")))),
        };
        let put = self.context.wait(&what(), async {
            let written = self.shelf.put(&record).await;
            written.map_err(|source| Cause::File { doing: "write", path: record.restore.clone().into(), source })
        });
        let (restore, key) = (restore.to_owned(), self.shelf.key().to_string());
        let event = Event::RestoreRecorded { restore, sums: put?, key };
        self.context.wait("write the journal", self.journal.append(Timestamp::now(), event)).map(drop)
    }
}
