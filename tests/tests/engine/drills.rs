//! Drills: eight systems of which three are bad in ways that no hash sees; and a controller that is killed in the middle of one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::program::{has_tool, tool};
use strongroom_tests::{Sandbox, skip, tree};

use crate::sshd::{Sshd, user};
use crate::worker::Worker;

/// What a busy machine takes for several backups and drills.
const DONE_TIME_MAX: Duration = Duration::from_secs(240);

/// One machine that is everything: the controller, and a host behind its own sshd, which has several systems.
struct Scene {
    sandbox: Sandbox,
    operator: Operator,
    _sshd: Sshd,
    _worker: Worker,
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
        Ok(Self { sandbox, operator, _sshd: sshd, _worker: worker })
    }

    /// A system with a folder of its own and a plan that is drilled; the check runs where that folder was restored.
    fn system(&self, name: &str, every: &str, check: &str) -> Result<PathBuf> {
        let source = self.sandbox.folder(&format!("systems/{name}"))?;
        let restored = text(&source)?.trim_start_matches('/').to_owned();
        let script = serde_json::to_string(&format!("cd '{restored}' && {check}"))?;
        let plan = format!(
            "kind: backup\nname: {name}\nhosts: name=web1\nsources: [{{ files: [\"{}\"] }}]\nrepository: main\n\
             retain: {{ last: 2 }}\nprove: {{ level: restored, every: {every}, checks: [[sh, -c, {script}]] }}\n",
            source.display()
        );
        fs::write(self.operator.site.join(format!("plans/{name}.yaml")), plan)?;
        Ok(source)
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

    let mut controller = scene.serve()?;
    let names = ["broken", "empty", "ledger", "mail", "old", "shop", "stock", "web"];
    names.iter().try_for_each(|name| scene.back_up(name))?;
    // Nobody asks for the drills.
    let rows = scene.drilled(&mut controller, names.len())?;
    let ending = |row: &Value| format!("{} {}", row["plan"].as_str().unwrap_or("?"), row["last"]["ending"]);
    let endings: Vec<String> = rows.iter().map(|row| ending(row).replace('"', "")).collect();
    let expect = ["broken unproven", "empty unproven", "ledger proven", "mail proven", "old unproven", "shop proven"];
    ensure!(endings[..6] == expect && endings[6..] == ["stock proven", "web proven"], "{endings:?}");
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
