//! Bit rot through the program: a scrub finds it and says exactly what it costs; parity, a copy, or the next backup heal it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::random::{first_seed, noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, stored, tree};

use crate::bit_flips::{Scene, names_what_is_lost};

/// One in so many is followed by restores, which tell what is really lost.
const RESTORED_EVERY: usize = 4;

fn scrub(client: &Client) -> Result<Outcome> {
    client.run_repo("scrub", ["--json"])
}

/// Fails unless every object is what it was, and nothing is left over of the repair. The hint is nobody's promise.
fn is_as_before(whole: &Path, repository: &Path) -> Result<()> {
    for name in stored::objects(whole)?.into_keys().filter(|name| name != "hint") {
        let same =
            fs::read(repository.join(&name)).is_ok_and(|now| fs::read(whole.join(&name)).is_ok_and(|then| now == then));
        ensure!(same, "{name} is not what it was");
    }
    ensure!(stored::of_kind(repository, "repair")?.is_empty(), "something of the repair is left over");
    Ok(())
}

/// A client of a copy of the repository; with parity, or with all of that gone.
fn copy_of(scene: &Scene, name: &str, with_parity: bool) -> Result<Client> {
    let folder = scene.sandbox.folder(name)?;
    sandbox::copy(&scene.client.repository, &folder.join("repository"))?;
    if !with_parity {
        sandbox::remove(&folder.join("repository/parity"))?;
    }
    Ok(Client::new(&folder, &folder.join("repository"), &scene.client.key))
}

#[test]
fn a_scrub_finds_every_flipped_bit_and_names_what_is_lost_and_all_of_it_heals() -> Result<()> {
    let scene = Scene::set()?;
    let rounds = skip::rounds(16, 100);
    let every = if skip::is_full() { 1 } else { RESTORED_EVERY };
    for round in 0..rounds {
        let seed = first_seed() + round as u64;
        let (object, bit) = scene.aim(&mut seeded(seed));
        let what = || format!("STRONGROOM_TESTS_SEED={seed}: bit {bit} of {object}");
        let name = format!("round {round}");
        with_parity(&scene, &copy_of(&scene, &name, true)?, (&object, bit)).with_context(what)?;
        sandbox::remove(&scene.sandbox.path(&name))?;
        without_parity(&scene, &copy_of(&scene, &name, false)?, (&object, bit), round % every == 0)
            .with_context(what)?;
        sandbox::remove(&scene.sandbox.path(&name))?;
    }
    Ok(())
}

/// A pack heals by itself; everything else at least by a copy.
fn with_parity(scene: &Scene, client: &Client, (object, bit): (&str, u64)) -> Result<()> {
    stored::flip_bit(&client.repository, object, bit)?;
    let found = scrub(client)?;
    ensure!(found.code != Some(0) && found.text().contains(object), "not found, or not named:\n{found}");
    let heals_itself = ["packs/", "pages/", "parity/"].iter().any(|kind| object.starts_with(kind));
    let repair = if heals_itself {
        client.run_repo("repair", ["--json"])?
    } else {
        let from = scene.client.repository.as_os_str();
        client.run_repo("repair", ["--json".as_ref(), "--from".as_ref(), from])?
    };
    ensure!(repair.code == Some(0), "not repaired:\n{repair}");
    is_as_before(&scene.client.repository, &client.repository).with_context(|| repair.to_string())?;
    let again = scrub(client)?;
    ensure!(again.code == Some(0), "a repaired repository is not sound:\n{again}");
    client.check_data()?.expect(0).map(drop)
}

/// With neither parity nor a copy the list of lost files is exact, before the repair and after it.
fn without_parity(scene: &Scene, client: &Client, (object, bit): (&str, u64), is_sampled: bool) -> Result<()> {
    if object.starts_with("parity/") {
        return Ok(());
    }
    stored::flip_bit(&client.repository, object, bit)?;
    let found = scrub(client)?;
    ensure!(found.code != Some(0) && found.text().contains(object), "not found, or not named:\n{found}");
    let has_list = found.code == Some(4) && found.json().is_ok_and(|report| report["report"]["affected"].is_array());
    if !has_list || !is_sampled {
        return Ok(());
    }
    names_what_is_lost(scene, client, &found)?;
    let repair = client.run_repo("repair", ["--json"])?.expect_one_of(&[0, 4])?;
    let lost = last_lost(&repair.json()?);
    let again = scrub(client)?;
    names_what_is_lost(scene, client, &again)?;
    let affected = again.json()?["report"]["affected"].clone();
    ensure!(lost == affected, "the repair says that {lost} is lost, the scrub {affected}");
    Ok(())
}

fn last_lost(repair: &Value) -> Value {
    let last = repair["plans"].as_array().and_then(|plans| plans.last());
    last.map_or_else(|| Value::Array(Vec::new()), |plan| plan["lost"].clone())
}

/// A snapshot, and the plain copy of what it must bring back.
type Version = (String, PathBuf);

/// A source and two backups of it, in a repository that has no parity.
fn backed_up(name: &str) -> Result<(Sandbox, Client, PathBuf, Vec<Version>)> {
    let sandbox = Sandbox::new(name)?;
    let client = sandbox.client("client");
    let mut init = client.program()?;
    init.args(["repo", "init", "--parity", "0"]).arg(&client.repository).arg("--key-file").arg(&client.key);
    strongroom_tests::program::run(&mut init)?.expect(0)?;
    let source = sandbox.folder("source")?;
    let mut dice = seeded(5);
    let mut versions = Vec::new();
    for round in 0..2 {
        tree::write(&source, &format!("large {round}"), noise(&mut dice, 3 << 20))?;
        for number in 0..300 {
            tree::write(&source, &format!("folder {round}/{number}"), noise(&mut dice, 700))?;
        }
        let (snapshot, copy) = (client.backup(&source)?, sandbox.path(&format!("version {round}")));
        sandbox::copy(&source, &copy)?;
        versions.push((snapshot, copy));
    }
    Ok((sandbox, client, source, versions))
}

/// Every object of these kinds, rotten through and through.
fn rot_all(client: &Client, kinds: &[&str]) -> Result<usize> {
    let mut count = 0;
    for name in kinds.iter().map(|kind| stored::of_kind(&client.repository, kind)).collect::<Result<Vec<_>>>()?.concat()
    {
        let path = client.repository.join(&name);
        let rotten: Vec<u8> = fs::read(&path)?.iter().map(|byte| byte ^ 0x81).collect();
        fs::write(path, rotten)?;
        count += 1;
    }
    Ok(count)
}

fn restores(client: &Client, sandbox: &Sandbox, source: &Path, snapshot: &str, version: &Path) -> Result<()> {
    let target = sandbox.path("target");
    client.with_cache(&sandbox.path("cache of another machine")).restore(snapshot, &target)?.expect(0)?;
    compare::same(version, &restored(&target, source))?;
    sandbox::remove(&target)
}

/// What is condemned is read and stored again, though nothing of the source has changed; and what older snapshots share with it comes back with it.
#[test]
fn the_next_backup_heals_what_its_source_still_has() -> Result<()> {
    let (sandbox, client, source, versions) = backed_up("healed by a backup")?;
    ensure!(stored::of_kind(&client.repository, "parity")?.is_empty(), "there is parity, though none was asked for");
    let rotten = rot_all(&client, &["packs"])?;
    let found = scrub(&client)?.expect(4)?;
    ensure!(found.json()?["report"]["condemned"].as_array().is_some_and(|packs| packs.len() == rotten), "{found}");
    let hopeless = client.run_repo("repair", ["--json"])?.expect(4)?;
    let lost = last_lost(&hopeless.json()?);
    ensure!(lost.as_array().is_some_and(|lost| lost.len() == 301 + 602), "{hopeless}");
    let snapshot = client.backup(&source)?;
    restores(&client, &sandbox, &source, &snapshot, &source)?;
    for (snapshot, version) in &versions {
        restores(&client, &sandbox, &source, snapshot, version)?;
    }
    let again = scrub(&client)?.expect(4)?.json()?;
    ensure!(again["report"]["affected"] == Value::Array(Vec::new()), "{again}");
    ensure!(again["report"]["condemned"] == Value::Array(Vec::new()), "condemned twice: {again}");
    // Nothing is lost any more, so the next run takes everything over.
    let packs = stored::of_kind(&client.repository, "packs")?;
    client.backup(&source)?;
    ensure!(stored::of_kind(&client.repository, "packs")? == packs, "it was stored again and again");
    Ok(())
}

#[test]
fn pages_that_rotted_are_written_again_from_the_local_state() -> Result<()> {
    let (sandbox, client, source, _) = backed_up("pages healed by a backup")?;
    rot_all(&client, &["packs", "pages"])?;
    scrub(&client)?.expect(4)?;
    let snapshot = client.backup(&source)?;
    restores(&client, &sandbox, &source, &snapshot, &source)?;
    // The names in the older ones are lost: the folders above the source have changed since, and with them the pages.
    let again = scrub(&client)?.expect(4)?.json()?;
    let affected = again["report"]["affected"].as_array().context("a list of files")?;
    ensure!(!affected.is_empty() && affected.iter().all(|lost| lost["snapshot"] != snapshot.as_str()), "{again}");
    Ok(())
}

/// With a budget each run goes on where the last one ended; a dry run and a lost ledger are as if nothing had been verified.
#[test]
fn a_budget_leads_through_the_whole_store() -> Result<()> {
    let (_sandbox, client, ..) = backed_up("budget")?;
    let run = |arguments: &[&str]| client.run_repo("scrub", [&["--json"], arguments].concat())?.expect(0)?.json();
    let dry = run(&["--dry-run"])?;
    let stored = dry["report"]["promise"]["stored-bytes"].as_u64().context("stored bytes")?;
    ensure!(
        run(&["--bytes", "2 MiB", "--dry-run"])?["report"]["promise"]["never-verified-bytes"] != 0,
        "a dry run was kept"
    );
    let mut runs = 0;
    loop {
        let report = &run(&["--bytes", "2 MiB"])?["report"];
        runs += 1;
        let (bytes, promise) = (report["bytes"].as_u64().context("bytes")?, &report["promise"]);
        ensure!(bytes <= 4 << 20, "{bytes} bytes for a budget of 2 MiB, where no pack has more than 4");
        ensure!(promise["kept"] == true && promise["runs-a-round"] == stored.div_ceil(2 << 20), "{promise}");
        if promise["never-verified-bytes"] == 0 {
            break;
        }
        ensure!(runs < 100, "it never comes to the end");
    }
    ensure!(runs >= 3, "{runs} runs for {stored} bytes");
    sandbox::remove(&client.state.join("verified"))?;
    ensure!(
        run(&["--bytes", "2 MiB"])?["report"]["promise"]["never-verified-bytes"] != 0,
        "what was lost is remembered"
    );
    Ok(())
}
