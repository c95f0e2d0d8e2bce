//! Single bits turned over anywhere in a repository: the check finds each, and names the files that it costs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::random::{Dice, first_seed, noise, seeded, words};
use strongroom_tests::{Client, Outcome, Sandbox, compare, record, sandbox, skip, stored, tree};

/// One in so many flips is followed by restores, which tell what is really lost.
const RESTORED_EVERY: usize = 10;

pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) client: Client,
    source: PathBuf,
    /// The source as each snapshot has it.
    versions: Vec<(String, PathBuf)>,
    /// Every object but the hint, which is no promise, and how many bytes it has.
    objects: Vec<(String, u64)>,
}

impl Scene {
    pub(super) fn set() -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository("flips")?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(8);
        for number in 0..700 {
            tree::write(&source, &format!("small/{}/{number}", number % 9), words(&mut dice, number * 3))?;
        }
        let mut versions = Vec::new();
        for round in 0..2 {
            tree::write(&source, &format!("large {round}"), noise(&mut dice, 3 << 20))?;
            tree::write(&source, "small/0/0", words(&mut dice, 999))?;
            let (snapshot, copy) = (client.backup(&source)?, sandbox.path(&format!("version {round}")));
            sandbox::copy(&source, &copy)?;
            versions.push((snapshot, copy));
        }
        // The hint is believed by nobody, and the reserve is read by nobody.
        let counts = |name: &str| name != "hint" && !name.starts_with("reserve/");
        let objects = stored::objects(&client.repository)?.into_iter().filter(|(name, _)| counts(name)).collect();
        Ok(Self { sandbox, client, source, versions, objects })
    }

    /// An object and a bit of it: half of the time every byte of the repository is as likely as every other, which means data; half of the time every
    /// object is, which finds the small ones too.
    pub(super) fn aim(&self, dice: &mut Dice) -> (String, u64) {
        if dice.random_bool(0.5) {
            let (name, size) = &self.objects[dice.random_range(0..self.objects.len())];
            return (name.clone(), dice.random_range(0..size * 8));
        }
        let total: u64 = self.objects.iter().map(|(_, size)| size).sum();
        let mut byte = dice.random_range(0..total);
        for (name, size) in &self.objects {
            if byte < *size {
                return (name.clone(), byte * 8 + dice.random_range(0..8));
            }
            byte -= size;
        }
        unreachable!("the byte lies in some object")
    }
}

#[test]
fn a_check_finds_every_flipped_bit_and_names_the_files_it_costs() -> Result<()> {
    let scene = Scene::set()?;
    let every = if skip::is_full() { 1 } else { RESTORED_EVERY };
    for round in 0..100 {
        let seed = first_seed() + round as u64;
        let (object, bit) = scene.aim(&mut seeded(seed));
        let what = || format!("STRONGROOM_TESTS_SEED={seed}: bit {bit} of {object}");
        stored::flip_bit(&scene.client.repository, &object, bit)?;
        let is_sampled = round % every == 0;
        found(&scene, &object, is_sampled).with_context(what)?;
        stored::flip_bit(&scene.client.repository, &object, bit)?;
    }
    scene.client.check_data()?.expect(0)?;
    Ok(())
}

fn found(scene: &Scene, object: &str, is_sampled: bool) -> Result<()> {
    let fresh = scene.client.with_cache(&scene.sandbox.path("fresh cache"));
    let check = fresh.check_data()?;
    ensure!(check.code != Some(0), "not found:\n{check}");
    ensure!(check.text().contains(object), "found, but the object is not named:\n{check}");
    // With an unreadable configuration, key or history there is no list of files: nothing at all can be restored by this machine.
    if check.code == Some(4) && check.json().is_ok_and(|report| report["report"]["affected"].is_array()) {
        if is_sampled {
            names_what_is_lost(scene, &fresh, &check)?;
        }
    } else {
        for (snapshot, version) in &scene.versions {
            let target = scene.sandbox.path("restored");
            let outcome = fresh.restore(snapshot, &target)?;
            ensure!(
                outcome.code != Some(0),
                "the check could not even begin, but a restore succeeds:\n{check}\n{outcome}"
            );
            compare::no_half_files(version, &restored(&target, &scene.source))?;
            sandbox::remove(&target)?;
        }
    }
    sandbox::remove(&fresh.cache)
}

/// For each snapshot: the files that a check or a scrub names are exactly those that a restore does not bring back.
pub(super) fn names_what_is_lost(scene: &Scene, client: &Client, check: &Outcome) -> Result<()> {
    let report = check.json()?;
    for (snapshot, version) in &scene.versions {
        let target = scene.sandbox.path("restored");
        let outcome = client.restore(snapshot, &target)?;
        let lost = compare::lost(version, &restored(&target, &scene.source))?;
        ensure!(outcome.code != Some(0) || lost.is_empty(), "lost without a word: {lost:?}\n{outcome}");
        let lost: BTreeSet<String> = lost.iter().map(|name| shown(&scene.source, name)).collect();
        let named = named(&report, snapshot, &scene.source, version)?;
        ensure!(
            named == lost,
            "named but not lost: {:?}\nlost but not named: {:?}\n{check}",
            difference(&named, &lost),
            difference(&lost, &named)
        );
        sandbox::remove(&target)?;
    }
    Ok(())
}

fn difference(left: &BTreeSet<String>, right: &BTreeSet<String>) -> Vec<String> {
    left.difference(right).take(20).cloned().collect()
}

fn shown(source: &Path, name: &[u8]) -> String {
    source.join(String::from_utf8_lossy(name).as_ref()).display().to_string().trim_end_matches('/').to_owned()
}

/// The paths that the check names for a snapshot. Where a page of names is lost it can only name a range; a range stands for everything from its first
/// name to its last.
fn named(report: &Value, snapshot: &str, source: &Path, version: &Path) -> Result<BTreeSet<String>> {
    let rows = report["report"]["affected"]
        .as_array()
        .context("a list of files")?
        .iter()
        .filter(|row| row["snapshot"] == snapshot);
    let all: Vec<String> = record::record(version)?.keys().map(|name| shown(source, name)).collect();
    let mut named = BTreeSet::new();
    for row in rows {
        let path = row["path"].as_str().context("a path")?;
        match range(path) {
            None => drop(named.insert(path.to_owned())),
            Some(range) => named.extend(all.iter().filter(|name| range.holds(name)).cloned()),
        }
    }
    Ok(named)
}

/// A range of paths, in the order of the tree: by folder, then by name.
struct Range {
    from: Option<(String, String)>,
    before: Option<(String, String)>,
}

/// "everything", "57 entries from /a/b to just before /a/c", "57 entries from /a/b to the end of (…)".
fn range(words: &str) -> Option<Range> {
    if words == "everything" {
        return Some(Range { from: None, before: None });
    }
    let (_, rest) = words.split_once(" entries from ")?;
    let from = rest.split(" to ").next().map(key);
    let before = rest.rsplit_once("just before ").map(|(_, path)| key(path.trim_end_matches(')')));
    Some(Range { from, before })
}

impl Range {
    fn holds(&self, path: &str) -> bool {
        let key = key(path);
        self.from.as_ref().is_none_or(|from| *from <= key) && self.before.as_ref().is_none_or(|before| key < *before)
    }
}

/// Folder and name; a slash sorts before every other byte.
fn key(path: &str) -> (String, String) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (folder.replace('/', "\0"), name.to_owned())
}
