//! Packs that are deleted from the store's folder come back from their group. The verdicts are b3sum's, which knows a pack's name, and rsync's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::program::{has_tool, tool};
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Sandbox, compare, sandbox, skip, stored, tree};

struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    /// Each snapshot, and the plain copy of what it must bring back.
    versions: Vec<(String, PathBuf)>,
}

impl Scene {
    /// Backups of different sizes, all in one group.
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut scene = Self { sandbox, client, source, versions: Vec::new() };
        let mut dice = seeded(31);
        for round in 0..4 {
            tree::write(&scene.source, &format!("large {round}"), noise(&mut dice, (round + 1) << 20))?;
            tree::write(&scene.source, &format!("folder {round}/small"), noise(&mut dice, 700))?;
            let copy = scene.sandbox.path(&format!("version {round}"));
            let snapshot = scene.client.backup(&scene.source)?;
            sandbox::copy(&scene.source, &copy)?;
            scene.versions.push((snapshot, copy));
        }
        Ok(scene)
    }

    fn packs(&self) -> Result<Vec<String>> {
        let folders = ["packs", "pages"].map(|kind| stored::of_kind(&self.client.repository, kind));
        Ok(folders.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// Removes objects as an accident would.
    fn rm<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
        let paths = names.into_iter().map(|name| self.client.repository.join(name));
        tool(Command::new("rm").args(paths)).map(drop)
    }

    fn protect(&self) -> Result<Value> {
        self.client.run_repo("protect", ["--json"])?.expect(0)?.json()
    }

    fn restores_all(&self) -> Result<()> {
        let client = self.client.with_cache(&self.sandbox.path("cache of another machine"));
        for (snapshot, version) in &self.versions {
            let target = self.sandbox.path("target");
            client.restore(snapshot, &target)?.expect(0)?;
            compare::same(version, &restored(&target, &self.source))?;
            sandbox::remove(&target)?;
        }
        Ok(())
    }
}

/// Every pack's bytes have its name, if b3sum is right.
fn are_what_they_are_called(repository: &Path, packs: &[String]) -> Result<()> {
    let printed = tool(Command::new("b3sum").arg("--no-names").args(packs.iter().map(|name| repository.join(name))))?;
    let sums = String::from_utf8(printed)?;
    ensure!(sums.lines().count() == packs.len(), "not every pack was hashed:\n{sums}");
    for (name, sum) in packs.iter().zip(sums.lines()) {
        ensure!(name.ends_with(sum), "{name} has the hash {sum}");
    }
    Ok(())
}

#[test]
fn packs_that_were_deleted_come_back_from_their_group() -> Result<()> {
    if !has_tool("b3sum") {
        return skip::test("packs_that_were_deleted_come_back_from_their_group", "b3sum is not installed");
    }
    let scene = Scene::set("group parity")?;
    let packs = scene.packs()?;
    ensure!(packs.len() == 8, "{packs:?}");
    let rehearsed = scene.client.run_repo("protect", ["--dry-run", "--json"])?.expect(0)?.json()?;
    ensure!(stored::of_kind(&scene.client.repository, "groups")?.is_empty(), "a rehearsal wrote something");
    let done = scene.protect()?;
    ensure!(done["report"]["after"]["by-losses"]["2"] == 8, "{done}");
    ensure!(done["report"]["after"] == rehearsed["plan"]["after"], "{rehearsed} and then {done}");
    ensure!(scene.protect()?["report"]["made"] == Value::Array(Vec::new()), "it is made again and again");
    let before = stored::objects(&scene.client.repository)?;
    for lost in [[&packs[0], &packs[3]], [&packs[2], &packs[6]]] {
        let parity = format!("parity/{}", lost[0].rsplit('/').next().context("an id")?);
        scene.rm(lost.into_iter().chain([&parity]))?;
        let plan = scene.client.run_repo("repair", ["--dry-run", "--json"])?.expect(4)?.json()?;
        let items = plan["plans"][0]["items"].as_array().context("items")?;
        let by_group: BTreeSet<&str> =
            items.iter().filter(|item| item["how"] == "group").filter_map(|item| item["object"].as_str()).collect();
        ensure!(by_group == lost.iter().map(|name| name.as_str()).collect(), "{plan}");
        ensure!(scene.packs()?.len() == 6, "a rehearsal repaired something");
        scene.client.run_repo("repair", ["--json"])?.expect(0)?;
        are_what_they_are_called(&scene.client.repository, &packs)?;
        let mut now = stored::objects(&scene.client.repository)?;
        now.retain(|name, _| before.contains_key(name));
        ensure!(now == before, "not all of it is back");
        scene.client.check_data()?.expect(0)?;
    }
    scene.restores_all()
}

/// One more than there is parity for: the files that it costs are named, and every other one comes back.
#[test]
fn three_of_a_group_are_lost_and_named() -> Result<()> {
    let scene = Scene::set("group parity, three lost")?;
    scene.protect()?;
    let packs: Vec<String> = scene.packs()?.into_iter().filter(|name| name.starts_with("packs/")).collect();
    scene.rm(&packs[..3])?;
    let checked = scene.client.check()?.expect(4)?.json()?;
    ensure!(checked["report"]["protection"]["by-losses"]["0"] == 5, "{checked}");
    let repair = scene.client.run_repo("repair", ["--json"])?.expect(4)?.json()?;
    let (lost, affected) = (&repair["plans"][0]["lost"], &checked["report"]["affected"]);
    ensure!(lost == affected && lost.as_array().is_some_and(|lost| !lost.is_empty()), "{repair}\n{checked}");
    Ok(())
}

/// A prune says whom it leaves less protected; then packs are grouped anew, and one that is lost after that comes back.
#[test]
fn packs_are_grouped_anew_after_a_prune() -> Result<()> {
    let mut scene = Scene::set("group parity and prune")?;
    scene.protect()?;
    for round in 0..3 {
        fs::remove_file(scene.source.join(format!("large {round}")))?;
    }
    let latest = scene.client.backup(&scene.source)?;
    let forgotten: Vec<String> = scene.versions.iter().map(|(snapshot, _)| snapshot.clone()).collect();
    scene.versions = vec![(latest, scene.source.clone())];
    scene.client.run("forget", [vec!["--json".to_owned()], forgotten].concat())?.expect(0)?;
    let pruned = scene.client.run_repo("prune", ["--json"])?.expect(0)?.json()?;
    ensure!(pruned["plan"]["less-protected"].as_u64().is_some_and(|packs| packs > 0), "{pruned}");
    let done = scene.protect()?;
    let after = done["report"]["after"]["by-losses"].as_object().context("figures")?;
    ensure!(after.len() == 1 && after.contains_key("2"), "{done}");
    ensure!(done["report"]["deleted"].as_array().is_some_and(|deleted| deleted.len() == 2), "{done}");
    let packs = scene.packs()?;
    for pack in &packs {
        scene.rm([pack])?;
        scene.client.run_repo("repair", ["--json"])?.expect(0)?;
    }
    ensure!(scene.packs()? == packs, "not all of them are back");
    scene.client.check_data()?.expect(0)?;
    scene.restores_all()
}
