//! A restore on a host that somebody asks for, on a thread of its own: the snapshot is found, written down, lent, and what came of it is written down.

use std::sync::Arc;

use jiff::Timestamp;
use strongroom_controller::journal::Event;
use strongroom_controller::operator::Refused;
use strongroom_controller::remote::JobFault;
use strongroom_controller::requests::Wish;
use strongroom_controller::restore_job::{
    Owners, Replaced, RestoreOrder, RestoredOnHost, Roads, look_on_host, restore_on_host,
};
use strongroom_controller::restores::{RestoreAsked, RestoreEnding, RestoreNews, RestoreScope};
use strongroom_plans::{Access, Name};
use strongroom_proto::operator::RestoreOverwrite;
use strongroom_proto::worker::{DirectStore, Limits, Overwrite, Running};
use strongroom_repository::{Snapshot, WriterIdentity, chain};
use strongroom_worker::restore::{Outcome, RestoreReport};
use tokio::sync::watch;

use super::runner::Runner;
use crate::access::Opened;
use crate::choice;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};

/// The snapshot that is meant, and what is to be done with it.
pub(super) struct Found<'r> {
    name: &'r Name,
    pub(super) opened: &'r Opened,
    snapshot: Snapshot,
    /// The directory on the host, as raw bytes.
    pub(super) target: Vec<u8>,
    /// The same for people.
    pub(super) scope: RestoreScope,
}

/// What a host is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToRestore,
    ToLook,
}

impl Runner<'_> {
    /// Does what is asked, and tells whoever asked.
    pub(super) fn restore(&self, asked: &RestoreAsked) {
        let done = match &asked.wish {
            Wish::Restore if asked.request.dry_run => self.only_look(asked),
            Wish::Restore => self.find_and_restore(asked),
            Wish::File { urgency, break_glass } => self.file(asked, *urgency, *break_glass),
            Wish::Run(request) => self.run_request(asked, request),
            Wish::Promote(request) => self.promote(asked, request),
        };
        if let Err(refused) = done {
            self.tell(asked, Err(refused));
        }
    }

    /// Tells what the host would do.
    pub(super) fn only_look(&self, asked: &RestoreAsked) -> Result<(), Refused> {
        let found = self.find(asked)?;
        let plan = self.look(asked, &found)?;
        self.tell_look(asked, found.scope, plan);
        Ok(())
    }

    /// What a look found, with how many must agree to it.
    pub(super) fn tell_look(&self, asked: &RestoreAsked, order: RestoreScope, plan: serde_json::Value) {
        let site = Arc::clone(&self.site.borrow());
        let host = site.hosts().values().find(|host| host.name().as_str() == order.host);
        let rules = site.restores();
        let approvals = host.filter(|_| !site.people().is_empty()).map(|host| rules.approvals(rules.class_of(host)));
        self.tell(asked, Ok(RestoreNews::Looked { order, plan, approvals }));
    }

    fn find_and_restore(&self, asked: &RestoreAsked) -> Result<(), Refused> {
        let found = self.find(asked)?;
        let restore = self.next_job(&found.scope.job_prefix())?;
        let (by, reason, order) = (asked.by.clone(), asked.request.reason.clone(), found.scope.clone());
        self.note(Event::RestoreStarted { restore: restore.clone(), by, reason, order, request: None })?;
        self.carry_out(asked, &found, restore)
    }

    /// The name of the job that comes next: one that was begun and has not ended is found by it again.
    pub(super) fn next_job(&self, prefix: &str) -> Result<String, Refused> {
        let ended = self.journal.restores_ended(prefix);
        let ended = self.context.wait("read the journal", ended).map_err(|failure| self.refused(&failure))?;
        Ok(format!("{prefix}{}", ended + 1))
    }

    /// Has the host do what the journal says that it does now.
    pub(super) fn carry_out(&self, asked: &RestoreAsked, found: &Found<'_>, restore: String) -> Result<(), Refused> {
        let scope = &found.scope;
        tracing::info!(restore, host = scope.host, snapshot = scope.snapshot, by = %asked.by, "a restore begins");
        self.tell(asked, Ok(RestoreNews::Begins { restore: restore.clone(), order: scope.clone() }));
        let order = self.order(asked, found, restore.clone());
        // Without an answer the controller is about to end: the host goes on, and the same request finds it there.
        let done = self.on_host(asked, found.opened, &order, Way::ToRestore);
        let done = done.map_err(|failure| self.refused(&failure))?;
        self.end(asked, scope.clone(), restore, done)
    }

    /// What the host says that it would do. Each look is a job of its own: a worker answers the same one with what it saw the first time.
    pub(super) fn look(&self, asked: &RestoreAsked, found: &Found<'_>) -> Result<serde_json::Value, Refused> {
        let job = format!("{}look-{:x}", found.scope.job_prefix(), Timestamp::now().as_nanosecond());
        let order = self.order(asked, found, job);
        let done = self.on_host(asked, found.opened, &order, Way::ToLook).map_err(|failure| self.refused(&failure))?;
        let done = done.map_err(|fault| unfit(&fault))?;
        serde_json::from_slice(&done.report).map_err(|error| broken(&error))
    }

    fn end(
        &self,
        asked: &RestoreAsked,
        order: RestoreScope,
        restore: String,
        done: Result<RestoredOnHost, JobFault>,
    ) -> Result<(), Refused> {
        let request = match &asked.wish {
            Wish::Run(request) => Some(request.number),
            Wish::Restore | Wish::File { .. } | Wish::Promote(_) => None,
        };
        let done = match done {
            Ok(done) => done,
            // Nobody can say that it has ended: its host may be at it.
            Err(fault @ JobFault::Unreachable { .. }) if self.was_begun_before(&restore)? => {
                let why = "it was begun before, and may go on there: the same command takes it up again";
                return Err(Refused::Unfit(format!("{}; {why}", chain(&fault))));
            }
            Err(fault) => {
                let ending = match fault {
                    JobFault::Cancelled => RestoreEnding::Cancelled,
                    _ => RestoreEnding::Failed,
                };
                let reason = Some(chain(&fault));
                self.note(Event::RestoreEnded { restore, ending, reason, report: None, request })?;
                self.record_owed();
                return Err(unfit(&fault));
            }
        };
        let report: RestoreReport = serde_json::from_slice(&done.report).map_err(|error| broken(&error))?;
        let ending = match report.outcome {
            Outcome::Restored => RestoreEnding::Restored,
            Outcome::Deviating => RestoreEnding::Deviating,
            Outcome::Unproven => RestoreEnding::Unproven,
            Outcome::Partial => RestoreEnding::Partial,
            Outcome::Failed => RestoreEnding::Failed,
        };
        let report = serde_json::to_value(&report).map_err(|error| broken(&error))?;
        let kept = Some(report.clone());
        self.note(Event::RestoreEnded { restore: restore.clone(), ending, reason: None, report: kept, request })?;
        tracing::info!(restore, ?ending, "a restore ended");
        self.record_owed();
        self.tell(asked, Ok(RestoreNews::Ended { restore, order, ending, report, read_bytes: done.read_bytes }));
        Ok(())
    }

    /// Whether this is not the first attempt of a job that has not ended.
    fn was_begun_before(&self, restore: &str) -> Result<bool, Refused> {
        let entries = self.context.wait("read the journal", self.journal.entries_of_restore(restore));
        let entries = entries.map_err(|failure| self.refused(&failure))?;
        Ok(entries.iter().filter(|entry| matches!(entry.event, Event::RestoreStarted { .. })).count() > 1)
    }

    /// The snapshot that is meant, which must be of the host that was named: for that host it was decided that he may.
    pub(super) fn find(&self, asked: &RestoreAsked) -> Result<Found<'_>, Refused> {
        let (wanted, spec) = (&asked.request.repository, &asked.request.snapshot);
        let is_meant = |name: &&Name| wanted.is_empty() || name.as_str() == wanted;
        let meant: Vec<&Name> = self.repositories.keys().filter(is_meant).collect();
        if meant.is_empty() {
            let names: Vec<&str> = self.repositories.keys().map(Name::as_str).collect();
            return Err(Refused::Unknown(format!(
                "the site has no repository {wanted}; there are {}",
                names.join(", ")
            )));
        }
        let mut last = None;
        for name in meant {
            let opened = &self.repositories[name];
            let refreshed = self.context.wait("read what hosts committed", opened.repository.refresh());
            match refreshed.and_then(|()| choice::snapshot(opened, self.context, spec)) {
                Ok(snapshot) if snapshot.manifest.host == asked.source => {
                    let scope = RestoreScope::of(&asked.request, name.as_str(), &snapshot, &self.site.borrow());
                    scope.part.as_ref().map_or(Ok(()), |part| part.refuses(&snapshot.manifest.tags))?;
                    return Ok(Found { name, opened, snapshot, target: asked.request.target.clone(), scope });
                }
                Ok(snapshot) => {
                    let why = format!("the snapshot {spec} is of {}, not of {}", snapshot.manifest.host, asked.source);
                    return Err(Refused::Unknown(why));
                }
                Err(failure) => last = Some(failure),
            }
        }
        // BUG if there is none: at least one repository was asked.
        Err(last.map_or_else(|| Refused::Unknown(format!("there is no snapshot {spec}")), |last| self.refused(&last)))
    }

    pub(super) fn order(&self, asked: &RestoreAsked, found: &Found<'_>, job: String) -> RestoreOrder {
        let request = &asked.request;
        let site = self.site.borrow();
        let access = site.repositories().get(found.name).map(|spec| spec.access().clone()).unwrap_or(Access::Gateway);
        RestoreOrder {
            host: request.host.clone(),
            job,
            generation: 1,
            snapshot: found.snapshot.id,
            paths: request.paths.clone(),
            target: found.target.clone(),
            overwrite: match request.overwrite() {
                RestoreOverwrite::Never => Overwrite::Never,
                RestoreOverwrite::Changed => Overwrite::Changed,
                RestoreOverwrite::Always => Overwrite::Always,
            },
            replaced: if request.set_aside { Replaced::SetAside } else { Replaced::Remove },
            owners: if request.owners_by_name { Owners::ByName } else { Owners::ByNumber },
            limits: Limits { download_bytes_per_second: request.download_bytes_per_second, ..Limits::default() },
            promote_to: None,
            around: found.scope.part.as_ref().map(|part| part.around(&found.scope.source, &request.host)),
            checks: found.scope.checks.commands().to_vec(),
            direct: DirectStore::of(&access),
            cancel: watch::channel(false).1,
            pause: watch::channel(false).1,
        }
    }

    /// The outer failure is a signal. Whoever asked and stops listening ends it.
    pub(super) fn on_host(
        &self,
        asked: &RestoreAsked,
        opened: &Opened,
        order: &RestoreOrder,
        way: Way,
    ) -> Result<Result<RestoredOnHost, JobFault>, Failure> {
        let roads = Roads { links: &self.links, gateway: &self.gateway, repository: &opened.repository };
        let writer = WriterIdentity { holder: order.host.clone() };
        let key = || async {
            let file = opened.repository.add_writer(&writer).await.map_err(|error| chain(&error))?;
            tracing::info!(host = order.host, "registered a writer's key");
            Ok(file.to_text().into_bytes())
        };
        let progress = |running: &Running| {
            let (bytes_done, bytes_total) = (running.bytes_done, running.bytes_total);
            let news = RestoreNews::Doing { doing: running.doing.clone(), bytes_done, bytes_total };
            // Whoever reads slowly misses some of it.
            let _ = asked.news.try_send(Ok(news));
        };
        let what = format!("restore on {}", order.host);
        let (cancel, cancelled) = watch::channel(false);
        let order = &RestoreOrder { cancel: cancelled, ..order.clone() };
        self.context.wait(&what, async {
            let restoring = async {
                match way {
                    Way::ToLook => look_on_host(roads, order, key, progress).await,
                    Way::ToRestore => restore_on_host(roads, order, key, progress).await,
                }
            };
            tokio::pin!(restoring);
            tokio::select! {
                done = &mut restoring => return Ok::<_, Cause>(done),
                () = asked.news.closed() => drop(cancel.send_replace(true)),
            }
            Ok(restoring.await)
        })
    }

    pub(super) fn note(&self, event: Event) -> Result<(), Refused> {
        let written = self.context.wait("write the journal", self.journal.append(Timestamp::now(), event));
        written.map_err(|failure| self.refused(&failure))
    }

    /// Whoever has stopped listening misses it; it stands in the journal. A signal is not kept waiting by somebody who does not listen.
    pub(super) fn tell(&self, asked: &RestoreAsked, news: Result<RestoreNews, Refused>) {
        let sending = async { Ok::<_, Cause>(asked.news.send(news).await.is_ok()) };
        let _ = self.context.wait("tell whoever asked", sending);
    }

    pub(super) fn refused(&self, failure: &Failure) -> Refused {
        match failure.exit() {
            Exit::NotFound => Refused::Unknown(failure.to_string()),
            Exit::Usage => Refused::Unfit(failure.to_string()),
            _ => Refused::Broken(failure.to_string()),
        }
    }
}

pub(super) fn unfit(fault: &JobFault) -> Refused {
    Refused::Unfit(chain(fault))
}

pub(super) fn broken(error: &serde_json::Error) -> Refused {
    Refused::Broken(format!("the worker's report cannot be understood: {error}"))
}
