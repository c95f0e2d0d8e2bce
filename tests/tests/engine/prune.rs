//! Prunes beside backups, as processes: three writers whose data were stored before and forgotten, killed or put to sleep at seeded random moments while snapshots are forgotten and
//! the repository is pruned. The verdict is the independent reader's, over every snapshot that survives, and rsync's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use strongroom_tests::client::{restored, snapshot_of};
use strongroom_tests::program::Running;
use strongroom_tests::random::{Dice, first_seed, noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, tree};

use crate::independent_reader::reader;

const WRITERS: usize = 3;
/// Files that there are, each in so many versions: the same content comes back again and again.
const FILES: usize = 24;
const VERSIONS: u64 = 2;

struct World {
    sandbox: Sandbox,
    /// Whoever forgets and prunes.
    keeper: Client,
    writers: Vec<Client>,
    dice: Dice,
    /// What each snapshot must bring back.
    copies: BTreeMap<String, (PathBuf, PathBuf)>,
    tally: Tally,
}

/// What happened, so that a test in which nothing happened fails.
#[derive(Debug, Default)]
struct Tally {
    backups: usize,
    killed: usize,
    slept: usize,
    again: usize,
    swept: u64,
    moved: u64,
}

#[test]
fn beside_writers_that_are_killed_and_fall_asleep() -> Result<()> {
    let seed = first_seed();
    let mut world = World::new(seed)?;
    for round in 0..skip::rounds(6, 100) {
        world
            .round(round)
            .with_context(|| format!("STRONGROOM_TESTS_SEED={seed}, round {round}, {:?}", world.tally))?;
    }
    let Tally { backups, killed, slept, swept, moved, .. } = world.tally;
    ensure!(backups > 3 && killed > 0 && slept > 0 && swept > 0, "hardly anything happened: {:?}", world.tally);
    ensure!(moved > 0 || !skip::is_full(), "nothing was ever moved: {:?}", world.tally);
    Ok(())
}

impl World {
    fn new(seed: u64) -> Result<Self> {
        let (sandbox, keeper) = Sandbox::with_repository("prune")?;
        let writer = |number| Client::new(&sandbox.path(&format!("writer {number}")), &keeper.repository, &keeper.key);
        let writers = (0..WRITERS).map(writer).collect();
        Ok(Self { sandbox, keeper, writers, dice: seeded(seed), copies: BTreeMap::new(), tally: Tally::default() })
    }

    fn source(&self, writer: usize) -> PathBuf {
        self.sandbox.path(&format!("source {writer}"))
    }

    fn round(&mut self, round: usize) -> Result<()> {
        for writer in 0..WRITERS {
            self.change(writer)?;
        }
        let mut running = Vec::new();
        for writer in 0..WRITERS {
            let copy = self.sandbox.path(&format!("copy {round} {writer}"));
            sandbox::copy(&self.source(writer), &copy)?;
            let source = self.source(writer);
            let started = self.writers[writer].start("backup", ["--json".as_ref(), source.as_os_str()])?;
            running.push((writer, copy, started));
        }
        let sleeper = self.dice.random_range(0..WRITERS);
        let victim = (sleeper + 1) % WRITERS;
        let moment = |dice: &mut Dice| Duration::from_millis(dice.random_range(0..60));
        let (before_sleep, before_kill) = (moment(&mut self.dice), moment(&mut self.dice));
        let (_, victims_copy, victims_run) = running.swap_remove(victim);
        let killed = victims_run.kill_after(before_kill)?;
        self.tally.killed += usize::from(killed.signal.is_some());
        self.ended(victim, victims_copy, killed)?;
        let asleep = running.iter().find(|(writer, ..)| *writer == sleeper).map(|(.., run)| run);
        let asleep = asleep.context("the sleeper runs")?;
        after(before_sleep);
        asleep.suspend()?;
        self.tally.slept += 1;
        self.forget_and_prune()?;
        asleep.resume()?;
        for (writer, copy, run) in running {
            let outcome = run.wait()?;
            self.ended(writer, copy, outcome)?;
        }
        self.judge(round)
    }

    /// Some files of some version: most were stored before, by this writer or another one.
    fn change(&mut self, writer: usize) -> Result<()> {
        let source = self.source(writer);
        sandbox::remove(&source)?;
        std::fs::create_dir_all(&source)?;
        let first = self.dice.random_range(0..FILES);
        for number in (first..first + FILES / 2).map(|number| number % FILES) {
            let version = self.dice.random_range(0..VERSIONS);
            let mut dice = seeded(1000 * version + number as u64);
            let length = dice.random_range(1..400_000);
            tree::write(&source, &format!("file {number}"), noise(&mut dice, length))?;
        }
        Ok(())
    }

    fn ended(&mut self, writer: usize, copy: PathBuf, outcome: Outcome) -> Result<()> {
        self.tally.again += usize::from(outcome.stderr.contains("backing up once more"));
        if outcome.signal.is_some() {
            return Ok(());
        }
        // Two sweeps in one backup are told, and nothing is claimed.
        if outcome.code == Some(1) && outcome.stderr.contains("can no longer commit") {
            return Ok(());
        }
        let snapshot = snapshot_of(&outcome.expect(0)?)?;
        self.tally.backups += 1;
        self.copies.insert(snapshot, (self.source(writer), copy));
        Ok(())
    }

    fn forget_and_prune(&mut self) -> Result<()> {
        let snapshots = self.keeper.snapshots()?;
        let going: Vec<&String> = snapshots.iter().filter(|_| self.dice.random_ratio(1, 2)).collect();
        if !going.is_empty() && going.len() < snapshots.len() {
            self.keeper.run("forget", going)?.expect(0)?;
        }
        // None of what is open is waited for, or all of it.
        let fence_after = if self.dice.random_ratio(1, 2) { "0" } else { "14" };
        let arguments = ["--json", "--max-unused", "0", "--fence-after", fence_after];
        let mut pruning = self.keeper.program()?;
        pruning.args(["repo", "prune"]).arg(&self.keeper.repository).arg("--key").arg(&self.keeper.key).args(arguments);
        let pruning = Running::start(&mut pruning)?;
        if self.dice.random_ratio(1, 4) {
            let moment = Duration::from_millis(self.dice.random_range(0..60));
            self.tally.killed += usize::from(pruning.kill_after(moment)?.signal.is_some());
            return Ok(());
        }
        let report = pruning.wait()?.expect(0)?.json()?["report"].clone();
        self.tally.swept += report["swept"].as_u64().unwrap_or(0);
        self.tally.moved += report["moved"]["frames"].as_u64().unwrap_or(0);
        Ok(())
    }

    fn judge(&mut self, round: usize) -> Result<()> {
        let fresh = self.keeper.with_cache(&self.sandbox.path("fresh cache"));
        sandbox::remove(&fresh.cache)?;
        let surviving = fresh.snapshots()?;
        if surviving.is_empty() {
            return Ok(());
        }
        reader(&fresh, &["verify", "every"])?.expect(0)?;
        fresh.check_data()?.expect(0)?;
        // One of those whose source is known comes back as it was; what was killed at its very end may be visible, and nobody kept a copy's name.
        let known: Vec<&String> = surviving.iter().filter(|snapshot| self.copies.contains_key(*snapshot)).collect();
        if let Some(snapshot) = known.get(round % known.len().max(1)) {
            let (source, copy) = &self.copies[*snapshot];
            let target = self.sandbox.path("restored");
            fresh.restore(snapshot, &target)?.expect(0)?;
            compare::same(copy, &restored(&target, source))?;
            sandbox::remove(&target)?;
        }
        self.drop_copies(&surviving)
    }

    fn drop_copies(&mut self, surviving: &[String]) -> Result<()> {
        let gone: Vec<String> = self.copies.keys().filter(|snapshot| !surviving.contains(snapshot)).cloned().collect();
        for snapshot in gone {
            let copy: Option<(PathBuf, PathBuf)> = self.copies.remove(&snapshot);
            copy.map_or(Ok(()), |(_, copy): (PathBuf, PathBuf)| sandbox::remove(Path::new(&copy)))?;
        }
        Ok(())
    }
}

/// The seeded moment at which a machine falls asleep: a time is what is meant here, not a state.
fn after(time: Duration) {
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}
