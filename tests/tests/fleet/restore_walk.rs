//! Three persons bring back what one host lost, on another one: asked for, read, agreed to twice, run, put in place, and recorded, in seven commands.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::operator::Operator;
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::random::seeded;
use strongroom_tests::{Lab, Sandbox, lab, skip, tree};

use crate::helpers::{add_host, serve};

const PLAN: &str = r#"
kind: backup
name: homes
hosts: name=web1
sources: [{ files: [/home] }]
repository: main
schedule: { full: yearly 01-01 03:00 }
retain: { daily: 14 }
prove: { level: restored, checks: [[test, -s, home/ops/ledger]] }
objectives: { rto: 4h, rpo: 24h }
"#;

/// Accounts that every Debian has.
const PEOPLE: &str = "\
people:
  wang: { organisation: 运维商甲, users: [daemon], roles: { operator: \"*\" } }
  zhao: { organisation: 甲方, users: [bin], roles: { approver: \"*\" } }
  li: { users: [man], roles: { approver: \"*\" } }
";

#[test]
fn three_persons_bring_back_what_a_host_lost() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("three_persons_bring_back_what_a_host_lost", &obstacle);
    }
    let lab = Lab::start(&["web1", "web2"])?;
    let (web1, web2) = (lab.host("web1"), lab.host("web2"));
    let home = web1.file("/home/ops");
    fs::create_dir_all(&home)?;
    tree::ordinary(&home, &mut seeded(23), 100)?;
    fs::write(home.join("ledger"), "1;2;3\n")?;
    web1.ask("chown -R 1234:1234 /home/ops && setfattr -n user.note -v 政务 /home/ops/ledger")?;
    web2.ask("mkdir -p /home/ops && echo stale > /home/ops/stale")?;
    let sandbox = Sandbox::new("restore-walk")?;
    // Where it was built others may not look.
    let installed = sandbox.path("strongroom");
    fs::copy(program::strongroom()?, &installed)?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let repository = sandbox.path("repository");
    program::run(operator.command(["repo", "init"])?.arg(&repository))?.expect(0)?;
    fs::create_dir(operator.site.join("plans"))?;
    fs::write(operator.site.join("plans/homes.yaml"), PLAN)?;
    let at = serde_json::Value::from(repository.to_str().context("a path of text")?);
    let site = format!("name: x\nzone: UTC\nrepositories: {{ main: {{ at: {at} }} }}\n{PEOPLE}");
    fs::write(operator.site.join("site.yaml"), site)?;
    fs::write(operator.site.join("hosts.yaml"), "hosts: {}\n")?;
    add_host(&operator, &lab, "web1")?;
    add_host(&operator, &lab, "web2")?;
    let controller = serve(&operator)?;
    operator.run(["run", "homes", "--host", "web1", "--watch"])?.expect(0)?;
    let before = sandbox.path("before");
    rsync(&["-aHAX"], &home, &before)?;
    web1.ask("find /home/ops -type f -exec truncate -s 0 {} +")?;

    let by = |user: &str, words: &[&str]| -> Result<Outcome> {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "--regid=nogroup", "--"]).arg(&installed);
        command.args(words).current_dir("/").env_clear().env("HOME", "/nonexistent").env("TZ", "UTC");
        command.env("STRONGROOM_SOCKET", sandbox.path("operator/run/controller.sock"));
        program::run(&mut command)?.expect(0)
    };
    let (now, why) = (jiff::Timestamp::now().to_string(), "INC-8841: 误截断");
    let more = ["--at", &now, "--to", "web2:/srv/back", "--promote-to", "/home/ops", "--reason", why, "--json"];
    let asked = by("daemon", &[&["restore", "homes", "/home/ops"], &more[..]].concat())?;
    ensure!(asked.stderr.contains("the newest restore point of web1"), "{asked}");
    let number = asked.json()?["request"]["number"].as_str().context("a number")?.to_owned();
    let shown = by("bin", &["restore", "show", &number, "--json"])?.json()?;
    let hash = shown["view"]["request"]["application"]["hash"].as_str().context("a hash")?.to_owned();
    by("bin", &["restore", "approve", &number, "--plan", &hash])?;
    by("man", &["restore", "approve", &number, "--plan", &hash])?;
    let run = by("daemon", &["restore", "run", &number, "--json"])?.json()?;
    ensure!(run["outcome"] == "restored" && run["checks"][0]["verdict"] == "agreed", "{run}");
    by("daemon", &["restore", "promote", &number, "--to", "/home/ops"])?;
    let restore = run["restore"].as_str().context("a name")?;
    let record = by("man", &["record", "show", restore])?;

    for said in
        [why, "RPO of at most", "kept", "Put in place at: /home/ops", "Check of the plan: test -s home/ops/ledger"]
    {
        ensure!(record.stdout.contains(said), "the record does not say {said}:\n{record}");
    }
    // The verdict of others.
    let differs = rsync(&["-aHAXnc", "--delete", "--itemize-changes"], &before, &web2.file("/home/ops"))?;
    ensure!(differs.trim().is_empty(), "it is not what was lost:\n{differs}");
    ensure!(web2.file("/srv/back/home/ops/stale").exists(), "what was there is gone");
    operator.run(["record", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

/// What lies in one directory, to another one.
fn rsync(how: &[&str], from: &std::path::Path, to: &std::path::Path) -> Result<String> {
    let mut command = Command::new("rsync");
    command.args(how).arg(format!("{}/", from.display())).arg(format!("{}/", to.display()));
    Ok(program::run(&mut command)?.expect(0)?.stdout)
}
