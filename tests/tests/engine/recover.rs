//! The controller is lost, with its machine: everything begins again from one repository and two of three key sheets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::{Outcome, Sandbox, stored, tree};

/// A minute until it is due, and what a busy machine takes.
const DUE_TIME_MAX: Duration = Duration::from_secs(240);

struct Scene {
    sandbox: Sandbox,
    operator: Operator,
    repository: String,
}

impl Scene {
    /// A site with one plan that is due each minute, on a host that refuses the line; its key on three sheets.
    fn new(name: &str) -> Result<Self> {
        let sandbox = Sandbox::new(name)?;
        let operator = Operator::new(&sandbox.folder("operator")?)?;
        let repository = text(&sandbox.path("repository"))?;
        operator.run(["repo", "init", &repository])?.expect(0)?;
        let sheets = text(&sandbox.path("sheets"))?;
        operator.run(["key", "sheet", "--repo", &repository, "--shares", "2/3", "--out", &sheets])?.expect(0)?;
        let site = format!("name: test\nzone: UTC\nrepositories:\n  main: {{ at: {repository} }}\n");
        fs::write(operator.site.join("site.yaml"), site)?;
        fs::write(operator.site.join("hosts.yaml"), "hosts:\n  web1: { address: 127.0.0.1, port: 1 }\n")?;
        fs::create_dir_all(operator.site.join("plans"))?;
        let plan = "kind: backup\nname: files\nhosts: name=web1\nsources: [{ files: [/srv/files] }]\n\
                    repository: main\nretain: { last: 2 }\nschedule: { incremental: every 1m }\n";
        fs::write(operator.site.join("plans/files.yaml"), plan)?;
        Ok(Self { sandbox, operator, repository })
    }

    /// A backup as one of the plan's runs makes it.
    fn back_up(&self, content: &str) -> Result<()> {
        let source = self.sandbox.folder("source")?;
        tree::write(&source, "changes", content)?;
        let (source, repo) = (text(&source)?, &self.repository);
        self.operator.run(["backup", "--repo", repo, "--host", "web1", "--tag", "plan=files", &source])?.expect(0)?;
        Ok(())
    }

    fn store_state(&self) -> Result<Value> {
        let stored = self.operator.run(["controller", "backup", "--json"])?.expect(0)?.json()?;
        Ok(stored[0]["stored"].clone())
    }

    fn sheet(&self, number: u8) -> Result<String> {
        text(&self.sandbox.path(&format!("sheets/key-share-{number}-of-3.txt")))
    }

    /// On another machine, which has nothing.
    fn recover(&self, blank: &Operator, sheets: &[&str], more: &[&str]) -> Result<Outcome> {
        let into = text(&self.again())?;
        let sheets = sheets.iter().flat_map(|sheet| ["--sheet", sheet]);
        let arguments: Vec<&str> =
            ["recover", "--repo", &self.repository, "--into", &into].into_iter().chain(sheets).collect();
        blank.run([&arguments, more].concat())
    }

    fn again(&self) -> PathBuf {
        self.sandbox.path("blank/again")
    }

    fn nothing_is_left(&self) -> Result<()> {
        let left = fs::read_dir(self.sandbox.path("blank"))?.map(|entry| Ok(entry?.file_name()));
        let left: Vec<_> = left.collect::<Result<_>>()?;
        ensure!(!left.iter().any(|name| name.to_string_lossy().contains("again")), "{left:?}");
        Ok(())
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path")?.to_owned())
}

fn serve(operator: &Operator) -> Result<Controller> {
    let mut controller = operator.serve()?;
    controller
        .wait_until("the controller answers", DUE_TIME_MAX, || operator.run(["status"])?.expect_one_of(&[0, 4]))?;
    Ok(controller)
}

/// The runs that the controller knows, and that are over.
fn ended(operator: &Operator) -> Result<Vec<(String, Timestamp)>> {
    let runs = operator.run(["runs", "--json"])?.expect(0)?.json()?;
    let of = |run: &Value| {
        let id = run["id"].as_str().context("an id")?.to_owned();
        Ok((id, run["due"].as_str().context("a due time")?.parse()?))
    };
    let runs = runs.as_array().context("a list")?.iter();
    runs.filter(|run| !run["ended"].is_null()).map(of).collect()
}

#[test]
fn two_of_three_sheets_bring_everything_back_and_the_next_run_comes_by_itself() -> Result<()> {
    let scene = Scene::new("recover")?;
    scene.back_up("first")?;
    let mut controller = serve(&scene.operator)?;
    let before = controller.wait_until("a run has ended", DUE_TIME_MAX, || {
        let runs = ended(&scene.operator)?;
        ensure!(!runs.is_empty(), "no run yet");
        Ok(runs)
    })?;
    let rehearsed = scene.operator.run(["controller", "backup", "--dry-run", "--json"])?.expect(0)?.json()?;
    ensure!(rehearsed[0]["stored"]["snapshot"].is_null() && rehearsed[0]["stored"]["entry"].as_u64() > Some(2));
    let stored = scene.store_state()?;
    let status = scene.operator.run(["status", "--json"])?.expect_one_of(&[0, 4])?.json()?;
    ensure!(status["own-state"][0]["state"] == "kept" && status["own-state"][0]["stored"] == stored, "{status}");
    ensure!(controller.stop()?.success());
    scene.back_up("later")?;
    fs::rename(scene.sandbox.path("operator"), scene.sandbox.path("lost"))?;

    let mut blank = Operator::new(&scene.sandbox.folder("blank")?)?;
    let (one, two, three) = (scene.sheet(1)?, scene.sheet(2)?, scene.sheet(3)?);
    let alone = scene.recover(&blank, &[&one], &[])?.expect(6)?;
    ensure!(alone.stderr.contains("2 shares are needed, and there is share 1: bring 1 of share 2, 3"), "{alone}");
    scene.nothing_is_left()?;
    let typed = fs::read_to_string(&two)?.replacen("\n2  ", "\n2  A", 1);
    fs::write(&two, typed)?;
    let wrong = scene.recover(&blank, &[&one, &two], &[])?.expect(2)?;
    ensure!(wrong.stderr.contains("line 2 of the key sheet"), "{wrong}");
    scene.nothing_is_left()?;
    scene.recover(&blank, &[&three, &one], &["--dry-run"])?.expect(0)?;
    scene.nothing_is_left()?;

    let found = scene.recover(&blank, &[&three, &one], &["--json"])?.expect(0)?.json()?;
    ensure!(
        found["snapshot"] == stored["snapshot"] && found["controller"]["journal"]["entry"] == stored["entry"],
        "{found}"
    );
    ensure!(found["plans"][0] == "files" && found["hosts"][0]["host"] == "web1", "{found}");
    ensure!(found["last-runs"][0]["plan"] == "files", "{found}");
    let private = fs::metadata(scene.again())?.permissions().mode();
    ensure!(private & 0o077 == 0, "its mode is {private:o}");
    ensure!(found["restore-points"][0]["younger"] == true, "{found}");
    let again = scene.again();
    let journal = text(&again.join("state/journal.db"))?;
    blank.run(["journal", "verify", "--journal", &journal])?.expect(0)?;
    let refused = scene.recover(&blank, &[&three, &one], &[])?.expect(2)?;
    ensure!(refused.stderr.contains("not empty"), "{refused}");

    // As the printed steps say: keys to their place, then the controller.
    let keys = scene.sandbox.folder("blank/.config/strongroom/keys")?;
    for key in fs::read_dir(again.join("keys"))? {
        let key = key?;
        fs::copy(key.path(), keys.join(key.file_name()))?;
    }
    fs::rename(again.join("state"), blank.state())?;
    let begun = Timestamp::now();
    blank.site = again.join("site");
    let mut controller = serve(&blank)?;
    let after = controller.wait_until("the next run comes by itself", DUE_TIME_MAX, || {
        let runs = ended(&blank)?;
        ensure!(runs.iter().any(|(_, due)| *due > begun), "{runs:?}");
        Ok(runs)
    })?;
    ensure!(
        before.iter().all(|run| after.iter().filter(|other| other.0 == run.0).count() == 1),
        "{before:?} {after:?}"
    );
    ensure!(controller.stop()?.success());
    blank.run(["journal", "verify"])?.expect(0).map(drop)
}

#[test]
fn a_damaged_state_is_named_and_the_one_before_taken() -> Result<()> {
    let scene = Scene::new("recover-damaged")?;
    let controller = serve(&scene.operator)?;
    let repository = Path::new(&scene.repository);
    let first = scene.store_state()?;
    let before = stored::of_kind(repository, "packs")?;
    let second = scene.store_state()?;
    ensure!(controller.stop()?.success() && first["snapshot"] != second["snapshot"]);
    let new: Vec<String> =
        stored::of_kind(repository, "packs")?.into_iter().filter(|pack| !before.contains(pack)).collect();
    ensure!(!new.is_empty(), "the journal has grown");
    for pack in &new {
        fs::remove_file(repository.join(pack))?;
    }
    let blank = Operator::new(&scene.sandbox.folder("blank")?)?;
    let (one, two) = (scene.sheet(1)?, scene.sheet(2)?);
    let found = scene.recover(&blank, &[&one, &two], &["--dry-run", "--json"])?.expect(4)?.json()?;
    ensure!(found["snapshot"] == first["snapshot"] && found["passed"][0]["snapshot"] == second["snapshot"], "{found}");
    ensure!(found["passed"][0]["fault"].as_str().is_some_and(|fault| fault.contains("state/journal.db")), "{found}");

    // One that cannot even be opened may have been a newer one.
    let lost = second["snapshot"].as_str().context("an id")?;
    for name in stored::of_kind(repository, "snapshots")?.iter().filter(|name| name.contains(lost)) {
        fs::remove_file(repository.join(name))?;
    }
    fs::remove_dir_all(scene.sandbox.path("blank/cache"))?;
    let told = scene.recover(&blank, &[&one, &two], &[])?.expect(4)?;
    ensure!(told.stdout.contains("PASSED OVER") && told.stdout.contains("may have been a newer state"), "{told}");
    ensure!(scene.again().join("state/journal.db").is_file());
    Ok(())
}

#[test]
fn what_a_host_claims_is_no_state_of_a_controller() -> Result<()> {
    let scene = Scene::new("recover-claimed")?;
    let writer = text(&scene.sandbox.path("writer.json"))?;
    scene
        .operator
        .run(["key", "add", "--repo", &scene.repository, "--holder", "web1", "--writer", &writer])?
        .expect(0)?;
    let source = text(&scene.sandbox.folder("source")?)?;
    let claim = ["--key", &writer, "--host", "strongroom-controller", "--tag", "controller-of=test", &source];
    scene.operator.run([&["backup", "--repo", &scene.repository], &claim[..]].concat())?.expect(0)?;
    let blank = Operator::new(&scene.sandbox.folder("blank")?)?;
    let refused = scene.recover(&blank, &[&scene.sheet(1)?, &scene.sheet(3)?], &[])?.expect(7)?;
    ensure!(refused.stderr.contains("no controller has stored its state there"), "{refused}");
    scene.nothing_is_left()
}

/// How it stands with the controller's own state, when it has been tried to begin again from it.
fn tried(operator: &Operator, controller: &mut Controller) -> Result<Value> {
    controller.wait_until("it is tried to begin again", DUE_TIME_MAX, || {
        let status = operator.run(["status", "--json"])?.expect_one_of(&[0, 4])?.json()?;
        ensure!(!status["own-state"][0]["proof"].is_null(), "{status}");
        Ok(status["own-state"][0].clone())
    })
}

#[test]
fn the_controller_tries_by_itself_to_begin_again_and_tells_when_it_cannot() -> Result<()> {
    for is_damaged in [false, true] {
        let scene = Scene::new("recover-by-itself")?;
        let (operator, repository) = (&scene.operator, Path::new(&scene.repository));
        let controller = serve(operator)?;
        scene.back_up("one")?;
        let before = stored::of_kind(repository, "packs")?;
        let stored = scene.store_state()?;
        ensure!(controller.stop()?.success());
        for pack in stored::of_kind(repository, "packs")?.iter().filter(|pack| is_damaged && !before.contains(pack)) {
            fs::remove_file(repository.join(pack))?;
        }
        // Nobody has asked for it so far.
        let site = operator.site.join("site.yaml");
        fs::write(&site, format!("{}own-state: {{ prove: monthly }}\n", fs::read_to_string(&site)?))?;
        let mut controller = serve(operator)?;
        let kept = tried(operator, &mut controller)?;
        let (proven, reason) = (&kept["proof"]["proven"], kept["proof"]["reason"].as_str().unwrap_or_default());
        let shown = operator.run(["status"])?.expect_one_of(&[0, 4])?.stdout;
        if is_damaged {
            ensure!(kept["state"] == "unproven" && proven.is_null() && reason.contains("state"), "{kept}");
            ensure!(shown.contains("UNPROVEN") && shown.contains("it cannot be begun again: "), "{shown}");
        } else {
            ensure!(kept["state"] == "kept" && proven["snapshot"] == stored["snapshot"], "{kept}");
            ensure!(proven["hosts"] == 1 && proven["plans"] == 1 && proven["snapshots"] == 1, "{kept}");
            ensure!(proven["entry"] == stored["entry"] && !kept["next-proof"].is_null(), "{kept}");
        }
        ensure!(fs::read_dir(operator.state().join("scratch"))?.next().is_none(), "nothing of it stays");
        ensure!(controller.stop()?.success());
        operator.run(["journal", "verify"])?.expect(0)?;
    }
    Ok(())
}
