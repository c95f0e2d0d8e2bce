//! A fleet on schedule while everything breaks: the controller and a worker are killed, sessions and links are cut, a host is rebooted, and one is off for a while.
//! Afterwards every due time has exactly one record, nothing was done twice, and everything comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::{Lab, Sandbox, compare, lab, skip};

use crate::helpers::{add_host, serve};

const HOSTS: [&str; 4] = ["web1", "web2", "db1", "db2"];

/// A run of a test's data takes seconds; a boot, and a line that is found dead, take longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// New data on one host: incompressible, so that as many bytes must travel.
const NEW_MIB: u64 = 48;
/// What all hosts have.
const SHARED_MIB: u64 = 32;
/// Slow enough that something can happen while it travels: 48 MiB in eight seconds.
const SLOW_BITS_PER_SECOND: u64 = 50_000_000;

const PLAN: &str = r#"
kind: backup
name: minutely
hosts: "*"
sources:
  - files: [/srv/data]
repository: main
schedule:
  full: every 5m
  incremental: every 1m
  missed: run once within 10m
retain: { daily: 14, at-least: 3 }
prove: { level: restored }
"#;

struct Scene {
    lab: Lab,
    sandbox: Sandbox,
    operator: Operator,
}

impl Scene {
    fn set() -> Result<Self> {
        let lab = Lab::start(&HOSTS)?;
        let sandbox = Sandbox::new("faults")?;
        let operator = Operator::new(&sandbox.folder("operator")?)?;
        let repository = sandbox.path("repository");
        fs::remove_dir(&operator.site)?;
        let mut new = operator.command(["site", "new"])?;
        strongroom_tests::program::run(new.arg(&operator.site).arg("--repository").arg(&repository))?.expect(0)?;
        strongroom_tests::program::run(operator.command(["repo", "init"])?.arg(&repository))?.expect(0)?;
        fs::remove_file(operator.site.join("plans/nightly.yaml"))?;
        fs::write(operator.site.join("plans/minutely.yaml"), PLAN)?;
        // What one host has stored is not stored again for another. (Hosts that store it at the same moment cannot know of each other.)
        let shared = sandbox.path("shared");
        strongroom_tests::program::tool(
            std::process::Command::new("dd")
                .args(["if=/dev/urandom", "bs=1M"])
                .arg(format!("of={}", shared.display()))
                .arg(format!("count={SHARED_MIB}")),
        )?;
        fs::create_dir_all(lab.host(HOSTS[0]).file("/srv/data"))?;
        fs::copy(&shared, lab.host(HOSTS[0]).file("/srv/data/shared"))?;
        for name in HOSTS {
            let host = lab.host(name);
            host.ask(&format!("mkdir -p /srv/data && echo 台账 {name} > /srv/data/ledger"))?;
            add_host(&operator, &lab, name)?;
        }
        Ok(Self { lab, sandbox, operator })
    }

    fn runs(&self) -> Result<Vec<Value>> {
        let runs = self.operator.run(["runs", "--count", "10000", "--json"])?.expect(0)?.json()?;
        runs.as_array().cloned().context("a list")
    }

    /// New data on a host, and a slow link to send them over; returns once a run has sent some of them.
    fn in_the_middle_of_a_run(&self, name: &str, file: &str, controller: &mut Controller) -> Result<()> {
        let host = self.lab.host(name);
        host.limit(SLOW_BITS_PER_SECOND)?;
        let before = sent(&self.lab, name)?;
        host.ask(&format!("dd if=/dev/urandom of=/srv/data/{file} bs=1M count={NEW_MIB} status=none && sync"))?;
        controller.wait_until(&format!("{name} sends"), PATIENCE, || {
            ensure!(sent(&self.lab, name)? > before + (8 << 20), "not yet");
            Ok(())
        })
    }

    /// Until a run that began after now has left a restore point of the host.
    fn recovers(&self, name: &str, controller: &mut Controller) -> Result<()> {
        self.lab.host(name).unlimit()?;
        let known: BTreeSet<String> = self.good(name)?.into_iter().collect();
        controller.wait_until(&format!("{name} has another restore point"), PATIENCE, || {
            ensure!(self.good(name)?.iter().any(|run| !known.contains(run)), "{:#?}", self.runs()?.first());
            Ok(())
        })
    }

    fn good(&self, name: &str) -> Result<Vec<String>> {
        let runs = self.runs()?.into_iter().filter(|run| run["host"] == name && run["ended"]["ending"] == "done");
        Ok(runs.filter_map(|run| run["id"].as_str().map(str::to_owned)).collect())
    }
}

/// Bytes that a host has sent since it was booted.
fn sent(lab: &Lab, name: &str) -> Result<u64> {
    // Not from /sys, which is the machine's own.
    let asked = lab.host(name).ask("ip -s link show eth0 | awk '/TX:/ { getline; print $1 }'")?;
    asked.parse().with_context(|| format!("{name} answered '{asked}'"))
}

#[test]
fn whatever_breaks_every_due_time_has_one_record_and_nothing_is_done_twice() -> Result<()> {
    let name = "whatever_breaks_every_due_time_has_one_record_and_nothing_is_done_twice";
    if let Some(obstacle) = lab::obstacle() {
        return skip::test(name, &obstacle);
    }
    let scene = Scene::set()?;
    let mut controller = serve(&scene.operator)?;
    controller.wait_until("every host has a restore point", PATIENCE, || {
        ensure!(HOSTS.iter().all(|host| scene.good(host).is_ok_and(|good| !good.is_empty())), "not yet");
        Ok(())
    })?;

    for name in &HOSTS[1..] {
        fs::copy(scene.sandbox.path("shared"), scene.lab.host(name).file("/srv/data/shared"))?;
    }

    scene.in_the_middle_of_a_run("web1", "a", &mut controller)?;
    controller.kill()?;
    let mut controller = serve(&scene.operator)?;
    scene.recovers("web1", &mut controller)?;

    scene.in_the_middle_of_a_run("web2", "b", &mut controller)?;
    ensure!(scene.lab.host("web2").kill_worker()? > 0);
    scene.recovers("web2", &mut controller)?;

    // A minute without a link, in the middle: what had arrived is not sent again.
    let before = sent(&scene.lab, "web1")?;
    scene.in_the_middle_of_a_run("web1", "d", &mut controller)?;
    scene.lab.host("web1").cut()?;
    let cut = std::time::Instant::now();
    controller.wait_until("a minute has passed", PATIENCE, || {
        ensure!(cut.elapsed() > Duration::from_secs(60), "not yet");
        Ok(())
    })?;
    scene.lab.host("web1").join()?;
    scene.recovers("web1", &mut controller)?;
    let sent = sent(&scene.lab, "web1")? - before;
    ensure!(sent < (NEW_MIB + 64) << 20, "{} MiB travelled for {NEW_MIB} MiB of new data", sent >> 20);

    scene.in_the_middle_of_a_run("db2", "e", &mut controller)?;
    scene.lab.host("db2").reboot()?;
    scene.recovers("db2", &mut controller)?;

    if skip::is_full() {
        scene.in_the_middle_of_a_run("db1", "c", &mut controller)?;
        ensure!(scene.lab.host("db1").kill_sshd_sessions()? > 0);
        scene.recovers("db1", &mut controller)?;

        scene.lab.host("db2").power_off()?;
        let off = std::time::Instant::now();
        controller.wait_until("some due times have passed", PATIENCE, || {
            ensure!(off.elapsed() > Duration::from_secs(150), "not yet");
            Ok(())
        })?;
        scene.lab.host("db2").power_on()?;
        scene.recovers("db2", &mut controller)?;
    }

    // What goes on comes to its end.
    controller.wait_until("no run is open", PATIENCE, || {
        let open = scene.runs()?.into_iter().filter(|run| run["ended"].is_null()).count();
        ensure!(open == 0, "{open} are");
        Ok(())
    })?;
    let runs = scene.runs()?;
    ensure!(controller.stop()?.success());
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    one_record_for_each_due_time(&runs)?;
    everything_comes_back(&scene, &runs)
}

/// By the plan's words: each whole minute since the first one of a host, up to the last.
fn one_record_for_each_due_time(runs: &[Value]) -> Result<()> {
    for host in HOSTS {
        let due = runs
            .iter()
            .filter(|run| run["host"] == host)
            .map(|run| run["due"].as_str().context("due")?.parse().map_err(Into::into));
        let mut due: Vec<i64> =
            due.map(|due: Result<jiff::Timestamp>| due.map(jiff::Timestamp::as_second)).collect::<Result<_>>()?;
        due.sort_unstable();
        let (first, last) = (*due.first().context("a run")?, *due.last().context("a run")?);
        let expected: Vec<i64> = (first..=last).step_by(60).collect();
        ensure!(first % 60 == 0 && due == expected, "{host}: {due:?}");
    }
    Ok(())
}

fn everything_comes_back(scene: &Scene, runs: &[Value]) -> Result<()> {
    let repository = scene.sandbox.path("repository");
    let at = |command: &[&str]| -> Result<strongroom_tests::program::Outcome> {
        let mut program = scene.operator.command(command)?;
        strongroom_tests::program::run(program.arg("--repo").arg(&repository))
    };
    let snapshots = at(&["snapshots", "--json"])?.expect(0)?.json()?;
    let snapshots = snapshots.as_array().context("a list")?;
    // Each run that says it is done has its one snapshot, and no run has two.
    let mut of_run: BTreeMap<&str, usize> = BTreeMap::new();
    for snapshot in snapshots {
        *of_run.entry(snapshot["tags"]["run"].as_str().context("a run")?).or_default() += 1;
    }
    ensure!(of_run.values().all(|count| *count == 1), "{of_run:?}");
    let done = runs.iter().filter(|run| run["ended"]["ending"] == "done").filter_map(|run| run["id"].as_str());
    for run in done {
        ensure!(of_run.contains_key(run), "the run {run} has no snapshot");
    }
    for (number, snapshot) in snapshots.iter().enumerate() {
        let target = scene.sandbox.path(&format!("restored-{number}"));
        let id = snapshot["id"].as_str().context("an id")?;
        let mut restore = scene.operator.command(["restore", id, "--repo"])?;
        strongroom_tests::program::run(restore.arg(&repository).arg("--target").arg(&target))?.expect(0)?;
        let host = snapshot["host"].as_str().context("a host")?;
        let is_last = !snapshots[number + 1..].iter().any(|later| later["host"] == host);
        if is_last {
            compare::same(&scene.lab.host(host).file("/srv/data"), &target.join("srv/data"))?;
        }
        fs::remove_dir_all(target)?;
    }
    strongroom_tests::program::run(scene.operator.command(["repo", "check", "--read-data"])?.arg(&repository))?
        .expect(0)?;
    // What all hosts have is there once; what each has of its own, once as well.
    let size = strongroom_tests::program::tool(std::process::Command::new("du").args(["-sm"]).arg(&repository))?;
    let size: u64 = String::from_utf8(size)?.split_whitespace().next().context("a size")?.parse()?;
    let own = SHARED_MIB + if skip::is_full() { 5 } else { 4 } * NEW_MIB;
    ensure!(size < own + SHARED_MIB, "the repository has {size} MiB for {own} MiB");
    Ok(())
}
