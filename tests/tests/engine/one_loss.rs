//! What is lost is lost alone, and named: one snapshot, one page of names, one key, with all others as they were.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::{restored, snapshots_in};
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Sandbox, compare, sandbox, stored, tree};

/// Two snapshots, and a client that remembers nothing.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    /// The source as the first snapshot has it.
    version: PathBuf,
    snapshots: [String; 2],
}

impl Scene {
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(21);
        tree::write(&source, "first", noise(&mut dice, 5000))?;
        let first = client.backup(&source)?;
        let version = sandbox.path("as the first has it");
        sandbox::copy(&source, &version)?;
        tree::write(&source, "second", noise(&mut dice, 5000))?;
        let snapshots = [first, client.backup(&source)?];
        let client = client.with_cache(&sandbox.path("fresh cache"));
        Ok(Self { sandbox, client, source, version, snapshots })
    }

    fn lose(&self, object: &str) -> Result<()> {
        fs::remove_file(self.client.repository.join(object)).with_context(|| object.to_owned())
    }
}

#[test]
fn a_lost_snapshot_hides_no_other() -> Result<()> {
    let scene = Scene::set("lost snapshot")?;
    let [kept, lost] = &scene.snapshots;
    let object = stored::of_kind(&scene.client.repository, "snapshots")?.into_iter().find(|name| name.ends_with(lost));
    scene.lose(&object.context("the newest snapshot's object")?)?;
    let listed = scene.client.run("snapshots", ["--json"])?.expect(4)?;
    ensure!(snapshots_in(&listed) == Some(vec![kept.clone()]), "{listed}");
    ensure!(listed.stderr.contains(&lost[..12]), "the lost one is not named:\n{listed}");
    let target = scene.sandbox.path("target");
    scene.client.restore(kept, &target)?.expect(0)?;
    compare::same(&scene.version, &restored(&target, &scene.source))
}

/// Nobody restores yesterday's data without knowing that today's are lost.
#[test]
fn the_latest_is_not_guessed_when_a_later_one_is_lost() -> Result<()> {
    let scene = Scene::set("lost latest")?;
    let objects = stored::of_kind(&scene.client.repository, "snapshots")?;
    let object = |id: &str| objects.iter().find(|name| name.ends_with(id)).cloned().context("a snapshot's object");
    let latest = || scene.client.run("ls", ["latest"]);
    let oldest = fs::read(scene.client.repository.join(object(&scene.snapshots[0])?))?;
    scene.lose(&object(&scene.snapshots[0])?)?;
    latest()?.expect(0)?;
    fs::write(scene.client.repository.join(object(&scene.snapshots[0])?), oldest)?;
    scene.lose(&object(&scene.snapshots[1])?)?;
    fs::remove_dir_all(&scene.client.cache)?;
    let refused = latest()?.expect(4)?;
    ensure!(refused.stderr.contains(&scene.snapshots[1]), "the lost one is not named:\n{refused}");
    ensure!(refused.stderr.contains("choose one by its id"), "it does not say what to do:\n{refused}");
    Ok(())
}

/// A page is read by every check; its damage is not taken for one of the index.
#[test]
fn a_damaged_page_is_blamed_on_its_pack() -> Result<()> {
    let scene = Scene::set("damaged page")?;
    let pages = stored::objects(&scene.client.repository)?.into_iter().filter(|(name, _)| name.starts_with("pages/"));
    for (name, size) in pages {
        stored::flip_bit(&scene.client.repository, &name, size * 4)?;
        let check = scene.client.check()?;
        stored::flip_bit(&scene.client.repository, &name, size * 4)?;
        ensure!(check.code == Some(0) || check.stdout.contains(&name), "{name} is not named:\n{check}");
        ensure!(!check.text().contains("rebuild-index"), "the index is blamed for {name}:\n{check}");
    }
    Ok(())
}

#[test]
fn a_lost_key_object_is_named() -> Result<()> {
    let scene = Scene::set("lost key")?;
    for name in stored::of_kind(&scene.client.repository, "keys")? {
        scene.lose(&name)?;
        let refused = scene.client.run("snapshots", ["--json"])?.expect(6)?;
        ensure!(refused.stderr.contains(&name), "{name} is not named:\n{refused}");
    }
    Ok(())
}
