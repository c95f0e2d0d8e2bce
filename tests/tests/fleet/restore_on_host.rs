//! What one host lost comes back on another one, whose worker is killed in the middle; it reads what it was lent, and nothing before or after.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strongroom_tests::operator::Operator;
use strongroom_tests::program::Running;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Lab, Sandbox, compare, lab, skip, tree, wait};

use crate::helpers::{add_host, serve};

const PLAN: &str = r#"
kind: backup
name: nightly
hosts: name=web1
sources: [{ files: [/home] }]
repository: main
schedule: { full: yearly 01-01 03:00 }
retain: { daily: 14 }
"#;

const SOON: Duration = Duration::from_secs(120);

/// So slow that a restore is met in the middle.
const SLOW_BITS_PER_SECOND: u64 = 100_000_000;

#[test]
fn what_one_host_lost_comes_back_on_another_one() -> Result<()> {
    if let Some(obstacle) = lab::obstacle() {
        return skip::test("what_one_host_lost_comes_back_on_another_one", &obstacle);
    }
    let lab = Lab::start(&["web1", "web2"])?;
    let (web1, web2) = (lab.host("web1"), lab.host("web2"));
    let mut dice = seeded(91);
    let home = web1.file("/home/ops");
    fs::create_dir_all(&home)?;
    tree::ordinary(&home, &mut dice, 200)?;
    for number in 0..6 {
        tree::write(&home, &format!("dump {number}"), noise(&mut dice, 8 << 20))?;
    }
    web1.ask("chown -R 1234:1234 /home/ops && setfattr -n user.note -v 政务 /home/ops")?;
    let sandbox = Sandbox::new("restore-on-host")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let repository = sandbox.path("repository");
    strongroom_tests::program::run(operator.command(["repo", "init"])?.arg(&repository))?.expect(0)?;
    fs::create_dir(operator.site.join("plans"))?;
    fs::write(operator.site.join("plans/nightly.yaml"), PLAN)?;
    let at = serde_json::Value::from(repository.to_str().context("a path of text")?);
    fs::write(
        operator.site.join("site.yaml"),
        format!("name: x\nzone: UTC\nrepositories: {{ main: {{ at: {at} }} }}\n"),
    )?;
    fs::write(operator.site.join("hosts.yaml"), "hosts: {}\n")?;
    add_host(&operator, &lab, "web1")?;
    add_host(&operator, &lab, "web2")?;
    let controller = serve(&operator)?;
    operator.run(["run", "nightly", "--host", "web1", "--watch"])?.expect(0)?;
    let before = sandbox.path("before");
    strongroom_tests::sandbox::copy(&home, &before)?;
    // Truncated at its source: what is stored is all that there is.
    web1.ask("find /home/ops -type f -exec truncate -s 0 {} +")?;

    let restore = |more: &[&str]| {
        let all = [&["restore", "latest@web1", "/home", "--on", "web2", "--target", "/srv/back"], more].concat();
        operator.command(all)
    };
    let run = |more: &[&str]| strongroom_tests::program::run(&mut restore(more)?);
    let look = run(&["--dry-run"])?.expect(0)?;
    ensure!(look.stdout.contains("/srv/back") && look.stdout.contains("nothing was written"), "{look}");
    ensure!(!web2.file("/srv/back").exists(), "a look wrote something");
    let reasonless = run(&[])?.expect(2)?;
    ensure!(reasonless.stderr.contains("reason"), "{reasonless}");
    let foreign = operator.run(["restore", "latest", "--on", "web2", "--target", "/srv/back", "--reason", "x"])?;
    ensure!(foreign.code == Some(2) && foreign.stderr.contains("whose data"), "{foreign}");
    let usr = operator.run(["restore", "latest@web1", "--on", "web2", "--target", "/usr/back", "--reason", "x"])?;
    ensure!(usr.code != Some(0) && !web2.file("/usr/back").exists(), "{usr}");

    // In the middle of it the worker is killed.
    web2.limit(SLOW_BITS_PER_SECOND)?;
    let going = Running::start(&mut restore(&["--reason", "INC-8841: 误截断", "--json"])?)?;
    wait::until("it writes", SOON, || {
        let staged = fs::read_dir(web2.file("/srv/back")).map(Iterator::count).unwrap_or(0);
        ensure!(staged > 0, "nothing is staged");
        Ok(())
    })?;
    ensure!(!web2.file("/srv/back/home").exists(), "something looks finished before the end");
    ensure!(web2.kill_worker()? > 0, "no worker to be killed");
    let done = going.wait()?.expect(0)?;
    web2.unlimit()?;
    let report = done.json()?;
    ensure!(report["outcome"] == "restored" && report["order"]["host"] == "web2", "{done}");
    compare::same(&before, &web2.file("/srv/back/home/ops"))?;

    let journal = operator.run(["journal", "show", "--count", "1000", "--json"])?.expect(0)?;
    let entries = journal.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let of = |event: &str| entries.iter().filter(|entry| entry["event"] == event).collect::<Vec<_>>();
    let (started, ended) = (of("restore-started"), of("restore-ended"));
    // The one below /usr was refused by its host.
    ensure!(started.len() == 2 && ended.len() == 2, "{journal}");
    ensure!(started[1]["reason"] == "INC-8841: 误截断" && started[1]["by"]["uid"] == 0, "{journal}");
    ensure!(ended[0]["ending"] == "failed" && ended[1]["ending"] == "restored", "{journal}");
    ensure!(ended[1]["restore"] == started[1]["restore"], "{journal}");
    // Nothing of what was lent lies on the host.
    let keys = web2.ask("cat /var/lib/strongroom/keys/* && ! grep -rlF SRLN /var/lib/strongroom")?;
    ensure!(keys.contains("writer") && !keys.contains("private"), "{keys}");
    let restore = ended[1]["restore"].as_str().context("a name")?;
    is_recorded(&operator, &sandbox, restore)?;
    ensure!(controller.stop()?.success());
    whatever_is_changed_is_found(&operator, restore)
}

/// The record tells an auditor everything, and tools that are not ours say that it is genuine.
fn is_recorded(operator: &Operator, sandbox: &Sandbox, restore: &str) -> Result<()> {
    let listed = operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
    let of_this = listed.as_array().into_iter().flatten().find(|record| record["restore"] == restore);
    ensure!(listed.as_array().map(Vec::len) == Some(2), "{listed}");
    ensure!(of_this.is_some_and(|record| record["proven"] == true && record["source"] == "web1"), "{listed}");
    let page = operator.run(["record", "show", restore, "--language", "zh"])?.expect(0)?.stdout;
    for said in ["INC-8841: 误截断", "已恢复并通过校验", "web1", "web2", "/srv/back", "通过"] {
        ensure!(page.contains(said), "the record does not say {said}:\n{page}");
    }
    let handed_out = sandbox.path("handed out");
    let to = handed_out.to_str().context("text")?;
    operator.run(["record", "export", restore, "--to", to])?.expect(0)?;
    let tool = |name: &str, arguments: &[&str]| {
        strongroom_tests::program::tool(Command::new(name).args(arguments).current_dir(&handed_out))
    };
    tool("b3sum", &["--check", "record.b3"])?;
    let key = ["-inkey", "key.pem", "-rawin", "-in", "record.b3", "-sigfile", "record.sig"];
    tool("openssl", &[&["pkeyutl", "-verify", "-pubin"], &key[..]].concat())?;
    operator.run(["record", "verify", to])?.expect(0).map(drop)
}

/// A changed record, a journal that was cut off after the fact, a record that is gone.
fn whatever_is_changed_is_found(operator: &Operator, restore: &str) -> Result<()> {
    let state = operator.state();
    let sound = operator.run(["record", "verify", "--json"])?.expect(0)?.json()?;
    ensure!(sound["records"] == 2 && sound["journal-entries"].as_u64() > Some(4), "{sound}");
    let page = state.join("records").join(restore).join("record.en.txt");
    let text = fs::read_to_string(&page)?;
    fs::write(&page, text.replace("Restored on host: web2", "Restored on host: web3"))?;
    let found = operator.run(["record", "verify"])?.expect(4)?;
    let line = 1 + text.lines().position(|line| line.contains("Restored on host")).context("a line")?;
    ensure!(found.stdout.contains(&format!("record.en.txt:{line}: it was changed")), "{found}");
    fs::write(&page, text)?;
    operator.run(["record", "verify"])?.expect(0)?;

    let gone = state.join("gone");
    fs::rename(state.join("records").join(restore), &gone)?;
    let found = operator.run(["record", "verify"])?.expect(4)?;
    ensure!(found.stdout.contains("is not among the records any more"), "{found}");
    fs::rename(&gone, state.join("records").join(restore))?;

    // Yesterday's journal holds together, and knows nothing of what was signed since.
    let cut = "drop trigger entries_are_not_removed; delete from entries where number > \
        (select min(number) from entries where json_extract(text, '$.event') = 'restore-started')";
    let run = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    strongroom_tests::program::tool(Command::new("python3").args(["-c", run]).arg(state.join("journal.db")).arg(cut))?;
    operator.run(["journal", "verify"])?.expect(0)?;
    let found = operator.run(["record", "verify"])?.expect(4)?;
    ensure!(found.stdout.contains("the journal was exchanged or cut off"), "{found}");
    Ok(())
}
