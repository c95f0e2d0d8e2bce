//! SIGKILL during a backup, at seeded random moments and at the store's own system calls. Afterwards every earlier snapshot restores, no half snapshot is
//! visible, the repository is sound, and the next backup succeeds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::program::{self, RandomKills, Running};
use strongroom_tests::random::{first_seed, noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, stored, tree};

/// One backup lies in the repository; the source has changed since. What is killed is the backup of the change.
struct Scene {
    sandbox: Sandbox,
    source: PathBuf,
    /// The source as it was at the first backup.
    before: PathBuf,
    first: String,
    /// How long the backup of the change takes when nobody kills it.
    takes: Duration,
}

impl Scene {
    fn set(name: &str, seed: u64) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let (source, before) = (sandbox.folder("source")?, sandbox.path("before"));
        let mut dice = seeded(seed);
        tree::ordinary(&source, &mut dice, 300)?;
        let first = client.backup(&source)?;
        sandbox::copy(&source, &before)?;
        tree::change(&source, &mut dice, 1)?;
        // New data for several objects, so that there is much to be killed in.
        tree::write(&source, "data/large.bin", noise(&mut dice, 12 << 20))?;
        let mut scene = Self { sandbox, source, before, first, takes: Duration::ZERO };
        let began = Instant::now();
        scene.trial("measured", program::run)?.outcome.expect(0)?;
        scene.takes = began.elapsed();
        Ok(scene)
    }

    /// A copy of the repository and of the client's memory, and a backup there that somebody does something to.
    fn trial(&self, name: &str, act: impl FnOnce(&mut std::process::Command) -> Result<Outcome>) -> Result<Trial> {
        self.trial_through(name, &[], act)
    }

    fn trial_through(
        &self,
        name: &str,
        starter: &[String],
        act: impl FnOnce(&mut std::process::Command) -> Result<Outcome>,
    ) -> Result<Trial> {
        let folder = self.sandbox.folder(&format!("trial {name}"))?;
        for part in ["repository", "client"] {
            sandbox::copy(&self.sandbox.path(part), &folder.join(part))?;
        }
        let client = Client::new(&folder.join("client"), &folder.join("repository"), &self.sandbox.path("key.json"));
        let outcome =
            act(&mut client.command_through(starter, "backup", ["--json".as_ref(), self.source.as_os_str()])?)?;
        Ok(Trial { folder, client, outcome })
    }

    /// Everything that has to hold after a kill.
    fn judge(&self, trial: &Trial) -> Result<()> {
        let fresh = trial.client.with_cache(&trial.folder.join("fresh cache"));
        let seen = fresh.snapshots()?;
        ensure!(seen.first() == Some(&self.first) && seen.len() <= 2, "snapshots after the kill: {seen:?}");
        ensure!(seen.len() == 2 || trial.outcome.code != Some(0), "a backup that succeeded is not there");
        self.restores(&fresh, &self.first, &self.before, &trial.folder.join("first"))?;
        if let Some(second) = seen.get(1) {
            // It became visible just before the kill: then it is whole.
            self.restores(&fresh, second, &self.source, &trial.folder.join("second"))?;
        }
        fresh.check_data()?.expect(0)?;
        let next = trial.client.backup(&self.source)?;
        self.restores(&fresh, &next, &self.source, &trial.folder.join("next"))?;
        fresh.check()?.expect(0)?;
        ensure!(
            !trial.client.repository.join("tmp").read_dir()?.any(|_| true),
            "the dead writer's unfinished object was not swept away"
        );
        sandbox::remove(&trial.folder)
    }

    fn restores(&self, client: &Client, snapshot: &str, expect: &Path, target: &Path) -> Result<()> {
        client.restore(snapshot, target)?.expect(0)?;
        compare::same(expect, &restored(target, &self.source))
    }
}

struct Trial {
    folder: PathBuf,
    client: Client,
    outcome: Outcome,
}

#[test]
fn at_random_moments_of_a_backup() -> Result<()> {
    let scene = Scene::set("kill", 1)?;
    let mut kills = RandomKills::new(scene.takes);
    for seed in first_seed()..first_seed() + skip::rounds(12, 150) as u64 {
        let trial = scene.trial(&seed.to_string(), |command| kills.strike(command, seed))?;
        scene.judge(&trial).with_context(|| format!("STRONGROOM_TESTS_SEED={seed}, {kills:?}"))?;
    }
    kills.were_enough()
}

/// The moment at which an object has just got its name: before its folder is flushed, before the next one is begun.
#[test]
fn when_an_object_has_just_appeared() -> Result<()> {
    let scene = Scene::set("kill-object", 2)?;
    let before = stored::objects(&scene.sandbox.path("repository"))?.len();
    let whole = stored::objects(&scene.sandbox.path("trial measured/repository"))?.len() - before;
    ensure!(whole >= 5, "a backup of new data makes {whole} objects only");
    for count in 1..=whole {
        let name = format!("object {count}");
        let repository = scene.sandbox.path(&format!("trial {name}/repository"));
        let appeared = || stored::objects(&repository).is_ok_and(|objects| objects.len() >= before + count);
        let trial = scene.trial(&name, |command| Running::start(command)?.kill_when(appeared))?;
        scene.judge(&trial).with_context(|| format!("killed when object {count} of {whole} had appeared"))?;
    }
    Ok(())
}

/// The system calls that change a store. strace delivers the kill when a thread enters its n-th call of that name, so that it is not made.
const CALLS: [&str; 8] = ["mkdir", "fallocate", "write", "pwrite64", "ftruncate", "fsync", "linkat", "rename"];

#[test]
fn at_the_store_s_system_calls() -> Result<()> {
    let name = "at_the_store_s_system_calls";
    if !program::has_tool("strace") {
        return skip::test(name, "strace is not installed");
    }
    let scene = Scene::set("kill-call", 3)?;
    let mut killed = 0;
    for call in CALLS {
        for nth in 1..=skip::rounds(2, 12) {
            let inject = format!("inject={}:signal=KILL:when={nth}", spellings(call));
            let starter =
                ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={}", spellings(call)), "-e", &inject]
                    .map(str::to_owned);
            let trial = scene.trial_through(&format!("{call} {nth}"), &starter, program::run)?;
            if trial.outcome.stderr.contains("ptrace") {
                return skip::test(name, "tracing is not allowed here");
            }
            killed += usize::from(trial.outcome.code != Some(0));
            scene.judge(&trial).with_context(|| format!("killed at entering {call} number {nth}"))?;
        }
    }
    ensure!(killed >= CALLS.len(), "only {killed} runs were killed: the store makes other calls");
    Ok(())
}

/// Names of a call on the architectures of the day; those that this one has not are marked as optional.
fn spellings(call: &str) -> String {
    match call {
        "mkdir" => "?mkdir,?mkdirat".into(),
        "fsync" => "?fsync,?fdatasync".into(),
        "rename" => "?rename,?renameat,?renameat2".into(),
        other => other.to_owned(),
    }
}
