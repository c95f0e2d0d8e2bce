//! Answers to operators.

use std::collections::HashMap;
use std::sync::Arc;

use strongroom_plans::{Name, Notification, RunKind};
use tokio::sync::watch;

use super::order::RunOrder;
use super::{Daemon, Standing};
use crate::hosts::with_known;
use crate::journal::{Event, JournalError, Origin, Who};
use crate::notify::{self, Tested};
use crate::operator::{Refused, Reply, Request, document};
use crate::permissions::Sight;
use crate::run::Clock;
use crate::runs::{Run, RunId};
use crate::site::{HostRow, Loaded, Times};
use crate::status::{FollowUp, Known, Status};

/// Runs in one answer: more than anybody reads, and few enough for one message.
const RUNS_MAX: u32 = 10_000;

impl<C, S, L> Daemon<C, S, L>
where
    C: Clock + Clone + Send + Sync + 'static,
    S: Fn(RunOrder),
    L: Fn() -> Result<Loaded, String>,
{
    /// Answers one question. An error is one of the journal, and ends the loop; whoever asked and did not wait gets no answer.
    pub(super) async fn answer(&mut self, request: Request) -> Result<(), JournalError> {
        match request {
            Request::Status(sight, reply) => {
                let mut status = self.status().await?;
                status.rows.retain(|row| sight.has(&row.host));
                status.follow_ups.retain(|owed| sight.has(&owed.host) || sight.has(&owed.source));
                let _ = reply.send(document(&status));
            }
            Request::Runs { plan, host, count_max, sight, reply } => {
                let count_max = count_max.min(RUNS_MAX);
                // Those that are not seen do not count.
                let fetched = if sight == Sight::Everything { count_max } else { RUNS_MAX };
                let mut runs = self.setting.journal.runs(plan.as_deref(), host.as_deref(), fetched).await?;
                runs.retain(|run| sight.has(&run.host));
                runs.truncate(count_max as usize);
                let _ = reply.send(document(&runs));
            }
            Request::Watch(run, reply) => {
                let _ = reply.send(self.watch(&run).await?);
            }
            Request::Start { plan, host, full, by, reply } => {
                let started = self.start_asked(&plan, host.as_deref(), full, by).await?;
                let _ = reply.send(started);
            }
            Request::ShowRun(run, reply) => {
                let view = self.show_run(&run).await?;
                let _ = reply.send(view.and_then(|view| document(&view)));
            }
            Request::Retry(run, mode, by, reply) => {
                let retried = self.retry(&run, mode, by).await?;
                let _ = reply.send(retried.and_then(|retried| document(&retried)));
            }
            Request::Pause(run, going, mode, by, reply) => {
                let halted = self.halt(&run, going, mode, by).await?;
                let _ = reply.send(halted.and_then(|run| document(&run)));
            }
            Request::Cancel(run, mode, by, reply) => {
                let cancelled = self.cancel(&run, mode, by).await?;
                let _ = reply.send(cancelled.and_then(|run| document(&run)));
            }
            Request::Hosts(host, sight, reply) => {
                let is_meant = |found: &HostRow| host.as_ref().is_none_or(|host| found.name == *host);
                let hosts: Vec<_> =
                    self.site.hosts().filter(|found| is_meant(found) && sight.has(&found.name)).collect();
                let unknown =
                    || Err(Refused::Unknown(format!("the site has no host {}", host.clone().unwrap_or_default())));
                let is_unknown = hosts.is_empty() && host.is_some();
                let views = with_known(hosts, self.setting.journal.known_hosts().await?);
                let _ = reply.send(if is_unknown { unknown() } else { document(&views) });
            }
            Request::HostFacts { host, refresh, reply } => self.host_facts(&host, refresh, reply),
            Request::Reload(mode, by, reply) => {
                let reloaded = self.reload(mode, by).await?;
                let _ = reply.send(reloaded.and_then(|reloaded| document(&reloaded)));
            }
            Request::Maintain(repository, mode, by, reply) => {
                self.maintain_asked(&repository, mode, by, reply).await?;
            }
            Request::StoreState(mode, by, reply) => self.store_state_asked(mode, &by, reply),
            Request::Drill(wish, by, reply) => self.drill_asked(wish, by, reply).await?,
            Request::Drills(sight, reply) => {
                let mut rows = self.drill_rows().await?;
                rows.retain(|row| sight.has(&row.host));
                let _ = reply.send(document(&rows));
            }
            Request::Proofs { plan, host, sight, reply } => {
                let mut proofs = self.proofs(plan.as_deref(), host.as_deref()).await?;
                proofs.retain(|proof| sight.has(&proof.host));
                let _ = reply.send(document(&proofs));
            }
            Request::ShowProof(snapshot, sight, reply) => {
                let story = self.show_proof(&snapshot, &sight).await?;
                let _ = reply.send(story.and_then(|story| document(&story)));
            }
            Request::TestNotices { way, dry_run, reply } => self.test_notices(way, dry_run, reply),
        }
        Ok(())
    }

    pub(super) async fn status(&self) -> Result<Status, JournalError> {
        let now = self.now();
        let newest = by_pair(self.setting.journal.latest_of_each().await?);
        let good = by_pair(self.setting.journal.latest_good_of_each().await?);
        let first_due = self.setting.journal.first_due_of_each().await?;
        let running = by_pair(self.active.values().map(|active| active.standing.borrow().run.clone()));
        let pairs: Vec<((String, String), Times)> =
            self.site.times(now).map(|(plan, host, times)| ((plan.to_string(), host.to_string()), times)).collect();
        let mut drills = HashMap::new();
        for ((plan, host), _) in pairs.iter().filter(|(_, times)| times.terms.is_some()) {
            drills.insert((plan, host), self.setting.journal.known_drills(plan, host).await?);
        }
        let known = pairs.iter().map(|(pair, times)| {
            let (plan, host) = pair;
            Known {
                plan,
                host,
                terms: times.terms,
                drills: drills.get(&(plan, host)),
                late_due: times.late_due,
                next_due: times.next_due,
                newest: newest.get(pair),
                first_due: first_due.get(pair).copied(),
                good: good.get(pair),
                running: running.get(pair),
            }
        });
        let follow_ups = self.setting.journal.requests_owed().await?.iter().filter_map(FollowUp::of).collect();
        let (repositories, own_state) = (self.upkept(now).await?, self.kept_states(now).await?);
        Ok(Status { repositories, own_state, follow_ups, ..Status::of(now, known) })
    }

    /// Asks on a task of its own: the loop waits for no host.
    fn host_facts(&self, host: &str, refresh: bool, reply: Reply) {
        let is_meant = |row: &HostRow| row.name == host || row.address == host;
        let Some(row) = self.site.hosts().find(is_meant) else {
            let _ = reply.send(Err(Refused::Unknown(format!("the site has no host {host}"))));
            return;
        };
        let (hosts, site) = (self.setting.hosts.clone(), Arc::clone(&self.site.site));
        let clock = self.setting.clock.clone();
        tokio::spawn(async move {
            let broken = |error: &dyn std::error::Error| Refused::Broken(strongroom_repository::chain(error));
            let gathered = if refresh { hosts.gather(&row.name, &clock).await } else { Ok(()) };
            let view = match gathered {
                Ok(()) => hosts.view(&site, row).await.map_err(|error| broken(&error)),
                Err(error) => Err(broken(&error)),
            };
            let _ = reply.send(view.and_then(|view| document(&view)));
        });
    }

    /// Sends on a task of its own: the loop waits for no server.
    fn test_notices(&self, way: Option<String>, dry_run: bool, reply: Reply) {
        let all = self.site.site.notifications();
        let is_meant = |found: &&Notification| way.as_ref().is_none_or(|way| found.name().as_str() == way);
        let ways: Vec<Notification> = all.iter().filter(is_meant).cloned().collect();
        if let (true, Some(way)) = (ways.is_empty(), way) {
            let names: Vec<&str> = all.iter().map(|found| found.name().as_str()).collect();
            let why = format!("the site has no notification {way}; there are {}", names.join(", "));
            let _ = reply.send(Err(Refused::Unknown(why)));
            return;
        }
        let (site, now) = (Arc::clone(&self.site.site), self.now());
        tokio::spawn(async move {
            let tested = match dry_run {
                true => ways.iter().map(Tested::not_sent).collect(),
                false => notify::test(&site, ways, now).await,
            };
            let _ = reply.send(document(&tested));
        });
    }

    async fn watch(&self, id: &RunId) -> Result<Result<watch::Receiver<Standing>, Refused>, JournalError> {
        if let Some(active) = self.active.get(id) {
            return Ok(Ok(active.standing.subscribe()));
        }
        // Its sender is dropped at once: one state, and the end.
        Ok(self.known_run(id).await?.map(|run| watch::channel(Standing::begun(run)).1))
    }

    async fn start_asked(
        &mut self,
        plan: &str,
        host: Option<&str>,
        full: bool,
        by: Who,
    ) -> Result<Result<Vec<RunId>, Refused>, JournalError> {
        let hosts = match self.site.hosts_of(plan, host) {
            Ok(hosts) => hosts,
            Err(refused) => return Ok(Err(refused)),
        };
        let kind = if full { RunKind::Full } else { self.site.usual_kind(plan) };
        let Ok(plan) = plan.parse::<Name>() else { return Ok(Err(Refused::Unknown(format!("{plan} is no name")))) };
        let hosts: Vec<Name> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
        let going =
            |host: &Name| self.active.iter().find(|(_, active)| active.key.plan == plan && active.key.host == *host);
        if let Some((host, (run, _))) = hosts.iter().find_map(|host| Some((host, going(host)?))) {
            return Ok(Err(Refused::Unfit(format!("{plan} runs on {host} already: it is the run {run}"))));
        }
        let mut started = Vec::with_capacity(hosts.len());
        for host in hosts {
            match self.begin_asked(&plan, &host, kind, Origin::Asked(by.clone())).await? {
                Ok(run) => started.push(run),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Ok(Ok(started))
    }

    /// Begins a run that somebody asks for.
    pub(super) async fn begin_asked(
        &mut self,
        plan: &Name,
        host: &Name,
        kind: RunKind,
        origin: Origin,
    ) -> Result<Result<RunId, Refused>, JournalError> {
        let now = self.now();
        if self.scheduler.begun_by_hand(plan, host, kind, now).is_none() {
            return Ok(Err(Refused::Unfit(format!("{plan} cannot begin on {host} now"))));
        }
        let run = RunId::asked(plan.as_str(), host.as_str(), now);
        let planned = self.plan(&run, plan, host, now, kind, origin);
        let started = Event::RunStarted { run: run.clone(), attempt: 1 };
        self.setting.journal.append_all(now, vec![planned, started]).await?;
        if let Some(run) = self.setting.journal.run(&run).await? {
            self.go(run).await?;
        }
        Ok(Ok(run))
    }
}

/// Runs by their plan and host.
fn by_pair(runs: impl IntoIterator<Item = Run>) -> HashMap<(String, String), Run> {
    runs.into_iter().map(|run| ((run.plan.clone(), run.host.clone()), run)).collect()
}
