//! A host behind another one: the account on the jump host as the README makes it, and then everything through it.

use anyhow::{Context, Result, ensure};
use strongroom_tests::lab::Host;
use strongroom_tests::operator::Operator;
use strongroom_tests::{Lab, Sandbox, compare, lab, program, skip};

use crate::helpers::{add_host, fingerprint, serve};

#[test]
fn a_host_behind_another_is_added_and_backed_up_through_it() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("a_host_behind_another_is_added_and_backed_up_through_it", &obstacle);
    }
    let lab = Lab::start(&["gate", "db1"])?;
    let (gate, db1) = (lab.host("gate"), lab.host("db1"));
    db1.ask("mkdir -p /home/ops && echo 台账 > /home/ops/ledger.txt")?;
    let sandbox = Sandbox::new("jump")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let (site, repository) = (operator.site.clone(), sandbox.path("repository"));
    std::fs::remove_dir(&site)?;
    program::run(operator.command(["site", "new"])?.arg(&site).arg("--repository").arg(&repository))?.expect(0)?;
    program::run(operator.command(["repo", "init"])?.arg(&repository))?.expect(0)?;
    add_host(&operator, &lab, "gate")?;

    // The worker's key there leads nowhere; what is said to be missing is what makes it work.
    let add = || {
        let (fingerprint, address) = (fingerprint(db1)?, db1.address().to_string());
        let mut command = operator.command(["host", "add", "db1", &address, "--jump", "gate", "--site"])?;
        command.arg(&site).args(["--fingerprint", &fingerprint, "--identity"]).arg(lab.key());
        program::run(&mut command)
    };
    let refused = add()?;
    let line = refused.stderr.lines().find(|line| line.contains("restrict,port-forwarding ssh-ed25519"));
    let line = line.with_context(|| format!("{refused}"))?.trim();
    ensure!(refused.code != Some(0) && !std::fs::read_to_string(site.join("hosts.yaml"))?.contains("db1"), "{refused}");
    make_account(gate, line, db1)?;
    add()?.expect(0)?;

    let controller = serve(&operator)?;
    let run = operator.run(["run", "nightly", "--host", "db1", "--watch", "--json"])?.expect(0)?;
    let ended = &run.json()?[0]["ended"];
    ensure!(ended["ending"] == "done" && ended["proof"] == "L3", "{run}");
    let logins = db1.ask("journalctl -u ssh --no-pager | grep 'Accepted publickey for strongroom '")?;
    let from = format!(" from {} ", gate.address());
    ensure!(logins.lines().count() > 0 && logins.lines().all(|login| login.contains(&from)), "{logins}");

    let snapshot = ended["snapshots"][0].as_str().context("a snapshot")?;
    let target = sandbox.path("restored");
    let mut restore = operator.command(["restore", "--repo"])?;
    program::run(restore.arg(&repository).arg(snapshot).arg("--target").arg(&target))?.expect(0)?;
    compare::same(&db1.file("/home"), &target.join("home"))?;
    ensure!(controller.stop()?.success());
    Ok(())
}

/// As the README says.
fn make_account(gate: &Host, line: &str, behind: &Host) -> Result<()> {
    let home = "/var/lib/strongroom-jump";
    gate.ask(&format!(
        "useradd --system --create-home --home-dir {home} --shell /usr/sbin/nologin --password '*' strongroom-jump && \
         install -d -m 755 {home}/.ssh && echo '{line}' >{home}/.ssh/authorized_keys && \
         printf '%s\\n' 'Match User strongroom-jump' 'AllowTcpForwarding local' 'AllowStreamLocalForwarding no' 'PermitOpen {}:22' \
         >/etc/ssh/sshd_config.d/strongroom-jump.conf && systemctl reload ssh",
        behind.address()
    ))
    .map(drop)
}
