//! Restores that need agreement, by several persons, each with an account of his own: asked for, approved, run, and every misuse refused and in the journal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::{compare, skip};

use crate::people::{PEOPLE, Scene};

#[test]
fn two_others_agree_to_a_restore_and_every_misuse_is_refused() -> Result<()> {
    if !skip::is_root() {
        return skip::test("two_others_agree_to_a_restore_and_every_misuse_is_refused", "it acts as other users");
    }
    let scene = Scene::set()?;
    let controller = scene.serve()?;
    let target = scene.sandbox.path("back/restored");
    let why = ["--reason", "INC-8841: 误截断"];

    // What cannot be meant gets no number.
    scene.refused(&scene.request("daemon", &target, &[])?, 2, "no reason")?;
    scene.refused(&scene.request("daemon", &scene.sandbox.path("back/../etc"), &why)?, 2, "'..'")?;
    scene.refused(&scene.request("daemon", Path::new("back"), &why)?, 2, "not absolute")?;
    scene.refused(&scene.request("sync", &target, &why)?, 6, "operator or on-call or owner")?;
    scene.refused(&scene.request("daemon", &target, &[&why[..], &["--break-glass"]].concat())?, 6, "on-call")?;
    let latest = ["restore", "request", "latest@web1", "--on", "web3", "--target", "/srv", "--reason", "x"];
    scene.refused(&scene.by("daemon", &latest)?, 2, "no host 'web3'")?;
    let up = ["restore", "request", "latest@web1", "/srv/../etc", "--on", "web2", "--target", "/srv", "--reason", "x"];
    scene.refused(&scene.by("daemon", &up)?, 2, "'..'")?;
    let glob = ["restore", "request", "latest@web1", "/*", "--on", "web2", "--target", "/srv/b", "--reason", "x"];
    scene.refused(&scene.by("daemon", &glob)?, 2, "*")?;
    let direct = ["restore", "latest@web1", "--on", "web2", "--target", "/srv/b", "--reason", "x"];
    scene.refused(&scene.by("daemon", &direct)?, 6, "strongroom restore request latest@web1")?;

    let asked = scene.request("daemon", &target, &[&why[..], &["--json"]].concat())?.expect(0)?;
    let first = scene.number(&asked)?;
    ensure!(first.starts_with("HF-20") && first.ends_with("-000001"), "{asked}");
    ensure!(asked.json()?["state"] == "waiting" && asked.json()?["request"]["by"]["organisation"] == "运维商甲");
    // Nobody approves what he asked for, has not read, or may not.
    scene.refused(&scene.approve("daemon", &first)?, 6, "approver or owner")?;
    scene.refused(&scene.approve("sync", &first)?, 6, "approver or owner")?;
    let unread = scene.by("bin", &["restore", "approve", &first, "--plan", "0123456789ab"])?;
    scene.refused(&unread, 2, "restore show")?;
    scene.approve("bin", &first)?.expect(0)?;
    scene.refused(&scene.approve("bin", &first)?, 6, "already")?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 6, "2 must agree")?;
    scene.approve("man", &first)?.expect(0)?;
    scene.refused(&scene.by("sync", &["restore", "run", &first])?, 6, "operator or on-call")?;

    // Somebody puts a link there after the plan was approved.
    fs::create_dir(scene.sandbox.path("elsewhere"))?;
    symlink("elsewhere", scene.sandbox.path("back"))?;
    let widened = scene.by("daemon", &["restore", "run", &first])?;
    scene.refused(&widened, 2, "approved: target was")?;
    fs::remove_file(scene.sandbox.path("back"))?;
    // Somebody loses the role after he approved.
    scene.write_site(&PEOPLE.replace("approver: tenant=north", "viewer: tenant=north"))?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 6, "li has no such role any more")?;
    scene.write_site(PEOPLE)?;
    scene.operator.run(["site", "load"])?.expect(0)?;

    // Another controller knows all of it.
    controller.kill()?;
    let controller = scene.serve()?;
    scene.by("daemon", &["restore", "run", &first, "--dry-run"])?.expect(0)?;
    ensure!(!target.exists(), "a look wrote something");
    let done = scene.by("daemon", &["restore", "run", &first, "--json"])?.expect(0)?;
    ensure!(done.json()?["outcome"] == "restored", "{done}");
    compare::same(&scene.source, &restored(&target, &scene.source))?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 2, "an approval is for one restore")?;
    let shown = scene.by("games", &["restore", "show", &first])?.expect(0)?;
    for words in [
        "INC-8841: 误截断",
        "finished",
        "zhao at",
        "li at",
        "restore-requested by wang",
        "restore-ended",
        "refused by deng",
    ] {
        ensure!(shown.stdout.contains(words), "it does not show {words:?}:\n{shown}");
    }

    // An owner asks, and may not agree with himself; rejected it stays. No refusal took a number.
    let second = scene.number(&scene.request("games", &target, &[&why[..], &["--json"]].concat())?.expect(0)?)?;
    ensure!(second.ends_with("-000002"), "{second}");
    scene.refused(&scene.approve("games", &second)?, 6, "sun asked for it")?;
    scene.by("bin", &["restore", "reject", &second, "--reason", "twice"])?.expect(0)?;
    scene.refused(&scene.approve("man", &second)?, 2, "rejected by zhao: twice")?;

    let refusals = scene.refusals()?;
    let expected = [
        "wang request web2".to_owned(),
        "wang request web2".into(),
        "wang request web2".into(),
        "deng request web1".into(),
        "wang break-glass web1".into(),
        "wang request web3".into(),
        "wang request web2".into(),
        "wang request web2".into(),
        "wang restore web2".into(),
        format!("wang approve {first}"),
        format!("deng approve {first}"),
        format!("zhao approve {first}"),
        format!("zhao approve {first}"),
        format!("wang restore {first}"),
        "deng restore web1".into(),
        format!("wang restore {first}"),
        format!("wang restore {first}"),
        format!("wang restore {first}"),
        format!("sun approve {second}"),
        format!("li approve {second}"),
    ];
    ensure!(refusals == expected, "{refusals:#?}");
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn a_restore_by_break_glass_is_owed_a_follow_up() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_by_break_glass_is_owed_a_follow_up", "it acts as other users");
    }
    let scene = Scene::set()?;
    let controller = scene.serve()?;
    let target = scene.sandbox.path("back");
    let asked = scene.request("lp", &target, &["--reason", "web1 is dead", "--break-glass", "--json"])?.expect(0)?;
    let number = scene.number(&asked)?;
    scene.refused(&scene.approve("lp", &number)?, 6, "yu asked for it")?;
    scene.approve("mail", &number)?.expect(0)?;
    scene.by("lp", &["restore", "run", &number])?.expect(0)?;
    compare::same(&scene.source, &restored(&target, &scene.source))?;
    for words in [&["restore", "list"][..], &["status"]] {
        let shown = scene.by("sync", words)?;
        ensure!(shown.stdout.contains("FOLLOW-UP OWED") && shown.stdout.contains(&number), "{shown}");
    }
    scene.refused(&scene.by("mail", &["restore", "close", &number, "--note", "fine"])?, 6, "approver or owner")?;
    scene.by("games", &["restore", "close", &number, "--note", "web1 had to be back by six"])?.expect(0)?;
    let listed = scene.by("sync", &["restore", "list"])?.expect(0)?;
    ensure!(!listed.stdout.contains(&number), "{listed}");
    let shown = scene.by("sync", &["restore", "show", &number])?.expect(0)?;
    ensure!(shown.stdout.contains("BY BREAK-GLASS") && shown.stdout.contains("web1 had to be back by six"), "{shown}");
    ensure!(controller.stop()?.success());
    Ok(())
}
