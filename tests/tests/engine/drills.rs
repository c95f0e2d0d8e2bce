//! Drills: eight systems of which three are bad in ways that no hash sees; and a controller that is killed in the middle of one.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::program::{has_tool, tool};
use strongroom_tests::{Outcome, Sandbox, skip, tree, wait};

use crate::sshd::{Sshd, user};
use crate::worker::Worker;

/// What a busy machine takes for several backups and drills.
const DONE_TIME_MAX: Duration = Duration::from_secs(240);

/// One machine that is everything: the controller, and a host behind its own sshd, which has several systems.
struct Scene {
    sandbox: Sandbox,
    operator: Operator,
    _sshd: Sshd,
    worker: Worker,
}

impl Scene {
    fn set(name: &str) -> Result<Self> {
        let sandbox = Sandbox::new(name)?;
        let host = sandbox.folder("host")?;
        let operator = Operator::new(&sandbox.folder("operator")?)?;
        let repository = text(&sandbox.path("repository"))?;
        operator.run(["repo", "init", &repository])?.expect(0)?;
        let sshd = Sshd::start()?;
        let worker = strongroom_tests::program::worker()?;
        let connect = format!("'{}' connect --run-dir '{}'", worker.display(), host.join("run").display());
        sshd.authorize(&format!("restrict,command=\"{connect}\""), "user_key")?;
        fs::create_dir_all(operator.state())?;
        fs::copy(sshd.path("user_key"), operator.state().join("ssh-key"))?;
        fs::copy(sshd.path("known_hosts"), operator.state().join("known-hosts"))?;
        let site = format!("name: test\nzone: UTC\nrepositories: {{ main: {{ at: {repository} }} }}\n");
        fs::write(operator.site.join("site.yaml"), site)?;
        let hosts = format!("hosts:\n  web1: {{ address: 127.0.0.1, port: {}, user: {} }}\n", sshd.port(), user()?);
        fs::write(operator.site.join("hosts.yaml"), hosts)?;
        fs::create_dir_all(operator.site.join("plans"))?;
        let worker = Worker::answering(&host)?;
        Ok(Self { sandbox, operator, _sshd: sshd, worker })
    }

    /// A system with a folder of its own and a plan that is drilled; the check runs where that folder was restored.
    fn system(&self, name: &str, every: &str, check: &str) -> Result<PathBuf> {
        self.system_with(name, every, |restored| {
            Ok(format!("[sh, -c, {}]", serde_json::to_string(&format!("cd '{restored}' && {check}"))?))
        })
    }

    /// The same with checks as the plan writes them, of where its folder was restored.
    fn system_with(&self, name: &str, every: &str, checks: impl Fn(&str) -> Result<String>) -> Result<PathBuf> {
        let source = self.sandbox.folder(&format!("systems/{name}"))?;
        let checks = checks(text(&source)?.trim_start_matches('/'))?;
        let plan = format!(
            "kind: backup\nname: {name}\nhosts: name=web1\nsources: [{{ files: [\"{}\"] }}]\nrepository: main\n\
             retain: {{ last: 2 }}\nprove: {{ level: restored, every: {every}, checks: [{checks}] }}\n",
            source.display()
        );
        fs::write(self.operator.site.join(format!("plans/{name}.yaml")), plan)?;
        Ok(source)
    }

    /// Takes what a system's plan says of proofs out of it, and into a file that says it of this plan by name.
    fn drill_by_file(&self, name: &str, file: &str) -> Result<()> {
        let path = self.operator.site.join(format!("plans/{name}.yaml"));
        let plan = fs::read_to_string(&path)?;
        let (plan, demand) = plan.split_at(plan.find("prove: ").context("it is proven")?);
        fs::write(path, plan)?;
        let drill = format!("kind: drill\nname: {file}\nplans: [{name}]\n{demand}");
        Ok(fs::write(self.operator.site.join(format!("plans/{file}.yaml")), drill)?)
    }

    fn serve(&self) -> Result<Controller> {
        let mut controller = self.operator.serve()?;
        controller.wait_until("the controller answers", DONE_TIME_MAX, || {
            self.operator.run(["status"])?.expect_one_of(&[0, 4])
        })?;
        Ok(controller)
    }

    fn back_up(&self, plan: &str) -> Result<()> {
        self.operator.run(["run", plan, "--host", "web1", "--watch"])?.expect(0).map(drop)
    }

    fn drills(&self) -> Result<Vec<Value>> {
        let listed = self.operator.run(["drill", "list", "--json"])?.expect(0)?.json()?;
        Ok(listed.as_array().context("a list")?.clone())
    }

    /// Until each of the plans has had so many drills that came to an end.
    fn drilled(&self, controller: &mut Controller, count: usize) -> Result<Vec<Value>> {
        controller.wait_until("the drills are over", DONE_TIME_MAX, || {
            let rows = self.drills()?;
            let over = rows.iter().filter(|row| !row["last"].is_null() && row["running-since"].is_null());
            ensure!(over.count() == count, "{rows:?}");
            Ok(rows)
        })
    }

    /// Nothing of what was restored is left.
    fn scratch(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.operator.state().join("scratch")).into_iter().flatten();
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path")?.to_owned())
}

fn sqlite(file: &Path, statements: &str) -> Result<()> {
    tool(Command::new("sqlite3").arg(file).arg(statements)).map(drop)
}

/// Rows must be there, and the newest must be of this month; both are read from what was restored.
const HAS_ROWS: &str = "n=$(sqlite3 orders.db 'select count(*) from orders'); echo \"$n orders\"; test \"$n\" -ge 3";
const IS_FRESH: &str = "d=$(sqlite3 orders.db 'select max(day) from orders'); echo \"newest $d\"; \
                        test \"$(printf '%s\\n' 2026-11-01 \"$d\" | sort | head -n 1)\" = 2026-11-01";
const IS_SOUND: &str = "python3 -I -c 'import json; json.load(open(\"app.json\"))'";

const ORDERS: &str = "create table orders (day text); insert into orders values";

#[test]
fn of_eight_systems_three_fail_for_what_no_hash_sees() -> Result<()> {
    if !has_tool("sqlite3") || !has_tool("python3") {
        return skip::test("of_eight_systems_three_fail_for_what_no_hash_sees", "there is no sqlite3 or no python3");
    }
    let scene = Scene::set("drills")?;
    let fresh = format!("{ORDERS} ('2026-11-01'), ('2026-11-20'), ('2026-11-21')");
    for name in ["shop", "stock"] {
        sqlite(&scene.system(name, "weekly", HAS_ROWS)?.join("orders.db"), &fresh)?;
    }
    sqlite(&scene.system("ledger", "weekly", IS_FRESH)?.join("orders.db"), &fresh)?;
    for name in ["web", "mail"] {
        tree::write(&scene.system(name, "weekly", IS_SOUND)?, "app.json", "{ \"port\": 80 }")?;
    }
    // An empty table, a feed that stopped in spring, a comma too many: each backed up as it is, byte by byte.
    sqlite(&scene.system("empty", "weekly", HAS_ROWS)?.join("orders.db"), "create table orders (day text)")?;
    let old = format!("{ORDERS} ('2026-03-30'), ('2026-03-31')");
    sqlite(&scene.system("old", "weekly", IS_FRESH)?.join("orders.db"), &old)?;
    tree::write(&scene.system("broken", "weekly", IS_SOUND)?, "app.json", "{ \"port\": 80, }")?;

    // Of one of the bad ones, what it has to show stands in a file beside its plan.
    scene.drill_by_file("old", "every-week")?;

    let mut controller = scene.serve()?;
    let names = ["broken", "empty", "ledger", "mail", "old", "shop", "stock", "web"];
    names.iter().try_for_each(|name| scene.back_up(name))?;
    // Nobody asks for the drills.
    let rows = scene.drilled(&mut controller, names.len())?;
    let ending = |row: &Value| format!("{} {}", row["plan"].as_str().unwrap_or("?"), row["last"]["ending"]);
    let endings: Vec<String> = rows.iter().map(|row| ending(row).replace('"', "")).collect();
    let expect = ["broken unproven", "empty unproven", "ledger proven", "mail proven", "old unproven", "shop proven"];
    ensure!(endings[..6] == expect && endings[6..] == ["stock proven", "web proven"], "{endings:?}");
    let said_by: Vec<&Value> = rows.iter().map(|row| &row["demanded-by"]).filter(|said| !said.is_null()).collect();
    ensure!(said_by == ["every-week"] && rows[4]["demanded-by"] == "every-week", "{rows:?}");
    let listed = scene.operator.run(["drill", "list"])?.expect(0)?;
    ensure!(listed.stdout.matches("drill every-week").count() == 1, "{listed}");
    for (plan, cause) in
        [("broken", "JSONDecodeError"), ("empty", "ended with 1: 0 orders"), ("old", "newest 2026-03-31")]
    {
        let row = rows.iter().find(|row| row["plan"] == plan).context("a row")?;
        let reason = row["last"]["reason"].as_str().context("a reason")?;
        ensure!(reason.contains(cause) && reason.contains("was to end with 0"), "{plan}: {reason}");
        let status = scene.operator.run(["status"])?.expect(4)?.stdout;
        let line = status.lines().find(|line| line.contains(&format!(" {plan} "))).context("a line of the status")?;
        ensure!(line.starts_with("UNPROVEN") && line.contains(cause), "{line}");
    }

    // The proof that is listed and shown is the drill's, with all that the check said.
    let proofs = scene.operator.run(["proof", "list", "--plan", "empty", "--json"])?.expect(0)?.json()?;
    ensure!(proofs[0]["level"] == "L0" && proofs[0]["by"]["drill"].is_string(), "{proofs}");
    let snapshot = proofs[0]["snapshots"][0].as_str().context("a snapshot")?;
    let story = scene.operator.run(["proof", "show", &snapshot[..12], "--json"])?.expect(0)?.json()?;
    let (restored, check) = (&story["attempts"][0]["restored"], &story["attempts"][0]["checks"][0]);
    ensure!(restored["verification"]["files-equal"] == 1 && restored["differences-total"] == 0, "{story}");
    ensure!(check["expected"] == "ended with 0" && check["actual"] == "ended with 1", "{story}");
    ensure!(check["result"]["output"] == "0 orders" && check["result"]["isolated"] == skip::is_root(), "{story}");
    let shown = scene.operator.run(["proof", "show", &snapshot[..12]])?.expect(0)?;
    ensure!(shown.stdout.contains("| 0 orders") && shown.stdout.contains("expected  ended with 0"), "{shown}");
    let proofs = scene.operator.run(["proof", "list", "--plan", "shop", "--json"])?.expect(0)?.json()?;
    ensure!(proofs[0]["level"] == "L3", "{proofs}");
    ensure!(scene.scratch()?.is_empty(), "{:?}", scene.scratch()?);

    // By hand: what is repaired and backed up again proves.
    let rehearsed = scene.operator.run(["drill", "run", "empty", "--dry-run", "--json"])?.expect(0)?.json()?;
    ensure!(rehearsed[0]["done"].is_null() && rehearsed[0]["snapshots"][0] == snapshot, "{rehearsed}");
    sqlite(&scene.sandbox.path("systems/empty/orders.db"), "insert into orders values (1), (2), (3)")?;
    scene.back_up("empty")?;
    scene.operator.run(["drill", "run", "empty", "--host", "web1"])?.expect(0)?;
    scene.operator.run(["drill", "run", "empty", "--snapshot", &snapshot[..12]])?.expect(4)?;
    scene.operator.run(["drill", "run", "empty"])?.expect(0)?;
    ensure!(scene.operator.run(["drill", "run"])?.expect(4)?.stdout.matches("UNPROVEN").count() == 2);
    ensure!(controller.stop()?.success());
    scene.operator.run(["journal", "verify"])?.expect(0).map(drop)
}

#[test]
fn typed_checks_say_what_was_found_and_what_was_expected() -> Result<()> {
    if !has_tool("sqlite3") {
        return skip::test("typed_checks_say_what_was_found_and_what_was_expected", "there is no sqlite3");
    }
    let scene = Scene::set("drill-typed")?;
    let system = |name: &str| {
        scene.system_with(name, "weekly", |at| {
            let query = "select count(*) from orders";
            Ok(format!(
                "{{ files: {at}, at-least: 3 }}, {{ newest: {at}, within: 1d }}, \
                 {{ sqlite: {at}/orders.db, query: {query}, at-least: 3 }}, [sh, -c, 'date -d $STRONGROOM_TIME']"
            ))
        })
    };
    let rows = format!("{ORDERS} ('a'), ('b'), ('c')");
    for (name, statements) in
        [("empty", "create table orders (day text)"), ("few", &rows), ("stale", &rows), ("well", &rows)]
    {
        let source = system(name)?;
        sqlite(&source.join("orders.db"), statements)?;
        let others: &[&str] = if name == "few" { &["one"] } else { &["one", "two"] };
        others.iter().try_for_each(|file| tree::write(&source, file, "content"))?;
    }
    // As a system whose feed has stopped: all of it is of the year before.
    for file in fs::read_dir(scene.sandbox.path("systems/stale"))? {
        tool(Command::new("touch").args(["-d", "2025-11-20T03:00:00Z"]).arg(file?.path()))?;
    }
    let mut controller = scene.serve()?;
    ["empty", "few", "stale", "well"].iter().try_for_each(|name| scene.back_up(name))?;
    let drilled = scene.drilled(&mut controller, 4)?;
    let causes = [
        "the query gives \"0\"; expected at least 3",
        "found 2 files below ",
        ", of 2025-11-20T03:00:00Z; expected no more than 1d before ",
    ];
    for (row, cause) in drilled.iter().zip(causes) {
        let reason = row["last"]["reason"].as_str().context("a reason")?;
        ensure!(row["last"]["ending"] == "unproven" && reason.contains("strongroom check "), "{row}");
        ensure!(reason.contains("ended with 1") && reason.contains(cause), "{reason}");
    }
    ensure!(drilled[3]["plan"] == "well" && drilled[3]["last"]["ending"] == "proven", "{drilled:?}");

    // One cause each: whatever else is looked at agrees. Words and findings stand in the proof.
    for ((row, cause), wrong) in drilled.iter().zip(causes).zip([2, 0, 1]) {
        let snapshot = row["last"]["snapshots"][0].as_str().context("a snapshot")?;
        let story = scene.operator.run(["proof", "show", &snapshot[..12], "--json"])?.expect(0)?.json()?;
        let checks = story["attempts"][0]["checks"].as_array().context("checks")?;
        let agree: Vec<bool> = checks.iter().map(|check| check["actual"] == "ended with 0").collect();
        ensure!(agree.iter().enumerate().all(|(at, agrees)| *agrees == (at != wrong)), "{story}");
        let said = checks[wrong]["result"]["output"].as_str().context("what it said")?;
        ensure!(said.contains(cause) && checks[3]["result"]["output"] != "", "{story}");
        let shown = scene.operator.run(["proof", "show", &snapshot[..12]])?.expect(0)?;
        ensure!(shown.stdout.contains("strongroom check sqlite ") && shown.stdout.contains(cause), "{shown}");
    }

    // What is mended proves.
    sqlite(&scene.sandbox.path("systems/empty/orders.db"), "insert into orders values (1), (2), (3)")?;
    scene.back_up("empty")?;
    scene.operator.run(["drill", "run", "empty"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn a_drill_that_was_killed_is_told_cleaned_up_and_done_again() -> Result<()> {
    let scene = Scene::set("drill-kill")?;
    // It waits as long as nobody says that it may go on.
    let may_go_on = scene.sandbox.path("may-go-on");
    let waits = format!("until test -e '{}'; do sleep 0.1; done", may_go_on.display());
    tree::write(&scene.system("slow", "monthly", &waits)?, "file", "content")?;
    let mut controller = scene.serve()?;
    scene.back_up("slow")?;
    controller.wait_until("the drill is at its check", DONE_TIME_MAX, || {
        ensure!(!scene.scratch()?.is_empty() && !scene.drills()?[0]["running-since"].is_null());
        Ok(())
    })?;
    controller.kill()?;
    ensure!(!scene.scratch()?.is_empty(), "it was killed in the middle");

    fs::write(&may_go_on, "")?;
    let mut controller = scene.serve()?;
    controller.wait_until("it is drilled again", DONE_TIME_MAX, || {
        let rows = scene.drills()?;
        ensure!(rows[0]["last"]["ending"] == "proven", "{rows:?}");
        Ok(())
    })?;
    ensure!(scene.scratch()?.is_empty(), "{:?}", scene.scratch()?);
    ensure!(controller.stop()?.success());
    let journal = scene.operator.run(["journal", "show", "--json"])?.expect(0)?.json_lines()?;
    let endings: Vec<&Value> =
        journal.iter().filter(|entry| entry["event"] == "drill-ended").map(|entry| &entry["ending"]).collect();
    ensure!(endings == ["interrupted", "proven"], "{endings:?}");
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8(tool(command)?)?)
}

/// What `sha256sum` says of files below a folder, without their names.
fn sums(folder: &Path) -> Result<BTreeSet<String>> {
    let script = "find . -type f -exec sha256sum {} + | cut -d' ' -f1";
    let said = said(Command::new("sh").args(["-c", script]).current_dir(folder))?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[test]
fn samples_of_a_third_restore_everything_in_three_drills() -> Result<()> {
    let scene = Scene::set("drill-samples")?;
    // What each drill restored, as its check has found it.
    let marks = scene.sandbox.path("marks");
    let notes = format!("find . -type f -exec sha256sum {{}} + | cut -d' ' -f1 >> '{}'", marks.display());
    let source = scene.system("archive", "weekly, sample: 3 MiB, promise: 90d", &notes)?;
    for name in 0..9 {
        tree::write(&source, &format!("year/{name}"), format!("{name}").repeat(1 << 20))?;
    }
    let mut controller = scene.serve()?;
    scene.back_up("archive")?;
    let coverage = |rows: &[Value]| rows[0]["sampled"]["coverage"]["restored-files"].clone();
    let rows = scene.drilled(&mut controller, 1)?;
    ensure!(coverage(&rows) == 3 && rows[0]["sampled"]["kept"] == true, "{rows:?}");
    ensure!(rows[0]["last"]["sample"]["bytes"] == 3 << 20, "{rows:?}");
    let listed = scene.operator.run(["drill", "list"])?.expect(0)?;
    ensure!(listed.stdout.contains("33 % of the bytes, 33 % of the files, oldest "), "{listed}");
    let proofs = scene.operator.run(["proof", "list"])?.expect(0)?;
    ensure!(proofs.stdout.contains("L3, 33 % of the bytes"), "{proofs}");
    let status = scene.operator.run(["status"])?.expect_one_of(&[0, 4])?;
    ensure!(status.stdout.contains("protected") && status.stdout.contains("L3, 33 % of the bytes"), "{status}");

    for drill in 2..=3 {
        let seen: BTreeSet<String> = fs::read_to_string(&marks)?.lines().map(str::to_owned).collect();
        ensure!(seen.len() == 3 * (drill - 1), "each drill restores what none has restored: {seen:?}");
        scene.operator.run(["drill", "run", "archive"])?.expect(0)?;
    }
    let seen: Vec<String> = fs::read_to_string(&marks)?.lines().map(str::to_owned).collect();
    ensure!(seen.len() == 9 && seen.iter().cloned().collect::<BTreeSet<_>>() == sums(&source)?, "{seen:?}");
    ensure!(coverage(&scene.drills()?) == 9);

    // Everything, where somebody names a restore point; and that does not count.
    let rows = scene.drills()?;
    let snapshot = rows[0]["last"]["snapshots"][0].as_str().context("a snapshot")?;
    scene.operator.run(["drill", "run", "archive", "--snapshot", &snapshot[..12]])?.expect(0)?;
    ensure!(fs::read_to_string(&marks)?.lines().count() == 18);
    let shown = scene.operator.run(["proof", "show", &snapshot[..12]])?.expect(0)?;
    ensure!(shown.stdout.matches("sample    of 9 files, 9.0 MiB, by the seed ").count() == 3, "{shown}");
    ensure!(shown.stdout.contains("all drills: 100 % of the bytes, 100 % of the files, oldest "), "{shown}");

    // What was restored when can be lost: it is said, and the drills begin anew.
    let kept = scene.operator.state().join("drills/archive@web1");
    fs::write(&kept, "nothing of the kind")?;
    scene.operator.run(["drill", "run", "archive"])?.expect(0)?;
    ensure!(coverage(&scene.drills()?) == 3);
    ensure!(scene.scratch()?.is_empty(), "{:?}", scene.scratch()?);
    ensure!(controller.stop()?.success());
    scene.operator.run(["journal", "verify"])?.expect(0).map(drop)
}

#[test]
fn a_check_that_takes_more_than_its_limits_does_not_agree() -> Result<()> {
    let scene = Scene::set("drill-limits")?;
    let limits = "weekly, limits: { cpu: 1s, memory: 64 MiB }";
    tree::write(&scene.system("busy", limits, "while :; do :; done")?, "file", "content")?;
    let hungry = "head -c 200000000 /dev/zero | tail -n 1 > /dev/null; exit $?";
    tree::write(&scene.system("hungry", limits, hungry)?, "file", "content")?;
    let mut controller = scene.serve()?;
    ["busy", "hungry"].iter().try_for_each(|name| scene.back_up(name))?;
    let rows = scene.drilled(&mut controller, 2)?;
    for (row, cause) in rows.iter().zip(["used up its processor time", "ended with 1"]) {
        let reason = row["last"]["reason"].as_str().context("a reason")?;
        ensure!(row["last"]["ending"] == "unproven" && reason.contains(cause), "{row}");
        ensure!(reason.contains("(it may take 1s of processor time, 64 MiB of memory)"), "{reason}");
    }
    ensure!(rows[1]["last"]["reason"].as_str().is_some_and(|reason| reason.contains("memory exhausted")), "{rows:?}");
    ensure!(controller.stop()?.success());
    Ok(())
}

/// Keeps a process from flushing a file system, so that what it wrote can be changed before it is read back: where it is about to, it stops, until it is told to go on.
struct Halt(Child);

impl Halt {
    /// None where tracing is not allowed.
    fn attach(id: u32) -> Result<Option<Self>> {
        let arguments = ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:signal=STOP"];
        let mut strace = Command::new("strace").args(arguments).args(["-p", &id.to_string()]).spawn()?;
        let attached = wait::until("strace is attached", DONE_TIME_MAX, || {
            let is_traced = !fs::read_to_string(format!("/proc/{id}/status"))?.contains("TracerPid:\t0\n");
            let has_ended = strace.try_wait()?.is_some();
            ensure!(is_traced || has_ended);
            Ok(is_traced)
        });
        attached.map(|is_attached| is_attached.then_some(Self(strace)))
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A change to a file that is restored, and what is said of it.
type Fault = (&'static str, fn(&Path) -> Result<()>, &'static str);

const FAULTS: [Fault; 4] = [
    ("one-byte", |file| Ok(OpenOptions::new().write(true).open(file)?.write_all_at(b"!", 1000)?), "read back"),
    (
        "replaced",
        |file| {
            fs::remove_file(file)?;
            Ok(fs::write(file, "x".repeat(5000))?)
        },
        "read back",
    ),
    ("owner", |file| Ok(chown(file, Some(4243), None)?), "owner"),
    ("list", |file| tool(Command::new("setfacl").arg("-b").arg(file)).map(drop), "extended attributes"),
];

/// The file as it is restored below a folder, where it is complete.
fn staged(folder: &Path, name: &str) -> Option<PathBuf> {
    let find = ["-type", "f", "-name", name, "-size", "5000c", "-uid", "4242"];
    let found = said(Command::new("find").arg(folder).args(find)).ok()?;
    let file = PathBuf::from(found.lines().next()?);
    let list = said(Command::new("getfacl").arg("-cn").arg(&file)).ok()?;
    list.contains("user:4244:r--").then_some(file)
}

/// Has something restored below a folder by a process that is halted, and a file of it changed when it is written and not yet read back.
fn with_fault(
    (id, folder): (u32, &Path),
    (name, change, _): Fault,
    ask: impl FnOnce() -> Result<Outcome> + Send + 'static,
) -> Result<Outcome> {
    let going = Pid::from_raw(id.try_into()?).context("a process has an id")?;
    let asked = thread::spawn(ask);
    let mut is_changed = false;
    wait::until("it is over", DONE_TIME_MAX, || {
        if let Some(file) = staged(folder, name).filter(|_| !is_changed) {
            change(&file)?;
            is_changed = true;
        }
        // Whatever else is flushed may be.
        if is_changed || fs::read_dir(folder).into_iter().flatten().next().is_none() {
            kill_process(going, Signal::CONT)?;
        }
        ensure!(asked.is_finished(), "it goes on; the file was changed: {is_changed}");
        Ok(())
    })?;
    ensure!(is_changed, "the file was never there");
    asked.join().unwrap_or_else(|_| bail!("it panicked"))
}

#[test]
fn what_is_changed_between_writing_and_reading_back_fails_the_drill_and_is_named() -> Result<()> {
    let name = "what_is_changed_between_writing_and_reading_back_fails_the_drill_and_is_named";
    if !has_tool("strace") || !has_tool("setfacl") || !skip::is_root() {
        return skip::test(name, "there is no strace or no setfacl, or this is not root");
    }
    let scene = Scene::set("drill-faults")?;
    let source = scene.system("files", "monthly", "true")?;
    for (name, _, _) in FAULTS {
        tree::write(&source, name, name.repeat(5000).get(..5000).context("long enough")?)?;
        chown(source.join(name), Some(4242), Some(4242))?;
        tool(Command::new("setfacl").args(["-m", "u:4244:r"]).arg(source.join(name)))?;
    }
    let mut controller = scene.serve()?;
    scene.back_up("files")?;
    let rows = scene.drilled(&mut controller, 1)?;
    ensure!(rows[0]["last"]["ending"] == "proven", "{rows:?}");
    let Some(halt) = Halt::attach(controller.id())? else { return skip::test(name, "tracing is not allowed here") };
    let scratch = scene.operator.state().join("scratch");
    for fault in FAULTS {
        let operator = scene.operator.clone();
        let drilled = with_fault((controller.id(), &scratch), fault, move || operator.run(["drill", "run", "files"]));
        drilled.with_context(|| format!("{}: {:?}", fault.0, controller.log()))?.expect(4)?;
        let rows = scene.drills()?;
        let reason = rows[0]["last"]["reason"].as_str().context("a reason")?;
        ensure!(rows[0]["last"]["ending"] == "unproven", "{rows:?}");
        ensure!(reason.contains(&format!("/{}: ", fault.0)) && reason.contains(fault.2), "{reason}");
        ensure!(scene.scratch()?.is_empty(), "{:?}", scene.scratch()?);
    }
    drop(halt);
    // Nothing of it was the backup's fault.
    scene.operator.run(["drill", "run", "files"])?.expect(0)?;

    // The same of a restore on the host.
    let Some(halt) = Halt::attach(scene.worker.id())? else { return skip::test(name, "tracing is not allowed here") };
    for fault in FAULTS {
        let (operator, target) = (scene.operator.clone(), scene.sandbox.path(&format!("back {}", fault.0)));
        let to = text(&target)?;
        let words = ["restore", "latest@web1", "--on", "web1", "--reason", "a look", "--json", "--target"];
        let restored = with_fault((scene.worker.id(), &target), fault, move || {
            operator.run(words.into_iter().chain([to.as_str()]))
        })?;
        let report = restored.expect_one_of(&[3, 4])?.json()?;
        let (kind, what) = if fault.2 == "read back" { ("problems", "error") } else { ("deviations", "aspect") };
        let found = &report[kind][0];
        ensure!(found["path"].as_str().is_some_and(|path| path.ends_with(&format!("/{}", fault.0))), "{report}");
        let cause = found[what].as_str().map(|cause| cause.replace("attributes", "extended attributes"));
        ensure!(cause.is_some_and(|cause| cause.contains(fault.2)), "{report}");
    }
    drop(halt);
    ensure!(controller.stop()?.success());
    Ok(())
}
