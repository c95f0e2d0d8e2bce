//! Restores on hosts: what is lent travels when the worker asks for it, as often as it asks, and is taken back.

use std::sync::Arc;
use std::time::Duration;

use crate::simulated::{Fleet, Host};
use crate::small_repository::{back_up, noise, repository};
use anyhow::{Result, ensure};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::links::Links;
use strongroom_controller::remote::JobFault;
use strongroom_controller::restore_job::{
    Owners, Replaced, RestoreOrder, RestoredOnHost, Roads, look_on_host, restore_on_host,
};
use strongroom_proto::feature;
use strongroom_proto::worker::{Limits, Overwrite};
use strongroom_repository::{Loan, ObjectId, Repository, Snapshot};
use tokio::sync::watch;

struct Scene {
    links: Arc<Links>,
    gateway: Arc<Gateway>,
    repository: Arc<Repository>,
    snapshot: Snapshot,
    host: Arc<Host>,
    _cache: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let cache = tempfile::tempdir()?;
        let repository = repository(cache.path()).await?;
        let snapshot = back_up(&repository, noise(1, 100_000)).await?;
        let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
        let fleet = Arc::new(Fleet::default());
        let host = fleet.host("web1", Duration::from_millis(50));
        let links = Arc::new(Links::new(fleet, Arc::clone(&gateway), "test".into()));
        Ok(Self { links, gateway, repository, snapshot, host, _cache: cache })
    }

    fn order(&self, job: &str) -> RestoreOrder {
        RestoreOrder {
            host: "web1".into(),
            job: job.into(),
            generation: 1,
            snapshot: self.snapshot.id,
            paths: Vec::new(),
            target: b"/srv/restored".to_vec(),
            overwrite: Overwrite::Never,
            replaced: Replaced::Remove,
            owners: Owners::ByNumber,
            limits: Limits::default(),
            checks: Vec::new(),
            promote_to: None,
            around: None,
            direct: None,
            cancel: watch::channel(false).1,
            pause: watch::channel(false).1,
        }
    }

    async fn run(&self, order: &RestoreOrder) -> Result<RestoredOnHost, JobFault> {
        let roads = Roads { links: &self.links, gateway: &self.gateway, repository: &self.repository };
        let key = || async { Ok(b"key".to_vec()) };
        match order.job.starts_with("look") {
            true => look_on_host(roads, order, key, |_| {}).await,
            false => restore_on_host(roads, order, key, |_| {}).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_travel_when_the_worker_asks_for_them() -> Result<()> {
    let scene = Scene::new().await?;
    let too_old = scene.run(&scene.order("r1")).await;
    ensure!(matches!(&too_old, Err(JobFault::TooOld { what: "restores", .. })), "{too_old:?}");
    ensure!(scene.host.executions().is_empty());
    scene.host.learn(feature::RESTORE);
    scene.links.hang_up("web1").await;
    for job in ["r1", "look1"] {
        let done = scene.run(&scene.order(job)).await?;
        ensure!(done.report == job.as_bytes() && done.segments == 2, "{done:?}");
        let lent = scene.host.lent(job);
        let [loan] = &lent[..] else { anyhow::bail!("lent {} times", lent.len()) };
        let loan = Loan::from_bytes(loan)?;
        ensure!((loan.snapshot(), loan.segments()) == (scene.snapshot.id, 2));
        ensure!(scene.host.is_dry_run(job) == (job == "look1"));
    }
    let mut unknown = scene.order("r2");
    unknown.snapshot = ObjectId([9; 32]);
    let refused = scene.run(&unknown).await;
    ensure!(matches!(&refused, Err(JobFault::Snapshot { .. })), "{refused:?}");
    ensure!(!scene.host.executions().contains_key("r2"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_restarted_gets_them_again() -> Result<()> {
    let scene = Scene::new().await?;
    scene.host.learn(feature::RESTORE);
    scene.host.forgets_keys(2);
    let done = scene.run(&scene.order("r1")).await?;
    ensure!(done.report == b"r1" && scene.host.lent("r1").len() == 3, "{}", scene.host.lent("r1").len());
    Ok(())
}
