//! The model test: random trees, random changes, backups of every kind, restores, lost caches; each snapshot must come back as the plain copy that was made
//! beside it. A failure prints its seed and everything that was done.

mod changes;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rand::RngExt;
use strongroom_tests::client::{restored, snapshot_of};
use strongroom_tests::random::{Dice, first_seed, one_of, seeded};
use strongroom_tests::{Client, Sandbox, compare, program, sandbox, skip};

/// Steps of one world: enough for several backups that build on each other.
const STEPS: usize = 40;

struct World {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    dice: Dice,
    /// Each snapshot, and the plain copy of what it must bring back.
    snapshots: Vec<(String, PathBuf)>,
    /// Everything that was done, for the one who has to find the fault.
    log: Vec<String>,
    names: usize,
}

#[test]
fn snapshots_come_back_as_their_plain_copies() -> Result<()> {
    for seed in first_seed()..first_seed() + skip::rounds(6, 200) as u64 {
        let mut world = World::new(seed)?;
        let lived = world.live();
        lived.with_context(|| format!("STRONGROOM_TESTS_SEED={seed}, after\n  {}", world.log.join("\n  ")))?;
    }
    Ok(())
}

impl World {
    fn new(seed: u64) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository("model")?;
        let source = sandbox.folder("source")?;
        Ok(Self { sandbox, client, source, dice: seeded(seed), snapshots: Vec::new(), log: Vec::new(), names: 0 })
    }

    fn live(&mut self) -> Result<()> {
        for _ in 0..30 {
            self.change()?;
        }
        for _ in 0..STEPS {
            match self.dice.random_range(0..20) {
                0..10 => self.change()?,
                10..14 => self.back_up()?,
                14..17 => self.restore_one()?,
                17 => self.forget()?,
                18 => self.restore_over()?,
                _ => self.check()?,
            }
        }
        self.back_up()?;
        for (snapshot, copy) in self.snapshots.clone() {
            self.comes_back(&snapshot, &copy)?;
        }
        self.client.check_data()?.expect(0).map(|_| ())
    }

    fn did(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    fn back_up(&mut self) -> Result<()> {
        let is_full = self.dice.random_ratio(1, 4);
        let leaves_out = self.dice.random_ratio(1, 4);
        self.did(format!(
            "backup{}{}",
            if is_full { " --full" } else { "" },
            if leaves_out { " --exclude *.tmp" } else { "" }
        ));
        let mut arguments = vec!["--json", "--tag", "suite=model"];
        arguments.extend(is_full.then_some("--full"));
        arguments.extend(leaves_out.then_some(["--exclude", "*.tmp"]).into_iter().flatten());
        let source = self.source.to_string_lossy().into_owned();
        arguments.push(&source);
        let snapshot = snapshot_of(&self.client.run("backup", arguments)?.expect(0)?)?;
        let copy = self.sandbox.path(&format!("copy {}", self.snapshots.len()));
        copy_exactly(&self.source, &copy)?;
        if leaves_out {
            leave_out_temporary(&self.source, &copy)?;
        }
        self.snapshots.push((snapshot, copy));
        Ok(())
    }

    fn restore_one(&mut self) -> Result<()> {
        if self.snapshots.is_empty() {
            return Ok(());
        }
        let (snapshot, copy) = one_of(&mut self.dice, &self.snapshots).clone();
        self.did(format!("restore {snapshot} ({})", copy.display()));
        self.comes_back(&snapshot, &copy)
    }

    fn comes_back(&self, snapshot: &str, copy: &Path) -> Result<()> {
        let target = self.sandbox.path("restored");
        self.client.restore(snapshot, &target)?.expect(0)?;
        compare::same(copy, &restored(&target, &self.source))
            .with_context(|| format!("snapshot {snapshot}, {}", copy.display()))?;
        sandbox::remove(&target)
    }

    /// One snapshot over another: what differs is replaced, and files that only the other has stay.
    fn restore_over(&mut self) -> Result<()> {
        let [.., (older, _), (newer, copy)] = self.snapshots.as_slice() else { return Ok(()) };
        let (older, newer, copy) = (older.clone(), newer.clone(), copy.clone());
        self.did(format!("restore {older}, then {newer} over it"));
        let target = self.sandbox.path("restored");
        self.client.restore(&older, &target)?.expect(0)?;
        let arguments =
            [newer.as_ref(), "--overwrite".as_ref(), "changed".as_ref(), "--target".as_ref(), target.as_os_str()];
        // A folder that became a file and still holds something is a conflict: told, and not resolved by deleting.
        let outcome = self.client.run("restore", arguments)?.expect_one_of(&[0, 3])?;
        if outcome.code == Some(0) {
            compare::holds_at_least(&copy, &restored(&target, &self.source))?;
        }
        sandbox::remove(&target)
    }

    fn forget(&mut self) -> Result<()> {
        let (what, path) = match self.dice.random_range(0..3) {
            0 => ("cache", &self.client.cache),
            1 => ("state", &self.client.state),
            _ => ("object of the state", &self.client.state),
        };
        let (what, path) = (what, path.clone());
        self.did(format!("lose the {what}"));
        if what != "object of the state" {
            return sandbox::remove(&path);
        }
        // A state file cut off in the middle is as good as none.
        let Some(file) = changes::files_below(&path)?.pop() else { return Ok(()) };
        Ok(File::options().write(true).open(&file)?.set_len(file.metadata()?.len() / 2)?)
    }

    fn check(&mut self) -> Result<()> {
        self.did("check");
        self.client.check()?.expect(0).map(|_| ())
    }
}

/// No block of the model's data is all zeros, so a copy with every hole that is possible has those of the source; left to itself, `cp` fills short ones.
fn copy_exactly(source: &Path, copy: &Path) -> Result<()> {
    program::tool(Command::new("cp").args(["-a", "--sparse=always"]).arg(source).arg(copy)).map(|_| ())
}

/// Takes `*.tmp` out of a plain copy, and gives the folders their times back.
fn leave_out_temporary(source: &Path, copy: &Path) -> Result<()> {
    program::tool(Command::new("find").arg(copy).args([
        "-mindepth",
        "1",
        "-name",
        "*.tmp",
        "-prune",
        "-exec",
        "rm",
        "-rf",
        "{}",
        "+",
    ]))?;
    program::tool(
        Command::new("rsync")
            .args(["-aHAX", "--modify-window=-1", "--exclude=*.tmp"])
            .arg(source.join(""))
            .arg(copy.join("")),
    )
    .map(|_| ())
}
