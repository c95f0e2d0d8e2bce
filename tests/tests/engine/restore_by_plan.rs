//! What is decided about a restore plan by its name: approvals of all or none, rejections, and systems put in place in their order.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::program::{self, Outcome, has_tool};
use strongroom_tests::{compare, skip};

use crate::people::{PEOPLE, Scene};
use crate::restore_plans::{System, by_operator, scene, start, system, target, write_plan};

fn shown(scene: &Scene, plan: &str) -> Result<Outcome> {
    scene.operator.run(["restore", "show", plan, "--json"])?.expect(0)
}

/// The word of each system, or something else that is said of it.
fn each(scene: &Scene, plan: &str, what: &str) -> Result<Vec<Value>> {
    let shown = shown(scene, plan)?.json()?;
    Ok(shown["systems"].as_array().into_iter().flatten().map(|system| system[what].clone()).collect())
}

/// How many agree to each request.
fn agree(scene: &Scene) -> Result<Vec<usize>> {
    let listed = scene.by("bin", &["restore", "list", "--json"])?.expect(0)?.json()?;
    let count = |view: &Value| view["agree"].as_array().map_or(0, Vec::len);
    Ok(listed.as_array().into_iter().flatten().map(count).collect())
}

/// Says so at a terminal of its own; what it shows comes back.
fn at_terminal(scene: &Scene, user: &str, words: &str, says: &str) -> Result<Outcome> {
    let (program, socket) = (scene.sandbox.path("strongroom"), scene.sandbox.path("operator/run/controller.sock"));
    let typed = format!("'{}' {words}", program.display());
    let script = format!("echo {says} | script -qec \"{typed}\" /dev/null");
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), "--clear-groups", "--regid=nogroup", "--", "sh", "-c", &script]);
    program::run(command.current_dir("/").env("HOME", "/nonexistent").env("STRONGROOM_SOCKET", socket))
}

#[test]
fn a_plan_is_agreed_to_as_a_whole_or_not_at_all() -> Result<()> {
    let name = "a_plan_is_agreed_to_as_a_whole_or_not_at_all";
    if !skip::is_root() || !has_tool("script") {
        return skip::test(name, "it acts as other users, at terminals of `script`");
    }
    let (scene, at) = scene(PEOPLE)?;
    let all: [System<'_>; 3] = [("app", "db", String::new()), ("db", "", String::new()), ("mail", "", String::new())];
    write_plan(&scene, "portal", "stop", &all)?;
    write_plan(&scene, "other", "stop", &all)?;
    let controller = scene.serve()?;
    let asked = |plan: &str| {
        let words = start(plan, &at);
        scene.by("daemon", &words.iter().map(String::as_str).collect::<Vec<_>>())?.expect(0)
    };
    asked("portal")?;

    // Without a terminal the hashes are named: all that is agreed to is shown, and how.
    let approve = |user: &str, plans: &[&str]| {
        let named = plans.iter().flat_map(|plan| ["--plan", plan]);
        scene.by(user, &["restore", "approve", "portal"].into_iter().chain(named).collect::<Vec<_>>())
    };
    let unasked = approve("bin", &[])?;
    scene.refused(&unasked, 2, "nobody is there to say that he has read it")?;
    let of_number = |number: u32| format!("HF-{}-{number:06}", jiff::Timestamp::now().strftime("%Y"));
    // In the order of their needs.
    let hashes: Vec<String> =
        [1, 2, 3].into_iter().map(|number| scene.plan(&of_number(number))).collect::<Result<_>>()?;
    ensure!(hashes.iter().all(|hash| unasked.stderr.contains(hash)), "{unasked}");
    let plans: Vec<&str> = hashes.iter().map(|hash| &hash[..12]).collect();
    let command = format!("strongroom restore approve portal --plan {}", plans.join(" --plan "));
    ensure!(unasked.stderr.contains(&command), "{unasked}");

    // Of all or of none: a wrong one, one too few, his own.
    scene.refused(&approve("bin", &[plans[0], plans[1], "0123456789ab"])?, 2, "that is not the plan of")?;
    scene.refused(&approve("bin", &plans[..2])?, 2, "3 requests of it wait, and 2 hashes are named")?;
    scene.refused(&approve("daemon", &plans)?, 6, "wang may not decide")?;
    scene.refused(&at_terminal(&scene, "man", "restore approve portal", "no").map(to_stderr)?, 2, "not confirmed")?;
    scene.by("bin", &["restore", "approve", "portal", "--dry-run"])?.expect(0)?;
    ensure!(agree(&scene)? == [0, 0, 0], "{:?}", agree(&scene)?);

    approve("bin", &plans)?.expect(0)?;
    ensure!(agree(&scene)? == [1, 1, 1], "{:?}", agree(&scene)?);
    let typed = at_terminal(&scene, "man", "restore approve portal", "yes")?.expect(0)?;
    ensure!(typed.stdout.contains("agree to all of this? (yes/no)") && typed.stdout.contains(&hashes[1]), "{typed}");
    ensure!(each(&scene, "portal", "stands")? == ["ready"; 3], "{:?}", each(&scene, "portal", "stands")?);
    scene.refused(&approve("bin", &plans)?, 2, "no system of it waits")?;
    scene.by("daemon", &["restore", "run", "portal"])?.expect(0)?;

    // What was asked for by another start is rejected by name, but by whom may not.
    asked("other")?;
    let reject = |user: &str| scene.by(user, &["restore", "reject", "other", "--reason", "it is back by itself"]);
    scene.refused(&reject("daemon")?, 6, "wang may not decide")?;
    ensure!(each(&scene, "other", "stands")? == ["waiting"; 3]);
    reject("bin")?.expect(0)?;
    ensure!(each(&scene, "other", "stands")? == ["over"; 3]);
    scene.refused(&reject("bin")?, 2, "no system of it is open")?;
    ensure!(each(&scene, "portal", "stands")? == ["verified"; 3]);
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

/// A terminal has one stream for both.
fn to_stderr(outcome: Outcome) -> Outcome {
    Outcome { stderr: outcome.stdout.clone(), ..outcome }
}

#[test]
fn systems_are_put_in_place_in_their_order_until_one_cannot_be() -> Result<()> {
    if !skip::is_root() {
        return skip::test(
            "systems_are_put_in_place_in_their_order_until_one_cannot_be",
            "its scene acts as other users",
        );
    }
    // Nobody is named, so nobody has to agree; requests they are all the same.
    let (scene, at) = scene("")?;
    let place = |name: &str| -> PathBuf { scene.sandbox.path(&format!("used/{name}")) };
    let lines =
        |name: &str| format!("    promote-to: {}\n    paths: [{}]\n", place(name).display(), scene.source.display());
    let all = [
        ("web", "app", lines("web")),
        ("db", "", lines("db")),
        ("app", "db", lines("app")),
        ("mail", "", String::new()),
    ];
    write_plan(&scene, "portal", "stop", &all)?;
    fs::create_dir_all(place("app"))?;
    fs::write(place("app").join("old"), "old")?;
    let controller = scene.serve()?;
    let promote = |more: &[&str]| scene.operator.run([&["restore", "promote", "portal"][..], more].concat());
    scene.refused(&promote(&[])?, 2, "web, db, app, mail did not come back verified")?;
    by_operator(&scene, &start("portal", &at), &[])?.expect(0)?;
    scene.refused(&promote(&["--to", "/srv"])?, 2, "leave --to out")?;
    let looked = promote(&["--dry-run"])?.expect(0)?;
    ensure!(looked.stderr.contains("db: ") && looked.stderr.contains("0 differ or are missing"), "{looked}");
    ensure!(!place("db").exists() && place("app").join("old").exists(), "a look did something");

    // Somebody touched the second: the first is in place, and nothing after it.
    let back = |name: &str| restored(&target(&scene, "portal", name), &scene.source);
    fs::write(back("app").join("added"), "")?;
    let stopped = promote(&[])?;
    scene.refused(&stopped, 2, "not what was verified any more")?;
    ensure!(stopped.stderr.contains("1 of 3 are in place"), "{stopped}");
    compare::same(&scene.source, &place("db"))?;
    ensure!(place("app").join("old").exists() && !place("web").exists(), "something was put in place after it");

    fs::remove_file(back("app").join("added"))?;
    promote(&[])?.expect(0)?;
    for name in ["db", "app", "web"] {
        compare::same(&scene.source, &place(name)).with_context(|| name.to_owned())?;
    }
    ensure!(back("app").join("old").exists(), "what was there is not where it should be");
    ensure!(back("mail").exists(), "what is to be used where it came back stays there");
    let db = system(&shown(&scene, "portal")?, "db")?;
    ensure!(db["in-place"] == place("db").to_str().context("text")?, "{db}");
    // Done is done.
    promote(&[])?.expect(0)?;
    ensure!(back("app").join("old").exists());
    scene.operator.run(["record", "verify"])?.expect(0)?;
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    // The verdict of others.
    program::tool(Command::new("diff").args(["-r", "--no-dereference"]).arg(&scene.source).arg(place("web"))).map(drop)
}
