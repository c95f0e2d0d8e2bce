//! What a plan's checks say of a restore on a host: where they run, that nobody slips in others, and what becomes of the proof without them.

use anyhow::{Context, Result, ensure};
use strongroom_tests::skip;

use crate::people::{PEOPLE, Scene};

#[test]
fn a_restore_is_proven_by_its_plans_checks_alone() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_is_proven_by_its_plans_checks_alone", "it acts as other users");
    }
    let scene = Scene::set()?;
    scene.write_site("")?;
    let below = scene.source.strip_prefix("/")?.display().to_string();
    let good = format!(
        "prove: {{ level: restored, checks: [[test, -d, {below:?}], {{ files: {below:?}, at-least: 1 }}, {{ newest: ., within: 9999d }}] }}"
    );
    scene.back_up_by_plan(&good)?;
    let controller = scene.serve()?;
    let restore = |target: &str, more: &[&str]| {
        let target = scene.sandbox.path(target);
        let target = target.to_str().context("text")?;
        let words = ["restore", "latest@web1", "--on", "web2", "--reason", "a look", "--json", "--target", target];
        scene.operator.run([&words, more].concat())
    };
    // In the target, by the worker.
    let done = restore("good", &[])?.expect(0)?.json()?;
    ensure!(done["outcome"] == "restored" && done["checks"][0]["verdict"] == "agreed", "{done}");
    // A typed check is made by the worker's own program, and its words and what it found are kept.
    let typed = &done["checks"][1];
    ensure!(typed["verdict"] == "agreed" && typed["command"][0] == "strongroom", "{done}");
    ensure!(typed["output"].as_str().is_some_and(|said| said.ends_with("; expected at least 1")), "{done}");
    let newest = done["checks"][2]["output"].as_str().context("what it found")?;
    ensure!(newest.contains("expected no more than 9999d before 20"), "{newest}");
    let proven = |done: &serde_json::Value| -> Result<bool> {
        let listed = scene.operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
        let of_this = listed.as_array().into_iter().flatten().find(|record| record["restore"] == done["restore"]);
        of_this.and_then(|record| record["proven"].as_bool()).context("a record")
    };
    ensure!(proven(&done)?, "{done}");

    // Whoever does not want them has no proof; nor has he whose plan is gone.
    let unchecked = restore("unchecked", &["--no-checks"])?.expect(0)?.json()?;
    ensure!(unchecked["checks"].is_null() && !proven(&unchecked)?, "{unchecked}");
    let page = scene.operator.run(["record", "show", unchecked["restore"].as_str().context("a name")?])?.expect(0)?;
    ensure!(page.stdout.contains("--no-checks") && page.stdout.contains("not proven"), "{page}");

    scene.write_plan("prove: { level: restored, checks: [[sh, -c, 'echo no rows; exit 3']] }")?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let bad = restore("bad", &[])?.expect(3)?.json()?;
    ensure!(bad["outcome"] == "unproven" && bad["checks"][0]["output"] == "no rows" && !proven(&bad)?, "{bad}");
    let page = scene.operator.run(["record", "show", bad["restore"].as_str().context("a name")?])?.expect(0)?;
    ensure!(page.stdout.contains("exit code 3") && page.stdout.contains("no rows"), "{page}");

    // The commands belong to what is agreed to.
    scene.write_site(PEOPLE)?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let asked = scene.request("daemon", &scene.sandbox.path("agreed"), &["--reason", "x", "--json"])?.expect(0)?;
    let number = scene.number(&asked)?;
    scene.approve("bin", &number)?.expect(0)?;
    scene.approve("man", &number)?.expect(0)?;
    let shown = scene.by("daemon", &["restore", "show", &number])?.expect(0)?;
    ensure!(shown.stdout.contains("echo no rows; exit 3"), "{shown}");
    scene.write_plan(&good)?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let run = ["restore", "run", &number];
    scene.refused(&scene.by("daemon", &run)?, 2, "checks was [[\"sh\"")?;
    scene.write_plan("prove: { level: restored, checks: [[sh, -c, 'echo no rows; exit 3']] }")?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    scene.by("daemon", &run)?.expect(3)?;
    let shown = scene.by("daemon", &["restore", "show", &number])?.expect(0)?;
    ensure!(shown.stdout.contains("unproven"), "{shown}");
    ensure!(controller.stop()?.success());
    Ok(())
}
