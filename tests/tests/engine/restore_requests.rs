//! Restores that need agreement, by several persons, each with an account of his own: asked for, approved, run, and every misuse refused and in the journal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::random::seeded;
use strongroom_tests::{Sandbox, compare, skip, tree};

use crate::sshd::{Sshd, user};
use crate::worker::Worker;

/// Accounts that every Debian has, and what they are here.
const PEOPLE: &str = "\
people:
  wang: { organisation: 运维商甲, users: [daemon], roles: { operator: \"*\" } }
  zhao: { organisation: 甲方, users: [bin], roles: { approver: \"*\" } }
  li: { users: [man], roles: { approver: tenant=north } }
  sun: { users: [games], roles: { owner: \"*\" } }
  yu: { users: [lp], roles: { on-call: \"*\" } }
  wei: { users: [mail], roles: { on-call: \"*\" } }
  deng: { users: [sync], roles: { viewer: \"*\" } }
  chen: { users: [news], roles: { auditor: \"*\" } }
";

const SOON: Duration = Duration::from_secs(60);

/// One machine that is everything: the controller, and a host behind its own sshd.
struct Scene {
    sandbox: Sandbox,
    operator: Operator,
    program: PathBuf,
    source: PathBuf,
    _sshd: Sshd,
    _worker: Worker,
}

impl Scene {
    fn set() -> Result<Self> {
        let sandbox = Sandbox::new("restore-requests")?;
        let (source, host) = (sandbox.folder("source")?, sandbox.folder("host")?);
        tree::ordinary(&source, &mut seeded(17), 60)?;
        // Where it was built others may not look.
        let program = sandbox.path("strongroom");
        fs::copy(program::strongroom()?, &program)?;
        let operator = Operator::new(&sandbox.folder("operator")?)?;
        let repository = sandbox.path("repository");
        program::run(operator.command(["repo", "init"])?.arg(&repository))?.expect(0)?;
        let mut backup = operator.command(["backup", "--host", "web1", "--repo"])?;
        program::run(backup.arg(&repository).arg(&source))?.expect(0)?;
        let sshd = Sshd::start()?;
        let connect = format!("'{}' connect --run-dir '{}'", program::worker()?.display(), host.join("run").display());
        sshd.authorize(&format!("restrict,command=\"{connect}\""), "user_key")?;
        fs::create_dir_all(operator.state())?;
        fs::copy(sshd.path("user_key"), operator.state().join("ssh-key"))?;
        fs::copy(sshd.path("known_hosts"), operator.state().join("known-hosts"))?;
        let worker = Worker::answering(&host)?;
        let hosts = format!(
            "hosts:\n  web1: {{ address: 127.0.0.1, port: 1, labels: {{ tenant: north }} }}\n  web2: {{ address: 127.0.0.1, port: {}, user: {}, labels: {{ tenant: north }} }}\n",
            sshd.port(),
            user()?
        );
        fs::write(operator.site.join("hosts.yaml"), hosts)?;
        let scene = Self { sandbox, operator, program, source, _sshd: sshd, _worker: worker };
        scene.write_site(PEOPLE)?;
        Ok(scene)
    }

    fn write_site(&self, people: &str) -> Result<()> {
        let at = self.sandbox.path("repository");
        let text = format!("name: x\nzone: UTC\nrepositories: {{ main: {{ at: {} }} }}\n{people}", at.display());
        Ok(fs::write(self.operator.site.join("site.yaml"), text)?)
    }

    fn serve(&self) -> Result<Controller> {
        let mut controller = self.operator.serve()?;
        controller.wait_until("the controller answers", SOON, || self.by("daemon", &["restore", "list"])?.expect(0))?;
        Ok(controller)
    }

    /// Runs a command as the person with this account.
    fn by(&self, user: &str, words: &[&str]) -> Result<Outcome> {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "--regid=nogroup", "--"]).arg(&self.program);
        command.args(words).current_dir("/").env_clear().env("HOME", "/nonexistent").env("TZ", "UTC");
        command.env("STRONGROOM_SOCKET", self.sandbox.path("operator/run/controller.sock"));
        program::run(&mut command)
    }

    /// Asks for the whole source, at a directory of the sandbox.
    fn request(&self, user: &str, target: &Path, more: &[&str]) -> Result<Outcome> {
        let (source, target) = (self.source.to_str().context("text")?, target.to_str().context("text")?);
        let words = ["restore", "request", "latest@web1", source, "--on", "web2", "--target", target];
        self.by(user, &[&words, more].concat())
    }

    /// The same, which must be refused with these words.
    fn refused(&self, outcome: &Outcome, code: i32, words: &str) -> Result<()> {
        outcome.clone().expect(code)?;
        ensure!(outcome.stderr.contains(words), "it does not say {words:?}:\n{outcome}");
        Ok(())
    }

    /// The hash of the plan, as `show` prints it.
    fn plan(&self, number: &str) -> Result<String> {
        let shown = self.by("bin", &["restore", "show", number, "--json"])?.expect(0)?.json()?;
        Ok(shown["view"]["request"]["application"]["hash"].as_str().context("a hash")?.to_owned())
    }

    fn approve(&self, user: &str, number: &str) -> Result<Outcome> {
        self.by(user, &["restore", "approve", number, "--plan", &self.plan(number)?[..12]])
    }

    /// Refusals in the journal, in their order: who, what, about what.
    fn refusals(&self) -> Result<Vec<String>> {
        let shown = self.by("news", &["journal", "show", "--count", "1000", "--json"])?.expect(0)?;
        let entries: Vec<Value> = shown.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let refused = entries.iter().filter(|entry| entry["event"] == "refused");
        let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("?").to_owned();
        let line = |entry: &Value| {
            let by = entry["by"]["person"].as_str().or(entry["by"]["name"].as_str()).unwrap_or("?");
            format!("{by} {} {}", word(entry, "act"), word(entry, "object"))
        };
        Ok(refused.map(line).collect())
    }
}

fn number(outcome: &Outcome) -> Result<String> {
    Ok(outcome.json()?["request"]["number"].as_str().context("a number")?.to_owned())
}

#[test]
fn two_others_agree_to_a_restore_and_every_misuse_is_refused() -> Result<()> {
    if !skip::is_root() {
        return skip::test("two_others_agree_to_a_restore_and_every_misuse_is_refused", "it acts as other users");
    }
    let scene = Scene::set()?;
    let controller = scene.serve()?;
    let target = scene.sandbox.path("back/restored");
    let why = ["--reason", "INC-8841: 误截断"];

    // What cannot be meant gets no number.
    scene.refused(&scene.request("daemon", &target, &[])?, 2, "no reason")?;
    scene.refused(&scene.request("daemon", &scene.sandbox.path("back/../etc"), &why)?, 2, "'..'")?;
    scene.refused(&scene.request("daemon", Path::new("back"), &why)?, 2, "not absolute")?;
    scene.refused(&scene.request("sync", &target, &why)?, 6, "operator or on-call or owner")?;
    scene.refused(&scene.request("daemon", &target, &[&why[..], &["--break-glass"]].concat())?, 6, "on-call")?;
    let latest = ["restore", "request", "latest@web1", "--on", "web3", "--target", "/srv", "--reason", "x"];
    scene.refused(&scene.by("daemon", &latest)?, 2, "no host 'web3'")?;
    let up = ["restore", "request", "latest@web1", "/srv/../etc", "--on", "web2", "--target", "/srv", "--reason", "x"];
    scene.refused(&scene.by("daemon", &up)?, 2, "'..'")?;
    let glob = ["restore", "request", "latest@web1", "/*", "--on", "web2", "--target", "/srv/b", "--reason", "x"];
    scene.refused(&scene.by("daemon", &glob)?, 2, "*")?;
    let direct = ["restore", "latest@web1", "--on", "web2", "--target", "/srv/b", "--reason", "x"];
    scene.refused(&scene.by("daemon", &direct)?, 6, "strongroom restore request latest@web1")?;

    let asked = scene.request("daemon", &target, &[&why[..], &["--json"]].concat())?.expect(0)?;
    let first = number(&asked)?;
    ensure!(first.starts_with("HF-20") && first.ends_with("-000001"), "{asked}");
    ensure!(asked.json()?["state"] == "waiting" && asked.json()?["request"]["by"]["organisation"] == "运维商甲");
    // Nobody approves what he asked for, has not read, or may not.
    scene.refused(&scene.approve("daemon", &first)?, 6, "approver or owner")?;
    scene.refused(&scene.approve("sync", &first)?, 6, "approver or owner")?;
    let unread = scene.by("bin", &["restore", "approve", &first, "--plan", "0123456789ab"])?;
    scene.refused(&unread, 2, "restore show")?;
    scene.approve("bin", &first)?.expect(0)?;
    scene.refused(&scene.approve("bin", &first)?, 6, "already")?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 6, "2 must agree")?;
    scene.approve("man", &first)?.expect(0)?;
    scene.refused(&scene.by("sync", &["restore", "run", &first])?, 6, "operator or on-call")?;

    // Somebody puts a link there after the plan was approved.
    fs::create_dir(scene.sandbox.path("elsewhere"))?;
    symlink("elsewhere", scene.sandbox.path("back"))?;
    let widened = scene.by("daemon", &["restore", "run", &first])?;
    scene.refused(&widened, 2, "approved: target was")?;
    fs::remove_file(scene.sandbox.path("back"))?;
    // Somebody loses the role after he approved.
    scene.write_site(&PEOPLE.replace("approver: tenant=north", "viewer: tenant=north"))?;
    scene.operator.run(["site", "load"])?.expect(0)?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 6, "li has no such role any more")?;
    scene.write_site(PEOPLE)?;
    scene.operator.run(["site", "load"])?.expect(0)?;

    // Another controller knows all of it.
    controller.kill()?;
    let controller = scene.serve()?;
    scene.by("daemon", &["restore", "run", &first, "--dry-run"])?.expect(0)?;
    ensure!(!target.exists(), "a look wrote something");
    let done = scene.by("daemon", &["restore", "run", &first, "--json"])?.expect(0)?;
    ensure!(done.json()?["outcome"] == "restored", "{done}");
    compare::same(&scene.source, &restored(&target, &scene.source))?;
    scene.refused(&scene.by("daemon", &["restore", "run", &first])?, 2, "an approval is for one restore")?;
    let shown = scene.by("games", &["restore", "show", &first])?.expect(0)?;
    for words in [
        "INC-8841: 误截断",
        "finished",
        "zhao at",
        "li at",
        "restore-requested by wang",
        "restore-ended",
        "refused by deng",
    ] {
        ensure!(shown.stdout.contains(words), "it does not show {words:?}:\n{shown}");
    }

    // An owner asks, and may not agree with himself; rejected it stays. No refusal took a number.
    let second = number(&scene.request("games", &target, &[&why[..], &["--json"]].concat())?.expect(0)?)?;
    ensure!(second.ends_with("-000002"), "{second}");
    scene.refused(&scene.approve("games", &second)?, 6, "sun asked for it")?;
    scene.by("bin", &["restore", "reject", &second, "--reason", "twice"])?.expect(0)?;
    scene.refused(&scene.approve("man", &second)?, 2, "rejected by zhao: twice")?;

    let refusals = scene.refusals()?;
    let expected = [
        "wang request web2".to_owned(),
        "wang request web2".into(),
        "wang request web2".into(),
        "deng request web1".into(),
        "wang break-glass web1".into(),
        "wang request web3".into(),
        "wang request web2".into(),
        "wang request web2".into(),
        "wang restore web2".into(),
        format!("wang approve {first}"),
        format!("deng approve {first}"),
        format!("zhao approve {first}"),
        format!("zhao approve {first}"),
        format!("wang restore {first}"),
        "deng restore web1".into(),
        format!("wang restore {first}"),
        format!("wang restore {first}"),
        format!("wang restore {first}"),
        format!("sun approve {second}"),
        format!("li approve {second}"),
    ];
    ensure!(refusals == expected, "{refusals:#?}");
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    Ok(())
}

#[test]
fn a_restore_by_break_glass_is_owed_a_follow_up() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_by_break_glass_is_owed_a_follow_up", "it acts as other users");
    }
    let scene = Scene::set()?;
    let controller = scene.serve()?;
    let target = scene.sandbox.path("back");
    let asked = scene.request("lp", &target, &["--reason", "web1 is dead", "--break-glass", "--json"])?.expect(0)?;
    let number = number(&asked)?;
    scene.refused(&scene.approve("lp", &number)?, 6, "yu asked for it")?;
    scene.approve("mail", &number)?.expect(0)?;
    scene.by("lp", &["restore", "run", &number])?.expect(0)?;
    compare::same(&scene.source, &restored(&target, &scene.source))?;
    for words in [&["restore", "list"][..], &["status"]] {
        let shown = scene.by("sync", words)?;
        ensure!(shown.stdout.contains("FOLLOW-UP OWED") && shown.stdout.contains(&number), "{shown}");
    }
    scene.refused(&scene.by("mail", &["restore", "close", &number, "--note", "fine"])?, 6, "approver or owner")?;
    scene.by("games", &["restore", "close", &number, "--note", "web1 had to be back by six"])?.expect(0)?;
    let listed = scene.by("sync", &["restore", "list"])?.expect(0)?;
    ensure!(!listed.stdout.contains(&number), "{listed}");
    let shown = scene.by("sync", &["restore", "show", &number])?.expect(0)?;
    ensure!(shown.stdout.contains("BY BREAK-GLASS") && shown.stdout.contains("web1 had to be back by six"), "{shown}");
    ensure!(controller.stop()?.success());
    Ok(())
}
