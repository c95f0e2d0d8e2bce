//! Other copies of a repository, at hand: readers turn to them for what is lost, and backups fill them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_controller::{CopyDone, PLAN_TAG};
use strongroom_repository::copy::{self, CopyPlan, CopyProgress, CopyReport, Made};
use strongroom_repository::{Error, ObjectId, Repository, Snapshot};

use crate::access::{self, KeyArgs, Opened};
use crate::choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place_memory::PlaceMemory;
use crate::progress::{self, Reading};
use crate::store_place::StorePlace;

/// Where else the repository is.
#[derive(Debug, Default, Args)]
pub(crate) struct CopiesArgs {
    /// Another copy of the repository: what is lost here is read there, and what is nearer is read first; may be given more than once
    #[arg(long = "copy", value_name = "URL", help_heading = "Copies")]
    pub(crate) urls: Vec<String>,
}

/// Opens a repository with its copies standing by. Where it cannot be opened itself, the first copy that can takes its place.
pub(crate) fn open_with(url: &str, copies: &CopiesArgs, key: &KeyArgs, context: &Context) -> Result<Opened, Failure> {
    let mut first_failure = None;
    let mut opened: Vec<Opened> = Vec::new();
    for url in std::iter::once(url).chain(copies.urls.iter().map(String::as_str)) {
        match access::open(url, key, context) {
            Ok(one) => opened.push(one),
            Err(failure) if copies.urls.is_empty() || failure.exit() == Exit::Usage => return Err(failure),
            Err(failure) => {
                context.say(&format!("{failure}; the other copies are read"));
                first_failure.get_or_insert(failure);
            }
        }
    }
    let mut opened = opened.into_iter();
    let Some(main) = opened.next() else {
        // BUG if there is none: nothing was opened, so something failed.
        return Err(first_failure.expect("what was not opened has failed"));
    };
    for copy in opened {
        let what = format!("ask the copy at {}", copy.location);
        let distances = context.wait(&what, async {
            if copy.repository.id() != main.repository.id() {
                return Err(Error::NotACopy { of: main.repository.id(), here: copy.repository.id() });
            }
            Ok((main.repository.distance().await?, copy.repository.distance().await?))
        })?;
        main.repository.stand_by(copy.location.to_string(), copy.repository, distances);
    }
    Ok(main)
}

/// What became of one copy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Filled {
    /// Where it is.
    pub(crate) location: String,
    /// What was missing of the copy itself; nothing in a rehearsal of one that is to be made.
    pub(crate) made: Option<Made>,
    /// What was to be brought; nothing where the copy is yet to be made.
    pub(crate) plan: Option<CopyPlan>,
    /// What was; nothing in a rehearsal.
    pub(crate) report: Option<CopyReport>,
}

impl Filled {
    /// What a caller should know by its exit code.
    pub(crate) fn exit(&self) -> Exit {
        let faults = self.report.as_ref().map(|report| &report.faults).or(self.plan.as_ref().map(|plan| &plan.faults));
        if faults.is_some_and(|faults| !faults.is_empty()) { Exit::Damaged } else { Exit::Success }
    }
}

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A place that is empty now and held a copy is not mounted, or has lost it: a person decides.
    ForReal,
    /// A copy that is lost is begun anew.
    Anew,
    Rehearse,
}

/// Brings the snapshots that `wanted` picks, or all, into the copy at `url`, which is made where there is none.
pub(crate) fn fill(
    from: &Opened,
    url: &str,
    wanted: Option<&HashSet<ObjectId>>,
    act: Act,
    context: &Context,
) -> Result<Filled, Failure> {
    let place = StorePlace::open(url, context)?;
    let location = place.location.to_string();
    if act == Act::Rehearse && !is_there(&place, context)? {
        return Ok(Filled { location, made: None, plan: None, report: None });
    }
    let (to, made) = open_or_make(from, place, act, context)?;
    let (plan, report) = bring(from, &to, wanted, act, context)?;
    Ok(Filled { location, made, plan: Some(plan), report })
}

/// Opens the copy at a place, which is made where there is none.
pub(crate) fn open_made(from: &Opened, place: StorePlace, context: &Context) -> Result<Opened, Failure> {
    let (to, made) = open_or_make(from, place, Act::ForReal, context)?;
    if made.is_some_and(|made| made.is_new) {
        context.say(&format!("made a copy of {} at {}", from.location, to.location));
    }
    Ok(to)
}

fn open_or_make(
    from: &Opened,
    place: StorePlace,
    act: Act,
    context: &Context,
) -> Result<(Opened, Option<Made>), Failure> {
    let what = format!("open the copy of {} at {}", from.location, place.location);
    let memory = PlaceMemory::of_place(&place, context)?;
    if act == Act::ForReal && !is_there(&place, context)? {
        memory.check_absent(context).map_err(|failure| {
            failure.advise(format!(
                "mount it; if the copy is lost: `strongroom repo copy {} {} --anew` begins it anew",
                from.location, place.location
            ))
        })?;
    }
    let made = match act {
        Act::ForReal | Act::Anew => Some(context.wait(&what, copy::make(&from.repository, &place.store))?),
        Act::Rehearse => None,
    };
    let cache = access::cache_folder(context)?;
    let StorePlace { location, store, reached_by, measured, .. } = place;
    let repository = context.wait(&what, from.repository.open_copy(store, &cache))?;
    memory.remember_if_possible(repository.id());
    Ok((Opened { repository, location, reached_by, measured }, made))
}

/// Brings what an open copy lacks of `wanted`, or of everything.
pub(crate) fn bring(
    from: &Opened,
    to: &Opened,
    wanted: Option<&HashSet<ObjectId>>,
    act: Act,
    context: &Context,
) -> Result<(CopyPlan, Option<CopyReport>), Failure> {
    let what = format!("copy {} to {}", from.location, to.location);
    let plan = context.wait(&what, copy::plan(&from.repository, &to.repository, wanted))?;
    if act == Act::Rehearse {
        return Ok((plan, None));
    }
    let progress = Arc::new(CopyProgress::default());
    let shown = Arc::clone(&progress);
    let bar = progress::watch(context, "copying", move || Reading {
        bytes_done: shown.bytes_done.load(Relaxed),
        bytes_total: Some(shown.bytes_total.load(Relaxed)).filter(|total| *total > 0),
        now: format!("{} of {} snapshots", shown.snapshots_done.load(Relaxed), shown.snapshots_total.load(Relaxed)),
        ..Reading::default()
    });
    let report =
        context.wait(&what, copy::execute(&plan, &from.repository, &to.repository, Timestamp::now(), &progress));
    bar.finish();
    Ok((plan, Some(report?)))
}

/// Brings what a plan has stored for a host into one of its copies. Whatever is wrong is in the answer: the backup itself is safe.
pub(crate) fn bring_for_plan(
    from: &Opened,
    to: &Opened,
    (plan, host): (&str, &str),
    context: &Context,
) -> Result<CopyDone, Failure> {
    let of_plan = |snapshot: &Snapshot| {
        snapshot.manifest.host == host && snapshot.manifest.tags.get(PLAN_TAG).is_some_and(|name| name == plan)
    };
    context.wait("read what was stored", from.repository.refresh())?;
    let wanted = picked(&choice::all(from, context)?.readable, of_plan);
    let mut done = CopyDone { location: to.location.to_string(), ..CopyDone::default() };
    match bring(from, to, Some(&wanted), Act::ForReal, context) {
        Ok((_, report)) => {
            let report = report.unwrap_or_default();
            done.snapshots = report.snapshots.len() as u64;
            done.bytes = report.bytes;
            done.faults = report.faults;
        }
        Err(failure) if matches!(failure.exit(), Exit::Stopped(_)) => return Err(failure),
        Err(failure) => done.faults.push(failure.to_string()),
    }
    Ok(done)
}

fn is_there(place: &StorePlace, context: &Context) -> Result<bool, Failure> {
    context.wait(&format!("look for a copy at {}", place.location), async {
        match Repository::read_config(&*place.store).await {
            Ok(_) => Ok(true),
            Err(Error::NoRepository) => Ok(false),
            Err(error) => Err(error),
        }
    })
}

/// The ids of the snapshots that `of` picks.
pub(crate) fn picked(snapshots: &[Snapshot], of: impl Fn(&Snapshot) -> bool) -> HashSet<ObjectId> {
    snapshots.iter().filter(|snapshot| of(snapshot)).map(|snapshot| snapshot.id).collect()
}
