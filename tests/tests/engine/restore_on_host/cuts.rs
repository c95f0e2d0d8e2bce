//! A restore that is cut off again and again, at random points, in every way that there is.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use strongroom_controller::remote::JobFault;
use strongroom_controller::restore_job::{RestoreOrder, RestoredOnHost};
use strongroom_tests::client::restored;
use strongroom_tests::random::seeded;
use strongroom_tests::{compare, skip};
use tokio::task::JoinHandle;

use super::{Controller, MIB, Scene, Written};
use crate::worker::Worker;

/// Of what was fetched before it was cut off, so much comes again at most.
const AGAIN_MAX: u64 = 64 * MIB;

/// One that goes on by itself, as far as it can.
struct Going<'s> {
    scene: &'s Scene,
    order: RestoreOrder,
    worker: Option<Worker>,
    controller: Arc<Controller>,
    written: Written,
    restoring: JoinHandle<Result<RestoredOnHost>>,
}

impl<'s> Going<'s> {
    async fn begin(scene: &'s Scene, order: RestoreOrder) -> Result<Self> {
        let worker = Some(Worker::answering(&scene.host)?);
        let controller = Arc::new(scene.controller().await?);
        let written = Written::default();
        let restoring = start(&controller, &order, &written);
        Ok(Self { scene, order, worker, controller, written, restoring })
    }

    async fn cut(&mut self, how: Cut) -> Result<()> {
        self.scene.store.cut();
        match how {
            Cut::Worker => {
                self.worker.take().context("a worker")?.kill()?;
                self.scene.check_unfinished()?;
                self.worker = Some(Worker::answering(&self.scene.host)?);
            }
            Cut::Line => self.controller.sockets.cut(),
            Cut::Controller => {
                self.restoring.abort();
                ensure!((&mut self.restoring).await.is_err(), "it ended before it was cut off");
                self.controller.sockets.cut();
                self.controller = Arc::new(self.scene.controller().await?);
                self.restoring = start(&self.controller, &self.order, &self.written);
            }
        }
        self.scene.check_unfinished()
    }
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Worker,
    Controller,
    Line,
}

fn start(controller: &Arc<Controller>, order: &RestoreOrder, written: &Written) -> JoinHandle<Result<RestoredOnHost>> {
    let (controller, order, written) = (Arc::clone(controller), order.clone(), written.clone());
    tokio::spawn(async move {
        loop {
            // Cut off before it had heard of its host, it says so, and whoever asked gives the same command again.
            match controller.restore(&order, &written).await {
                Err(fault) if matches!(fault.downcast_ref(), Some(JobFault::Unreachable { .. })) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                done => return done,
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_at_random_points_it_goes_on_where_it_was() -> Result<()> {
    let (cuts, large) = (skip::rounds(5, 50), skip::rounds(2, 16));
    let large = [&[6; 5][..], &[100]].concat().repeat(large);
    let scene = Scene::set("restore-cuts", &large)?;
    let bytes = large.iter().sum::<usize>() as u64 * MIB;
    let mut dice = seeded(11);
    let mut points: Vec<u64> = (0..cuts).map(|_| dice.random_range(MIB..bytes * 95 / 100)).collect();
    points.sort_unstable();
    let mut order = scene.order("cut");
    order.limits = strongroom_proto::worker::Limits { download_bytes_per_second: 96 << 20, ..Default::default() };
    let mut going = Going::begin(&scene, order).await?;
    for point in points {
        tokio::select! {
            ended = &mut going.restoring => bail!("it ended before {point}: {:?}", ended?),
            reached = going.written.reaches(point) => reached.with_context(|| format!("{point} of {bytes}"))?,
        }
        let how = [Cut::Worker, Cut::Controller, Cut::Line][dice.random_range(0..3)];
        going.cut(how).await.with_context(|| format!("{how:?} at {point}"))?;
    }
    let done = tokio::time::timeout(Duration::from_secs(600), &mut going.restoring).await???;
    let report: serde_json::Value = serde_json::from_slice(&done.report)?;
    ensure!(report["outcome"] == "restored", "{report}");
    let again = scene.store.counts();
    ensure!(again.iter().all(|bytes| *bytes <= AGAIN_MAX), "so many bytes came again after each cut: {again:?}");
    compare::same(&scene.source, &restored(&scene.target, &scene.source))?;
    ensure!(fs::read_dir(&scene.target)?.count() == 1, "something unfinished is left");
    Ok(())
}
