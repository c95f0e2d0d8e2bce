//! The controller's loop, crashed at every entry of its journal and at random moments: afterwards every due time has exactly one run, and each was done once.

use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::simulated::{self, Fleet};
use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strongroom_controller::Clock;
use strongroom_controller::daemon::{Chores, Daemon, RunEnd, RunOrder, Setting};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::{Journal, JournalError};
use strongroom_controller::links::Links;
use strongroom_controller::operator::{self, Mode, Request};
use strongroom_controller::permissions::Sight;
use strongroom_controller::remote::{self, RemoteJob};
use strongroom_controller::runs::Ending;
use strongroom_controller::site::Loaded;
use strongroom_plans::{Site, SiteFiles};
use strongroom_proto::worker::{BackupJob, StartRequest};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

const HOSTS: [&str; 2] = ["web1", "web2"];

/// By so much the clock goes on at once.
const STEP: SignedDuration = SignedDuration::from_secs(20);
/// How long a simulated day of work goes on.
const HOURS: i64 = 2;

/// A clock that goes on by a step each time the loop has answered: on a machine that stands still for a moment it does too, and nothing is missed. All lives of a
/// controller go by the same one.
#[derive(Debug, Clone, Default)]
struct SteppedClock(Arc<AtomicI32>);

impl SteppedClock {
    fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        start() + STEP * self.0.load(Ordering::Relaxed)
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

fn start() -> Timestamp {
    "2026-11-22T00:01:00Z".parse().expect("a time")
}

fn site() -> Result<Loaded> {
    let mut files = SiteFiles::new("site");
    let told = "notifications: [{ name: people, command: [tell], on: [failed, missed, overdue, recovered] }]\n";
    files.insert("site.yaml", format!("name: test\nzone: UTC\nrepositories:\n  main: {{ at: /srv/main }}\n{told}"));
    files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.1 }\n  web2: { address: 10.0.0.2 }\n");
    let plan = "kind: backup\nname: hourly\nhosts: \"*\"\nsources:\n  - files: [/etc]\nrepository: main\n\
                schedule: { incremental: every 1h, missed: run once within 50m }\nretain: { daily: 7, at-least: 1 }\n";
    files.insert("plans/hourly.yaml", plan);
    let site = Site::read(&files)?;
    Ok(Loaded { version: site.version().to_string(), site: Arc::new(site), commit: None })
}

/// A life of a controller, until it is to stop, its journal fails, or it is killed.
async fn live(scene: &Scene, stop: impl Future<Output = ()>) -> Result<(), JournalError> {
    let (clock, work) = (scene.clock.clone(), scene.work);
    let journal = Arc::new(Journal::open(&scene.journal()).await?);
    let links = Arc::new(Links::new(Arc::clone(&scene.fleet) as _, Arc::new(Gateway::default()), "test".into()));
    // Dropped with the life: whatever went on in the process is gone.
    let threads = Arc::new(Mutex::new(JoinSet::new()));
    let begin = |order: RunOrder| {
        let links = Arc::clone(&links);
        if let Ok(mut threads) = threads.lock() {
            threads.spawn(back_up(links, order, work));
        }
    };
    let (beats, _) = watch::channel(0);
    let load = || site().map_err(|error| error.to_string());
    let loaded = site().expect("the site is sound");
    let hosts = Hosts::new(Arc::clone(&journal), Arc::clone(&links));
    let (in_force, _) = watch::channel(Arc::clone(&loaded.site));
    let (chores, _due) = Chores::channels();
    let setting =
        Setting { journal, clock, start: begin, load, program: "test".into(), hosts, in_force, chores, beats };
    let daemon = Daemon::new(setting, loaded).await?;
    let (requests, receive) = mpsc::channel(1);
    scene.requests.send_replace(Some(requests.clone()));
    // The loop waits by a clock of its own: questions wake it.
    let stepped = scene.clock.clone();
    let waking = tokio::spawn(async move {
        loop {
            let (reply, answer) = oneshot::channel();
            if requests.send(Request::Hosts(None, Sight::Everything, reply)).await.is_err() {
                return;
            }
            drop(answer.await);
            stepped.step();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let ended = daemon.run(receive, stop).await;
    waking.abort();
    ended
}

/// What becomes of runs.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Their hosts do their part, and then they end so.
    Done(Ending),
    /// No host answers.
    Nobody,
}

async fn back_up(links: Arc<Links>, order: RunOrder, work: Work) {
    let ending = match work {
        Work::Done(ending) => ending,
        Work::Nobody => return order.end(RunEnd::Unreachable { why: "nobody answers".into(), passing: true }),
    };
    let request = StartRequest {
        job: format!("{}.1", order.run),
        generation: order.attempt.into(),
        backup: Some(BackupJob::default()),
        restore: None,
    };
    let job = RemoteJob { host: order.host.clone(), request, cancel: order.cancel.clone(), pause: order.pause.clone() };
    let done = remote::run(&links, &job, || async { Ok(b"key".to_vec()) }, |_| {}).await;
    order.end(match done {
        Ok(_) => RunEnd::Over { ending, reason: None, record: None, class: None },
        Err(fault) => {
            RunEnd::Over { ending: Ending::Failed, reason: Some(fault.to_string()), record: None, class: None }
        }
    });
}

struct Scene {
    folder: tempfile::TempDir,
    fleet: Arc<Fleet>,
    hosts: Vec<Arc<simulated::Host>>,
    clock: SteppedClock,
    work: Work,
    /// To the controller that lives.
    requests: watch::Sender<Option<mpsc::Sender<Request>>>,
}

impl Scene {
    fn new() -> Result<Self> {
        Self::of(Work::Done(Ending::Done))
    }

    fn of(work: Work) -> Result<Self> {
        let fleet = Arc::new(Fleet::default());
        let hosts = HOSTS.map(|name| fleet.host(name, Duration::from_millis(10))).into();
        Ok(Self {
            folder: tempfile::tempdir()?,
            fleet,
            hosts,
            clock: SteppedClock::default(),
            work,
            requests: watch::channel(None).0,
        })
    }

    fn journal(&self) -> std::path::PathBuf {
        self.folder.path().join("journal.db")
    }

    /// Lives on until the end of the simulated day.
    async fn live_on(&self) -> Result<()> {
        self.live_until(HOURS * 60).await
    }

    /// Lives on until so many simulated minutes after the start.
    async fn live_until(&self, minutes: i64) -> Result<()> {
        let clock = self.clock.clone();
        let stop = async move {
            while clock.now() < start() + SignedDuration::from_mins(minutes) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        Ok(live(self, stop).await?)
    }

    /// What waits to be told, as the occasions and hosts of the notices; each has an id of its own.
    async fn news(&self) -> Result<Vec<String>> {
        let journal = Journal::open(&self.journal()).await?;
        journal.hand_out(site()?.site.notifications()).await?;
        let mut news = Vec::new();
        for (way, occasion) in journal.lanes().await? {
            news.extend(journal.waiting(&way, occasion, 1000).await?.into_iter().map(|one| one.notice));
        }
        let ids: std::collections::BTreeSet<&str> = news.iter().map(|notice| &*notice.id).collect();
        ensure!(ids.len() == news.len(), "{news:?}");
        let mut news: Vec<String> =
            news.iter().map(|notice| format!("{} {}", notice.occasion.word(), notice.host)).collect();
        news.sort();
        Ok(news)
    }

    /// Every due time has its one run, done; and no job was executed twice.
    async fn check(&self) -> Result<()> {
        let journal = Journal::open(&self.journal()).await?;
        journal.verify().await?;
        for host in HOSTS {
            let mut runs = journal.runs(Some("hourly"), Some(host), 1000).await?;
            runs.reverse();
            let due: Vec<Timestamp> = runs.iter().map(|run| run.due).collect();
            let expected: Vec<Timestamp> =
                (1..=HOURS).map(|hour| start() + SignedDuration::from_mins(hour * 60 - 1)).collect();
            ensure!(due == expected, "{host}: {due:?}");
            let bad = runs.iter().find(|run| run.ended.as_ref().is_none_or(|ended| ended.ending != Ending::Done));
            ensure!(bad.is_none(), "{bad:?}");
        }
        for host in &self.hosts {
            let executions = host.executions();
            ensure!(
                executions.len() == usize::try_from(HOURS)? && executions.values().all(|count| *count == 1),
                "{executions:?}"
            );
        }
        Ok(())
    }
}

async fn sqlite(path: &Path, statement: String) -> Result<()> {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undisturbed_life_has_one_run_for_each_due_time() -> Result<()> {
    let scene = Scene::new()?;
    scene.live_on().await?;
    scene.check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashed_at_any_entry_every_due_time_has_its_one_run() -> Result<()> {
    // Two entries at the start, and three for each run.
    for number in 1..=2 + 3 * u32::try_from(HOURS)? * 2 {
        let scene = Scene::new()?;
        drop(Journal::open(&scene.journal()).await?);
        let crash = format!(
            "create trigger crash before insert on entries when new.number = {number} begin select raise(abort, 'crash'); end"
        );
        sqlite(&scene.journal(), crash).await?;
        let crashed = scene.live_on().await;
        ensure!(crashed.is_err(), "entry {number} was written");
        sqlite(&scene.journal(), "drop trigger crash".into()).await?;
        scene.live_on().await?;
        scene.check().await.with_context(|| format!("crashed at entry {number}"))?;
    }
    Ok(())
}

/// The notice of a run is written with its end: whichever entry is the last one, each failure is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashed_at_any_entry_each_failure_is_told_once() -> Result<()> {
    for number in 1..=2 + 3 * u32::try_from(HOURS)? * 2 {
        let scene = Scene::of(Work::Done(Ending::Failed))?;
        drop(Journal::open(&scene.journal()).await?);
        let crash = format!(
            "create trigger crash before insert on entries when new.number = {number} begin select raise(abort, 'crash'); end"
        );
        sqlite(&scene.journal(), crash).await?;
        ensure!(scene.live_on().await.is_err(), "entry {number} was written");
        sqlite(&scene.journal(), "drop trigger crash".into()).await?;
        scene.live_on().await?;
        let news = scene.news().await?;
        ensure!(news == ["failed web1", "failed web1", "failed web2", "failed web2"], "entry {number}: {news:?}");
    }
    Ok(())
}

/// A host that is off for a day: what is missing is told once, over every restart, and so is the end of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_overdue_is_told_once_and_so_is_its_end() -> Result<()> {
    let scene = Scene::new()?;
    scene.hosts[1].turn(true);
    let overdue = |news: &[String]| news.iter().filter(|news| *news == "overdue web2").count();
    // Its first run is due after one hour, and six hours later it should have brought something.
    scene.live_until(60 * 6).await?;
    ensure!(overdue(&scene.news().await?) == 0, "{:?}", scene.news().await?);
    for hours in [9, 11, 13] {
        scene.live_until(60 * hours).await?;
        ensure!(overdue(&scene.news().await?) == 1, "{hours}: {:?}", scene.news().await?);
    }
    scene.hosts[1].turn(false);
    scene.live_until(60 * 15).await?;
    let news = scene.news().await?;
    let recovered = news.iter().filter(|news| *news == "recovered web2").count();
    ensure!((overdue(&news), recovered) == (1, 1), "{news:?}");
    ensure!(!news.iter().any(|news| news.ends_with("web1")), "{news:?}");
    Journal::open(&scene.journal()).await?.verify().await?;
    Ok(())
}

/// What waits for its host has no thread that could hear of it: it ends at once, and its host is not asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_is_cancelled_once_and_for_all() -> Result<()> {
    let scene = Scene::of(Work::Nobody)?;
    let cancelled = async {
        let requests = scene.requests.subscribe().wait_for(Option::is_some).await?.clone().context("a controller")?;
        let journal = Journal::open(&scene.journal()).await?;
        let run = loop {
            let runs = journal.runs(Some("hourly"), Some("web1"), 1).await?;
            if let Some(run) = runs.into_iter().find(|run| run.attempts > 1 && run.ended.is_none()) {
                break run.id;
            }
            tokio::task::yield_now().await;
        };
        let (reply, answer) = oneshot::channel();
        requests.send(Request::Cancel(run.clone(), Mode::Earnest, operator::oneself(), reply)).await?;
        let shown = answer.await?.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        anyhow::Ok((run, shown))
    };
    let (lived, cancelled) = tokio::join!(scene.live_on(), cancelled);
    lived?;
    let (id, shown) = cancelled?;
    let journal = Journal::open(&scene.journal()).await?;
    let run = journal.run(&id).await?.context("its record")?;
    let ended = run.ended.as_ref().with_context(|| format!("{run:?}, when cancelled: {shown}"))?;
    ensure!(ended.ending == Ending::Cancelled, "{run:?}");
    let after = journal.entries_of(&id).await?.into_iter().filter(|entry| entry.number > ended.entry).count();
    ensure!(after == 0, "{after} entries come after its end");
    journal.verify().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_every_due_time_has_its_one_run() -> Result<()> {
    for seed in 0..10_u64 {
        let scene = Scene::new()?;
        for life in 0..8_u64 {
            // Microseconds that differ from life to life: a kill meets another instruction each time.
            let hash = blake3::hash(&[seed.to_le_bytes(), life.to_le_bytes()].concat());
            let micros = 20_000 + u64::from(hash.as_bytes()[0]) * 600;
            let never = std::future::pending();
            let journal = scene.journal();
            let life = live(&scene, never);
            let killed = tokio::time::timeout(Duration::from_micros(micros), life).await;
            ensure!(killed.is_err(), "it ended by itself: {killed:?}");
            // The database's thread is not killed with the life, as it would be with a process: what it was told to write is written once the lock is free.
            sqlite(&journal, "begin immediate; rollback".into()).await?;
        }
        scene.live_on().await?;
        scene.check().await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}
