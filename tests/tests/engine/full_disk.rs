//! No space left: at every write of a backup in turn, on file systems that tell at once and on such that tell at the flush; and in a restore's target.
//! The store is blamed, never the source; earlier snapshots stay; with room again the same command succeeds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::disk::Disk;
use strongroom_tests::random::{noise, seeded, words};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, tree};

/// Space is given out in pages.
const PAGE: u64 = 4096;

/// A repository with one snapshot, and a source that has changed since by a few pages: its next backup makes every kind of object.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    before: PathBuf,
    first: String,
}

impl Scene {
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let (source, before) = (sandbox.folder("source")?, sandbox.path("before"));
        let mut dice = seeded(5);
        for number in 0..40 {
            tree::write(&source, &format!("file {number}"), words(&mut dice, 3000))?;
        }
        let first = client.backup(&source)?;
        sandbox::copy(&source, &before)?;
        tree::write(&source, "new", noise(&mut dice, 5 * PAGE as usize))?;
        Ok(Self { sandbox, client, source, before, first })
    }

    /// The client of a copy of the repository at `repository`, with a copy of the client's memory.
    fn client_of_copy(&self, repository: &Path) -> Result<Client> {
        let home = self.sandbox.path("memory");
        sandbox::remove(&home)?;
        sandbox::copy(&self.sandbox.path("client"), &home)?;
        Ok(Client::new(&home, repository, &self.client.key))
    }

    fn backup(&self, client: &Client) -> Result<Outcome> {
        // Without a reserve every byte is there to be used, and what is refused before it begins is little.
        client.run("backup", ["--json".as_ref(), "--reserve=1 B".as_ref(), self.source.as_os_str()])
    }

    /// After a run that met a full store.
    fn judge_failure(&self, client: &Client, outcome: &Outcome) -> Result<()> {
        let said = outcome.stderr.to_lowercase();
        ensure!(
            said.contains("no space") || said.contains("full"),
            "it does not say that there is no space:\n{outcome}"
        );
        ensure!(
            outcome.stderr.contains(&client.repository.display().to_string()),
            "it does not name the store:\n{outcome}"
        );
        ensure!(
            !outcome.text().contains(&self.source.join("").display().to_string()),
            "it blames a file of the source:\n{outcome}"
        );
        let fresh = client.with_cache(&self.sandbox.path("fresh cache"));
        ensure!(fresh.snapshots()? == std::slice::from_ref(&self.first), "half a snapshot is visible");
        self.restores(&fresh, &self.first, &self.before)
    }

    fn judge_success(&self, client: &Client) -> Result<()> {
        let fresh = client.with_cache(&self.sandbox.path("fresh cache"));
        ensure!(fresh.snapshots()?.len() == 2, "the backup is not there");
        self.restores(&fresh, "latest", &self.source)?;
        fresh.check()?.expect(0).map(|_| ())
    }

    fn restores(&self, client: &Client, snapshot: &str, expect: &Path) -> Result<()> {
        let target = self.sandbox.path("restored");
        client.restore(snapshot, &target)?.expect(0)?;
        compare::same(expect, &restored(&target, &self.source))?;
        sandbox::remove(&target)?;
        sandbox::remove(&self.sandbox.path("fresh cache"))
    }
}

/// One page more in each round, so that every allocation in turn is the one that fails.
#[test]
fn a_store_in_memory_that_is_full_at_every_page() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_store_in_memory_that_is_full_at_every_page", "needs root to mount");
    }
    let scene = Scene::set("full-memory")?;
    let mut failures = 0;
    for pages in 0.. {
        let disk = Disk::memory(&scene.sandbox.path("disk"), 64 << 20)?;
        let client = scene.client_of_copy(&disk.path().join("repository"))?;
        sandbox::copy(&scene.client.repository, &client.repository)?;
        disk.resize(disk.space()?.0 + pages * PAGE)?;
        let outcome = scene.backup(&client)?.expect_one_of(&[0, 5])?;
        if outcome.code == Some(0) {
            scene.judge_success(&client)?;
            break;
        }
        failures += 1;
        scene.judge_failure(&client, &outcome).with_context(|| format!("with room for {pages} pages"))?;
        disk.resize(64 << 20)?;
        scene.backup(&client)?.expect(0)?;
        scene.judge_success(&client).with_context(|| format!("after room for {pages} pages was not enough"))?;
    }
    // Session, pack, page pack, index run, snapshot, commit: each at least once.
    ensure!(failures >= 6, "only {failures} runs met a full store");
    Ok(())
}

/// ext4 takes small writes without having room for them, and tells at the flush.
#[test]
fn a_store_on_disk_that_is_full_at_every_block() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_store_on_disk_that_is_full_at_every_block", "needs root to mount");
    }
    let scene = Scene::set("full-disk")?;
    let at = scene.sandbox.path("disk");
    // The reserve takes 16 MiB of it.
    let disk = Disk::ext4(&at, 40 << 20)?;
    sandbox::copy(&scene.client.repository, &disk.path().join("repository"))?;
    let image = disk.unmount()?;
    let mut failures = 0;
    for blocks in 0.. {
        let trial = scene.sandbox.path("trial.image");
        fs::copy(&image, &trial)?;
        let disk = Disk::of_image(&trial, &at)?;
        let client = scene.client_of_copy(&disk.path().join("repository"))?;
        let filler = disk.fill(blocks * PAGE)?;
        let outcome = scene.backup(&client)?.expect_one_of(&[0, 5])?;
        if outcome.code == Some(0) {
            scene.judge_success(&client)?;
            break;
        }
        failures += 1;
        scene.judge_failure(&client, &outcome).with_context(|| format!("with room for {blocks} blocks"))?;
        fs::remove_file(filler)?;
        scene.backup(&client)?.expect(0)?;
        scene.judge_success(&client).with_context(|| format!("after room for {blocks} blocks was not enough"))?;
    }
    ensure!(failures >= 6, "only {failures} runs met a full store");
    Ok(())
}

/// A restore that does not fit says so before it begins, and succeeds when there is room.
#[test]
fn a_restore_into_a_full_target() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_into_a_full_target", "needs root to mount");
    }
    let (sandbox, client, source) = restorable("full-target")?;
    for share in [0, 10, 60, 90] {
        let disk = Disk::ext4(&sandbox.path("disk"), 64 << 20)?;
        let filler = disk.fill((8 << 20) * share / 100)?;
        let outcome = client.restore("latest", disk.path())?;
        judge_full_target(&outcome, disk.path(), &source).with_context(|| format!("with room for {share} % of it"))?;
        fs::remove_file(filler)?;
        client.restore("latest", disk.path())?.expect(0)?;
        compare::same(&source, &restored(disk.path(), &source))?;
    }
    Ok(())
}

/// Room that no calculation foresees: the target runs out of files. What is in place is whole, and the same command goes on when there is room.
#[test]
fn a_restore_that_runs_out_of_room_on_the_way() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_restore_that_runs_out_of_room_on_the_way", "needs root to mount");
    }
    let (sandbox, client, source) = restorable("full-on-the-way")?;
    for files in [8, 12, 20, 40, 60] {
        let disk = Disk::memory(&sandbox.path("disk"), 64 << 20)?;
        disk.limit_files(files)?;
        let outcome = client.restore("latest", disk.path())?;
        judge_full_target(&outcome, disk.path(), &source).with_context(|| format!("with room for {files} files"))?;
        disk.limit_files(10_000)?;
        client.restore("latest", disk.path())?.expect(0)?;
        compare::same(&source, &restored(disk.path(), &source))
            .with_context(|| format!("after room for {files} files"))?;
    }
    Ok(())
}

fn restorable(name: &str) -> Result<(Sandbox, Client, PathBuf)> {
    let (sandbox, client) = Sandbox::with_repository(name)?;
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(6), 60)?;
    client.backup(&source)?;
    Ok((sandbox, client, source))
}

fn judge_full_target(outcome: &Outcome, target: &Path, source: &Path) -> Result<()> {
    ensure!(outcome.code.is_some_and(|code| ![0, 4, 6, 7].contains(&code)), "a full target is not told:\n{outcome}");
    let says_why = ["no space", "no room", " left\n"].iter().any(|words| outcome.text().to_lowercase().contains(words));
    ensure!(says_why, "it does not say that there is no space:\n{outcome}");
    ensure!(outcome.text().contains(&target.display().to_string()), "it does not name the target:\n{outcome}");
    for strange in compare::no_half_files(source, &restored(target, source))? {
        ensure!(strange.contains(".strongroom"), "'{strange}' looks finished");
    }
    Ok(())
}
