//! From a fresh Debian host to its first proven restore point: the commands of the README, one after another, as a new operator types them.

use std::fs;

use anyhow::{Context, Result, ensure};
use strongroom_tests::operator::Operator;
use strongroom_tests::{Lab, Sandbox, compare, lab, skip};

use crate::helpers::{add_host, fingerprint, serve};

#[test]
fn a_fresh_host_has_a_proven_restore_point_after_five_commands() -> Result<()> {
    let name = "a_fresh_host_has_a_proven_restore_point_after_five_commands";
    if let Some(obstacle) = lab::obstacle() {
        return skip::test(name, &obstacle);
    }
    let lab = Lab::start(&["web1"])?;
    let host = lab.host("web1");
    host.ask("mkdir -p /home/ops && echo 台账 > /home/ops/ledger.txt && ln -s ledger.txt /home/ops/link")?;
    let sandbox = Sandbox::new("first")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let (site, repository) = (operator.site.clone(), sandbox.path("repository"));
    fs::remove_dir(&site)?;

    // 1, 2: a site and a place for its backups.
    operator
        .run(["site".as_ref(), "new".as_ref(), site.as_os_str(), "--repository".as_ref(), repository.as_os_str()])?
        .expect(0)?;
    operator.run(["repo".as_ref(), "init".as_ref(), repository.as_os_str()])?.expect(0)?;

    // 3: the host. Its fingerprint is read on the host itself, as an operator does at its console.
    let fingerprint = fingerprint(host)?;
    let (address, key) = (host.address().to_string(), lab.key());
    let add = |fingerprint: &str| {
        let site = site.as_os_str();
        operator.run([
            "host".as_ref(),
            "add".as_ref(),
            "web1".as_ref(),
            address.as_ref(),
            "--site".as_ref(),
            site,
            "--identity".as_ref(),
            key.as_os_str(),
            "--fingerprint".as_ref(),
            fingerprint.as_ref(),
        ])
    };
    let refused = add("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?.expect(6)?;
    ensure!(refused.stderr.contains(&fingerprint), "it says what it saw: {refused}");
    add(&fingerprint)?.expect(0)?;
    ensure!(fs::read_to_string(site.join("hosts.yaml"))?.contains(&address));
    // Doing it again finds everything done.
    let again = add(&fingerprint)?.expect(0)?;
    ensure!(again.stderr.matches("it is so already").count() >= 5, "{again}");

    // 4, 5: the controller, and a run.
    let controller = serve(&operator)?;
    let run = operator.run(["run", "nightly", "--host", "web1", "--watch", "--json"])?.expect(0)?;
    let runs = run.json()?;
    let ended = &runs[0]["ended"];
    ensure!(ended["ending"] == "done" && ended["proof"] == "L3", "{run}");
    let status = operator.run(["status", "--json"])?.expect(0)?.json()?;
    ensure!(status["rows"][0]["state"] == "protected", "{status}");

    // What it is and has, as it says itself.
    let asked = operator.run(["host", "facts", "web1", "--refresh", "--json"])?.expect(0)?.json()?;
    let facts = &asked["known"]["gathered"]["facts"];
    ensure!(facts["os"]["id"] == "debian", "{asked}");
    ensure!(facts["packages"].as_array().is_some_and(|found| found.iter().any(|one| one["name"] == "openssh-server")));
    // A host of the lab shares this machine's kernel. It has a boot id of its own, but the worker's hardened service looks past that to the kernel's.
    let boots = [host.boot_id()?, fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned()];
    let told = asked["known"]["boot-id"].as_str().unwrap_or_default();
    ensure!(boots.iter().any(|boot| boot == told), "{told:?} is none of {boots:?}");
    let list = operator.run(["host", "list", "--json"])?.expect(0)?.json()?;
    ensure!(list[0]["known"]["worker"] == asked["known"]["worker"], "{list}");

    // What came back is what the host has, by somebody else's judgement.
    let snapshot = ended["snapshots"][0].as_str().context("a snapshot")?;
    let target = sandbox.path("restored");
    operator
        .run([
            "restore".as_ref(),
            "--repo".as_ref(),
            repository.as_os_str(),
            snapshot.as_ref(),
            "--target".as_ref(),
            target.as_os_str(),
        ])?
        .expect(0)?;
    for folder in ["home", "root"] {
        compare::same(&host.file(&format!("/{folder}")), &target.join(folder))?;
    }

    // The host holds nothing with which the repository could be read, or its past be changed.
    let keys = host.ask("ls /var/lib/strongroom/keys && cat /var/lib/strongroom/keys/*")?;
    ensure!(keys.contains("writer") && !keys.contains("private"), "{keys}");
    ensure!(controller.stop()?.success());
    let journal = operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(journal.stdout.contains("each as it was written"), "{journal}");
    Ok(())
}

/// With the controller's key, nothing but the worker can be reached: tried with OpenSSH's own client.
#[test]
fn the_controllers_key_opens_nothing_else() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("the_controllers_key_opens_nothing_else", &obstacle);
    }
    let lab = Lab::start(&["web1"])?;
    let host = lab.host("web1");
    let sandbox = Sandbox::new("key")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let address = host.address().to_string();
    add_host(&operator, &lab, "web1")?;
    let key = operator.state().join("ssh-key");
    let ssh = |program: &str, options: &[&str], rest: &[&str]| -> Result<std::process::Output> {
        let known = format!("UserKnownHostsFile={}", lab.known_hosts().display());
        let mut command = std::process::Command::new(program);
        command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", &known, "-i"]).arg(&key).args(options);
        command.arg(format!("strongroom@{address}")).args(rest).stdin(std::process::Stdio::null());
        Ok(command.output()?)
    };
    let id = ssh("ssh", &[], &["id"])?;
    ensure!(!id.status.success() && !String::from_utf8_lossy(&id.stdout).contains("uid="), "{id:?}");
    let shell = ssh("ssh", &["-tt"], &[])?;
    ensure!(!shell.status.success(), "{shell:?}");
    let sftp = ssh("sftp", &[], &[])?;
    ensure!(!sftp.status.success(), "{sftp:?}");
    // A forward that is allowed would carry sshd's own greeting back.
    let forward = ssh("ssh", &["-W", "127.0.0.1:22"], &[])?;
    ensure!(!forward.status.success() && !String::from_utf8_lossy(&forward.stdout).contains("SSH-2.0"), "{forward:?}");
    // The worker itself does answer.
    let control = ssh("ssh", &[], &["control"])?;
    ensure!(control.stdout.starts_with(b"strongroom-worker 1\n"), "{control:?}");
    Ok(())
}
