//! One run on a thread of its own, from its order to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use strongroom_controller::daemon::{RunEnd, RunOrder};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::links::Links;
use strongroom_controller::runs::Ending;
use strongroom_controller::{RunRequest, run};
use strongroom_plans::{Name, RunKind, Site};
use strongroom_repository::SnapshotKind;

use tokio::sync::watch;

use super::hands::Hands;
use super::quota;
use crate::access::{self, KeyArgs, Opened};
use crate::backup::program;
use crate::context::Context;
use crate::failure::Failure;
use crate::place_memory::PlaceMemory;
use crate::run::{Local, Scratch, SystemClock};

/// Does runs.
pub(super) struct Runner<'a> {
    pub(super) context: &'a Context,
    pub(super) links: Arc<Links>,
    /// By the site's names.
    pub(super) repositories: BTreeMap<Name, Opened>,
    /// The site in force.
    pub(super) site: watch::Receiver<Arc<Site>>,
}

/// The gateway to all of them.
pub(super) fn gateway(repositories: &BTreeMap<Name, Opened>) -> Gateway {
    let folder = |opened: &Opened| Some((opened.repository.id(), opened.location.folder()?.to_owned()));
    let gateway = Gateway::new(repositories.values().map(|opened| Arc::clone(&opened.repository)));
    gateway.with_folders(repositories.values().filter_map(folder))
}

/// Opens every repository of a site.
pub(super) fn open_all(site: &Site, key: &KeyArgs, context: &Context) -> Result<BTreeMap<Name, Opened>, Failure> {
    let open = |(name, spec): (&Name, &strongroom_plans::RepositorySpec)| {
        let url = spec.directory().to_string_lossy().into_owned();
        let opened = access::open(&url, key, context);
        let opened = opened.map_err(|failure| {
            failure.advise(format!("make it with `strongroom repo init {url}`, and keep its key"))
        })?;
        PlaceMemory::of(&opened, context)?.check(opened.repository.id(), context)?;
        Ok((name.clone(), opened))
    };
    site.repositories().iter().map(open).collect()
}

impl Runner<'_> {
    /// Another site may name only repositories that are open: opening one needs a key, and that is a person's business.
    pub(super) fn knows_repositories(&self, site: &Site) -> Result<(), String> {
        let unknown = site.repositories().iter().find(|(name, spec)| {
            self.repositories.get(*name).is_none_or(|opened| opened.location.folder() != Some(&spec.directory()))
        });
        unknown.map_or(Ok(()), |(name, _)| {
            Err(format!("the repository {name} is new, or lies elsewhere now: start the controller again to open it"))
        })
    }

    /// Does a run, and reports its end.
    pub(super) fn run(&self, order: RunOrder) {
        let end = self.end_of(&order);
        order.end(end);
    }

    fn end_of(&self, order: &RunOrder) -> RunEnd {
        let over =
            |ending, reason: &str| RunEnd::Over { ending, reason: Some(reason.to_owned()), record: None, class: None };
        let Some(opened) = self.repositories.get(order.plan.repository()) else {
            return over(Ending::Failed, "its repository is not open");
        };
        let Ok(state) = self.context.state_dir() else { return over(Ending::Failed, "there is no state folder") };
        if let Some(reason) = quota::refusal(order, &self.site.borrow().clone(), opened, self.context) {
            return over(Ending::Failed, &reason);
        }
        let kind = match order.kind {
            RunKind::Full => SnapshotKind::Full,
            RunKind::Incremental => SnapshotKind::Incremental,
        };
        let scratch = Scratch::at(state.join("scratch").join(order.run.as_str()));
        let request = RunRequest {
            plan: order.plan.plan(),
            plan_hash: order.plan_version.clone(),
            host: order.host.clone(),
            program: program(),
            repository: opened.repository.id(),
            location: opened.location.to_string(),
        };
        let mut hands = Hands {
            order,
            context: self.context,
            links: &self.links,
            opened,
            local: Local::new(self.context, opened, order.host.clone(), scratch, kind),
            jobs: AtomicU32::new(0),
            unreachable: None,
            lost: None,
            cancelled: false,
            class: None,
        };
        let ended = run(&request, &mut hands, &SystemClock);
        let (unreachable, cancelled, class) = (hands.unreachable.take(), hands.cancelled, hands.class);
        if ended.fault.is_some() && self.context.signals.received().is_some() {
            return RunEnd::Interrupted;
        }
        if let Some(unreachable) = unreachable {
            return RunEnd::Unreachable { why: unreachable.why, passing: unreachable.passing };
        }
        if let Some(why) = hands.lost.take() {
            return RunEnd::Lost { why };
        }
        let reason = ended.fault.as_ref().map(ToString::to_string);
        let ending = if cancelled { Ending::Cancelled } else { ended.record.verdict.into() };
        RunEnd::Over { ending, reason, record: serde_json::to_value(&ended.record).ok(), class }
    }
}
