//! Repair: what is not what it was is made anew from parity, its own or its group's, or from another copy of the repository, by a plan that is made first and can be looked at.
//!
//! It never makes anything worse. New bytes are compared with the object's name (or signature), put durably under [`FOLDER`], read back, and only then takes the rotten object's
//! place; a crash anywhere in between is completed by the next repair. What cannot be made anew stays as it is: its good parts are still worth something, and the next backup stores
//! again what its source has.
//!
//! A pack that heals neither from parity nor from a pack of its name heals frame by frame, where what snapshots need of it is good: in a copy that was pruned by itself, or in what is
//! left of it. Those frames go into new packs, and the damaged one is condemned and goes, as in a prune (`frames`, `repack`).
//!
//! Deliberately absent: bringing back key objects that are not there, because `key remove` deletes them; anything about the hint, which every writer writes anew; and parity of groups
//! that is itself damaged, which the next [`crate::group`] run makes anew.

mod act;
mod foreseen;
mod frames;
mod heal;
mod plan;
mod repack;

use std::collections::BTreeSet;

use serde::Serialize;

pub use act::{RepairReport, run};
pub use plan::{plan, plan_to_open};

use frames::Takes;

use crate::check::Affected;
use crate::ids::ObjectId;
use crate::scrub::{Ledger, Store};

/// Objects on their way back into place.
pub const FOLDER: &str = "repair";

/// Another copy of the same repository.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where it is, for the report.
    pub location: String,
    /// Its store.
    pub store: Store,
}

/// What is looked at, besides everything that is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspects<'a> {
    /// What the scrub found bad, what is missing, and what is condemned and needed.
    Known(&'a Ledger),
    /// Every stored byte.
    Everything,
}

/// How an object becomes what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A repair that was interrupted had made it already.
    Interrupted,
    /// From the pack's parity.
    Parity,
    /// From the other packs of its group, and their parity.
    Group,
    /// From another copy of the repository: the how manyth of those given, and where it is.
    Copy {
        /// Its place among those given.
        #[serde(skip)]
        number: usize,
        /// Where it is.
        location: String,
    },
    /// A pack: what snapshots need of it goes into new packs, sealed as it is. When nothing is needed of it any more, it goes.
    Repacked {
        /// Where the frames are taken from; nothing if none is needed.
        from: Vec<FromWhere>,
        /// Frames that snapshots need and nobody has.
        lost_frames: u64,
    },
    /// A parity, anew from its pack.
    Recoded,
    /// An index run: the whole index anew from the packs.
    RebuiltIndex,
    /// Nobody needs it: it is deleted.
    Deleted,
    /// Not at all.
    Cannot,
}

/// Frames of a damaged pack, and where they are good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FromWhere {
    /// Where: a copy, or the pack itself.
    pub location: String,
    /// How many.
    pub frames: u64,
    /// Their sealed bytes.
    pub bytes: u64,
}

impl How {
    /// Whether nothing is lost.
    #[must_use]
    pub fn heals(&self) -> bool {
        !matches!(self, Self::Cannot | Self::Repacked { lost_frames: 1.., .. })
    }
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Item {
    /// Its name.
    pub object: String,
    /// What is wrong with it.
    pub fault: String,
    /// What will be done.
    pub how: How,
}

/// What a repair will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RepairPlan {
    /// Each object that is not what it should be, in the order in which they are repaired.
    pub items: Vec<Item>,
    /// Packs that are condemned and will be good: their chunks may be used again.
    pub reprieve: BTreeSet<ObjectId>,
    /// Packs that cannot be made good: nothing may be built upon them.
    pub condemn: BTreeSet<ObjectId>,
    /// Every file that stays lost in what cannot be repaired.
    pub lost: Vec<Affected>,
    /// The frames that go into new packs.
    #[serde(skip)]
    takes: Takes,
}

impl RepairPlan {
    /// Whether there is nothing to do and nothing wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.reprieve.is_empty() && self.condemn.is_empty()
    }

    /// Whether everything that is wrong can be repaired.
    #[must_use]
    pub fn heals_all(&self) -> bool {
        self.items.iter().all(|item| item.how.heals())
    }
}

/// Where an object waits on its way back into place.
pub(crate) fn staged_name(object: &str) -> String {
    format!("{FOLDER}/{}", object.replace('/', "."))
}

/// The object that waits under this name.
pub(crate) fn object_of(staged: &str) -> Option<String> {
    staged.strip_prefix(FOLDER)?.strip_prefix('/').map(|rest| rest.replace('.', "/"))
}
