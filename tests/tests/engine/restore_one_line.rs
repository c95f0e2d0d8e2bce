//! A restore in one line: the restore point is picked and named, and it is done at once or becomes a request, as the site's rules want.

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::{compare, skip};

use crate::people::{PEOPLE, Scene};

#[test]
fn one_line_restores_or_asks_as_the_rules_want() -> Result<()> {
    if !skip::is_root() {
        return skip::test("one_line_restores_or_asks_as_the_rules_want", "it acts as other users");
    }
    let scene = Scene::set()?;
    scene.write_site("")?;
    let before = "2026-01-01T00:00Z";
    scene.back_up_by_plan("")?;
    let controller = scene.serve()?;
    let now = jiff::Timestamp::now().to_string();
    let source = scene.source.to_str().context("text")?;
    let target = scene.sandbox.path("back");
    let to = format!("web2:{}", target.display());
    let one_line = |at: &'static str, more: &[&str]| {
        let at = if at.is_empty() { now.as_str() } else { at };
        [&["restore", "nightly", source, "--at", at, "--to", &to], more]
            .concat()
            .iter()
            .map(|w| (*w).to_owned())
            .collect()
    };
    let why = ["--reason", "INC-8841"];
    let run = |words: Vec<String>| scene.operator.run(words.iter().map(String::as_str).collect::<Vec<_>>());
    // It is never a guess: which, why, and what is lost.
    let look = run(one_line("", &[&why[..], &["--dry-run"]].concat()))?.expect(0)?;
    ensure!(look.stderr.contains("the newest restore point of web1 at or before") && !target.exists(), "{look}");
    scene.refused(&run(one_line(before, &why))?, 7, "no snapshot")?;
    scene.refused(&run(one_line("", &[]))?, 2, "--reason")?;
    run(one_line("", &why))?.expect(0)?;
    compare::same(&scene.source, &restored(&target, &scene.source))?;

    std::fs::remove_dir_all(&target)?;

    // Where others must agree it becomes a request, and the hash of its plan is anybody's to make.
    scene.write_site(PEOPLE)?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let words: Vec<String> = one_line("", &[&why[..], &["--json"]].concat());
    let asked = scene.by("daemon", &words.iter().map(String::as_str).collect::<Vec<_>>())?.expect(0)?;
    ensure!(asked.stderr.contains("2 must agree"), "{asked}");
    let number = scene.number(&asked)?;
    let plan = scene.by("bin", &["restore", "plan", &number, "--json"])?.expect(0)?;
    ensure!(blake3::hash(plan.stdout.as_bytes()).to_hex().as_str() == scene.plan(&number)?, "{plan}");
    ensure!(plan.stdout.starts_with("{\"approvals\":2,"), "{plan}");
    scene.approve("bin", &number)?.expect(0)?;
    scene.approve("man", &number)?.expect(0)?;
    scene.refused(&scene.by("daemon", &["restore", "resume", &number])?, 2, "never begun")?;
    scene.by("daemon", &["restore", "run", &number])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}
