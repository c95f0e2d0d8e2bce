//! Knowing the hosts: facts are gathered when there are none, when they are old, after a boot, and when somebody asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::simulated::{Fleet, Host};
use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use strongroom_controller::Clock;
use strongroom_controller::daemon::{Chores, Daemon, RunOrder, Setting};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::{Journal, JournalError, KnownHost};
use strongroom_controller::links::Links;
use strongroom_controller::operator::{self, Going, Mode, Refused, Request};
use strongroom_controller::site::Loaded;
use strongroom_plans::{Site, SiteFiles};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// A clock that a test sets.
#[derive(Debug, Clone)]
struct SetClock(Arc<Mutex<Timestamp>>);

impl SetClock {
    fn go_on(&self, by: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    journal: Arc<Journal>,
    links: Arc<Links>,
    clock: SetClock,
    host: Arc<Host>,
    site: Loaded,
}

fn site() -> Result<Loaded> {
    let mut files = SiteFiles::new("site");
    files.insert("site.yaml", "name: test\nzone: UTC\nrepositories:\n  main: { at: /srv/main }\n");
    files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.1 }\n  web2: { address: 10.0.0.2 }\n");
    let plan = |name: &str, host: &str, path: &str| {
        format!(
            "kind: backup\nname: {name}\nhosts: name={host}\nsources: [{{ files: [{path}] }}]\nrepository: main\nretain: {{ last: 1 }}\n"
        )
    };
    files.insert("plans/mysql.yaml", plan("mysql", "web1", "/srv"));
    // It reads the other database's directory, on another host.
    files.insert("plans/var.yaml", plan("var", "web2", "/var"));
    let site = Site::read(&files)?;
    Ok(Loaded { version: site.version().to_string(), site: Arc::new(site), commit: None })
}

impl Scene {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let fleet = Arc::new(Fleet::default());
        let host = fleet.host("web1", Duration::ZERO);
        let links = Arc::new(Links::new(fleet, Arc::new(Gateway::default()), "test".into()));
        let journal = Arc::new(Journal::open(&folder.path().join("journal.db")).await?);
        let clock = SetClock(Arc::new(Mutex::new("2026-11-22T00:00:00Z".parse()?)));
        Ok(Self { _folder: folder, journal, links, clock, host, site: site()? })
    }

    fn hosts(&self) -> Hosts {
        Hosts::new(Arc::clone(&self.journal), Arc::clone(&self.links))
    }

    /// A loop that runs, and whose runs go on for ever.
    async fn serve(&self) -> Result<(mpsc::Sender<Request>, JoinHandle<Result<(), JournalError>>)> {
        let (in_force, _) = watch::channel(Arc::clone(&self.site.site));
        let (start, load) = (|_: RunOrder| {}, || Err("it stays".to_owned()));
        let (journal, hosts, program) = (Arc::clone(&self.journal), self.hosts(), "test".into());
        let (clock, beats) = (self.clock.clone(), watch::channel(0).0);
        let (chores, _due) = Chores::channels();
        let setting = Setting { journal, clock, start, load, program, hosts, in_force, chores, beats };
        let daemon = Daemon::new(setting, self.site.clone()).await?;
        let (requests, receive) = mpsc::channel(1);
        Ok((requests, tokio::spawn(daemon.run(receive, std::future::pending()))))
    }

    /// Waits until the host was asked so often, and what it said is kept.
    async fn asked(&self, times: u64) -> Result<KnownHost> {
        for _ in 0..4000 {
            let known = self.journal.known_hosts().await?.remove("web1");
            let is_kept = |known: &KnownHost| known.gathered.as_ref().is_some_and(|facts| facts.at == self.clock.now());
            if self.host.asked() == times && known.as_ref().is_some_and(is_kept) {
                return known.context("it was asked");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("it was asked {} times", self.host.asked())
    }
}

#[tokio::test]
async fn facts_are_gathered_at_first_each_day_and_after_a_boot() -> Result<()> {
    let scene = Scene::new().await?;
    let (changed, in_force) = watch::channel(Arc::clone(&scene.site.site));
    let keeping = tokio::spawn(scene.hosts().keep_known(scene.clock.clone(), in_force));
    let known = scene.asked(1).await?;
    ensure!((&*known.worker, &*known.boot_id, known.seen) == ("simulated", "boot-1", scene.clock.now()));
    // A look in between asks nothing.
    scene.clock.go_on(SignedDuration::from_hours(2));
    changed.send_modify(|_| {});
    scene.clock.go_on(SignedDuration::from_hours(23));
    changed.send_modify(|_| {});
    scene.asked(2).await?;
    scene.host.boot();
    scene.clock.go_on(SignedDuration::from_hours(2));
    scene.links.hang_up("web1").await;
    scene.links.reach("web1").await?;
    let known = scene.asked(3).await?;
    ensure!(known.gathered.is_some_and(|facts| facts.boot_id == "boot-2"));
    keeping.abort();
    Ok(())
}

/// Asks as an operator does, of a loop that runs.
#[tokio::test]
async fn an_operator_sees_what_is_not_backed_up() -> Result<()> {
    let scene = Scene::new().await?;
    let (requests, daemon) = scene.serve().await?;
    let ask = async |host: &str, refresh| -> Result<Result<Value, Refused>> {
        let (reply, answer) = oneshot::channel();
        requests.send(Request::HostFacts { host: host.into(), refresh, reply }).await?;
        Ok(answer.await?.map(|json| serde_json::from_str(&json).unwrap_or_default()))
    };
    let unseen = ask("web1", false).await??;
    ensure!(unseen["known"].is_null() && unseen["host"]["plans"][0] == "mysql", "{unseen}");
    let asked = ask("10.0.0.1", true).await??;
    ensure!(asked["uncovered"].as_array().is_some_and(|found| found.len() == 1), "{asked}");
    ensure!(asked["uncovered"][0]["data-directory"] == "/var/lib/postgresql/15/main", "{asked}");
    ensure!(asked["known"]["gathered"]["facts"]["databases"][1]["engine"] == "mariadb", "{asked}");
    ensure!(ask("web1", false).await?? == asked && scene.host.asked() == 1);
    let absent = ask("web2", true).await?.expect_err("nobody is there");
    ensure!(matches!(&absent, Refused::Broken(why) if why.contains("web2")), "{absent}");
    ensure!(matches!(ask("web9", false).await?, Err(Refused::Unknown(_))));
    daemon.abort();
    Ok(())
}

/// The simulated workers say of themselves that they can do nothing special.
#[tokio::test]
async fn a_worker_that_is_too_old_to_halt_a_run_is_not_asked_to() -> Result<()> {
    let scene = Scene::new().await?;
    let (requests, daemon) = scene.serve().await?;
    let (reply, started) = oneshot::channel();
    let (plan, host, by) = ("mysql".into(), None, operator::oneself());
    requests.send(Request::Start { plan, host, full: false, by, reply }).await?;
    let run = started.await??.pop().context("a run")?;
    let ask = async |going| -> Result<Result<String, Refused>> {
        let (reply, answer) = oneshot::channel();
        requests.send(Request::Pause(run.clone(), going, Mode::Earnest, operator::oneself(), reply)).await?;
        Ok(answer.await?)
    };
    // A host that is silent may be able to, when it answers.
    ask(Going::Halted).await??;
    ask(Going::On).await??;
    scene.links.reach("web1").await?;
    let refused = ask(Going::Halted).await?.expect_err("it cannot");
    let told = "the worker of web1 is too old (simulated) to halt a run: give it this release's with `strongroom host upgrade ADDRESS`";
    ensure!(matches!(&refused, Refused::Unfit(why) if why == told), "{refused}");
    ask(Going::On).await??;
    daemon.abort();
    Ok(())
}
