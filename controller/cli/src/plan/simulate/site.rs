//! All plans of a site on one calendar.

use std::io::{self, Write};

use jiff::Zoned;
use jiff::civil::Date;
use serde::Serialize;
use strongroom_plans::{Due, FleetPlan, RunKind, Site, Standstill, StoppedBy, Upcoming};

use super::{KeptOn, Span, shown, with_offset};
use crate::failure::Failure;
use crate::output::Answer;
use crate::plan::{hosts_by_zone, some_of, zone_name};

/// Every run, in the order of time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SiteSimulation {
    site: String,
    zone: String,
    from: Date,
    days: u32,
    full: usize,
    incremental: usize,
    /// Runs that do not begin because of a calendar.
    stopped: usize,
    runs: Vec<SiteRun>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<KeptOf>,
}

#[derive(Debug, Serialize)]
struct SiteRun {
    /// On the clock of the site.
    #[serde(serialize_with = "with_offset")]
    time: Zoned,
    plan: String,
    kind: RunKind,
    hosts: Vec<String>,
    /// Why it does not begin.
    stopped: Option<StoppedBy>,
}

/// What a plan keeps on each of its hosts of one zone.
#[derive(Debug, Serialize)]
struct KeptOf {
    plan: String,
    zone: String,
    hosts: Vec<String>,
    #[serde(flatten)]
    kept: KeptOn,
}

impl SiteSimulation {
    pub(super) fn new(site: &Site, span: &Span) -> Result<Self, Failure> {
        let (mut runs, mut kept) = (Vec::new(), Vec::new());
        for plan in site.plans().values() {
            for (zone, hosts) in hosts_by_zone(site, plan).into_values() {
                let upcoming = site.upcoming(plan, zone, span.just_before).take_while(|run| run.due.at < span.until);
                let upcoming: Vec<Upcoming> = upcoming.collect();
                if let Some(on) = span.on {
                    let begun = upcoming.iter().filter(|run| run.stopped.is_none());
                    let begun: Vec<Due> = begun.map(|run| run.due).collect();
                    let of_zone = KeptOn::new(on, zone, &begun, plan.plan().retain())?;
                    let (plan, zone) = (plan.name().to_string(), zone_name(zone));
                    kept.push(KeptOf { plan, zone, hosts: hosts.clone(), kept: of_zone });
                }
                runs.extend(upcoming.into_iter().map(|run| SiteRun::new(site, plan, &hosts, run)));
            }
        }
        runs.sort_by(|left, right| (&left.time, &left.plan).cmp(&(&right.time, &right.plan)));
        let begun = |kind| runs.iter().filter(|run| run.stopped.is_none() && run.kind == kind).count();
        Ok(Self {
            site: site.name().to_string(),
            zone: zone_name(site.zone()),
            from: span.first,
            days: span.days,
            full: begun(RunKind::Full),
            incremental: begun(RunKind::Incremental),
            stopped: runs.iter().filter(|run| run.stopped.is_some()).count(),
            runs,
            kept,
        })
    }
}

impl SiteRun {
    fn new(site: &Site, plan: &FleetPlan, hosts: &[String], run: Upcoming) -> Self {
        Self {
            time: run.due.at.to_zoned(site.zone().clone()),
            plan: plan.name().to_string(),
            kind: run.due.kind,
            hosts: hosts.to_vec(),
            stopped: run.stopped,
        }
    }
}

impl Answer for SiteSimulation {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { site, zone, from, days, full, incremental, stopped, runs, kept } = self;
        writeln!(out, "site {site}, {days} days from {from}, in {zone}")?;
        for SiteRun { time, plan, kind, hosts, stopped } in runs {
            let why = match stopped {
                None => String::new(),
                Some(StoppedBy { calendar, standstill: Standstill::Freeze }) => {
                    format!(": does NOT begin, {calendar} freezes it")
                }
                Some(StoppedBy { calendar, standstill: Standstill::Blackout }) => {
                    format!(": does NOT begin, {calendar} blacks it out")
                }
            };
            writeln!(out, "  {}  {plan}, {kind}, on {}{why}", shown(time), some_of(hosts))?;
        }
        writeln!(out, "{full} full, {incremental} incremental, {stopped} stopped by a calendar")?;
        for KeptOf { plan, hosts, kept, .. } in kept {
            write!(out, "\nplan {plan} on {}, ", some_of(hosts))?;
            kept.write_text(out)?;
        }
        Ok(())
    }
}
