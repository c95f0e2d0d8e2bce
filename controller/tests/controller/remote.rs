//! Jobs on hosts whose lines are cut: each is done once, and its result arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::simulated::{Fleet, Host};
use anyhow::{Result, ensure};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::links::Links;
use strongroom_controller::remote::{self, JobFault, RemoteJob};
use strongroom_proto::feature;
use strongroom_proto::worker::backup_job::Source;
use strongroom_proto::worker::{BackupJob, CommandSource, DirectStore, Hooks, Limits, StartRequest};
use tokio::sync::watch;

struct Scene {
    links: Arc<Links>,
    host: Arc<Host>,
    keys_made: AtomicU32,
}

impl Scene {
    fn new(work: Duration) -> Self {
        let fleet = Arc::new(Fleet::default());
        let host = fleet.host("web1", work);
        let links = Arc::new(Links::new(fleet, Arc::new(Gateway::default()), "test".into()));
        Self { links, host, keys_made: AtomicU32::new(0) }
    }

    async fn run(&self, job: &str, generation: u64, cancel: watch::Receiver<bool>) -> Result<Vec<u8>, JobFault> {
        self.run_wished(job, generation, (cancel, watch::channel(false).1)).await
    }

    /// With the wish to end it, and the wish to halt it.
    async fn run_wished(
        &self,
        job: &str,
        generation: u64,
        (cancel, pause): (watch::Receiver<bool>, watch::Receiver<bool>),
    ) -> Result<Vec<u8>, JobFault> {
        let request = StartRequest { job: job.into(), generation, backup: Some(BackupJob::default()), restore: None };
        self.run_job(RemoteJob { host: "web1".into(), request, cancel, pause }).await
    }

    async fn run_job(&self, job: RemoteJob) -> Result<Vec<u8>, JobFault> {
        let key = || {
            self.keys_made.fetch_add(1, Ordering::Relaxed);
            async { Ok(b"key".to_vec()) }
        };
        remote::run(&self.links, &job, key, |_| {}).await
    }

    async fn simply(&self, job: &str) -> Result<Vec<u8>, JobFault> {
        self.run(job, 1, watch::channel(false).1).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_done_and_the_host_gets_its_key_once() -> Result<()> {
    let scene = Scene::new(Duration::from_secs(60));
    ensure!(scene.simply("a.1").await? == b"a.1");
    ensure!(scene.simply("b.1").await? == b"b.1");
    ensure!(scene.keys_made.load(Ordering::Relaxed) == 1);
    ensure!(scene.host.lines() == 1, "one line for all jobs: {}", scene.host.lines());
    Ok(())
}

/// A worker that does not know a field would take the job for another one, and nobody would notice.
#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_know_what_a_job_asks_for_gets_no_such_job() -> Result<()> {
    let scene = Scene::new(Duration::from_secs(60));
    let jobs = [
        (feature::DIRECT_STORE, BackupJob { direct: Some(DirectStore::default()), ..BackupJob::default() }),
        (feature::HOOKS, BackupJob { hooks: Some(Hooks::default()), ..BackupJob::default() }),
        (feature::LIMITS, BackupJob { limits: Some(Limits::default()), ..BackupJob::default() }),
        (
            feature::COMMAND_SOURCE,
            BackupJob { source: Some(Source::Command(CommandSource::default())), ..BackupJob::default() },
        ),
    ];
    for (feature, backup) in jobs {
        let run = || {
            let job = format!("{feature}.1");
            let request = StartRequest { job, generation: 1, backup: Some(backup.clone()), restore: None };
            let (cancel, pause) = (watch::channel(false).1, watch::channel(false).1);
            scene.run_job(RemoteJob { host: "web1".into(), request, cancel, pause })
        };
        let Err(fault @ JobFault::TooOld { .. }) = run().await else { anyhow::bail!("{feature}: not refused") };
        let said = fault.to_string();
        let parts = ["worker simulated on web1", "too old", "host upgrade"];
        ensure!(parts.iter().all(|part| said.contains(part)), "{said}");
        ensure!(!scene.host.executions().contains_key(&format!("{feature}.1")));
        ensure!(scene.simply(&format!("other-than-{feature}.1")).await.is_ok(), "other jobs go on");
        // A worker that was exchanged has another line.
        scene.host.learn(feature);
        scene.links.hang_up("web1").await;
        ensure!(run().await? == format!("{feature}.1").as_bytes());
    }
    Ok(())
}

/// The line is cut after so many bytes, for each count at which something else is on its way.
#[tokio::test(start_paused = true)]
async fn whenever_the_line_is_cut_the_job_is_done_once() -> Result<()> {
    let mut cut_at_all = 0;
    for after in (1..3000).step_by(37) {
        let scene = Scene::new(Duration::from_secs(60));
        scene.host.cut([after, after * 2]);
        // A cut before the job was begun is told, and whoever wants it tries again.
        let mut tries = 0;
        let done = loop {
            match scene.simply("a.1").await {
                Err(JobFault::Unreachable { .. }) if tries < 5 => tries += 1,
                done => break done,
            }
        };
        ensure!(done.as_deref() == Ok(b"a.1"), "cut after {after}: {done:?}");
        ensure!(scene.host.executions() == [("a.1".to_owned(), 1)].into(), "{:?}", scene.host.executions());
        cut_at_all += u32::from(scene.host.lines() > 1);
    }
    ensure!(cut_at_all > 20, "only {cut_at_all} lines were cut");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_off_is_unreachable_and_nothing_was_begun() -> Result<()> {
    let scene = Scene::new(Duration::from_secs(60));
    scene.host.turn(true);
    let refused = scene.simply("a.1").await;
    ensure!(matches!(&refused, Err(JobFault::Unreachable { source, .. }) if source.passing), "{refused:?}");
    ensure!(scene.host.executions().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_away_for_hours_ends_its_job_all_the_same() -> Result<()> {
    let scene = Arc::new(Scene::new(Duration::from_secs(600)));
    let runner = Arc::clone(&scene);
    let run = tokio::spawn(async move { runner.simply("a.1").await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.host.turn(true);
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    ensure!(!run.is_finished());
    scene.host.turn(false);
    ensure!(run.await?? == b"a.1");
    ensure!(scene.host.executions()["a.1"] == 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_comes_back_is_given_up() -> Result<()> {
    let scene = Arc::new(Scene::new(Duration::from_secs(600)));
    let runner = Arc::clone(&scene);
    let run = tokio::spawn(async move { runner.simply("a.1").await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.host.turn(true);
    let given_up = run.await?;
    ensure!(matches!(given_up, Err(JobFault::OutOfSight { .. })), "{given_up:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_ends_and_a_later_generation_runs_it_again() -> Result<()> {
    let scene = Arc::new(Scene::new(Duration::from_secs(600)));
    let (cancel, cancelled) = watch::channel(false);
    let runner = Arc::clone(&scene);
    let run = tokio::spawn(async move { runner.run("a.1", 1, cancelled).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    cancel.send_replace(true);
    ensure!(run.await? == Err(JobFault::Cancelled));
    ensure!(scene.run("a.1", 2, watch::channel(false).1).await? == b"a.1");
    ensure!(scene.host.executions()["a.1"] == 2);
    // And of what ended well, a later generation gets the result.
    ensure!(scene.run("a.1", 3, watch::channel(false).1).await? == b"a.1");
    ensure!(scene.host.executions()["a.1"] == 2);
    Ok(())
}

/// Also over a line that was cut, and one on which the wish came while nobody heard it.
#[tokio::test(start_paused = true)]
async fn a_halted_job_stands_still_until_it_may_go_on() -> Result<()> {
    let scene = Arc::new(Scene::new(Duration::from_secs(600)));
    let (pause, paused) = watch::channel(false);
    let runner = Arc::clone(&scene);
    let run = tokio::spawn(async move { runner.run_wished("a.1", 1, (watch::channel(false).1, paused)).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    ensure!(!scene.host.is_paused("a.1"));
    scene.host.turn(true);
    pause.send_replace(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.host.turn(false);
    tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
    ensure!(scene.host.is_paused("a.1") && !run.is_finished(), "it goes on");
    pause.send_replace(false);
    ensure!(run.await?? == b"a.1");
    ensure!(scene.host.executions()["a.1"] == 1);
    Ok(())
}
