//! SIGKILL during a restore. Afterwards nothing in the target looks finished that is not, and the same command again completes it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::program::{self, RandomKills};
use strongroom_tests::random::{first_seed, noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, tree};

/// What a restore calls things that are not finished.
const UNFINISHED: &str = ".strongroom";

struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    takes: Duration,
}

impl Scene {
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(4);
        tree::ordinary(&source, &mut dice, 400)?;
        tree::write(&source, "data/large.bin", noise(&mut dice, 24 << 20))?;
        client.backup(&source)?;
        let mut scene = Self { sandbox, client, source, takes: Duration::ZERO };
        let began = Instant::now();
        scene.restore(&scene.sandbox.path("measured"), &[], program::run)?.expect(0)?;
        scene.takes = began.elapsed();
        Ok(scene)
    }

    fn restore(
        &self,
        target: &Path,
        starter: &[String],
        act: impl FnOnce(&mut Command) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let arguments = ["latest".as_ref(), "--target".as_ref(), target.as_os_str()];
        act(&mut self.client.command_through(starter, "restore", arguments)?)
    }

    /// Everything that has to hold after a kill.
    fn judge(&self, target: &Path) -> Result<()> {
        for strange in compare::no_half_files(&self.source, &restored(target, &self.source))? {
            let marked = strange.split('/').any(|part| part.starts_with(UNFINISHED));
            ensure!(marked, "'{strange}' is not in the source and not marked as unfinished");
        }
        self.restore(target, &[], program::run)?.expect(0)?;
        compare::same(&self.source, &restored(target, &self.source))?;
        ensure!(fs::read_dir(target)?.count() == 1, "something unfinished is left in {}", target.display());
        sandbox::remove(target)
    }
}

#[test]
fn at_random_moments_of_a_restore() -> Result<()> {
    let scene = Scene::set("kill-restore")?;
    let mut kills = RandomKills::new(scene.takes);
    for seed in first_seed()..first_seed() + skip::rounds(10, 50) as u64 {
        let target = scene.sandbox.path(&format!("target {seed}"));
        scene.restore(&target, &[], |command| kills.strike(command, seed))?;
        scene.judge(&target).with_context(|| format!("STRONGROOM_TESTS_SEED={seed}, {kills:?}"))?;
    }
    kills.were_enough()
}

/// What puts things in place: the critical moments are between these.
const CALLS: [&str; 5] = [
    "?rename,?renameat,?renameat2",
    "linkat",
    "?fsync,?fdatasync,?syncfs,?sync_file_range",
    "?mkdir,?mkdirat",
    "?utimensat",
];

#[test]
fn at_the_system_calls_of_a_restore() -> Result<()> {
    let name = "at_the_system_calls_of_a_restore";
    if !program::has_tool("strace") {
        return skip::test(name, "strace is not installed");
    }
    let scene = Scene::set("kill-restore-call")?;
    let mut killed = 0;
    for call in CALLS {
        for nth in [1, 2, 7, 50].into_iter().take(skip::rounds(3, 4)) {
            let (traced, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={nth}"));
            let starter = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &traced, "-e", &inject].map(str::to_owned);
            let target = scene.sandbox.path(&format!("target {call} {nth}"));
            let outcome = scene.restore(&target, &starter, program::run)?;
            if outcome.stderr.contains("ptrace") {
                return skip::test(name, "tracing is not allowed here");
            }
            killed += usize::from(outcome.code != Some(0));
            scene.judge(&target).with_context(|| format!("killed at entering {call} number {nth}"))?;
        }
    }
    ensure!(killed >= CALLS.len(), "only {killed} runs were killed: a restore makes other calls");
    Ok(())
}

/// Over what is there already: at every moment each file is the old one or the new one, and nothing in between.
#[test]
fn while_files_are_replaced() -> Result<()> {
    let name = "while_files_are_replaced";
    if !program::has_tool("strace") {
        return skip::test(name, "strace is not installed");
    }
    let scene = Scene::set("kill-replace")?;
    let (old, start) = (scene.sandbox.path("old"), scene.sandbox.path("start"));
    sandbox::copy(&scene.source, &old)?;
    scene.restore(&start, &[], program::run)?.expect(0)?;
    for number in 0..60 {
        tree::write(&scene.source, &format!("etc/part-{}/file-{number}.conf", number % 7), format!("new {number}"))?;
    }
    scene.client.backup(&scene.source)?;
    let over = |target: &Path, starter: &[String]| -> Result<Outcome> {
        let arguments =
            ["latest".as_ref(), "--overwrite".as_ref(), "changed".as_ref(), "--target".as_ref(), target.as_os_str()];
        program::run(&mut scene.client.command_through(starter, "restore", arguments)?)
    };
    let mut killed = 0;
    for nth in [1, 2, 5, 20, 40].into_iter().chain((3..skip::rounds(3, 60)).step_by(4)) {
        let inject = format!("inject={}:signal=KILL:when={nth}", CALLS[0]);
        let starter = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={}", CALLS[0]), "-e", &inject]
            .map(str::to_owned);
        let target = scene.sandbox.path(&format!("over {nth}"));
        sandbox::copy(&start, &target)?;
        killed += usize::from(over(&target, &starter)?.code != Some(0));
        let is = restored(&target, &scene.source);
        let (not_old, not_new) = (compare::lost(&is, &old)?, compare::lost(&is, &scene.source)?);
        let half: Vec<_> = not_old
            .intersection(&not_new)
            // The time of a directory changes with each file that is put into it, and is set at the end.
            .filter(|name| !is.join(OsStr::from_bytes(name)).is_dir())
            .map(|name| name.escape_ascii().to_string())
            .filter(|name| !name.contains(UNFINISHED))
            .collect();
        ensure!(half.is_empty(), "killed at replacement {nth}: neither old nor new: {half:?}");
        over(&target, &[])?.expect(0)?;
        compare::same(&scene.source, &is).with_context(|| format!("killed at replacement {nth}"))?;
        // What was replaced is kept beside, each file once, and nothing unfinished is left.
        let beside = fs::read_dir(&target)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let is_aside = |path: &&PathBuf| path.display().to_string().contains("/.strongroom-replaced-");
        let [aside] = beside.iter().filter(is_aside).collect::<Vec<_>>()[..] else { bail!("nothing is kept") };
        ensure!(beside.len() == 2, "something unfinished is left: {beside:?}");
        let kept = aside.join(scene.source.strip_prefix("/")?);
        for number in 0..60 {
            let name = format!("etc/part-{}/file-{number}.conf", number % 7);
            let (kept, again) = (kept.join(&name), kept.join(format!("{name}~1")));
            ensure!(fs::read(&kept)? == fs::read(old.join(&name))? && !again.exists(), "{name} is kept otherwise");
        }
    }
    ensure!(killed > 0, "no run was killed: a restore replaces in another way");
    Ok(())
}
