//! What the lab can do to a host, and that it is really done to it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use strongroom_tests::lab::Host;
use strongroom_tests::program::Running;
use strongroom_tests::{Lab, lab, skip, wait};

const SOON: Duration = Duration::from_secs(30);

/// Something that is done to a host.
type Act = fn(&Host) -> Result<()>;

/// A unit that writes down that it was stopped in order.
const WITNESS: &str = "printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/touch /srv/stopped\n' \
    >/etc/systemd/system/witness.service && systemctl start witness";

#[test]
fn a_host_reboots_and_is_switched_off_and_on() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("a_host_reboots_and_is_switched_off_and_on", &obstacle);
    }
    let lab = Lab::start(&["one", "other"])?;
    let (host, other) = (lab.host("one"), lab.host("other"));
    let (machine_id, others_boot) = (host.ask("cat /etc/machine-id")?, other.boot_id()?);
    let mut boots = vec![host.boot_id()?];
    let shut_down: [(&str, Act, bool); 3] = [
        ("reboot", Host::reboot, true),
        ("power off", |host| off_and_on(host, Host::power_off), true),
        ("power cut", |host| off_and_on(host, Host::power_cut), false),
    ];
    for (what, act, in_order) in shut_down {
        host.ask(&format!("rm -f /srv/stopped; echo {what} > /srv/kept; {WITNESS}"))?;
        act(host)?;
        ensure!(!boots.contains(&host.boot_id()?), "{what}: still the same boot");
        boots.push(host.boot_id()?);
        ensure!(host.ask("cat /srv/kept")? == what);
        ensure!(host.file("/srv/stopped").exists() == in_order, "{what}: stopped in order? {}", !in_order);
        ensure!(host.ask("cat /etc/machine-id")? == machine_id);
    }
    ensure!(other.boot_id()? == others_boot, "the other host rebooted too");
    Ok(())
}

fn off_and_on(host: &Host, off: Act) -> Result<()> {
    off(host)?;
    ensure!(!host.is_on()? && host.processes()?.is_empty(), "it is not off: {:?}", host.processes()?);
    host.ssh("true")?.expect(255)?;
    ensure!(host.file("/srv/kept").exists());
    host.power_on()
}

#[test]
fn a_host_is_cut_off_and_joined() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("a_host_is_cut_off_and_joined", &obstacle);
    }
    let lab = Lab::start(&["cut", "other"])?;
    let host = lab.host("cut");
    let boot_id = host.boot_id()?;
    // A connection that is open meanwhile: neither end is told, and it goes on afterwards.
    let open = "touch /srv/begun; until [ -e /srv/word ]; do sleep 0.1; done; echo heard";
    let open = Running::start(host.ssh_command().arg(open))?;
    begins(host)?;
    host.cut()?;
    fs::write(host.file("/srv/word"), "")?;
    host.ssh("true")?.expect(255)?;
    lab.host("other").ask("true")?;
    host.join()?;
    ensure!(open.wait()?.expect(0)?.stdout == "heard\n");
    ensure!(host.boot_id()? == boot_id, "it rebooted");
    // Also a host that nobody reaches can be switched off, and comes back once it is joined.
    host.cut()?;
    host.power_off()?;
    host.join()?;
    host.power_on()?;
    ensure!(host.boot_id()? != boot_id);
    Ok(())
}

/// Waits for the session that says so with a file.
fn begins(host: &Host) -> Result<()> {
    wait::until("the session begins", SOON, || {
        ensure!(host.file("/srv/begun").exists(), "not yet");
        Ok(())
    })
}

#[test]
fn sessions_and_workers_are_killed() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("sessions_and_workers_are_killed", &obstacle);
    }
    let lab = Lab::start(&["killed"])?;
    let host = lab.host("killed");
    let session = Running::start(host.ssh_command().arg("touch /srv/begun; sleep infinity"))?;
    begins(host)?;
    ensure!(host.kill_sshd_sessions()? >= 1);
    session.wait()?.expect(255)?;
    host.ask("true")?;

    ensure!(host.kill_worker().is_err(), "there is no worker yet");
    // A stand-in: a shell under the worker's name, with a script under the name of its command.
    host.ask("cp /bin/bash /usr/local/bin/strongroom-worker; echo 'sleep infinity & wait' >/srv/serve")?;
    let unit = "[Service]\\nWorkingDirectory=/srv\\nExecStart=/usr/local/bin/strongroom-worker serve\\nRestart=on-failure\\nRestartSec=0\\n";
    host.ask(&format!("printf '{unit}' >/etc/systemd/system/worker.service; systemctl start worker"))?;
    let main_process = || host.ask("systemctl show --property MainPID --value worker");
    let before = main_process()?;
    ensure!(host.kill_worker()? == 1);
    wait::until("systemd starts it again", SOON, || {
        let now = main_process()?;
        ensure!(now != "0" && now != before, "it is {now}");
        Ok(())
    })
}

#[test]
fn a_link_is_limited() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("a_link_is_limited", &obstacle);
    }
    const BYTES: u64 = 4 << 20;
    const BITS_PER_SECOND: u64 = 16_000_000;
    let lab = Lab::start(&["slow"])?;
    let host = lab.host("slow");
    let takes = || -> Result<Duration> {
        let began = Instant::now();
        let got = host.ssh(&format!("head -c {BYTES} /dev/zero"))?.expect(0)?;
        ensure!(got.stdout.len() as u64 == BYTES);
        Ok(began.elapsed())
    };
    host.limit(BITS_PER_SECOND)?;
    let limited = takes()?;
    host.unlimit()?;
    let free = takes()?;
    let least = Duration::from_secs_f64(BYTES as f64 * 8.0 / BITS_PER_SECOND as f64);
    ensure!(limited >= least.mul_f64(0.9), "{limited:?} is faster than the limit, {least:?}");
    ensure!(free < limited, "without a limit it takes {free:?}, with it {limited:?}");
    Ok(())
}
