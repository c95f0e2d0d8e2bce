//! What becomes overdue is noted once, and so is its end; who is told follows from these entries.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Daemon, RunOrder};
use crate::journal::{Event, JournalError, OverdueEnd};
use crate::run::Clock;
use crate::site::Loaded;
use crate::status::Status;

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
        let events = changes(&self.status().await?, &self.setting.journal.overdue().await?);
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
