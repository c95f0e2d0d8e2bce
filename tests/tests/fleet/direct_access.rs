//! A host that writes to the repository itself. It lies in the host's own tree, which this machine sees as well, as both would see a file server's.

use std::fs;

use anyhow::{Context, Result, ensure};
use strongroom_tests::operator::Operator;
use strongroom_tests::program::Outcome;
use strongroom_tests::{Lab, Sandbox, compare, lab, skip};

use crate::helpers::{add_host, serve};

const ON_HOST: &str = "/srv/backup/lan";

const PLAN: &str = r#"
kind: backup
name: nightly
hosts: "*"
sources: [{ files: [/home] }]
repository: lan
schedule: { full: yearly 01-01 03:00 }
retain: { daily: 14 }
prove: { level: restored }
"#;

#[test]
fn a_host_stores_by_itself_and_never_beside_its_mount() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("a_host_stores_by_itself_and_never_beside_its_mount", &obstacle);
    }
    let lab = Lab::start(&["web1"])?;
    let host = lab.host("web1");
    host.ask(&format!("mkdir -p /home/ops {ON_HOST} && echo 台账 > /home/ops/ledger.txt"))?;
    let sandbox = Sandbox::new("direct")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let at = host.file(ON_HOST);
    strongroom_tests::program::run(operator.command(["repo", "init"])?.arg(&at))?.expect(0)?;
    fs::create_dir(operator.site.join("plans"))?;
    fs::write(operator.site.join("plans/nightly.yaml"), PLAN)?;
    let at = serde_json::Value::from(at.to_str().context("a path of text")?);
    let repository = format!("lan: {{ at: {at}, access: direct, on-hosts: {ON_HOST} }}");
    fs::write(operator.site.join("site.yaml"), format!("name: x\nzone: UTC\nrepositories:\n  {repository}\n"))?;
    fs::write(operator.site.join("hosts.yaml"), "hosts: {}\n")?;
    add_host(&operator, &lab, "web1")?;
    let controller = serve(&operator)?;
    let run = || -> Result<Outcome> { operator.run(["run", "nightly", "--host", "web1", "--watch", "--json"]) };

    // The worker sees mounts that were made after its start. An empty one is no repository, and stays empty.
    host.ask(&format!("mount -t tmpfs none {ON_HOST}"))?;
    let failed = run()?;
    ensure!(failed.code != Some(0) && failed.stdout.contains("holds no repository"), "{failed}");
    ensure!(host.ask(&format!("ls -A {ON_HOST}"))?.is_empty());
    host.ask(&format!("umount {ON_HOST}"))?;

    let done = run()?.expect(0)?;
    let ended = &done.json()?[0]["ended"];
    ensure!(ended["ending"] == "done" && ended["proof"] == "L3", "{done}");
    let snapshot = ended["snapshots"][0].as_str().context("a snapshot")?;
    let target = sandbox.path("restored");
    let mut restore = operator.command(["restore", "--repo"])?;
    restore.arg(host.file(ON_HOST)).arg(snapshot).arg("--target").arg(&target);
    strongroom_tests::program::run(&mut restore)?.expect(0)?;
    compare::same(&host.file("/home"), &target.join("home"))?;
    ensure!(controller.stop()?.success());
    Ok(())
}
