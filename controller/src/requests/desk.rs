//! The desk at which requests are handed in and decided: each act is in the journal before it counts, and each refusal before it is told.

use std::sync::Arc;

use jiff::Timestamp;
use strongroom_plans::{Host, RestoreSystem, Site};
use strongroom_proto::operator::RestoreRequest;
use strongroom_repository::chain;

use super::decide::after;
use super::{Application, ApprovalScope, Moment, Refusal, Request, RequestNumber, RequestView, Story, Urgency, faults};
use crate::gate::Gate;
use crate::journal::{Event, JournalError, Who};
use crate::operator::{Mode, Refused};
use crate::permissions::Act;
use crate::restore_plans::{PlanStanding, unmet_needs};
use crate::restores::{self, RestoreScope};
use crate::run::Clock;

/// What is handed in, once its host has looked.
#[derive(Debug, Clone)]
pub struct Handed {
    /// Who.
    pub by: Who,
    /// Why.
    pub reason: String,
    /// How soon it is needed.
    pub urgency: Urgency,
    /// Whether by break-glass.
    pub break_glass: bool,
    /// The directory as it was asked for.
    pub target: String,
    /// What it is, with the directory where that really lies.
    pub restore: RestoreScope,
    /// What the host would do.
    pub plan: serde_json::Value,
}

/// What somebody decides about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Approve {
        /// The first digits of the hash of the plan that he has seen.
        plan: String,
        /// What he says.
        comment: Option<String>,
    },
    /// No.
    Reject {
        /// Why.
        reason: String,
    },
    /// It is not wanted any more.
    Withdraw,
    /// The follow-up.
    Close {
        /// What he found.
        note: String,
    },
}

/// Requests in one answer: some years of them, and each has a plan of a few hundred lines at most.
const LISTED_MAX: u32 = 1000;

/// Decides, and writes it down.
#[derive(Debug, Clone)]
pub struct Desk<C> {
    gate: Gate<C>,
}

impl<C: Clock> Desk<C> {
    /// Behind the same gate as everything else.
    #[must_use]
    pub fn new(gate: Gate<C>) -> Self {
        Self { gate }
    }

    /// Requests that somebody may see, the newest first; only those about which something is to be done, or all.
    pub async fn list(&self, by: &Who, all: bool) -> Result<Vec<RequestView>, Refused> {
        let sight = self.gate.sight(by).await?;
        let requests = self.gate.journal.requests(LISTED_MAX).await.map_err(|error| broken(&error))?;
        let views = requests.into_iter().map(|request| self.view(request));
        let is_seen = |view: &RequestView| {
            let scope = &view.request.application.scope.restore;
            sight.has(&scope.host) || sight.has(&scope.source)
        };
        Ok(views.filter(|view| is_seen(view) && (all || view.is_open())).collect())
    }

    /// One, with all that the journal says of it.
    pub async fn show(&self, by: &Who, number: RequestNumber) -> Result<Story, Refused> {
        let view = self.view(self.seen(by, number).await?);
        let entries = self.gate.journal.entries_of_request(number).await.map_err(|error| broken(&error))?;
        Ok(Story { view, entries })
    }

    /// Whether a restore may be done at once. Where people are named, those to which somebody must agree go by a request, whoever wants them.
    pub async fn admit_restore(&self, by: &Who, request: &RestoreRequest, source: &str) -> Result<(), Refused> {
        self.gate.on_both(by, Act::Restore, source, &request.host).await?;
        let site = self.gate.site();
        if site.people().is_empty() || request.dry_run {
            return Ok(());
        }
        let Ok(host) = find(&site, &request.host) else { return Ok(()) };
        let class = site.restores().class_of(host);
        let approvals = site.restores().approvals(class);
        if approvals == 0 {
            return Ok(());
        }
        let why = format!(
            "{} is {class}, where {approvals} must agree to a restore: ask with `strongroom restore request {} --on {} …`",
            request.host, request.snapshot, request.host
        );
        self.refuse(by, Act::Restore, None, &request.host, Refused::Forbidden(why)).await
    }

    /// Whether something may be asked for at all; what is wrong with it is told at once.
    pub async fn admit(
        &self,
        by: &Who,
        request: &RestoreRequest,
        source: &str,
        break_glass: bool,
    ) -> Result<(), Refused> {
        let act = if break_glass { Act::BreakGlass } else { Act::Request };
        self.gate.on_both(by, act, source, &request.host).await?;
        let site = self.gate.site();
        let mut wrong = faults(request, site.hosts().values().map(|host| host.name().as_str()));
        // Of a plan each system is a request, also where nobody has to agree: by its number it is found again.
        if site.people().is_empty() && request.part.is_none() {
            wrong.push(
                "the site names nobody who could approve it: restore without a request, or name `people:`".into(),
            );
        }
        if wrong.is_empty() {
            return Ok(());
        }
        self.refuse(by, act, None, &request.host, Refused::Unfit(wrong.join("\n"))).await
    }

    /// Makes it a request, with the next number of the year.
    pub async fn file(&self, handed: Handed) -> Result<RequestView, Refused> {
        let (site, now) = (self.gate.site(), self.gate.clock.now());
        let host = find(&site, &handed.restore.host)?.clone();
        let Handed { by, reason, urgency, break_glass, target, restore, plan } = handed;
        let expires = after(now, site.restores().expires().into());
        let year = now.to_zoned(site.zone().clone()).year();
        let event = |request| {
            let scope = ApprovalScope::of(request, restore, &site, &host, break_glass);
            let hash = scope.hash();
            let application = Application { reason, urgency, expires, target, scope, hash, plan };
            Event::RestoreRequested { request, by, application: Box::new(application) }
        };
        let filed = self.gate.journal.file_request(now, year, event).await.map_err(|error| broken(&error))?;
        Ok(self.view(filed))
    }

    /// Decides about one.
    pub async fn decide(
        &self,
        by: &Who,
        number: RequestNumber,
        verdict: Verdict,
        mode: Mode,
    ) -> Result<RequestView, Refused> {
        let act = if verdict == Verdict::Withdraw { Act::Request } else { Act::Approve };
        let before = self.seen(by, number).await?;
        self.write(by, act, &before, mode, |request, moment| match verdict {
            Verdict::Approve { plan, comment } => request.approve(moment, &plan, comment),
            Verdict::Reject { reason } => request.reject(moment, &reason),
            Verdict::Withdraw => request.withdraw(moment),
            Verdict::Close { note } => request.close(moment, &note),
        })
        .await
    }

    /// Whether one may be run, before its host looks again.
    pub async fn admit_run(&self, by: &Who, number: RequestNumber) -> Result<Request, Refused> {
        let request = self.seen(by, number).await?;
        let scope = &request.application.scope.restore;
        self.gate.on_both(by, Act::Restore, &scope.source, &scope.host).await?;
        let (site, now) = (self.gate.site(), self.gate.clock.now());
        let may_run = request.may_run(Moment { site: &site, by, now });
        let refusal = match may_run {
            Ok(()) => self.unmet(&request).await?,
            Err(refusal) => Some(refusal),
        };
        match refusal {
            None => Ok(request),
            Some(refusal) => self.refuse(by, Act::Restore, Some(number), "", refusal.into()).await,
        }
    }

    /// How far a restore by a plan is; without a time, the newest one.
    pub async fn plan_standing(&self, by: &Who, name: &str, at: Option<&str>) -> Result<PlanStanding, Refused> {
        let sight = self.gate.sight(by).await?;
        let site = self.gate.site();
        let plan = restores::plan(&site, name).ok_or_else(|| restores::unknown_plan(&site, name))?;
        let is_seen =
            |system: &RestoreSystem| sight.has(system.host().as_str()) || sight.has(system.target_host().as_str());
        if let Some(system) = plan.systems().iter().find(|system| !is_seen(system)) {
            let why = format!("{by} has no role for {} or {}", system.host(), system.target_host());
            return self.refuse(by, Act::See, None, name, Refused::Forbidden(why)).await;
        }
        let requests = self.gate.journal.requests(LISTED_MAX).await.map_err(|error| broken(&error))?;
        let views = requests.into_iter().map(|request| self.view(request)).collect();
        Ok(PlanStanding::of(plan, at, views))
    }

    /// Of a plan, one after the other: that what it needs is not done.
    async fn unmet(&self, request: &Request) -> Result<Option<Refusal>, Refused> {
        if request.application.scope.restore.part.is_none() {
            return Ok(None);
        }
        let all = self.gate.journal.requests(LISTED_MAX).await.map_err(|error| broken(&error))?;
        let unmet = unmet_needs(request, &all);
        Ok((!unmet.is_empty()).then(|| Refusal::Needs(request.number, unmet.join(", "))))
    }

    /// Begins one, if what the host found is what was approved.
    pub async fn begin(
        &self,
        by: &Who,
        request: &Request,
        found: RestoreScope,
        restore: String,
        mode: Mode,
    ) -> Result<RequestView, Refused> {
        let site = self.gate.site();
        let (host, glass) = (find(&site, &found.host)?, request.application.scope.break_glass);
        let found = ApprovalScope::of(request.number, found, &site, host, glass);
        let begin = |request: &Request, moment: Moment<'_>| request.begin(moment, &found, restore);
        self.write(by, Act::Restore, request, mode, begin).await
    }

    /// Whether what was restored may be put in place, before its host looks.
    pub async fn admit_promotion(&self, by: &Who, number: RequestNumber, to: &str) -> Result<Request, Refused> {
        let request = self.seen(by, number).await?;
        let scope = &request.application.scope.restore;
        self.gate.on_both(by, Act::Restore, &scope.source, &scope.host).await?;
        let (site, now) = (self.gate.site(), self.gate.clock.now());
        match request.promote(Moment { site: &site, by, now }, to) {
            Ok(_) => Ok(request),
            Err(refusal) => self.refuse(by, Act::Restore, Some(number), "", refusal.into()).await,
        }
    }

    /// One as it stands, for the controller itself.
    pub async fn read(&self, number: RequestNumber) -> Result<RequestView, Refused> {
        let found = self.gate.journal.request(number).await.map_err(|error| broken(&error))?;
        found.map(|request| self.view(request)).ok_or_else(|| unknown(number))
    }

    /// Begins to put it in place.
    pub async fn begin_promotion(&self, by: &Who, request: &Request, to: &str) -> Result<RequestView, Refused> {
        let begin = |request: &Request, moment: Moment<'_>| request.promote(moment, to);
        self.write(by, Act::Restore, request, Mode::Earnest, begin).await
    }

    /// A refusal by something other than the rules: its host found no such path, say.
    pub async fn refused(&self, by: &Who, wish: Option<RequestNumber>, host: &str, why: Refused) -> Refused {
        let act = if wish.is_some() { Act::Restore } else { Act::Request };
        match self.refuse::<()>(by, act, wish, host, why).await {
            Err(refused) => refused,
            // BUG: a refusal refuses.
            Ok(()) => unreachable!("a refusal refuses"),
        }
    }

    /// Writes down what was decided about the request as it is by then. A dry run only decides.
    async fn write(
        &self,
        by: &Who,
        act: Act,
        before: &Request,
        mode: Mode,
        decide: impl FnOnce(&Request, Moment<'_>) -> Result<Event, Refusal>,
    ) -> Result<RequestView, Refused> {
        let (site, now, number) = (self.gate.site(), self.gate.clock.now(), before.number);
        let moment = Moment { site: &site, by, now };
        let decided = match mode {
            Mode::DryRun => decide(before, moment).map(|_| before.clone()),
            Mode::Earnest => {
                let written = self.gate.journal.decide_request(now, number, |request| decide(request, moment));
                written.await.map_err(|error| broken(&error))?.ok_or_else(|| unknown(number))?
            }
        };
        match decided {
            Ok(request) => Ok(self.view(request)),
            Err(refusal) => self.refuse(by, act, Some(number), "", refusal.into()).await,
        }
    }

    async fn refuse<T>(
        &self,
        by: &Who,
        act: Act,
        request: Option<RequestNumber>,
        host: &str,
        why: Refused,
    ) -> Result<T, Refused> {
        let object = request.map_or_else(|| host.to_owned(), |number| number.to_string());
        tracing::warn!(by = %by, act = act.word(), object, reason = %why, "refused");
        self.gate.write_refusal(by, act, object, why.to_string(), request).await?;
        Err(why)
    }

    /// A request that somebody may see: one that has a role for either host, or is whose it is.
    async fn seen(&self, by: &Who, number: RequestNumber) -> Result<Request, Refused> {
        let sight = self.gate.sight(by).await?;
        let found = self.gate.journal.request(number).await.map_err(|error| broken(&error))?;
        let found = found.ok_or_else(|| unknown(number))?;
        let scope = &found.application.scope.restore;
        if sight.has(&scope.host) || sight.has(&scope.source) {
            return Ok(found);
        }
        let why = format!("{by} has no role for {} or {}", scope.source, scope.host);
        self.refuse(by, Act::See, Some(number), "", Refused::Forbidden(why)).await
    }

    fn view(&self, request: Request) -> RequestView {
        RequestView::of(request, &self.gate.site(), self.now())
    }

    fn now(&self) -> Timestamp {
        self.gate.clock.now()
    }
}

fn find<'s>(site: &'s Arc<Site>, host: &str) -> Result<&'s Host, Refused> {
    let found = site.hosts().values().find(|found| found.name().as_str() == host);
    found.ok_or_else(|| Refused::Unknown(format!("the site has no host {host}")))
}

fn unknown(number: RequestNumber) -> Refused {
    Refused::Unknown(format!("there is no request {number}: `strongroom restore list --all` names them"))
}

fn broken(error: &JournalError) -> Refused {
    Refused::Broken(chain(error))
}
