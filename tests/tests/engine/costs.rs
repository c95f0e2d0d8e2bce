//! What operations cost a store, counted in objects of a folder. (Requests are counted in the repository's own tests, with its recording store.)

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use strongroom_tests::random::{noise, seeded, words};
use strongroom_tests::{Client, Sandbox, stored, tree};

type Census = BTreeMap<String, usize>;

struct Scene {
    _sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    target: PathBuf,
}

impl Scene {
    fn set() -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository("costs")?;
        let (source, target) = (sandbox.folder("source")?, sandbox.path("target"));
        let mut dice = seeded(9);
        for number in 0..1500 {
            tree::write(&source, &format!("folder {}/file {number}", number % 20), words(&mut dice, 2000))?;
        }
        tree::write(&source, "large", noise(&mut dice, 20 << 20))?;
        Ok(Self { _sandbox: sandbox, client, source, target })
    }

    /// What comes into the repository while something is done; nothing ever goes.
    fn makes(&self, act: impl FnOnce() -> Result<()>) -> Result<Census> {
        let before = stored::objects(&self.client.repository)?;
        act()?;
        let after = stored::objects(&self.client.repository)?;
        ensure!(before.keys().all(|name| after.contains_key(name)), "an object went away");
        Ok(stored::grown(&census(&before), &census(&after)))
    }
}

fn census(objects: &BTreeMap<String, u64>) -> Census {
    let mut census = Census::new();
    for name in objects.keys() {
        *census.entry(name.split('/').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    census
}

fn expect(rows: &[(&str, usize)]) -> Census {
    rows.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[test]
fn objects_that_each_operation_makes() -> Result<()> {
    let scene = Scene::set()?;
    let backup = || scene.client.backup(&scene.source).map(drop);
    let one_of_each =
        expect(&[("commits", 1), ("index", 1), ("packs", 1), ("pages", 1), ("sessions", 1), ("snapshots", 1)]);

    let mut first = scene.makes(backup)?;
    ensure!(first.remove("hint") == Some(1), "the first backup leaves a hint");
    // 23 MiB in all: less than one pack for each thread that fills one.
    ensure!(
        first.remove("packs").is_some_and(|packs| packs <= 2) && first.len() == 5,
        "the first backup made {first:?}"
    );

    // An unchanged run: session, snapshot, commit; the hint is written over. No data, no page, no index.
    let unchanged = scene.makes(backup)?;
    ensure!(
        unchanged == expect(&[("commits", 1), ("sessions", 1), ("snapshots", 1)]),
        "an unchanged run made {unchanged:?}"
    );

    tree::write(&scene.source, "folder 7/file 7", "changed")?;
    let changed = scene.makes(backup)?;
    ensure!(changed == one_of_each, "a run with one changed file made {changed:?}");

    let full = scene
        .makes(|| scene.client.run("backup", ["--full".as_ref(), scene.source.as_os_str()])?.expect(0).map(drop))?;
    ensure!(full.keys().all(|kind| kind != "packs"), "a full run of an unchanged tree stored data again: {full:?}");

    let reading = scene.makes(|| {
        scene.client.restore("latest", &scene.target)?.expect(0)?;
        scene.client.check_data()?.expect(0)?;
        scene.client.run("ls", ["latest"])?.expect(0)?;
        scene.client.run("find", ["latest", "file 7"])?.expect_one_of(&[0, 7])?;
        scene.client.run_repo("stats", ["--json"])?.expect(0).map(drop)
    })?;
    ensure!(reading.is_empty(), "reading made {reading:?}");
    Ok(())
}

/// Another machine, and one that has lost its memory, read again but store nothing again.
#[test]
fn data_are_stored_once() -> Result<()> {
    let scene = Scene::set()?;
    scene.client.backup(&scene.source)?;
    let bytes = |kind: &str| -> Result<u64> {
        Ok(stored::objects(&scene.client.repository)?
            .iter()
            .filter(|(name, _)| name.starts_with(kind))
            .map(|(_, size)| size)
            .sum())
    };
    let (packs, pages) = (bytes("packs/")?, bytes("pages/")?);
    let forgetful = scene
        .client
        .with_state(&scene.target.with_extension("state"))
        .with_cache(&scene.target.with_extension("cache"));
    forgetful.backup(&scene.source)?;
    ensure!(bytes("packs/")? == packs, "data were stored twice");
    ensure!(bytes("pages/")? == pages, "the same pages were stored twice");
    Ok(())
}
