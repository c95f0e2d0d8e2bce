//! A store without a free byte: forgetting and pruning still work, from the reserve, and what they leave restores. Killed on the way, the next prune gets through.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::{restored, snapshot_of};
use strongroom_tests::disk::Disk;
use strongroom_tests::program::{RandomKills, run};
use strongroom_tests::random::{Dice, first_seed, noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, stored, tree};

/// Room for the reserve and for some ten backups.
const DISK_BYTES: u64 = 96 << 20;
/// What is new in each backup: it has packs of its own.
const NEW_BYTES: usize = 4 << 20;
/// Snapshots that stay.
const KEPT: usize = 2;

/// A repository on a small disk of its own, and everything else elsewhere.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    dice: Dice,
    /// Snapshots, oldest first, each with a copy of its source.
    made: Vec<(String, PathBuf)>,
}

impl Scene {
    fn on(name: &str, disk: impl FnOnce(&Path) -> Result<Disk>) -> Result<(Self, Disk)> {
        let sandbox = Sandbox::new(name)?;
        let disk = disk(&sandbox.path("disk"))?;
        let client = Client::new(&sandbox.path("client"), &disk.path().join("repository"), &sandbox.path("key.json"));
        let source = sandbox.folder("source")?;
        let mut dice = seeded(9);
        // The first packs hold what stays beside what goes.
        tree::write(&source, "base", noise(&mut dice, NEW_BYTES / 4))?;
        Ok((Self { sandbox, client, source, dice, made: Vec::new() }, disk))
    }

    /// Backs up something new, and remembers it; says how it ended.
    fn backup(&mut self) -> Result<Outcome> {
        tree::write(&self.source, "new", noise(&mut self.dice, NEW_BYTES))?;
        let arguments = ["--json".as_ref(), "--reserve=1 B".as_ref(), self.source.as_os_str()];
        let outcome = self.client.run("backup", arguments)?.expect_one_of(&[0, 5])?;
        if outcome.code == Some(0) {
            let snapshot = snapshot_of(&outcome)?;
            let copy = self.sandbox.path(&format!("copy {snapshot}"));
            sandbox::copy(&self.source, &copy)?;
            self.made.push((snapshot, copy));
        }
        Ok(outcome)
    }

    /// Backs up until the store is full.
    fn fill(&mut self) -> Result<()> {
        while self.backup()?.code == Some(0) {}
        ensure!(self.made.len() > KEPT + 3, "only {} backups fit", self.made.len());
        Ok(())
    }

    fn forget_the_old(&mut self) -> Result<Outcome> {
        let going: Vec<String> = self.made.drain(..self.made.len() - KEPT).map(|(id, _)| id).collect();
        self.client.run("forget", going.iter().map(String::as_str).chain(["--allow-many"]))
    }

    fn prune(&self) -> Result<Outcome> {
        self.client.run_repo("prune", ["--json"])
    }

    fn reserves(&self) -> Result<usize> {
        Ok(stored::of_kind(&self.client.repository, "reserve")?.len())
    }

    /// Every snapshot that should be there is, and brings back what it was made from.
    fn judge(&self) -> Result<()> {
        let fresh = self.client.with_cache(&self.sandbox.path("fresh cache"));
        let seen = fresh.snapshots()?;
        let made: Vec<&String> = self.made.iter().map(|(id, _)| id).collect();
        ensure!(seen.iter().collect::<Vec<_>>() == made, "snapshots {seen:?} instead of {made:?}");
        for (snapshot, copy) in &self.made {
            let target = self.sandbox.path("restored");
            fresh.restore(snapshot, &target)?.expect(0)?;
            compare::same(copy, &restored(&target, &self.source))?;
            sandbox::remove(&target)?;
        }
        fresh.check_data()?.expect(0)?;
        sandbox::remove(&fresh.cache)
    }
}

#[test]
fn a_prune_of_a_full_store_makes_room() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_prune_of_a_full_store_makes_room", "needs root to mount");
    }
    let (mut scene, disk) = Scene::on("reserve-prune", |at| Disk::memory(at, DISK_BYTES))?;
    scene.client.init()?;
    ensure!(scene.reserves()? == 1, "no reserve is made");
    scene.fill()?;
    scene.forget_the_old()?.expect(0)?;
    let name = stored::of_kind(&scene.client.repository, "reserve")?.pop();
    let Some(name) = name else { anyhow::bail!("the reserve is gone before it was needed") };

    // Without the reserve there is no way out.
    let reserve = scene.client.repository.join(&name);
    let bytes = fs::read(&reserve)?;
    fs::remove_file(&reserve)?;
    let filler = disk.fill(0)?;
    scene.prune()?.expect(5)?;
    fs::remove_file(filler)?;
    fs::write(&reserve, bytes)?;

    // Nothing comes back of the filler: all room is what the prune makes.
    disk.fill(0)?;
    ensure!(disk.space()?.1 < 4096, "the store is not full");
    let report = scene.prune()?.expect(0)?.json()?["report"].clone();
    ensure!(report["reserve-used-bytes"] == 16 << 20, "{report}");
    ensure!(report["swept"].as_u64() > Some(0), "nothing was swept: {report}");
    ensure!(report["reserve-bytes"] == 16 << 20 && scene.reserves()? == 1, "no new reserve: {report}");
    ensure!(!scene.client.repository.join(&name).exists(), "the name of the reserve is used again");
    scene.judge()?;
    scene.backup()?.expect(0)?;
    scene.judge()
}

#[test]
fn forgetting_in_a_full_store_uses_the_reserve() -> Result<()> {
    if !skip::is_root() {
        return skip::test("forgetting_in_a_full_store_uses_the_reserve", "needs root to mount");
    }
    let (mut scene, disk) = Scene::on("reserve-forget", |at| Disk::memory(at, DISK_BYTES))?;
    scene.client.init()?;
    scene.fill()?;
    disk.fill(0)?;
    let told = scene.forget_the_old()?.expect(0)?;
    ensure!(told.stdout.contains("the reserve of 16"), "it does not say that the reserve was used:\n{told}");
    ensure!(told.stdout.contains("strongroom repo prune"), "it does not say what follows:\n{told}");
    ensure!(scene.reserves()? == 0, "the reserve is still there");
    scene.judge()?;
    scene.prune()?.expect(0)?;
    ensure!(scene.reserves()? == 1, "no new reserve is made");
    scene.judge()?;
    scene.backup()?.expect(0)?;
    scene.judge()
}

#[test]
fn a_prune_of_a_full_store_that_is_killed_is_done_by_the_next() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_prune_of_a_full_store_that_is_killed_is_done_by_the_next", "needs root to mount");
    }
    let (mut scene, disk) = Scene::on("reserve-kill", |at| Disk::ext4(at, DISK_BYTES))?;
    scene.client.init()?;
    scene.fill()?;
    scene.forget_the_old()?.expect(0)?;
    disk.fill(0)?;
    let at = disk.path().to_owned();
    let image = disk.unmount()?;
    let whole = scene.sandbox.path("whole image");
    fs::rename(&image, &whole)?;
    let trial = |scene: &Scene, strike: &mut dyn FnMut(&mut Command) -> Result<Outcome>| {
        fs::copy(&whole, &image)?;
        let disk = Disk::of_image(&image, &at)?;
        // Who remembers the trial before would refuse to prune what went back.
        let cache = scene.sandbox.path("client/cache");
        if cache.exists() {
            fs::remove_dir_all(cache)?;
        }
        let mut command = scene.client.program()?;
        command.args(["repo", "prune"]).arg(&scene.client.repository).arg("--key").arg(&scene.client.key);
        strike(&mut command)?;
        scene.judge()?;
        let mut told = scene.prune()?.expect(0)?;
        if told.stdout.contains("\"after\"") {
            // The one that was killed after it had condemned left its session: nobody can know that it is dead, but whoever killed it.
            told = scene.client.run_repo("prune", ["--fence-after", "0"])?.expect(0)?;
        }
        let (reserves, space) = (scene.reserves()?, disk.space()?);
        ensure!(reserves == 1, "{reserves} reserves are there at the end, {space:?} are free:\n{told}");
        ensure!(space.1 > 2 * NEW_BYTES as u64, "no room came free: {space:?}");
        scene.judge()?;
        disk.unmount().map(drop)
    };
    let mut takes = Duration::ZERO;
    let unkilled = &mut |command: &mut Command| {
        let began = Instant::now();
        let outcome = run(command)?.expect(0)?;
        takes = began.elapsed();
        Ok(outcome)
    };
    trial(&scene, unkilled)?;
    let mut kills = RandomKills::new(takes);
    for seed in first_seed()..first_seed() + skip::rounds(8, 100) as u64 {
        trial(&scene, &mut |command| kills.strike(command, seed))
            .with_context(|| format!("STRONGROOM_TESTS_SEED={seed}, {kills:?}"))?;
    }
    kills.were_enough()
}

/// A small disk has no room for the reserve: the repository is made all the same, and says so.
#[test]
fn a_repository_without_room_for_a_reserve() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_repository_without_room_for_a_reserve", "needs root to mount");
    }
    let (mut scene, disk) = Scene::on("reserve-none", |at| Disk::memory(at, 12 << 20))?;
    let told = scene.client.init()?;
    ensure!(told.stdout.contains("WARNING: there is no room for the reserve"), "no warning:\n{told}");
    ensure!(scene.reserves()? == 0, "half a reserve");
    scene.backup()?.expect(0)?;
    scene.judge()?;
    // With room, the next prune makes it.
    disk.resize(DISK_BYTES)?;
    scene.prune()?.expect(0)?;
    ensure!(scene.reserves()? == 1, "no reserve is made later");
    scene.judge()
}
