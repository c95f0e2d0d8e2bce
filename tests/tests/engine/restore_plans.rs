//! Several systems by a restore plan: in their order, as people agreed, stopped or going on where one is not up, and taken up after the controller was killed.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::{compare, skip, wait};

use crate::people::{PEOPLE, Scene};

const SOON: Duration = Duration::from_secs(60);

/// One system: its name, what it needs, and lines more.
pub(crate) type System<'s> = (&'s str, &'s str, String);

/// A scene whose source was backed up by the plan `nightly`, and the time of now.
pub(crate) fn scene(people: &str) -> Result<(Scene, String)> {
    let scene = Scene::set()?;
    scene.write_site(people)?;
    scene.back_up_by_plan("")?;
    Ok((scene, jiff::Timestamp::now().to_string()))
}

fn marks(scene: &Scene) -> PathBuf {
    scene.sandbox.path("marks")
}

/// What commands leave: when they ran, and of which system.
fn marked(scene: &Scene) -> Vec<String> {
    let marks = fs::read_to_string(marks(scene)).unwrap_or_default();
    marks.lines().map(str::to_owned).collect()
}

/// A command that leaves a mark, and does this.
fn mark(scene: &Scene, script: &str) -> String {
    let marks = marks(scene);
    let script = format!("echo $STRONGROOM_WHEN $STRONGROOM_SYSTEM >> {}; {script}", marks.display());
    format!("run: [sh, -c, '{script}']")
}

pub(crate) fn target(scene: &Scene, plan: &str, system: &str) -> PathBuf {
    scene.sandbox.path(&format!("back/{plan}/{system}"))
}

/// Writes a restore plan whose systems all are of the one source, each with marks and a probe.
pub(crate) fn write_plan(scene: &Scene, name: &str, on_failure: &str, systems: &[System<'_>]) -> Result<()> {
    let mut text = format!("kind: restore\nname: {name}\non-failure: {on_failure}\n");
    text += "addresses: { db1.internal: db2.internal }\nsystems:\n";
    for (system, needs, lines) in systems {
        let to = target(scene, name, system);
        let needs = if needs.is_empty() { String::new() } else { format!("    needs: [{needs}]\n") };
        text += &format!("  - name: {system}\n    plan: nightly\n    to: \"web2:{}\"\n{needs}{lines}", to.display());
    }
    Ok(fs::write(scene.operator.site.join(format!("plans/{name}.yaml")), text)?)
}

/// A probe that leaves a mark and prints this.
fn probe(scene: &Scene, says: &str) -> String {
    format!("    probes: [{{ {}, prints: up }}]\n", mark(scene, &format!("echo {says}")))
}

fn around(scene: &Scene, says: &str) -> String {
    let (before, after) =
        (mark(scene, "true"), mark(scene, "test \"$STRONGROOM_ADDRESSES\" = db1.internal=db2.internal"));
    format!("    before: [{{ {before} }}]\n    after: [{{ {after} }}]\n{}", probe(scene, says))
}

pub(crate) fn start(plan: &str, at: &str) -> [String; 7] {
    ["restore", "start", plan, "--at", at, "--reason", "INC-8841: site lost"].map(str::to_owned)
}

pub(crate) fn by_operator(scene: &Scene, words: &[String], more: &[&str]) -> Result<Outcome> {
    scene.operator.run(words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
}

/// What came of a system, in one line of JSON.
pub(crate) fn system(shown: &Outcome, name: &str) -> Result<Value> {
    let shown = shown.json()?;
    let found = shown["systems"].as_array().into_iter().flatten().find(|system| system["system"] == name);
    found.cloned().with_context(|| format!("{name} in {shown}"))
}

#[test]
fn systems_come_back_in_their_order_as_people_agreed() -> Result<()> {
    if !skip::is_root() {
        return skip::test("systems_come_back_in_their_order_as_people_agreed", "it acts as other users");
    }
    let (scene, at) = scene(PEOPLE)?;
    let good = || around(&scene, "up");
    let all = [("web", "app", good()), ("db", "", good()), ("app", "db", good()), ("mail", "", good())];
    write_plan(&scene, "portal", "stop", &all)?;
    let controller = scene.serve()?;
    let words = start("portal", &at);
    let by = |user: &str, more: &[&str]| {
        scene.by(user, &words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    // A look changes nothing, and says everything.
    let look = by("daemon", &["--dry-run"])?.expect(0)?;
    for said in ["1. db", "1. mail", "2. app, after db", "3. web, after app", "loses", "2 must", "must print \"up\""] {
        ensure!(look.stdout.contains(said), "it does not say {said:?}:\n{look}");
    }
    ensure!(!scene.sandbox.path("back").exists() && marked(&scene).is_empty(), "a look did something");
    let listed = scene.by("daemon", &["restore", "list", "--all", "--json"])?.expect(0)?;
    ensure!(listed.json()?.as_array().is_some_and(Vec::is_empty), "{listed}");
    scene.refused(&scene.by("daemon", &["restore", "start", "portal", "--at", &at])?, 2, "no reason")?;
    scene.refused(&scene.by("daemon", &["restore", "run", "portal"])?, 2, "nobody asked for web, db, app, mail")?;
    scene.refused(&by("sync", &[])?, 6, "operator or on-call or owner")?;

    // Each is a request of its own, and nothing begins before all are agreed to.
    let asked = by("daemon", &["--json"])?.expect(0)?;
    let number = |name: &str| -> Result<String> {
        Ok(system(&asked, name)?["request"].as_str().context("a number")?.to_owned())
    };
    ensure!(number("db")?.ends_with("-000001") && number("web")?.ends_with("-000004"), "{asked}");
    ensure!(system(&asked, "db")?["stands"] == "waiting", "{asked}");
    scene.refused(&scene.by("daemon", &["restore", "run", "portal"])?, 6, "more people must agree to web, db")?;
    let shown = scene.by("bin", &["restore", "show", &number("app")?])?.expect(0)?;
    ensure!(shown.stdout.contains("app of portal, after db") && shown.stdout.contains("must print"), "{shown}");
    for user in ["bin", "man"] {
        // All of them in one line, which `restore show portal` prints.
        let shown = scene.by(user, &["restore", "show", "portal", "--json"])?.expect(0)?.json()?;
        let next = shown["next"][0].as_str().context("a command")?;
        let words: Vec<&str> = next.split(' ').skip(1).collect();
        ensure!(words[..2] == ["restore", "approve"] && words.len() == 14, "{next}");
        scene.by(user, &words)?.expect(0)?;
    }
    // Out of its turn nobody has one run.
    scene.refused(&scene.by("daemon", &["restore", "run", &number("app")?])?, 2, "not done and verified yet: db")?;
    // What runs around it is agreed to: another command is another plan.
    let changed = all.clone().map(|(name, needs, lines)| match name {
        "db" => (name, needs, lines.replace("echo up", "echo up; true")),
        _ => (name, needs, lines),
    });
    write_plan(&scene, "portal", "stop", &changed)?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let other = scene.by("daemon", &["restore", "run", "portal", "--json"])?.expect(3)?;
    let why = system(&other, "db")?;
    ensure!(why["reason"].as_str().is_some_and(|why| why.contains("restore-plan was {")), "{other}");
    ensure!(system(&other, "mail")?["stands"] == "verified", "{other}");
    ensure!(system(&other, "app")?["left-out"]["because"] == "needs", "{other}");
    ensure!(!target(&scene, "portal", "db").exists(), "what nobody agreed to was done");
    write_plan(&scene, "portal", "stop", &all)?;
    scene.operator.run(["site", "load"])?.expect(0)?;

    let done = scene.by("daemon", &["restore", "run", "portal", "--json"])?.expect(0)?;
    ensure!(done.json()?["verified"] == true && done.json()?["seconds-to-green"].is_number(), "{done}");
    let ran = |system: &str| ["before", "after", "probe"].map(|when| format!("{when} {system}"));
    ensure!(marked(&scene) == ["mail", "db", "app", "web"].map(ran).concat(), "{:?}", marked(&scene));
    for name in ["db", "app", "web", "mail"] {
        compare::same(&scene.source, &restored(&target(&scene, "portal", name), &scene.source))?;
    }
    // What is done is not done twice.
    let again = by("daemon", &[])?.expect(0)?;
    ensure!(again.stdout.contains("every system is verified") && marked(&scene).len() == 12, "{again}");
    let listed = scene.operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
    let records: Vec<&Value> = listed.as_array().into_iter().flatten().collect();
    ensure!(records.len() == 4 && records.iter().all(|record| record["proven"] == true), "{listed}");
    let page = scene.operator.run(["record", "show", records[0]["restore"].as_str().context("a name")?])?.expect(0)?;
    ensure!(page.stdout.contains("Probe of the restore plan") && page.stdout.contains("portal: "), "{page}");
    scene.operator.run(["record", "verify"])?.expect(0)?;
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn typed_probes_say_what_is_up() -> Result<()> {
    if !skip::is_root() {
        return skip::test("typed_probes_say_what_is_up", "its scene acts as other users");
    }
    let (scene, at) = scene("")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let probes =
        format!("    probes: [{{ port: {port}, time-out: 1m }}, {{ run: [sh, -c, 'date -d $STRONGROOM_TIME'] }}]\n");
    for plan in ["up", "down"] {
        write_plan(&scene, plan, "stop", &[("db", "", probes.clone())])?;
    }
    let controller = scene.serve()?;
    by_operator(&scene, &start("up", &at), &[])?.expect(0)?;
    drop(listener);
    by_operator(&scene, &start("down", &at), &[])?.expect(3)?;
    // The newest first.
    let listed = scene.operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
    ensure!(listed[0]["proven"] == false && listed[1]["proven"] == true, "{listed}");
    for (record, said) in [(1, "localhost takes connections at port"), (0, "localhost takes none at port")] {
        let name = listed[record]["restore"].as_str().context("a name")?;
        for more in [&[][..], &["--json"]] {
            let shown = scene.operator.run([&["record", "show", name], more].concat())?.expect(0)?;
            ensure!(shown.stdout.contains(said) && shown.stdout.contains("expected a connection"), "{shown}");
            ensure!(shown.stdout.contains("strongroom check port"), "{shown}");
        }
    }
    ensure!(controller.stop()?.success());
    Ok(())
}

/// A client that goes on while the test does something.
fn begin(scene: &Scene, words: &[String]) -> Result<Child> {
    let mut command = scene.operator.command(words)?;
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn stands(scene: &Scene, plan: &str, name: &str, wanted: &str) -> Result<()> {
    let shown = scene.operator.run(["restore", "show", plan, "--json"])?.expect(0)?;
    ensure!(system(&shown, name)?["stands"] == wanted, "{shown}");
    Ok(())
}

#[test]
fn where_one_is_not_up_others_stop_or_go_on() -> Result<()> {
    if !skip::is_root() {
        return skip::test("where_one_is_not_up_others_stop_or_go_on", "its scene acts as other users");
    }
    // Nobody is named, so nobody has to agree; requests they are all the same.
    let (scene, at) = scene("")?;
    let go = |plan: &str| scene.sandbox.path(&format!("go-{plan}"));
    let plan = |name: &str, on_failure: &str, db: &str| {
        let held = mark(&scene, &format!("until [ -e {} ]; do sleep 0.05; done", go(name).display()));
        let held = format!("    after: [{{ {held} }}]\n");
        let up = || probe(&scene, "up");
        let systems = [("db", "", probe(&scene, db)), ("app", "db", up()), ("mail", "", held), ("late", "mail", up())];
        write_plan(&scene, name, on_failure, &systems)
    };
    plan("stopping", "stop", "down")?;
    plan("going-on", "continue", "down")?;
    let controller = scene.serve()?;
    for name in ["stopping", "going-on"] {
        let mut client = begin(&scene, &start(name, &at))?;
        // Its record is there before its end is told; only then the other one may come to its end.
        wait::until("db is not up", SOON, || stands(&scene, name, "db", "unproven"))?;
        wait::until("its record", SOON, || {
            let listed = scene.operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
            let is_bad = |record: &&Value| record["proven"] == false;
            let wanted = if name == "stopping" { 1 } else { 2 };
            ensure!(listed.as_array().into_iter().flatten().filter(is_bad).count() == wanted, "{listed}");
            Ok(())
        })?;
        fs::write(go(name), "")?;
        ensure!(client.wait()?.code() == Some(3), "not all of {name} is verified");
        stands(&scene, name, "mail", "verified")?;
        stands(&scene, name, "app", "ready")?;
        ensure!(!target(&scene, name, "app").exists(), "app began without db");
        let (late, begun) = (if name == "stopping" { "ready" } else { "verified" }, name == "going-on");
        stands(&scene, name, "late", late)?;
        ensure!(target(&scene, name, "late").exists() == begun, "late of {name}");
    }
    let told = scene.operator.run(["restore", "run", "stopping"])?.expect(3)?;
    ensure!(told.stdout.contains("not begun after db") && told.stdout.contains("not begun, needs db"), "{told}");

    // Mended, the same command asks anew for what did not come back, and for nothing else.
    plan("stopping", "stop", "up")?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    let before = marked(&scene).len();
    // The requests of those that were not begun are of the plan as it was, which names the same commands for them.
    let done = by_operator(&scene, &start("stopping", &at), &["--json"])?.expect(0)?;
    ensure!(done.json()?["verified"] == true, "{done}");
    let ran: Vec<String> = marked(&scene)[before..].to_vec();
    ensure!(ran.contains(&"probe db".to_owned()) && !ran.iter().any(|mark| mark.ends_with("mail")), "{ran:?}");
    for name in ["db", "app", "late", "mail"] {
        compare::same(&scene.source, &restored(&target(&scene, "stopping", name), &scene.source))?;
    }
    ensure!(controller.stop()?.success());
    // The verdict of others.
    let found = restored(&target(&scene, "stopping", "db"), &scene.source);
    program::tool(Command::new("diff").arg("-r").arg("--no-dereference").arg(&scene.source).arg(&found)).map(drop)
}

#[test]
fn cut_off_by_the_controllers_end_it_is_taken_up() -> Result<()> {
    if !skip::is_root() {
        return skip::test("cut_off_by_the_controllers_end_it_is_taken_up", "its scene acts as other users");
    }
    let (scene, at) = scene("")?;
    let go = scene.sandbox.path("go");
    let held = mark(&scene, &format!("until [ -e {} ]; do sleep 0.05; done", go.display()));
    let held = format!("    before: [{{ {held} }}]\n{}", probe(&scene, "up"));
    let good = || around(&scene, "up");
    write_plan(&scene, "portal", "stop", &[("mail", "", good()), ("db", "", held), ("app", "db, mail", good())])?;
    let controller = scene.serve()?;
    let mut client = begin(&scene, &start("portal", &at))?;
    wait::until("mail is done", SOON, || stands(&scene, "portal", "mail", "verified"))?;
    wait::until("db is begun", SOON, || {
        ensure!(marked(&scene).contains(&"before db".to_owned()), "{:?}", marked(&scene));
        Ok(())
    })?;
    controller.kill()?;
    ensure!(!client.wait()?.success(), "it was cut off, and says that all is well");
    let controller = scene.serve()?;
    stands(&scene, "portal", "db", "ready")?;
    fs::write(&go, "")?;
    let done = by_operator(&scene, &start("portal", &at), &["--json"])?.expect(0)?;
    ensure!(done.json()?["verified"] == true && system(&done, "db")?["seconds-to-green"].is_number(), "{done}");
    let mut ran = marked(&scene);
    ran.sort();
    // Each once: the host went on with db by itself.
    let each =
        ["after app", "after mail", "before app", "before db", "before mail", "probe app", "probe db", "probe mail"];
    ensure!(ran == each, "{ran:?}");
    for name in ["db", "app", "mail"] {
        compare::same(&scene.source, &restored(&target(&scene, "portal", name), &scene.source))?;
    }
    let listed = scene.operator.run(["restore", "list", "--all", "--json"])?.expect(0)?.json()?;
    ensure!(listed.as_array().is_some_and(|all| all.len() == 3), "{listed}");
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}
