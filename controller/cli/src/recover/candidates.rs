//! Which snapshots are a controller's own state.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_controller::own_state::{HOST, SITE_TAG};
use strongroom_repository::{Snapshot, Snapshots, chain};

use super::found::Passed;
use crate::access::Opened;
use crate::failure::{Cause, Failure};

/// Who signs with a key that also reads. A host's key may claim to be any host, and is not believed here.
const ADMIN: &str = "admin";

/// The states to begin again from.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    /// Newest first.
    pub(super) snapshots: Vec<&'a Snapshot>,
    /// Those that cannot even be opened, whatever they are of, as far as they are younger.
    lost: Vec<Passed>,
}

impl<'a> Candidates<'a> {
    /// Those of one site, as it was at a time.
    pub(super) fn among(
        all: &'a Snapshots,
        opened: &Opened,
        site: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let what = format!("find a controller's state in {}", opened.location);
        let site_of = |snapshot: &&'a Snapshot| snapshot.manifest.tags.get(SITE_TAG).map(String::as_str);
        let is_state = |snapshot: &&'a Snapshot| snapshot.manifest.host == HOST && snapshot.signer == ADMIN;
        let mut snapshots: Vec<&Snapshot> = all.readable.iter().filter(is_state).collect();
        let sites: BTreeSet<&str> = snapshots.iter().filter_map(site_of).collect();
        let site = match (site, sites.first()) {
            (None, Some(only)) if sites.len() == 1 => only,
            (Some(named), _) if sites.contains(named) => named,
            (_, None) => {
                let why = Cause::Absent("no controller has stored its state there".into());
                return Err(Failure::new(what, why)
                    .advise("try each other repository of the site; restores need no controller: `strongroom restore --repo URL`"));
            }
            _ => {
                let names: Vec<&str> = sites.into_iter().collect();
                let why = Cause::Usage(format!("there are states of {}", names.join(", ")));
                return Err(Failure::new(what, why).advise("say which with --site NAME"));
            }
        };
        snapshots.retain(|snapshot| site_of(snapshot) == Some(site));
        let oldest = snapshots.first().map(|snapshot| snapshot.manifest.time);
        snapshots.retain(|snapshot| at.is_none_or(|at| snapshot.manifest.time <= at));
        snapshots.reverse();
        let Some(newest) = snapshots.first() else {
            let why = Cause::Absent(format!("the oldest is of {}", oldest.unwrap_or_default()));
            return Err(Failure::new(what, why).advise("give a later time with --at"));
        };
        let lost = lost(all, opened, newest);
        Ok(Self { snapshots, lost })
    }

    pub(super) fn lost(&self) -> Vec<Passed> {
        self.lost.clone()
    }
}

/// Snapshots that cannot be opened and were committed after the newest state: one of them may have been a newer one.
fn lost(all: &Snapshots, opened: &Opened, newest: &Snapshot) -> Vec<Passed> {
    let history = opened.repository.history();
    let commit = history.snapshots.iter().find(|added| added.snapshot == newest.id).map(|added| added.commit);
    let later = all.unreadable.iter().filter(|lost| Some(lost.commit) > commit);
    later
        .map(|lost| {
            let fault = format!("it may have been a newer state: {}", chain(&lost.error));
            Passed { snapshot: lost.id.hex(), time: None, fault }
        })
        .collect()
}
