//! The controller as the service that the project ships, on a host with systemd.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::lab::Host;
use strongroom_tests::{Lab, lab, program, skip};

#[test]
fn the_service_is_ready_when_it_answers_and_stops_in_order() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("the_service_is_ready_when_it_answers_and_stops_in_order", &obstacle);
    }
    let lab = Lab::start(&["control"])?;
    let host = lab.host("control");
    install(host)?;
    // `start` returns when the service says that it is ready: the next command is answered. Code 4, since nothing is protected yet.
    host.ask("systemctl daemon-reload && systemctl start strongroom && { strongroom status || test $? = 4; }")?;
    ensure!(host.ask("systemctl is-active strongroom")? == "active");
    host.ask("systemctl stop strongroom")?;
    let ended = host.ask("systemctl show strongroom --property=Result,ExecMainStatus --value | xargs")?;
    ensure!(ended == "success 0", "{ended}");
    let events = host.ask("strongroom journal show | tail -n 1")?;
    ensure!(events.contains("controller-stopped"), "{events}");
    isolates_checks(host)?;
    // A site that is faulty at the start is a person's to mend: it is not tried again and again.
    fs::write(host.file("/etc/strongroom/site.yaml"), "nam: x\n")?;
    ensure!(host.ssh("systemctl start strongroom")?.code != Some(0));
    let ended =
        host.ask("systemctl show strongroom --property=ActiveState,ExecMainStatus,NRestarts --value | xargs")?;
    ensure!(ended.split(' ').collect::<std::collections::BTreeSet<_>>() == ["0", "2", "failed"].into(), "{ended}");
    Ok(())
}

const PLAN: &str = "\
kind: backup
name: hostname
sources: [{ files: [/etc/hostname] }]
repository: /srv/strongroom
retain: { last: 3 }
prove: { level: restored, checks: [[sh, -c, 'test -s etc/hostname && test $(grep -c : /proc/net/dev) = 1']] }
";

/// In the confinement of the unit, the checks of a proof have a network and processes of their own.
fn isolates_checks(host: &Host) -> Result<()> {
    fs::write(host.file("/root/plan.yaml"), PLAN)?;
    let confined = "{ echo User=root; grep -E '^(NoNewPrivileges|Protect|Restrict|Lock|Memory|SystemCall)' /etc/systemd/system/strongroom.service; } \
                    | sed 's/^/--property=/' | tr '\\n' '\\0' \
                    | xargs -0 sh -c 'exec systemd-run --quiet --wait --pipe \"$@\" strongroom run /root/plan.yaml --json' sh";
    let record: Value = serde_json::from_str(&host.ask(confined)?)?;
    let steps = record["record"]["steps"].as_array().context("steps")?;
    let checks: Vec<&Value> = steps.iter().filter_map(|step| step["outcome"]["checks"].get(0)).collect();
    let isolated = checks.iter().all(|check| check["isolated"] == true && check["verdict"] == "agreed");
    ensure!(checks.len() == 1 && isolated, "{record}");
    Ok(())
}

/// As the README says: the program, a site and a repository, and the unit.
fn install(host: &Host) -> Result<()> {
    fs::copy(program::strongroom()?, host.file("/usr/local/bin/strongroom"))?;
    host.ask(
        "strongroom site new /etc/strongroom --repository /srv/strongroom && strongroom repo init /srv/strongroom",
    )?;
    fs::write(host.file("/etc/strongroom/hosts.yaml"), "hosts: { web1: { address: 10.255.255.1 } }\n")?;
    let unit =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the project")?.join("controller/strongroom.service");
    fs::copy(unit, host.file("/etc/systemd/system/strongroom.service"))?;
    Ok(())
}
