//! What operations cost a store, counted in objects of a folder. (Requests are counted in the repository's own tests, with its recording store.)

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use strongroom_tests::random::{noise, seeded, words};
use strongroom_tests::{Client, Sandbox, sandbox, stored, tree};

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

    /// Does something twice in a row during which no folder above the source changed (they are part of a snapshot, and other tests work in them too), and
    /// says what came of the second time.
    fn undisturbed<T>(&self, act: impl Fn() -> Result<T>) -> Result<T> {
        let above = || {
            self.source.ancestors().skip(1).map(|folder| Ok(folder.metadata()?.modified()?)).collect::<Result<Vec<_>>>()
        };
        loop {
            let before = above()?;
            act()?;
            let done = act()?;
            if above()? == before {
                return Ok(done);
            }
        }
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
    let one_of_each = expect(&[
        ("commits", 1),
        ("index", 1),
        ("packs", 1),
        ("pages", 1),
        ("parity", 2),
        ("sessions", 1),
        ("snapshots", 1),
    ]);

    let mut first = scene.makes(backup)?;
    ensure!(first.remove("hint") == Some(1), "the first backup leaves a hint");
    // 23 MiB in all: less than one pack for each thread that fills one.
    let (packs, parity) = (first.remove("packs"), first.remove("parity"));
    ensure!(
        packs.is_some_and(|packs| packs <= 2 && parity == Some(packs + 1)) && first.len() == 5,
        "the first backup made {packs:?} packs, {parity:?} parities and {first:?}"
    );

    // An unchanged run: session, snapshot, commit; the hint is written over. No data, no page, no index.
    let unchanged = scene.undisturbed(|| scene.makes(backup))?;
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
    let bytes = |kind: &str| -> Result<u64> {
        Ok(stored::objects(&scene.client.repository)?
            .iter()
            .filter(|(name, _)| name.starts_with(kind))
            .map(|(_, size)| size)
            .sum())
    };
    let more = scene.undisturbed(|| {
        scene.client.backup(&scene.source)?;
        let before = (bytes("packs/")?, bytes("pages/")?);
        let home = scene.client.home.join("forgetful");
        scene.client.with_state(&home.join("state")).with_cache(&home.join("cache")).backup(&scene.source)?;
        sandbox::remove(&home)?;
        Ok((bytes("packs/")? - before.0, bytes("pages/")? - before.1))
    })?;
    ensure!(more == (0, 0), "stored twice: {} bytes of data and {} of metadata", more.0, more.1);
    Ok(())
}
