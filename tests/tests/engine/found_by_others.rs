//! What the controller finds, with its keys, for people who have none; and a restore that others watch.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::{skip, wait};

use crate::people::{PEOPLE, Scene};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn people_without_keys_find_what_they_may_see() -> Result<()> {
    if !skip::is_root() {
        return skip::test("people_without_keys_find_what_they_may_see", "it acts as other users");
    }
    let scene = Scene::set()?;
    scene.write_site(&format!("{PEOPLE}  hua: {{ users: [irc], roles: {{ viewer: name=web2 }} }}\n"))?;
    let controller = scene.serve()?;
    let everything = format!("{}/**", scene.source.display());
    let words = ["find", "--path", &everything, "--json"];
    let found = scene.by("sync", &words)?.expect(0)?.json()?;
    let mut own = scene.operator.command(words)?;
    let own = program::run(own.arg("--repo").arg(scene.sandbox.path("repository")))?.expect(0)?.json()?;
    let matches = found["matches"].as_array().context("matches")?;
    ensure!(!matches.is_empty() && entries(&found)? == entries(&own)?, "{found} instead of {own}");
    let points = || matches.iter().map(|found| &found["points"][0]);
    let has = |name: &str, value: Value| points().all(|point| point[name] == value);
    ensure!(has("repositories", serde_json::json!(["main"])) && has("takes-seconds", Value::Null), "{found}");
    // Not those who see other hosts only, and nobody who is nobody.
    scene.by("irc", &words)?.expect(7)?;
    scene.refused(&scene.by("uucp", &words)?, 6, "nobody whom the site names")?;
    ensure!(scene.refusals()? == ["uucp see any host"], "{:?}", scene.refusals()?);
    scene.refused(&scene.by("sync", &["find", "--name", "a["])?, 2, "a[")?;

    // Once something was restored, that tells what the next one takes.
    scene.write_site("")?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    restore(&scene, "back")?.expect(0)?;
    let found = scene.operator.run(words)?.expect(0)?.json()?;
    let files = found["matches"].as_array().context("matches")?.iter().map(|found| &found["points"][0]);
    let mut files = files.filter(|point| point["entry"]["kind"] == "file");
    ensure!(files.all(|point| point["takes-seconds"].as_u64().is_some_and(|seconds| seconds > 0)), "{found}");
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn a_restore_is_watched_to_its_end() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_is_watched_to_its_end", "its scene acts as other users");
    }
    let scene = Scene::set()?;
    scene.write_site("")?;
    let controller = scene.serve()?;
    scene.refused(&scene.operator.run(["restore", "watch"])?, 7, "no restore goes on")?;
    // Its host does not answer before somebody watches.
    let worker = scene.worker.as_ref().context("a worker")?;
    worker.suspend()?;
    let (asked, seen) = (scene.sandbox.path("asked"), scene.sandbox.path("seen"));
    let (answer, watched) = (scene.sandbox.path("answer"), scene.sandbox.path("watched"));
    let target = scene.sandbox.path("back");
    let mut run = scene.operator.command(["restore", "latest@web1", "--on", "web2", "--reason", "a look", "--json"])?;
    run.arg("--target").arg(target).stdout(File::create(&answer)?).stderr(File::create(&asked)?);
    let mut run = run.stdin(Stdio::null()).spawn()?;
    let begun = |path| move || fs::read_to_string(path)?.contains(" begins").then_some(()).context("it has not");
    wait::until("it begins", SOON, begun(&asked))?;
    let mut watch = scene.operator.command(["restore", "watch", "--json"])?;
    let mut watch = watch.stdout(File::create(&watched)?).stderr(File::create(&seen)?).spawn()?;
    wait::until("it is watched", SOON, begun(&seen))?;
    worker.resume()?;
    ensure!(run.wait()?.success() && watch.wait()?.success(), "{}", fs::read_to_string(&seen)?);
    let [answer, watched] = [answer, watched].map(fs::read_to_string);
    let (answer, watched) = (answer?, watched?);
    ensure!(answer == watched && answer.contains("\"restored\""), "{watched} instead of {answer}");
    scene.operator.run(["restore", "watch"])?.expect(7)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

fn restore(scene: &Scene, target: &str) -> Result<Outcome> {
    let mut restore = scene.operator.command(["restore", "latest@web1", "--on", "web2", "--reason", "a look"])?;
    program::run(restore.arg("--target").arg(scene.sandbox.path(target)))
}

/// What was found, by path.
fn entries(found: &Value) -> Result<Vec<(&Value, &Value)>> {
    let matches = found["matches"].as_array().context("matches")?;
    Ok(matches.iter().map(|found| (&found["path"], &found["points"][0]["entry"])).collect())
}
