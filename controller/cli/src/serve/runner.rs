//! One run on a thread of its own, from its order to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use strongroom_controller::daemon::{RunEnd, RunOrder};
use strongroom_controller::journal::Journal;
use strongroom_controller::links::Links;
use strongroom_controller::runs::Ending;
use strongroom_controller::{RunRequest, run};
use strongroom_plans::{Name, RepositorySpec, RunKind, Site};
use strongroom_repository::SnapshotKind;

use super::hands::Hands;
use crate::access::{self, KeyArgs, Opened};
use crate::backup::program;
use crate::context::Context;
use crate::failure::Failure;
use crate::run::{Local, Scratch, SystemClock};

/// Does runs.
pub(super) struct Runner<'a> {
    pub(super) context: &'a Context,
    pub(super) links: Arc<Links>,
    /// By the site's names.
    pub(super) repositories: BTreeMap<Name, Opened>,
    /// As the site declared them when they were opened.
    pub(super) declared: BTreeMap<Name, RepositorySpec>,
    /// What runs have proven.
    pub(super) journal: Arc<Journal>,
}

/// Opens every repository of a site.
pub(super) fn open_all(site: &Site, key: &KeyArgs, context: &Context) -> Result<BTreeMap<Name, Opened>, Failure> {
    let open = |(name, spec): (&Name, &RepositorySpec)| {
        let opened = access::open_declared(spec, key, context);
        let opened = opened.map_err(|failure| {
            failure.advise(format!("make it with `strongroom repo init {}`, and keep its key", spec.location()))
        })?;
        Ok((name.clone(), opened))
    };
    site.repositories().iter().map(open).collect()
}

impl Runner<'_> {
    /// Another site may name only repositories that are open: opening one needs a key, and that is a person's business.
    pub(super) fn knows_repositories(&self, site: &Site) -> Result<(), String> {
        let unknown = site.repositories().iter().find(|(name, spec)| {
            let opened = self.declared.get(*name);
            opened.is_none_or(|opened| opened.location() != spec.location() || opened.reach() != spec.reach())
        });
        unknown.map_or(Ok(()), |(name, _)| {
            Err(format!(
                "the repository {name} is new, or lies elsewhere or is reached otherwise now: start the controller again to open it"
            ))
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
