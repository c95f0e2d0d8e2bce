//! A site: its repositories, calendars and limits, its hosts, and the plans for them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar::{ActionClass, Calendar, Standstill};
use crate::dead_man::DeadMan;
use crate::drill_plan::DrillPlan;
use crate::fault::Faults;
use crate::fleet::FleetPlan;
use crate::host::Host;
use crate::limits::Limits;
use crate::name::Name;
use crate::notification::Notification;
use crate::own_state::OwnState;
use crate::people::Person;
use crate::quota::Quota;
use crate::restore_plan::RestorePlan;
use crate::restores::RestoreRules;
use crate::said::Said;
use crate::schedule::Zone;
use crate::site_files::SiteFiles;
use crate::site_reader;
use crate::site_repository::RepositorySpec;
use crate::version::ContentHash;

/// Everything that the files of a site say; always valid: each name that stands in it is declared in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub(crate) name: Name,
    pub(crate) zone: Zone,
    pub(crate) repositories: BTreeMap<Name, RepositorySpec>,
    pub(crate) calendars: BTreeMap<Name, Calendar>,
    pub(crate) limits: Limits,
    pub(crate) notifications: Vec<Notification>,
    pub(crate) dead_man: Option<DeadMan>,
    pub(crate) own_state: OwnState,
    pub(crate) quotas: Vec<Quota>,
    pub(crate) people: BTreeMap<Name, Person>,
    pub(crate) restores: RestoreRules,
    pub(crate) hosts: BTreeMap<Name, Host>,
    pub(crate) plans: BTreeMap<Name, FleetPlan>,
    pub(crate) restore_plans: BTreeMap<Name, RestorePlan>,
    pub(crate) drill_plans: BTreeMap<Name, DrillPlan>,
    pub(crate) version: ContentHash,
    pub(crate) said: Vec<Said>,
}

impl Site {
    /// Reads the files of a site. The faults of all of them are in one report.
    pub fn read(files: &SiteFiles) -> Result<Self, Faults> {
        site_reader::read(files)
    }

    /// Reads the hosts alone, whatever is wrong with the other files: a plan may wait for a host that is about to be added.
    pub fn read_hosts(files: &SiteFiles) -> Result<BTreeMap<Name, Host>, Faults> {
        site_reader::read_hosts_file(files)
    }

    /// The site's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The zone of schedules and hosts that name none.
    pub fn zone(&self) -> &TimeZone {
        self.zone.time_zone()
    }

    /// The repositories by name.
    pub fn repositories(&self) -> &BTreeMap<Name, RepositorySpec> {
        &self.repositories
    }

    /// Where a plan stores.
    pub fn repository_of(&self, plan: &FleetPlan) -> &RepositorySpec {
        // BUG if it is not there: a plan of the site names a repository of the site.
        &self.repositories[plan.repository()]
    }

    /// The calendars by name.
    pub fn calendars(&self) -> &BTreeMap<Name, Calendar> {
        &self.calendars
    }

    /// How many runs may go on at once.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Who is told what.
    pub fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// Where the controller says that it is well.
    pub fn dead_man(&self) -> Option<&DeadMan> {
        self.dead_man.as_ref()
    }

    /// What the controller does about its own state.
    pub fn own_state(&self) -> OwnState {
        self.own_state
    }

    /// How much repositories, hosts and plans may take.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// Who may do what. Where nobody is named, it is whoever may open the controller's socket.
    pub fn people(&self) -> &BTreeMap<Name, Person> {
        &self.people
    }

    /// Whose account that is.
    pub fn person_of(&self, user: &str) -> Option<&Person> {
        self.people.values().find(|person| person.users().iter().any(|own| own.as_str() == user))
    }

    /// Who must agree before a host restores, where the site names people.
    pub fn restores(&self) -> &RestoreRules {
        &self.restores
    }

    /// The hosts by name.
    pub fn hosts(&self) -> &BTreeMap<Name, Host> {
        &self.hosts
    }

    /// The backup plans by name.
    pub fn plans(&self) -> &BTreeMap<Name, FleetPlan> {
        &self.plans
    }

    /// The restore plans by name, which no backup plan has.
    pub fn restore_plans(&self) -> &BTreeMap<Name, RestorePlan> {
        &self.restore_plans
    }

    /// The files of the kind `drill` by name, which no plan of another kind has. What they demand stands in the plans, too.
    pub fn drill_plans(&self) -> &BTreeMap<Name, DrillPlan> {
        &self.drill_plans
    }

    /// The hosts whose restore points such a file has drilled.
    pub fn hosts_of_drill(&self, drill: &DrillPlan) -> BTreeSet<&Name> {
        drill.plans().iter().filter_map(|name| self.plans.get(name)).flat_map(FleetPlan::hosts).collect()
    }

    /// The version: a hash over the names and contents of all files.
    pub fn version(&self) -> ContentHash {
        self.version
    }

    /// What `site.yaml` says, and where. Presets are not among it: what they give is said of the plans.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The zone in which a plan's schedule is meant on a host: the schedule's own, else the host's, else the site's.
    pub fn zone_of<'s>(&'s self, plan: &'s FleetPlan, host: &'s Host) -> &'s TimeZone {
        let own = plan.plan().schedule().and_then(|schedule| schedule.zone());
        own.or_else(|| host.zone()).unwrap_or_else(|| self.zone())
    }

    /// Why a kind of work of a plan does not begin on a day, and by which calendar, if it does not.
    pub fn stops(&self, plan: &FleetPlan, action: ActionClass, date: Date) -> Option<(&Name, Standstill)> {
        let names = plan.plan().schedule().map_or(&[][..], |schedule| schedule.calendars());
        let calendars = names.iter().filter_map(|name| self.calendars.get_key_value(name));
        calendars.filter_map(|(name, calendar)| Some((name, calendar.stops(action, date)?))).next()
    }
}
