//! A restore whose controller was killed is taken up by the same command, and is not called over while nobody can know that.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::{compare, skip, wait};

use crate::people::Scene;
use crate::worker::Worker;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn what_was_begun_is_not_over_while_its_host_is_away() -> Result<()> {
    if !skip::is_root() {
        return skip::test("what_was_begun_is_not_over_while_its_host_is_away", "its scene acts as other users");
    }
    let mut scene = Scene::set()?;
    scene.write_site("")?;
    let controller = scene.serve()?;
    let target = scene.sandbox.path("back");
    let at = target.to_str().context("text")?;
    let words = ["restore", "latest@web1", "--on", "web2", "--reason", "a look", "--target", at];
    // The controller is killed after it has written down that it begins, and before its host has answered.
    scene.worker.as_ref().context("a worker")?.suspend()?;
    let mut asking = scene.operator.command(words)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait::until("it has begun", SOON, || restores(&scene, "restore-started")?.pop().context("no restore"))?;
    controller.kill()?;
    asking.wait()?;
    // Then the host goes away, too.
    scene.worker.take().context("a worker")?.kill()?;
    let controller = scene.serve()?;
    let begun = restores(&scene, "restore-started")?;
    scene.refused(&scene.operator.run(words)?, 2, "the same command takes it up again")?;
    scene.worker = Some(Worker::answering(&scene.sandbox.path("host"))?);
    scene.operator.run(words)?.expect(0)?;
    compare::same(&scene.source, &restored(&target, &scene.source))?;
    let (started, ended) = (restores(&scene, "restore-started")?, restores(&scene, "restore-ended")?);
    ensure!(started.len() == 3 && started.iter().all(|name| *name == begun[0]), "{started:?}");
    ensure!(ended == begun, "{ended:?} instead of {begun:?}");
    ensure!(controller.stop()?.success());
    Ok(())
}

/// The restores about which there are such entries in the journal.
fn restores(scene: &Scene, event: &str) -> Result<Vec<String>> {
    let shown = scene.operator.run(["journal", "show", "--count", "1000", "--json"])?.expect(0)?;
    let entries: Vec<Value> = shown.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let meant = entries.iter().filter(|entry| entry["event"] == event);
    Ok(meant.map(|entry| entry["restore"].as_str().unwrap_or_default().to_owned()).collect())
}
