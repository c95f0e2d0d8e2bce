//! The site directory that is in force: read from disk, checked as a whole, known by its version.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strongroom_plans::{
    Faults, FleetPlan, MissedRule, Name, ProofDemand, ProofRhythm, RunKind, Sample, Schedule, Site, SiteFiles, TimeSpan,
};

use crate::journal::{Event, Who};
use crate::operator::Refused;
use crate::site_commit::git_commit;

/// A site that is fit to be in force.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The site.
    pub site: Arc<Site>,
    /// BLAKE3 over its files.
    pub version: String,
    /// The git commit, where the directory is a clean work tree.
    pub commit: Option<String>,
}

impl Loaded {
    /// Reads a site's directory.
    pub fn read(directory: &Path) -> Result<Self, SiteError> {
        let site = Site::read(&files(directory)?)?;
        let version = site.version().to_string();
        Ok(Self { site: Arc::new(site), version, commit: git_commit(directory) })
    }

    /// The entry that says so.
    #[must_use]
    pub fn loaded(&self, by: Who) -> Event {
        Event::SiteLoaded { site: self.version.clone(), commit: self.commit.clone(), by }
    }

    /// A plan by its name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<Arc<FleetPlan>> {
        self.find(name).map(|plan| Arc::new(plan.clone()))
    }

    fn find(&self, name: &str) -> Option<&FleetPlan> {
        self.site.plans().values().find(|plan| plan.name().as_str() == name)
    }

    /// The version of a plan; empty for one that is not there.
    #[must_use]
    pub fn plan_version(&self, name: &str) -> String {
        self.find(name).map(|plan| plan.version().to_string()).unwrap_or_default()
    }

    /// What a plan's runs read when nobody says.
    #[must_use]
    pub fn usual_kind(&self, name: &str) -> RunKind {
        self.find(name).map_or(RunKind::Full, |plan| plan.plan().usual_kind())
    }

    /// The hosts on which a plan is to run: all of its own, or the one that was named.
    pub fn hosts_of(&self, plan: &str, host: Option<&str>) -> Result<Vec<String>, Refused> {
        let found = self.find(plan).ok_or_else(|| {
            let names: Vec<&str> = self.site.plans().keys().map(Name::as_str).collect();
            Refused::Unknown(format!("the site has no plan {plan}; its plans are {}", names.join(", ")))
        })?;
        let hosts: Vec<String> = found.hosts().iter().map(ToString::to_string).collect();
        match host {
            None => Ok(hosts),
            Some(host) if hosts.iter().any(|found| found == host) => Ok(vec![host.to_owned()]),
            Some(host) => {
                Err(Refused::Unfit(format!("{plan} does not cover {host}; its hosts are {}", hosts.join(", "))))
            }
        }
    }

    /// Every plan with each of its hosts.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let plans = self.site.plans().values();
        plans.flat_map(|plan| plan.hosts().iter().map(|host| (plan.name().to_string(), host.to_string())))
    }

    /// The hosts, with the plans that cover them.
    pub fn hosts(&self) -> impl Iterator<Item = HostRow> {
        self.site.hosts().values().map(|host| {
            let covers = |plan: &&FleetPlan| plan.hosts().contains(host.name());
            HostRow {
                name: host.name().to_string(),
                address: host.address().to_string(),
                port: host.port(),
                labels: host.labels().iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
                plans: self.site.plans().values().filter(covers).map(|plan| plan.name().to_string()).collect(),
            }
        })
    }

    /// When each plan is due on each of its hosts, as seen at an instant. Hosts that go by the same clock are due together: that is computed once.
    pub fn times(&self, now: Timestamp) -> impl Iterator<Item = (&Name, &Name, Times)> {
        self.site.plans().values().flat_map(move |plan| {
            let mut of_zones: Vec<(TimeZone, Times)> = Vec::new();
            plan.hosts().iter().map(move |name| {
                let zone = self.site.zone_of(plan, &self.site.hosts()[name]);
                let known = of_zones.iter().find(|(known, _)| known == zone).map(|(_, times)| *times);
                let times = known.unwrap_or_else(|| {
                    let times = Times::of(plan, zone, now);
                    of_zones.push((zone.clone(), times));
                    times
                });
                (plan.name(), name, times)
            })
        })
    }
}

/// A run that was due takes its time; a day's backups are done in the hours after.
const GRACE: SignedDuration = SignedDuration::from_hours(6);

/// A plan that may run late is late only after that.
fn grace(missed: Option<MissedRule>) -> SignedDuration {
    match missed {
        Some(MissedRule::RunOnceWithin(span)) => {
            let span = SignedDuration::from_secs(span.seconds().try_into().unwrap_or(i64::MAX));
            span.max(GRACE)
        }
        Some(MissedRule::Skip) | None => GRACE,
    }
}

impl Times {
    fn of(plan: &FleetPlan, zone: &TimeZone, now: Timestamp) -> Self {
        let schedule = plan.plan().schedule();
        let due_after = |after| schedule.and_then(|schedule| schedule.due(after, zone).next()).map(|due| due.at);
        let late = now.checked_sub(grace(schedule.and_then(Schedule::missed))).unwrap_or(Timestamp::MIN);
        Self {
            terms: plan.plan().prove().map(ProofTerms::of),
            late_due: schedule.and_then(|schedule| last_due(schedule, zone, late)),
            next_due: due_after(now),
        }
    }
}

/// How far back a due time is looked for: each span is tried only where the ones before held none, and no rule pauses for more than a year and a day.
const LOOK_BACK_HOURS: [i64; 5] = [2, 48, 24 * 8, 24 * 35, 24 * 368];

fn last_due(schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    LOOK_BACK_HOURS.iter().find_map(|hours| {
        let from = now.checked_sub(SignedDuration::from_hours(*hours)).ok()?;
        schedule.due(from, zone).map(|due| due.at).take_while(|at| *at <= now).last()
    })
}

/// The files of a site, as they are now: what lies in the directory itself, in its `plans` and in its `parts`. A site without plans is one.
pub fn files(directory: &Path) -> Result<SiteFiles, SiteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SiteError::File { path, source }
    };
    let mut files = SiteFiles::new(directory.to_string_lossy());
    // Read in the order of their names, so that the same directory always makes the same report.
    let mut names = BTreeSet::new();
    for folder in [""].into_iter().chain(SiteFiles::DIRECTORIES) {
        let path = directory.join(folder);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => continue,
            entries => entries.map_err(failed(&path))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed(&path))?;
            let name = Path::new(folder).join(entry.file_name());
            names.extend(name.to_str().filter(|name| SiteFiles::concerns(name)).map(str::to_owned));
        }
    }
    for name in names {
        let path = directory.join(&name);
        if name.starts_with("parts/") {
            refuse_outside(directory, &path)?;
        }
        files.insert(name, fs::read(&path).map_err(failed(&path))?);
    }
    Ok(files)
}

/// What a plan includes stands in the site's own directory, where its reviewers see it: a link may lead about in it, and not out of it.
fn refuse_outside(directory: &Path, path: &Path) -> Result<(), SiteError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| SiteError::File { path: path.to_owned(), source });
    match real(path)?.starts_with(real(directory)?) {
        true => Ok(()),
        false => Err(SiteError::Outside { path: path.to_owned() }),
    }
}

/// Why a site cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link leads out of its directory.
    #[error("{} is a link that leads out of the site's directory", path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// Git cannot show them.
    #[error("git cannot {doing}: {said}")]
    Git {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        said: String,
    },
    /// Its files have faults; they are shown as they are.
    #[error(transparent)]
    Faults(#[from] Faults),
}

/// A host, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// The port of its sshd.
    pub port: u16,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The plans that cover it.
    pub plans: Vec<String>,
}

/// Which proof a plan demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofTerms {
    /// When it is made.
    pub every: ProofRhythm,
    /// An older one counts no more.
    pub counts_for: Option<SignedDuration>,
    /// Whether drills restore samples.
    pub samples: bool,
    /// Within this time, they restore every stored byte.
    pub promise: Option<SignedDuration>,
    /// The most that they restore in that time.
    pub reach_bytes: Option<u64>,
}

impl ProofTerms {
    /// What a plan demands.
    #[must_use]
    pub fn of(demand: &ProofDemand) -> Self {
        let duration = |span: TimeSpan| SignedDuration::from_secs(span.seconds().try_into().unwrap_or(i64::MAX));
        let sample = demand.sample();
        Self {
            every: demand.every(),
            counts_for: demand.counts_for().map(duration),
            samples: sample.is_some(),
            promise: sample.and_then(Sample::promise).map(duration),
            reach_bytes: sample.and_then(|sample| sample.reach_bytes(demand.every())),
        }
    }
}

/// When a plan is due on a host.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Which proof it demands, if it demands one.
    pub terms: Option<ProofTerms>,
    /// The newest due time whose restore point should be there by now: a run may bring it some time after it was due.
    pub late_due: Option<Timestamp>,
    /// The next one.
    pub next_due: Option<Timestamp>,
}
