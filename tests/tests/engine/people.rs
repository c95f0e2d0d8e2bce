//! One machine that is a whole site: a controller, a host behind its own sshd, and persons with accounts of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::random::seeded;
use strongroom_tests::{Sandbox, tree};

use crate::sshd::{Sshd, user};
use crate::worker::Worker;

/// Accounts that every Debian has, and what they are here.
pub(crate) const PEOPLE: &str = "\
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
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) operator: Operator,
    program: PathBuf,
    pub(crate) source: PathBuf,
    _sshd: Sshd,
    /// The host's; none while it is away.
    pub(crate) worker: Option<Worker>,
}

impl Scene {
    pub(crate) fn set() -> Result<Self> {
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
        let scene = Self { sandbox, operator, program, source, _sshd: sshd, worker: Some(worker) };
        scene.write_site(PEOPLE)?;
        Ok(scene)
    }

    pub(crate) fn write_site(&self, people: &str) -> Result<()> {
        let at = self.sandbox.path("repository");
        let text = format!("name: x\nzone: UTC\nrepositories: {{ main: {{ at: {} }} }}\n{people}", at.display());
        Ok(fs::write(self.operator.site.join("site.yaml"), text)?)
    }

    pub(crate) fn serve(&self) -> Result<Controller> {
        let mut controller = self.operator.serve()?;
        controller.wait_until("the controller answers", SOON, || self.operator.run(["restore", "list"])?.expect(0))?;
        Ok(controller)
    }

    /// Runs a command as the person with this account.
    pub(crate) fn by(&self, user: &str, words: &[&str]) -> Result<Outcome> {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "--regid=nogroup", "--"]).arg(&self.program);
        command.args(words).current_dir("/").env_clear().env("HOME", "/nonexistent").env("TZ", "UTC");
        command.env("STRONGROOM_SOCKET", self.sandbox.path("operator/run/controller.sock"));
        program::run(&mut command)
    }

    /// Asks for the whole source, at a directory of the sandbox.
    pub(crate) fn request(&self, user: &str, target: &Path, more: &[&str]) -> Result<Outcome> {
        let (source, target) = (self.source.to_str().context("text")?, target.to_str().context("text")?);
        let words = ["restore", "request", "latest@web1", source, "--on", "web2", "--target", target];
        self.by(user, &[&words, more].concat())
    }

    /// The same, which must be refused with these words.
    pub(crate) fn refused(&self, outcome: &Outcome, code: i32, words: &str) -> Result<()> {
        outcome.clone().expect(code)?;
        ensure!(outcome.stderr.contains(words), "it does not say {words:?}:\n{outcome}");
        Ok(())
    }

    /// The hash of the plan, as `show` prints it.
    pub(crate) fn plan(&self, number: &str) -> Result<String> {
        let shown = self.by("bin", &["restore", "show", number, "--json"])?.expect(0)?.json()?;
        Ok(shown["view"]["request"]["application"]["hash"].as_str().context("a hash")?.to_owned())
    }

    pub(crate) fn approve(&self, user: &str, number: &str) -> Result<Outcome> {
        self.by(user, &["restore", "approve", number, "--plan", &self.plan(number)?[..12]])
    }

    /// Refusals in the journal, in their order: who, what, about what.
    pub(crate) fn refusals(&self) -> Result<Vec<String>> {
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

    /// The number of the request that an answer is about.
    pub(crate) fn number(&self, outcome: &Outcome) -> Result<String> {
        Ok(outcome.json()?["request"]["number"].as_str().context("a number")?.to_owned())
    }

    /// Backs the source up as a plan of the site does that has these lines more.
    pub(crate) fn back_up_by_plan(&self, lines: &str) -> Result<()> {
        self.write_plan(lines)?;
        let mut backup = self.operator.command(["backup", "--host", "web1", "--tag", "plan=nightly", "--repo"])?;
        program::run(backup.arg(self.sandbox.path("repository")).arg(&self.source))?.expect(0).map(drop)
    }

    /// Writes the plan anew, with these lines more.
    pub(crate) fn write_plan(&self, lines: &str) -> Result<()> {
        let plans = self.operator.site.join("plans");
        fs::create_dir_all(&plans)?;
        let what = "kind: backup\nname: nightly\nhosts: name=web1\nrepository: main\nretain: { daily: 14 }\n";
        let source = self.source.display();
        Ok(fs::write(plans.join("nightly.yaml"), format!("{what}sources: [{{ files: [{source}] }}]\n{lines}\n"))?)
    }
}
