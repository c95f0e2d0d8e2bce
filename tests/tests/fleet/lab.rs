//! The lab's own promises: hosts that are machines of their own, and that nothing is left of a lab, however its test ended.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use strongroom_tests::program::tool;
use strongroom_tests::{Lab, Sandbox, compare, lab, skip, wait};

#[test]
fn hosts_are_machines_of_their_own() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("hosts_are_machines_of_their_own", &obstacle);
    }
    let lab = Lab::start(&["web1", "web2", "db1", "db2"])?;
    let own = [
        "cat /proc/sys/kernel/random/boot_id",
        "cat /etc/machine-id",
        "hostname",
        "hostname -I",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "stat --format %i /proc/self/ns/pid",
    ];
    for question in own {
        let answers = lab.hosts().iter().map(|host| host.ask(question)).collect::<Result<BTreeSet<_>>>()?;
        ensure!(answers.len() == 4 && !answers.contains(""), "`{question}` has the answers {answers:?}");
    }
    for host in lab.hosts() {
        ensure!(host.ask("hostname")? == host.hostname());
        ensure!(host.ask("hostname -I")? == host.address().to_string());
        ensure!(host.ask("ps -o comm= 1")? == "systemd");
    }
    reaches(&lab, "web1", "db2", true)?;
    lab.host("db2").cut()?;
    reaches(&lab, "web1", "db2", false)?;
    reaches(&lab, "web1", "db1", true)
}

/// Whether one host gets the SSH greeting of another one.
fn reaches(lab: &Lab, from: &str, to: &str, expect: bool) -> Result<()> {
    let dial = format!("timeout 3 bash -c 'read -r line </dev/tcp/{to}/22 && echo \"$line\"'");
    let said = lab.host(from).ssh(&dial)?;
    ensure!(said.stdout.starts_with("SSH-") == expect, "{from} asked {to}:\n{said}");
    Ok(())
}

/// What a host writes is there for the machine with everything that belongs to a file, and the other way round.
#[test]
fn files_are_seen_from_both_sides() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("files_are_seen_from_both_sides", &obstacle);
    }
    let lab = Lab::start(&["files"])?;
    let host = lab.host("files");
    let make = "mkdir /srv/a && cd /srv/a && echo inside > f && ln f g && setfacl -m u:games:r f && setfattr -n user.k -v v f && truncate -s 9M h && chown games h";
    host.ask(make)?;
    host.ask("cp -a /srv/a /srv/b")?;
    ensure!(fs::read_to_string(host.file("/srv/a/f"))? == "inside\n");
    compare::same(&host.file("/srv/a"), &host.file("/srv/b"))?;
    host.ask("setfacl -m u:games:rw /srv/b/f")?;
    ensure!(compare::same(&host.file("/srv/a"), &host.file("/srv/b")).is_err(), "a changed ACL is not seen");
    // Two names of one file that came with Debian, of which one is changed.
    host.ask("test /usr/bin/gunzip -ef /usr/bin/uncompress && chmod 0700 /usr/bin/gunzip")?;
    ensure!(host.ask("stat --format %a /usr/bin/uncompress")? == "700");
    fs::write(host.file("/srv/from-outside"), "outside")?;
    ensure!(host.ask("cat /srv/from-outside")? == "outside");
    ensure!(!fs::exists(lab_root()?.join("srv/a"))?, "the root of all hosts was written to");
    Ok(())
}

fn lab_root() -> Result<std::path::PathBuf> {
    Ok(std::env::var_os("STRONGROOM_LAB_ROOT").context("it is set")?.into())
}

#[test]
fn two_labs_do_not_meet() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("two_labs_do_not_meet", &obstacle);
    }
    let stays = Lab::start(&["twin"])?;
    let goes = Lab::start(&["twin"])?;
    ensure!(stays.address() != goes.address() && stays.host("twin").address() != goes.host("twin").address());
    ensure!(stays.host("twin").boot_id()? != goes.host("twin").boot_id()?);
    let boot_id = stays.host("twin").boot_id()?;
    let name = goes.name().to_owned();
    ensure!(traces(&name)?.len() >= 4, "a lab that is up has traces: {:?}", traces(&name)?);
    drop(goes);
    ensure!(traces(&name)?.is_empty(), "left: {:?}", traces(&name)?);
    tool(Command::new(SCRIPT).arg("clean"))?;
    ensure!(stays.host("twin").boot_id()? == boot_id, "the other lab was not left alone");
    Ok(())
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab");

/// Everything on this machine that has the lab's name: processes, mounts, namespaces, interfaces, control groups, its record.
fn traces(name: &str) -> Result<Vec<String>> {
    let look = "ps -e -o args= | grep -v grep; cat /proc/self/mounts; ip -o link; ip netns list; ls -d /sys/fs/cgroup/*/* /run/strongroom-lab/*";
    let found = tool(Command::new("bash").args(["-c", look]))?;
    let found = String::from_utf8_lossy(&found);
    Ok(found.lines().filter(|line| line.contains(name)).map(str::to_owned).collect())
}

/// Where the test that gets killed writes the name of its lab.
const LEAVE: &str = "STRONGROOM_LAB_LEAVE";

#[test]
fn nothing_is_left_of_a_test_that_was_killed() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("nothing_is_left_of_a_test_that_was_killed", &obstacle);
    }
    let sandbox = Sandbox::new("killed")?;
    let note = sandbox.path("name");
    let mut victim = Command::new(std::env::current_exe()?);
    victim.args(["--ignored", "--exact", "lab::a_test_to_be_killed"]).env(LEAVE, &note);
    // What it leaves on the disk goes with this test.
    victim.env("STRONGROOM_TESTS_DIR", sandbox.folder("its folder")?);
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let name = wait::until("the victim's lab is up", Duration::from_secs(200), || match victim.try_wait()? {
        None => Ok(Ok(fs::read_to_string(&note)?)),
        Some(status) => Ok(Err(anyhow!("it ended by itself with {status}"))),
    });
    victim.kill()?;
    ensure!(victim.wait()?.signal() == Some(9));
    let name = name??;
    ensure!(traces(&name)?.len() >= 4, "nothing to clean up: {:?}", traces(&name)?);
    tool(Command::new(SCRIPT).arg("clean"))?;
    ensure!(traces(&name)?.is_empty(), "left: {:?}", traces(&name)?);
    Ok(())
}

#[test]
#[ignore = "the test above starts it, and kills it"]
fn a_test_to_be_killed() -> Result<()> {
    let note = std::env::var_os(LEAVE).context("it is started by another test")?;
    let lab = Lab::start(&["left"])?;
    let half = std::path::PathBuf::from(&note).with_extension("half");
    fs::write(&half, lab.name())?;
    fs::rename(&half, &note)?;
    loop {
        std::thread::park();
    }
}
