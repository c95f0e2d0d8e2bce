//! The gate before the loop: who asks is read from the socket, what he may is decided by [`crate::permissions`], and a refusal is in the journal before it is told.

use std::sync::Arc;

use rustix::process::geteuid;
use strongroom_plans::{Name, Site};
use tokio::sync::watch;

use crate::journal::{Entry, Event, Journal, JournalError, Who};
use crate::operator::Refused;
use crate::permissions::{self, Act, Forbidden, Object, Sight};
use crate::requests::RequestNumber;
use crate::run::Clock;
use crate::runs::RunId;

/// Entries in one answer: a run's record has up to a megabyte, and a message 64.
const ENTRIES_MAX: u32 = 1000;

/// Lets in whoever may.
#[derive(Debug, Clone)]
pub struct Gate<C> {
    site: watch::Receiver<Arc<Site>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: C,
    controller: u32,
}

impl<C: Clock> Gate<C> {
    /// For the site in force.
    #[must_use]
    pub fn new(site: watch::Receiver<Arc<Site>>, journal: Arc<Journal>, clock: C) -> Self {
        Self { site, journal, clock, controller: geteuid().as_raw() }
    }

    /// The person behind an account, if the site names one.
    #[must_use]
    pub fn identify(&self, who: Who) -> Who {
        let site = self.site.borrow();
        let person = permissions::person(&site, &who);
        let organisation = person.and_then(|person| person.organisation()).map(ToString::to_string);
        Who { person: person.map(|person| person.name().to_string()), organisation, ..who }
    }

    /// What somebody sees, if anything.
    pub async fn sight(&self, who: &Who) -> Result<Sight, Refused> {
        let site = self.site();
        self.decide(who, Act::See, Object::Any, &site).await?;
        Ok(permissions::sight(&site, who, self.controller))
    }

    /// Whether somebody may do something with the site as a whole.
    pub async fn site_wide(&self, who: &Who, act: Act) -> Result<(), Refused> {
        let site = self.site();
        self.decide(who, act, Object::Site, &site).await
    }

    /// Entries of the journal from a number on, or the last ones. The loop is not asked: what is written does not change.
    pub async fn journal(&self, who: &Who, from: Option<u64>, count_max: u32) -> Result<Vec<Entry>, Refused> {
        self.site_wide(who, Act::ReadJournal).await?;
        let broken = |error: JournalError| Refused::Broken(strongroom_repository::chain(&error));
        let count_max = count_max.min(ENTRIES_MAX);
        let from = match from {
            Some(from) => from,
            None => self.journal.newest().await.map_err(broken)?.saturating_sub(count_max.into()) + 1,
        };
        self.journal.entries(from, count_max).await.map_err(broken)
    }

    /// Whether somebody may do something on a host. One that the site has no more is nobody's but the whole site's.
    pub async fn on_host(&self, who: &Who, act: Act, host: &str) -> Result<(), Refused> {
        let site = self.site();
        let found = site.hosts().values().find(|found| found.name().as_str() == host);
        self.decide(who, act, found.map_or(Object::Site, Object::Host), &site).await
    }

    /// The same for the host whose data are restored and for the one that gets them.
    pub async fn on_both(&self, who: &Who, act: Act, source: &str, host: &str) -> Result<(), Refused> {
        self.on_host(who, act, source).await?;
        self.on_host(who, act, host).await
    }

    /// The same for the host of a run; one that nobody knows is left to the loop, which says so.
    pub async fn on_run(&self, who: &Who, act: Act, run: &RunId) -> Result<(), Refused> {
        let known = self.journal.run(run).await.map_err(|error| Refused::Broken(error.to_string()))?;
        match known {
            Some(run) => self.on_host(who, act, &run.host).await,
            None => self.sight(who).await.map(drop),
        }
    }

    /// The same for the hosts of a plan, or for one of them.
    pub async fn on_plan(&self, who: &Who, act: Act, plan: &str, host: Option<&str>) -> Result<(), Refused> {
        if let Some(host) = host {
            return self.on_host(who, act, host).await;
        }
        let site = self.site();
        let hosts: Vec<&Name> =
            site.plans().iter().filter(|(name, _)| name.as_str() == plan).flat_map(|(_, plan)| plan.hosts()).collect();
        for host in hosts {
            self.on_host(who, act, host.as_str()).await?;
        }
        self.sight(who).await.map(drop)
    }

    /// The site in force.
    pub(crate) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.borrow())
    }

    async fn decide(&self, who: &Who, act: Act, object: Object<'_>, site: &Site) -> Result<(), Refused> {
        let Err(forbidden) = permissions::permit(site, who, self.controller, act, object) else { return Ok(()) };
        self.refuse(who, act, object, &forbidden).await
    }

    async fn refuse(&self, who: &Who, act: Act, object: Object<'_>, forbidden: &Forbidden) -> Result<(), Refused> {
        let reason = forbidden.to_string();
        tracing::warn!(by = %who, act = act.word(), object = %object, reason, "refused");
        self.write_refusal(who, act, object.to_string(), reason.clone(), None).await?;
        Err(Refused::Forbidden(reason))
    }

    /// Writes a refusal down. It may be told when this returns.
    pub(crate) async fn write_refusal(
        &self,
        who: &Who,
        act: Act,
        object: String,
        reason: String,
        request: Option<RequestNumber>,
    ) -> Result<(), Refused> {
        let entry = Event::Refused { act, object, by: who.clone(), reason, request };
        let written = self.journal.append(self.clock.now(), entry).await;
        written.map_err(|error| Refused::Broken(error.to_string()))
    }
}
