//! What becomes overdue is noted once, and so is its end; the same of proofs that become too old, and of promises of drills that are broken. Who is told follows from these entries.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{ProofDemand, Sample, Site};

use super::{Daemon, RunOrder};
use crate::journal::{Event, JournalError, NotedLapse, OverdueEnd};
use crate::run::Clock;
use crate::site::Loaded;
use crate::status::{Lapsed, Protection, Status};

/// How often it is looked. The due times of every plan on every host are computed for it.
const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(1);

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    pub(super) async fn note_overdue(&mut self) -> Result<(), JournalError> {
        let now = self.now();
        // Also when the clock was set back.
        if self.overdue_seen.is_some_and(|seen| now.duration_since(seen).abs() < LOOK_EVERY) {
            return Ok(());
        }
        self.overdue_seen = Some(now);
        let status = self.status().await?;
        let mut events = changes(&status, &self.setting.journal.overdue().await?);
        events.extend(lapses(&status, &self.setting.journal.lapses().await?, &self.site.site));
        self.setting.journal.append_all(now, events).await
    }
}

/// What is to be noted, when this is the state, and that is what was noted before.
fn changes(status: &Status, noted: &[(String, String)]) -> Vec<Event> {
    let overdue: BTreeMap<(&str, &str), Option<Timestamp>> =
        status.rows.iter().map(|row| ((&*row.plan, &*row.host), row.overdue_since)).collect();
    let ended = noted.iter().filter_map(|(plan, host)| {
        let how = match overdue.get(&(&**plan, &**host)) {
            Some(Some(_)) => return None,
            Some(None) => OverdueEnd::Recovered,
            None => OverdueEnd::Withdrawn,
        };
        Some(Event::OverdueEnded { plan: plan.clone(), host: host.clone(), how })
    });
    let is_new = |plan: &str, host: &str| !noted.iter().any(|(noted, on)| noted == plan && on == host);
    let begun = status.rows.iter().filter(|row| row.overdue_since.is_some() && is_new(&row.plan, &row.host));
    let begun = begun.map(|row| {
        let (plan, host, reason) = (row.plan.clone(), row.host.clone(), row.reason.clone());
        Event::BecameOverdue { plan, host, reason }
    });
    ended.chain(begun).collect()
}

/// The same of what was proven.
fn lapses(status: &Status, noted: &[NotedLapse], site: &Site) -> Vec<Event> {
    let row = |plan: &str, host: &str| status.rows.iter().find(|row| row.plan == plan && row.host == host);
    let ended = noted.iter().filter_map(|(plan, host, what)| {
        let how = match row(plan, host) {
            Some(row) if row.lapses.iter().any(|lapse| lapse.what == *what) => return None,
            Some(_) if is_demanded(site, plan, *what) => OverdueEnd::Recovered,
            _ => OverdueEnd::Withdrawn,
        };
        Some(Event::LapseEnded { plan: plan.clone(), host: host.clone(), what: *what, how })
    });
    let is_new = |row: &Protection, what| {
        !noted.iter().any(|(plan, host, noted)| (plan, host, *noted) == (&row.plan, &row.host, what))
    };
    let begun = status.rows.iter().flat_map(|row| row.lapses.iter().map(move |lapse| (row, lapse)));
    let begun = begun.filter(|(row, lapse)| is_new(row, lapse.what)).map(|(row, lapse)| {
        let (plan, host, reason) = (row.plan.clone(), row.host.clone(), lapse.reason.clone());
        Event::ProofLapsed { plan, host, what: lapse.what, reason }
    });
    ended.chain(begun).collect()
}

fn is_demanded(site: &Site, plan: &str, what: Lapsed) -> bool {
    let plan = site.plans().values().find(|found| found.name().as_str() == plan);
    let demand = plan.and_then(|plan| plan.plan().prove());
    match what {
        Lapsed::Proof => demand.is_some(),
        Lapsed::Promise => demand.and_then(ProofDemand::sample).and_then(Sample::promise).is_some(),
    }
}
