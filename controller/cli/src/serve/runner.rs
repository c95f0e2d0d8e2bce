//! One run on a thread of its own, from its order to its end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use strongroom_controller::daemon::{RunEnd, RunOrder};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::journal::Journal;
use strongroom_controller::links::Links;
use strongroom_controller::requests::Desk;
use strongroom_controller::restore_record::shelf::Shelf;
use strongroom_controller::runs::Ending;
use strongroom_controller::{RunRequest, run};
use strongroom_plans::{FailureClass, Name, RepositorySpec, RunKind, Site};
use strongroom_repository::{RepositoryId, SnapshotKind};

use tokio::sync::watch;

use super::hands::Hands;
use super::quota;
use super::requested::Going;
use crate::access::{self, KeyArgs, Opened};
use crate::backup::program;
use crate::context::Context;
use crate::copies;
use crate::failure::{Cause, Failure};
use crate::place_memory::PlaceMemory;
use crate::run::{CopyAt, Local, Scratch, SystemClock};
use crate::store_place::StorePlace;

/// Does runs.
pub(super) struct Runner<'a> {
    pub(super) context: &'a Context,
    pub(super) links: Arc<Links>,
    /// By which hosts read what is lent to them.
    pub(super) gateway: Arc<Gateway>,
    /// By the site's names.
    pub(super) repositories: BTreeMap<Name, Opened>,
    /// As the site declared them when they were opened.
    pub(super) declared: BTreeMap<Name, RepositorySpec>,
    /// Held while a run fills copies: two that do so at once would send what they share twice.
    pub(super) copying: Mutex<()>,
    /// Where records of restores are kept.
    pub(super) shelf: Shelf,
    /// Held while records are made: two would make the same.
    pub(super) recording: Mutex<()>,
    /// What runs have proven.
    pub(super) journal: Arc<Journal>,
    /// The site's directory.
    pub(super) site_folder: &'a Path,
    /// How the repositories were opened.
    pub(super) key: &'a KeyArgs,
    /// The site in force.
    pub(super) site: watch::Receiver<Arc<Site>>,
    /// Where restores are decided.
    pub(super) desk: Desk<SystemClock>,
    /// Those that are being run.
    pub(super) going: Going,
}

/// The gateway to those that hosts may store in.
pub(super) fn gateway(repositories: &BTreeMap<Name, Opened>, stored_in: &[Name]) -> Gateway {
    let open = || stored_in.iter().filter_map(|name| repositories.get(name));
    let folder = |opened: &Opened| Some((opened.repository.id(), opened.location.folder()?.to_owned()));
    Gateway::new(open().map(|opened| Arc::clone(&opened.repository))).with_folders(open().filter_map(folder))
}

/// The repositories of a site, open.
pub(super) struct Repositories {
    /// All, by the site's names.
    pub(super) all: BTreeMap<Name, Opened>,
    /// Those that hosts may store in: not the ones that are only copies of others.
    pub(super) stored_in: Vec<Name>,
}

/// Opens every repository of a site. Copies that are not there yet are made.
pub(super) fn open_all(site: &Site, key: &KeyArgs, context: &Context) -> Result<Repositories, Failure> {
    let copied_from: BTreeMap<&Name, &Name> =
        site.plans().values().flat_map(|plan| plan.copies().iter().map(|copy| (copy, plan.repository()))).collect();
    let mut all = BTreeMap::new();
    let mut stored_in: BTreeMap<RepositoryId, &Name> = BTreeMap::new();
    for (name, spec) in site.repositories().iter().filter(|(name, _)| !copied_from.contains_key(name)) {
        let opened = access::open_declared(spec, key, context).map_err(|failure| {
            failure.advise(format!("make it with `strongroom repo init {}`, and keep its key", spec.location()))
        })?;
        let id = opened.repository.id();
        PlaceMemory::of(&opened, context)?.check(id, context)?;
        if let Some(other) = stored_in.insert(id, name) {
            let why = format!("{other} and {name} of the site are copies of one repository, and no plan says so");
            return Err(Failure::new("open the site's repositories", Cause::Usage(why))
                .advise(format!("let plans store in one of them, with `copies: [{name}]`")));
        }
        all.insert(name.clone(), opened);
    }
    for (copy, of) in copied_from {
        let (Some(spec), Some(from)) = (site.repositories().get(copy), all.get(of)) else {
            let why = format!("{of} is a copy of another repository, and {copy} is to be a copy of it");
            return Err(Failure::new("open the site's repositories", Cause::Usage(why))
                .advise("let no plan store in what another plan names as its copy"));
        };
        let place = StorePlace::open_by(&spec.location(), spec.reach(), context)?;
        let opened = copies::open_made(from, place, context)?;
        all.insert(copy.clone(), opened);
    }
    let stored_in = stored_in.into_values().cloned().collect();
    Ok(Repositories { all, stored_in })
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
        let copy = |name: &Name| Some(CopyAt::Open(self.repositories.get(name)?, &self.copying));
        let copies: Option<Vec<CopyAt<'_>>> = order.plan.copies().iter().map(copy).collect();
        let Some(copies) = copies else { return over(Ending::Failed, "one of its copies is not open") };
        let mut hands = Hands {
            order,
            context: self.context,
            links: &self.links,
            opened,
            local: Local::new(self.context, opened, order.host.clone(), scratch, kind).with_copies(copies),
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
        let uncopied = ended.record.copy_fault();
        let class = class.or(uncopied.is_some().then_some(FailureClass::Store));
        let reason = ended.fault.as_ref().map(ToString::to_string).or(uncopied).or_else(|| ended.record.proof_fault());
        let ending = if cancelled { Ending::Cancelled } else { ended.record.verdict.into() };
        RunEnd::Over { ending, reason, record: serde_json::to_value(&ended.record).ok(), class }
    }
}
