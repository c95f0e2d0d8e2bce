//! What was restored as a request is put where it is used, on a thread of its own: the host compares it with the snapshot once more, and renames it.

use serde::Deserialize;
use strongroom_controller::journal::Event;
use strongroom_controller::operator::Refused;
use strongroom_controller::remote::JobFault;
use strongroom_controller::requests::{Request, RequestView};
use strongroom_controller::restore_job::RestoreOrder;
use strongroom_controller::restores::{RestoreAsked, RestoreNews};
use strongroom_repository::chain;
use strongroom_repository::text::unescape;

use super::restores::{Way, broken, unfit};
use super::runner::Runner;
use crate::failure::Cause;

/// What the host says of it.
#[derive(Deserialize)]
struct Promoted {
    aside: Option<String>,
}

impl Runner<'_> {
    /// Has the host put it in place, if it still is what was verified.
    pub(super) fn promote(&self, asked: &RestoreAsked, request: &Request) -> Result<(), Refused> {
        let number = Some(request.number);
        let _turn = self.noted(asked, number, self.going.take(request.number))?;
        let mut found = self.noted(asked, number, self.find(asked))?;
        let scope = &request.application.scope.restore;
        // Where it really lies, not by the way that was asked for.
        found.target = unescape(&scope.target);
        if asked.request.dry_run {
            let plan = self.look(asked, &found)?;
            self.tell_look(asked, found.scope, plan);
            return Ok(());
        }
        let to = scope.promote_to.clone().unwrap_or_default();
        let before = self.decided(self.desk.begin_promotion(&asked.by, request, &to))?;
        let order = RestoreOrder {
            promote_to: Some(unescape(&to)),
            checks: Vec::new(),
            ..self.order(asked, &found, self.promotion_job(request)?)
        };
        let done = self.on_host(asked, found.opened, &order, Way::ToRestore);
        let done = done.map_err(|failure| self.refused(&failure))?;
        let restore = request.begun.last().map(|begun| begun.restore.clone()).unwrap_or_default();
        let end = |aside, reason| {
            let (request, by) = (request.number, asked.by.clone());
            Event::RestorePromoted { request, restore, by, to, aside, reason }
        };
        match done {
            Ok(done) => {
                let promoted: Promoted = serde_json::from_slice(&done.report).map_err(|error| broken(&error))?;
                self.note(end(promoted.aside, None))?;
                self.record_owed();
                self.tell(asked, Ok(RestoreNews::Promoted { view: Box::new(self.now(&before)?) }));
                Ok(())
            }
            // It may go on there: the same command finds it.
            Err(fault @ (JobFault::Unreachable { .. } | JobFault::OutOfSight { .. })) => Err(unfit(&fault)),
            Err(fault) => {
                self.note(end(None, Some(chain(&fault))))?;
                self.record_owed();
                Err(unfit(&fault))
            }
        }
    }

    /// The name of the job: that of the last try, unless that one has ended.
    fn promotion_job(&self, request: &Request) -> Result<String, Refused> {
        let entries = self.journal.entries_of_request(request.number);
        let entries = self.context.wait("read the journal", entries).map_err(|failure| self.refused(&failure))?;
        let ended = entries.iter().filter(|entry| matches!(entry.event, Event::RestorePromoted { .. })).count();
        Ok(format!("{}promote-{}", request.number.job_prefix(), ended + 1))
    }

    /// A request as it stands by now.
    fn now(&self, before: &RequestView) -> Result<RequestView, Refused> {
        let number = before.request.number;
        let reading = async { Ok::<_, Cause>(self.desk.read(number).await) };
        self.context.wait("read the journal", reading).map_err(|failure| self.refused(&failure))?
    }
}
