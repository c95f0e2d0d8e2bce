//! The daemon killed at any moment: its jobs end as if nothing had been, with one snapshot each.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use strongroom_proto::worker::Limits;
use tokio::task::JoinHandle;

use crate::gateway::Paused;
use crate::host::{Host, LONG, noise, report};

/// The real program.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(host: &Host) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-worker"));
        command.arg("serve");
        for (option, folder) in [
            ("--run-dir", &host.folders.run),
            ("--state-dir", &host.folders.state),
            ("--cache-dir", &host.folders.cache),
        ] {
            command.arg(option).arg(folder);
        }
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Bytes of new data in each round.
const LARGE: usize = 6 << 20;
const KILLS: u64 = 3;

async fn scene() -> (Host, JoinHandle<()>) {
    let host = Host::new().await;
    host.write("small", "content");
    host.write("large", noise(3, LARGE));
    let link = host.link();
    (host, link)
}

async fn check_one(host: &Host, job: &str) -> serde_json::Value {
    let ended = host.end(job).await;
    let made = report(&ended);
    let [snapshot] = &host.snapshots(job).await[..] else { panic!("not one snapshot of {job}") };
    assert_eq!(made["snapshot"], snapshot.id.to_string());
    host.check_restores(snapshot).await;
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment() {
    let (host, link) = scene().await;
    let mut daemon = Process::start(&host);
    host.enroll().await;
    let mut random = StdRng::seed_from_u64(11);
    for round in 0..6 {
        let job = format!("j{round}");
        let mut backup = host.files();
        backup.full = true;
        // Slow enough that most kills meet it at work.
        backup.limits = Some(Limits { upload_bytes_per_second: 16 << 20, ..Limits::default() });
        let before = pack_bytes(&host).await;
        host.begin(&job, 1, backup).await.unwrap();
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
            daemon.kill();
            daemon = Process::start(&host);
        }
        check_one(&host, &job).await;
        // Each kill costs what was on its way or not yet on it: two packs.
        let sent = pack_bytes(&host).await - before;
        assert!(
            sent <= LARGE as u64 + (KILLS + 1) * 2 * (256 + 64) * 1024,
            "{sent} bytes were sent for {LARGE} of data"
        );
        // New data each time, or there would be nothing to upload.
        host.write("large", noise(100 + round, LARGE));
    }
    link.abort();
}

async fn pack_bytes(host: &Host) -> u64 {
    use futures::TryStreamExt;
    let all: Vec<_> = host.gateway.store.list(Some(&"packs".into())).try_collect().await.unwrap();
    all.iter().map(|pack| pack.size).sum()
}

/// Runs a job until its commit has arrived at the gateway, and kills the daemon there.
async fn killed_at_the_commit(host: &Host) -> (Paused, tokio::sync::mpsc::UnboundedReceiver<Paused>) {
    let mut commits = host.gateway.pause_commits();
    let daemon = Process::start(host);
    host.enroll().await;
    host.begin("j1", 1, host.files()).await.unwrap();
    let paused = tokio::time::timeout(LONG, commits.recv()).await.unwrap().unwrap();
    daemon.kill();
    (paused, commits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_commit_stored_and_unanswered() {
    let (host, link) = scene().await;
    let (first, _commits) = killed_at_the_commit(&host).await;
    first.go_on.send(()).unwrap();
    first.stored.await.unwrap();
    let _daemon = Process::start(&host);
    let made = check_one(&host, "j1").await;
    assert_eq!((made["adopted"].as_bool(), made["commit"].as_u64()), (Some(true), Some(1)));
    link.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_commit_lost() {
    let (host, link) = scene().await;
    let (first, mut commits) = killed_at_the_commit(&host).await;
    drop(first);
    let _daemon = Process::start(&host);
    let second = tokio::time::timeout(LONG, commits.recv()).await.unwrap().unwrap();
    second.go_on.send(()).unwrap();
    let made = check_one(&host, "j1").await;
    assert_eq!(made["adopted"].as_bool(), Some(false));
    link.abort();
}

/// The worst one: the next try has read a history without the first one's commit, and then it comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_commit_on_the_way_for_longer_than_the_restart() {
    let (host, link) = scene().await;
    let (first, mut commits) = killed_at_the_commit(&host).await;
    let _daemon = Process::start(&host);
    let second = tokio::time::timeout(LONG, commits.recv()).await.unwrap().unwrap();
    first.go_on.send(()).unwrap();
    first.stored.await.unwrap();
    second.go_on.send(()).unwrap();
    let made = check_one(&host, "j1").await;
    assert_eq!((made["adopted"].as_bool(), made["commit"].as_u64()), (Some(true), Some(1)));
    link.abort();
}

/// SIGTERM in the middle of a job: the program ends well, and soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_end_is_obeyed() {
    let (host, link) = scene().await;
    let mut daemon = Process::start(&host);
    host.enroll().await;
    host.begin("j1", 1, host.command("sleep 1000")).await.unwrap();
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::block_in_place(|| daemon.0.wait()).unwrap();
    assert!(ended.success(), "{ended}");
    link.abort();
}
