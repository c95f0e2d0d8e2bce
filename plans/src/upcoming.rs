//! The runs of a site that are to come, with those that a calendar stops.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::calendar::{ActionClass, Standstill};
use crate::fleet::FleetPlan;
use crate::name::Name;
use crate::schedule::Due;
use crate::site::Site;

/// A run that is due, and whether it will begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// When, and of which kind.
    pub due: Due,
    /// What keeps it from beginning.
    pub stopped: Option<StoppedBy>,
}

/// The calendar that keeps a run from beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoppedBy {
    /// Its name.
    pub calendar: Name,
    /// What it declares.
    pub standstill: Standstill,
}

impl Site {
    /// The runs of a plan after an instant, in order; `zone` is the one in which its schedule is meant.
    pub fn upcoming<'s>(
        &'s self,
        plan: &'s FleetPlan,
        zone: &'s TimeZone,
        after: Timestamp,
    ) -> impl Iterator<Item = Upcoming> + 's {
        let due = plan.plan().schedule().into_iter().flat_map(move |schedule| schedule.due(after, zone));
        due.map(move |due| {
            let stopped = self.stops(plan, ActionClass::Backup, zone.to_datetime(due.at).date());
            let stopped = stopped.map(|(name, standstill)| StoppedBy { calendar: name.clone(), standstill });
            Upcoming { due, stopped }
        })
    }
}
