//! The dead man's switch: pings as long as the loop turns and the journal can be written, and none after.

use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::time::Duration;

use anyhow::{Result, ensure};
use strongroom_controller::daemon::{Chores, Daemon, RunOrder, Setting};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::{Journal, JournalError};
use strongroom_controller::links::{Dial, Line, Links, Unreachable};
use strongroom_controller::notify::keep_pinging;
use strongroom_controller::operator::{self, Mode, Request};
use strongroom_controller::site::Loaded;
use strongroom_plans::{Site, SiteFiles};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::SystemClock;
use super::receiver::Receiver;

/// No host is reached here.
#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl Dial for Nowhere {
    async fn dial(&self, _: &str) -> Result<Box<dyn Line>, Unreachable> {
        Err(Unreachable { why: "there is no host".into(), passing: true })
    }
}

struct Life {
    requests: mpsc::Sender<Request>,
    /// The loop goes on from reading its site when this says so.
    go_on: blocking::Sender<()>,
    _stop: oneshot::Sender<()>,
    daemon: JoinHandle<Result<(), JournalError>>,
}

fn site(port: u16) -> Result<Loaded> {
    let mut files = SiteFiles::new("site");
    let dead_man = format!("dead-man: {{ url: \"http://127.0.0.1:{port}/ping\", every: 1s }}");
    files.insert("site.yaml", format!("name: test\nzone: UTC\n{dead_man}\n"));
    files.insert("hosts.yaml", "hosts: { web1: { address: 10.0.0.1 } }\n");
    let site = Site::read(&files)?;
    Ok(Loaded { version: site.version().to_string(), site: Arc::new(site), commit: None })
}

async fn live(journal: Journal, port: u16) -> Result<Life> {
    let loaded = site(port)?;
    let (beats, beating) = watch::channel(0);
    tokio::spawn(keep_pinging(beating, watch::channel(Arc::clone(&loaded.site)).1));
    let (go_on, stuck) = blocking::channel::<()>();
    let stuck = Mutex::new(stuck);
    let load = move || {
        let _ = stuck.lock().unwrap_or_else(PoisonError::into_inner).recv();
        Err("it stays as it is".to_owned())
    };
    let start = |_: RunOrder| {};
    let (journal, gateway) = (Arc::new(journal), Arc::new(Gateway::default()));
    let links = Links::new(Arc::new(Nowhere), gateway, "test".into());
    let hosts = Hosts::new(Arc::clone(&journal), Arc::new(links));
    let (in_force, _) = watch::channel(Arc::clone(&loaded.site));
    let program = "test".into();
    let (chores, _due) = Chores::channels();
    let setting = Setting { journal, clock: SystemClock, start, load, program, hosts, in_force, chores, beats };
    let daemon = Daemon::new(setting, loaded).await?;
    let (requests, receive) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel();
    let daemon = tokio::spawn(daemon.run(receive, async { drop(stopped.await) }));
    Ok(Life { requests, go_on, _stop: stop, daemon })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_that_is_stuck_pings_no_more() -> Result<()> {
    let (web, folder) = (Receiver::web()?, tempfile::tempdir()?);
    let life = live(Journal::open(&folder.path().join("journal.db")).await?, web.port).await?;
    let got = web.wait_for(2)?;
    ensure!(got[0]["method"] == "GET" && got[0]["path"] == "/ping", "{got:?}");
    let (reply, answer) = oneshot::channel();
    life.requests.send(Request::Reload(Mode::Earnest, operator::oneself(), reply)).await?;
    // One ping may have been on its way when the loop stood still.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = web.got()?.len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    ensure!(web.got()?.len() == before, "it pings though it is stuck");
    life.go_on.send(())?;
    ensure!(answer.await?.is_err());
    web.wait_for(before + 1)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_pings_no_more() -> Result<()> {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    let (web, folder) = (Receiver::web()?, tempfile::tempdir()?);
    let path = folder.path().join("journal.db");
    let life = live(Journal::open(&path).await?, web.port).await?;
    web.wait_for(1)?;
    let full = "create trigger full before update on alive begin select raise(abort, 'the disk is full'); end";
    sqlx::raw_sql(full).execute(&mut SqliteConnectOptions::new().filename(&path).connect().await?).await?;
    let ended = life.daemon.await?;
    ensure!(matches!(ended, Err(JournalError::Database { .. })), "{ended:?}");
    Ok(())
}
