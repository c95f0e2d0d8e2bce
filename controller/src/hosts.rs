//! Knowing the hosts: when each was last seen, and what it is and has, gathered from its worker.
//!
//! Facts are gathered when there are none, once a day, after a boot, after its worker was exchanged, and when somebody asks. The loop that owns the runs is not in it: a host that
//! hangs holds up nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strongroom_plans::{FleetPlan, Site};
use strongroom_proto::worker::{FactsRequest, HelloRequest};
use strongroom_proto::{PROTOCOL_NEWEST, PROTOCOL_OLDEST};
use tokio::sync::watch;

use crate::journal::{Gathered, Journal, JournalError, KnownHost};
use crate::links::{Link, Links, said};
use crate::run::Clock;
use crate::site::HostRow;

/// How often is looked whether there is something to gather.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Packages and disks change by the day.
const FRESH_FOR: SignedDuration = SignedDuration::from_hours(24);
/// A host that could not be asked is left alone for a while.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Hosts that are asked at once.
const AT_ONCE: usize = 4;
/// A worker reads some files and asks systemd once.
const GATHERING_MAX: Duration = Duration::from_secs(60);

/// A host with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostView {
    /// Its place in the site.
    pub host: HostRow,
    /// What is known of it; none if it was never seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownHost>,
    /// Databases that run there and that no plan of the host backs up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncovered: Vec<Uncovered>,
}

/// A database that runs and is not backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uncovered {
    /// Such as `postgresql`.
    pub engine: String,
    /// Its first process.
    pub pid: u64,
    /// Where its data are, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<String>,
}

/// What is known of the hosts, and how to know more. Clones are the same.
#[derive(Debug, Clone)]
pub struct Hosts {
    journal: Arc<Journal>,
    links: Arc<Links>,
}

impl Hosts {
    /// The hosts at the other ends of these lines.
    #[must_use]
    pub fn new(journal: Arc<Journal>, links: Arc<Links>) -> Self {
        Self { journal, links }
    }

    /// The version of a host's worker, if it answers and cannot do this.
    pub fn too_old_for(&self, host: &str, feature: &str) -> Option<String> {
        self.links.too_old_for(host, feature)
    }

    /// What is known of a host of the site.
    pub(crate) async fn view(&self, site: &Site, row: HostRow) -> Result<HostView, JournalError> {
        let known = self.journal.known_hosts().await?.remove(&row.name);
        let facts = known.as_ref().and_then(|known| known.gathered.as_ref()).map(|gathered| &gathered.facts);
        let uncovered = facts.map(|facts| uncovered(facts, site, &row.name)).unwrap_or_default();
        Ok(HostView { host: row, known, uncovered })
    }

    /// Asks a host's worker for its facts, and keeps them.
    pub(crate) async fn gather(&self, host: &str, clock: &impl Clock) -> Result<(), GatherError> {
        let link = self.links.reach(host).await.map_err(|unreachable| GatherError::Host(unreachable.why))?;
        let late = |_| GatherError::Host(format!("{host} did not tell its facts within {} s", GATHERING_MAX.as_secs()));
        let asked = tokio::time::timeout(GATHERING_MAX, ask(&link, clock)).await.map_err(late)?;
        let gathered = asked.map_err(|why| {
            // Whatever ailed the line: the next question gets another one.
            link.give_up();
            GatherError::Host(why)
        })?;
        let (seen, worker, boot_id) = (gathered.at, gathered.worker.clone(), gathered.boot_id.clone());
        let known = KnownHost { seen, worker, boot_id, gathered: Some(gathered) };
        Ok(self.journal.know_host(host, &known).await?)
    }

    /// Gathers what is missing or old, until the site's sender is gone.
    pub async fn keep_known(self, clock: impl Clock, site: watch::Receiver<Arc<Site>>) {
        if let Err(error) = self.keep_on(clock, site).await {
            // Runs go on without: their own writes say whether the journal still serves.
            tracing::error!(error = strongroom_repository::chain(&error), "the hosts' facts are not kept any more");
        }
    }

    async fn keep_on(&self, clock: impl Clock, mut site: watch::Receiver<Arc<Site>>) -> Result<(), JournalError> {
        let mut tried: HashMap<String, Timestamp> = HashMap::new();
        loop {
            let names: Vec<String> = site.borrow_and_update().hosts().keys().map(ToString::to_string).collect();
            let now = clock.now();
            self.note_seen(now).await?;
            let known = self.journal.known_hosts().await?;
            let is_left_alone =
                |host: &&String| tried.get(*host).is_none_or(|at| now.duration_since(*at).abs() > AGAIN_AFTER);
            let wanted = names.iter().filter(|host| is_stale(known.get(*host), now)).filter(is_left_alone);
            let wanted: Vec<String> = wanted.cloned().collect();
            tried.extend(wanted.iter().map(|host| (host.clone(), now)));
            let mut gathering = futures::stream::iter(wanted)
                .map(async |host| (self.gather(&host, &clock).await, host))
                .buffer_unordered(AT_ONCE);
            while let Some((gathered, host)) = gathering.next().await {
                match gathered {
                    Ok(()) => tracing::info!(host, "its facts were gathered"),
                    Err(GatherError::Host(why)) => tracing::info!(host, why, "its facts could not be gathered"),
                    Err(GatherError::Journal(error)) => return Err(error),
                }
            }
            tokio::select! {
                changed = site.changed() => if changed.is_err() { return Ok(()) },
                () = self.links.met() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Hosts whose lines hold were seen now.
    async fn note_seen(&self, now: Timestamp) -> Result<(), JournalError> {
        let answering = self.links.answering().into_iter();
        let seen: Vec<_> =
            answering.map(|(host, hello)| (host, hello.version.clone(), hello.boot_id.clone())).collect();
        self.journal.saw_hosts(now, &seen).await
    }
}

/// Why a host's facts were not gathered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// The host did not answer.
    #[error("{0}")]
    Host(String),
    /// They could not be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn is_stale(known: Option<&KnownHost>, now: Timestamp) -> bool {
    let Some(known) = known else { return true };
    known.gathered.as_ref().is_none_or(|gathered| {
        now.duration_since(gathered.at) > FRESH_FOR
            || gathered.boot_id != known.boot_id
            || gathered.worker != known.worker
    })
}

async fn ask(link: &Link, clock: &impl Clock) -> Result<Gathered, String> {
    let mut worker = link.worker();
    let hello =
        HelloRequest { controller: "facts".into(), protocol_newest: PROTOCOL_NEWEST, protocol_oldest: PROTOCOL_OLDEST };
    let before = clock.now();
    let hello = worker.hello(hello).await.map_err(|status| said(&status))?.into_inner();
    let after = clock.now();
    let round_trip = after.duration_since(before);
    let theirs = Timestamp::from_nanosecond(hello.clock_ns.into()).map_err(|error| error.to_string())?;
    let ahead = theirs.duration_since(before) - round_trip / 2;
    let facts = worker.facts(FactsRequest {}).await.map_err(|status| said(&status))?.into_inner();
    let facts = serde_json::from_str(&facts.json).map_err(|error| format!("its facts are no JSON: {error}"))?;
    Ok(Gathered {
        at: after,
        boot_id: hello.boot_id,
        worker: hello.version,
        clock_ahead_ms: ahead.as_millis().try_into().unwrap_or(i64::MAX),
        clock_error_ms: (round_trip / 2).as_millis().try_into().unwrap_or(i64::MAX),
        facts,
    })
}

/// The databases among a host's facts whose data no plan of the host reads.
fn uncovered(facts: &serde_json::Value, site: &Site, host: &str) -> Vec<Uncovered> {
    let of_host = |plan: &&FleetPlan| plan.hosts().iter().any(|name| name.as_str() == host);
    let plans: Vec<&FleetPlan> = site.plans().values().filter(of_host).collect();
    let is_covered = |directory: &str| {
        let mut sources = plans.iter().flat_map(|plan| plan.plan().sources());
        sources.any(|source| source.covers(std::path::Path::new(directory)))
    };
    let databases = facts["databases"].as_array().into_iter().flatten();
    let found = databases.map(|database| Uncovered {
        engine: database["engine"].as_str().unwrap_or_default().to_owned(),
        pid: database["pid"].as_u64().unwrap_or_default(),
        data_directory: database["data-directory"].as_str().map(str::to_owned),
    });
    found.filter(|database| !database.data_directory.as_deref().is_some_and(is_covered)).collect()
}

/// The hosts of a site with what is known of each.
pub(crate) fn with_known(rows: Vec<HostRow>, mut known: BTreeMap<String, KnownHost>) -> Vec<HostView> {
    let view = |host: HostRow| {
        let mut known = known.remove(&host.name);
        // The list is for an overview; the facts of a thousand hosts are no message.
        known.iter_mut().for_each(|known| known.gathered = None);
        HostView { host, known, uncovered: Vec::new() }
    };
    rows.into_iter().map(view).collect()
}
