//! A restore to which others must agree, on a thread of its own: its host looks, and it becomes a request; or its host looks again, and does what was approved.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use strongroom_controller::operator::{Mode, Refused};
use strongroom_controller::requests::{Handed, Looked, Request, RequestNumber, RequestView, Urgency};
use strongroom_controller::restores::{RestoreAsked, RestoreNews};
use strongroom_repository::text::{escape, unescape};

use super::restores::{Found, broken};
use super::runner::Runner;
use crate::failure::Cause;

/// Requests that are being run: one is not run twice at once.
#[derive(Debug, Default)]
pub(super) struct Going(Mutex<BTreeSet<RequestNumber>>);

/// One of them, until it is dropped.
pub(super) struct Turn<'g> {
    going: &'g Going,
    number: RequestNumber,
}

impl Going {
    pub(super) fn take(&self, number: RequestNumber) -> Result<Turn<'_>, Refused> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
            true => Ok(Turn { going: self, number }),
            false => Err(Refused::Unfit(format!("{number} is being run already: `strongroom restore show {number}`"))),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.going.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Runner<'_> {
    /// Has the host look, and writes the request down.
    pub(super) fn file(&self, asked: &RestoreAsked, urgency: Urgency, break_glass: bool) -> Result<(), Refused> {
        let (found, plan) = self.noted(asked, None, self.look_closely(asked))?;
        if asked.request.dry_run {
            self.tell_look(asked, found.scope, plan);
            return Ok(());
        }
        let handed = Handed {
            by: asked.by.clone(),
            reason: asked.request.reason.trim().to_owned(),
            urgency,
            break_glass,
            target: escape(&asked.request.target),
            restore: found.scope,
            plan,
        };
        let view = self.decided(self.desk.file(handed))?;
        self.tell(asked, Ok(RestoreNews::Requested { view: Box::new(view) }));
        Ok(())
    }

    /// Has the host look again, and do it if that is what was approved.
    pub(super) fn run_request(&self, asked: &RestoreAsked, request: &Request) -> Result<(), Refused> {
        let number = Some(request.number);
        let _turn = self.noted(asked, number, self.going.take(request.number))?;
        let (mut found, plan) = self.noted(asked, number, self.look_closely(asked))?;
        let restore = self.next_job(&request.number.job_prefix())?;
        let mode = if asked.request.dry_run { Mode::DryRun } else { Mode::Earnest };
        self.decided(self.desk.begin(&asked.by, request, found.scope.clone(), restore.clone(), mode))?;
        if asked.request.dry_run {
            self.tell_look(asked, found.scope, plan);
            return Ok(());
        }
        // Not by the way that was asked for: a link on it may lead elsewhere a moment later.
        found.target = unescape(&found.scope.target);
        self.carry_out(asked, &found, restore)
    }

    /// The order with its paths as the snapshot has them, and its directory where that really lies.
    fn look_closely(&self, asked: &RestoreAsked) -> Result<(Found<'_>, serde_json::Value), Refused> {
        let mut found = self.find(asked)?;
        let plan = self.look(asked, &found)?;
        let looked: Looked = serde_json::from_value(plan.clone()).map_err(|error| broken(&error))?;
        let host = &asked.request.host;
        found.scope.target = looked.target_real.ok_or_else(|| {
            Refused::Unfit(format!(
                "the worker of {host} does not say where a target lies: `strongroom host upgrade {host}`"
            ))
        })?;
        found.scope.paths = looked.paths;
        Ok((found, plan))
    }

    /// A refusal is in the journal before it is told. Where the controller itself fails, or is about to end, nobody refused anything.
    pub(super) fn noted<T>(
        &self,
        asked: &RestoreAsked,
        number: Option<RequestNumber>,
        done: Result<T, Refused>,
    ) -> Result<T, Refused> {
        match done {
            Err(why @ (Refused::Unknown(_) | Refused::Unfit(_) | Refused::Forbidden(_))) => {
                let noting =
                    async { Ok::<_, Cause>(self.desk.refused(&asked.by, number, &asked.request.host, why).await) };
                let noted = self.context.wait("write the journal", noting);
                Err(noted.unwrap_or_else(|failure| self.refused(&failure)))
            }
            done => done,
        }
    }

    /// The outer failure is a signal.
    pub(super) fn decided(
        &self,
        deciding: impl Future<Output = Result<RequestView, Refused>>,
    ) -> Result<RequestView, Refused> {
        let deciding = async { Ok::<_, Cause>(deciding.await) };
        self.context.wait("write the journal", deciding).map_err(|failure| self.refused(&failure))?
    }
}
