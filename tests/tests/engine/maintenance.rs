//! The controller maintains a repository by itself and when it is asked to, through the program.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
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
    /// A site with one plan, whose host is never asked for anything, and a repository with its words.
    fn new(maintenance: &str) -> Result<Self> {
        let sandbox = Sandbox::new("maintenance")?;
        let operator = Operator::new(&sandbox.folder("operator")?)?;
        let repository = sandbox.path("repository").to_str().context("a path")?.to_owned();
        operator.run(["repo", "init", &repository])?.expect(0)?;
        let repositories = format!("repositories:\n  main:\n    at: {repository}\n{maintenance}");
        fs::write(operator.site.join("site.yaml"), format!("name: test\nzone: UTC\n{repositories}"))?;
        fs::write(operator.site.join("hosts.yaml"), "hosts:\n  web1: { address: 192.0.2.1 }\n")?;
        fs::create_dir_all(operator.site.join("plans"))?;
        let plan = "kind: backup\nname: files\nhosts: web1\nsources: [{ files: [/srv/files] }]\nrepository: main\n\
                    retain: { last: 2 }\n";
        let plan = plan.replace("hosts: web1", "hosts: name=web1");
        fs::write(operator.site.join("plans/files.yaml"), plan)?;
        Ok(Self { sandbox, operator, repository })
    }

    /// Backups as the plan's runs make them, of files that change each time.
    fn back_up(&self, count: u64) -> Result<()> {
        let source = self.sandbox.folder("source")?;
        for number in 0..count {
            tree::write(&source, "changes", format!("{number} {}", "x".repeat(300_000)))?;
            let source = source.to_str().context("a path")?;
            self.operator.run(["backup", "--repo", &self.repository, "--tag", "plan=files", source])?.expect(0)?;
        }
        Ok(())
    }

    /// Those of the plan: the controller keeps its own state there, too.
    fn snapshots(&self) -> Result<usize> {
        let arguments = ["snapshots", "--repo", &self.repository, "--tag", "plan=files", "--json"];
        let listed = self.operator.run(arguments)?.expect(0)?.json()?;
        Ok(listed.as_array().context("a list")?.len())
    }

    /// A controller that answers; the plan's host has no restore point, which is another matter.
    fn serve(&self) -> Result<Controller> {
        let mut controller = self.operator.serve()?;
        controller.wait_until("the controller answers", DUE_TIME_MAX, || {
            self.operator.run(["status"])?.expect_one_of(&[0, 4])
        })?;
        Ok(controller)
    }

    fn upkeep(&self) -> Result<Value> {
        Ok(self.operator.run(["status", "--json"])?.expect_one_of(&[0, 4])?.json()?["repositories"][0].clone())
    }

    fn maintain(&self, arguments: &[&str]) -> Result<Outcome> {
        self.operator.run([&["repo", "maintain", "main"], arguments].concat())
    }
}

#[test]
fn by_hand_it_forgets_prunes_and_scrubs_and_stops_at_a_mass_expiry() -> Result<()> {
    let scene = Scene::new("    maintenance: { at: yearly 01-01 03:00, scrub: { every: 30d } }\n")?;
    scene.back_up(5)?;
    let controller = scene.serve()?;
    ensure!(scene.upkeep()?["state"] == "new", "{}", scene.upkeep()?);

    let rehearsed = scene.maintain(&["--dry-run", "--json"])?.expect(0)?.json()?;
    ensure!(rehearsed["figures"]["forget"]["forgotten"] == 3, "{rehearsed}");
    ensure!(scene.snapshots()? == 5 && scene.upkeep()?["state"] == "new");

    let done = scene.maintain(&["--json"])?.expect(0)?.json()?;
    let figures = &done["figures"];
    ensure!(
        done["ending"] == "done" && figures["forget"]["forgotten"] == 3 && figures["forget"]["kept"] == 2,
        "{done}"
    );
    ensure!(figures["prune"]["deleted-bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{done}");
    ensure!(figures["scrub"]["promise"]["kept"] == true && figures["scrub"]["damaged"] == 0, "{done}");
    ensure!(scene.snapshots()? == 2);
    scene.operator.run(["repo", "check", &scene.repository, "--read-data"])?.expect(0)?;
    let upkeep = scene.upkeep()?;
    ensure!(upkeep["state"] == "maintained" && upkeep["last"]["figures"] == *figures, "{upkeep}");

    // Twenty at once are more than age explains.
    scene.back_up(20)?;
    let refused = scene.maintain(&[])?.expect(4)?;
    ensure!(refused.stdout.contains("REFUSED: 20 of 22 snapshots"), "{refused}");
    ensure!(scene.snapshots()? == 22);
    let status = scene.operator.run(["status"])?.expect(4)?;
    ensure!(status.stdout.contains("FAILED") && status.stdout.contains("20 of 22 snapshots"), "{status}");
    ensure!(controller.stop()?.success());
    let journal = scene.operator.run(["journal", "show"])?.expect(0)?;
    ensure!(journal.stdout.matches("maintenance").count() >= 4, "{journal}");
    scene.operator.run(["journal", "verify"])?.expect(0).map(drop)
}

#[test]
fn what_is_due_is_done_without_anybody_and_damage_is_told() -> Result<()> {
    let notices = "    maintenance: { at: every 1m, prune: no, scrub: {} }\n\
                   notifications: [{ command: [sh, -c, \"cat >> $HOME/notices\"], on: [failed, recovered] }]\n";
    let scene = Scene::new(notices)?;
    scene.back_up(3)?;
    let mut controller = scene.serve()?;
    controller.wait_until("it is maintained", DUE_TIME_MAX, || {
        let upkeep = scene.upkeep()?;
        ensure!(upkeep["state"] == "maintained", "{upkeep}");
        ensure!(upkeep["last"]["figures"]["forget"]["forgotten"] == 1, "{upkeep}");
        Ok(())
    })?;
    ensure!(scene.snapshots()? == 2);

    let repository = Path::new(&scene.repository);
    let packs = stored::of_kind(repository, "packs")?;
    stored::flip_bit(repository, packs.first().context("a pack")?, 1000)?;
    let notices = scene.sandbox.path("operator/notices");
    controller.wait_until("the damage is told", DUE_TIME_MAX, || {
        let told = fs::read_to_string(&notices)?;
        ensure!(told.contains("the maintenance of the repository main: damaged"), "{told}");
        Ok(())
    })?;
    ensure!(scene.upkeep()?["state"] == "failed");
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn of_the_controllers_own_states_the_newest_stay() -> Result<()> {
    let scene = Scene::new("    maintenance: { at: yearly 01-01 03:00 }\n")?;
    let controller = scene.serve()?;
    let mut made = Vec::new();
    for _ in 0..12 {
        let stored = scene.operator.run(["controller", "backup", "--json"])?.expect(0)?.json()?;
        made.push(stored[0]["stored"]["snapshot"].as_str().context("a snapshot")?.to_owned());
    }
    let done = scene.maintain(&["--json"])?.expect(0)?.json()?;
    ensure!(done["figures"]["forget"]["forgotten"] == 2 && done["figures"]["forget"]["kept"] == 10, "{done}");
    let arguments = ["snapshots", "--repo", &scene.repository, "--tag", "controller-of=test", "--json"];
    let left = scene.operator.run(arguments)?.expect(0)?.stdout;
    ensure!(made.iter().enumerate().all(|(at, id)| left.contains(id) == (at >= 2)), "{made:?} {left}");
    ensure!(controller.stop()?.success());
    Ok(())
}
