//! The damage matrix: every type of object, deleted, cut off, with a bit turned over, and swapped with another of its type; then a restore, a check and
//! the next backup, with a fresh cache and with one that has seen the repository whole.
//!
//! Never a panic, never a wrong byte restored, never a success that is none; and the check names the object.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use strongroom_tests::client::{restored, snapshot_of};
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, stored, tree};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Delete,
    Truncate,
    Empty,
    FlipFirstBit,
    FlipMiddleBit,
    FlipLastBit,
    Swap,
}

const HARMS: [Harm; 7] =
    [Harm::Delete, Harm::Truncate, Harm::Empty, Harm::FlipFirstBit, Harm::FlipMiddleBit, Harm::FlipLastBit, Harm::Swap];

/// What the client remembers when the damage is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    Fresh,
    Warm,
}

/// A repository with two of everything: two snapshots whose data share nothing, two holders, a second repository to swap the configuration with.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    /// The source as each snapshot has it, oldest first.
    versions: Vec<(String, PathBuf)>,
    other: PathBuf,
}

impl Scene {
    fn set() -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository("damage")?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(7);
        let mut versions = Vec::new();
        for round in 0..2 {
            tree::write(&source, &format!("folder {round}/noise"), noise(&mut dice, 1 << 20))?;
            for number in 0..30 {
                tree::write(&source, &format!("folder {round}/{number}"), noise(&mut dice, 500))?;
            }
            let (snapshot, copy) = (client.backup(&source)?, sandbox.path(&format!("version {round}")));
            sandbox::copy(&source, &copy)?;
            versions.push((snapshot, copy));
        }
        let second_key = sandbox.path("second key.json");
        client
            .run("key add", ["--holder".as_ref(), "second".as_ref(), "--key-file".as_ref(), second_key.as_os_str()])?
            .expect(0)?;
        let other =
            Client::new(&sandbox.path("other"), &sandbox.path("other repository"), &sandbox.path("other key.json"));
        other.init()?;
        client.check_data()?.expect(0)?;
        Ok(Self { sandbox, client, source, versions, other: other.repository })
    }

    /// A damaged copy of the repository, with a client of its own; and the names of the objects that are not what they should be.
    fn damaged(&self, name: &str, object: &str, harm: Harm, cache: Cache) -> Result<(Client, Vec<String>)> {
        let folder = self.sandbox.folder(name)?;
        sandbox::copy(&self.client.repository, &folder.join("repository"))?;
        let harmed = harm_object(&folder.join("repository"), object, harm, &self.other)?;
        if cache == Cache::Warm {
            sandbox::copy(&self.sandbox.path("client"), &folder.join("client"))?;
        }
        Ok((Client::new(&folder.join("client"), &folder.join("repository"), &self.client.key), harmed))
    }

    /// The objects of a kind that are damaged: the first and the last by name (of commits, the oldest and the newest), and the key object in use.
    fn victims(&self, kind: &str) -> Result<Vec<String>> {
        let names = stored::of_kind(&self.client.repository, kind)?;
        let mut victims: Vec<String> = names.first().into_iter().chain(names.last()).cloned().collect();
        victims.dedup();
        ensure!(!victims.is_empty(), "the repository has no {kind}");
        Ok(victims)
    }
}

fn harm_object(repository: &Path, name: &str, harm: Harm, other: &Path) -> Result<Vec<String>> {
    let path = repository.join(name);
    let size = path.metadata()?.len();
    match harm {
        Harm::Delete => fs::remove_file(path)?,
        Harm::Truncate => fs::File::options().write(true).open(path)?.set_len(size / 2)?,
        Harm::Empty => fs::File::options().write(true).open(path)?.set_len(0)?,
        Harm::FlipFirstBit => stored::flip_bit(repository, name, 0)?,
        Harm::FlipMiddleBit => stored::flip_bit(repository, name, size * 4)?,
        Harm::FlipLastBit => stored::flip_bit(repository, name, size * 8 - 1)?,
        Harm::Swap => return swap(repository, name, other),
    }
    Ok(vec![name.to_owned()])
}

/// Gives an object and another of its type each other's content; what there is only one of gets that of another repository.
fn swap(repository: &Path, name: &str, other: &Path) -> Result<Vec<String>> {
    let kind = name.split('/').next().context("a kind")?;
    let path = repository.join(name);
    match kind {
        // Its twin is another number.
        "hint" => fs::write(path, "1")?,
        "config" => drop(fs::copy(other.join(name), path)?),
        _ => {
            let twin = stored::of_kind(repository, kind)?
                .into_iter()
                .find(|twin| twin != name)
                .context("there is only one")?;
            let (ours, theirs) = (fs::read(&path)?, fs::read(repository.join(&twin))?);
            fs::write(path, theirs)?;
            fs::write(repository.join(&twin), ours)?;
            return Ok(vec![name.to_owned(), twin]);
        }
    }
    Ok(vec![name.to_owned()])
}

/// Nobody depends on these: the hint is a guess to be checked, a session that has committed is closed, and parity is for repairs.
fn is_harmless(kind: &str, harm: Harm) -> bool {
    ["hint", "parity"].contains(&kind) || (kind == "sessions" && harm == Harm::Delete)
}

/// Rows that fail together mostly fail for one reason.
const CASES_SHOWN: usize = 6;

fn matrix(kind: &str) -> Result<()> {
    let scene = Scene::set()?;
    let mut failed = Vec::new();
    for (number, object) in scene.victims(kind)?.into_iter().enumerate() {
        for (harm, cache) in HARMS.into_iter().flat_map(|harm| [(harm, Cache::Fresh), (harm, Cache::Warm)]) {
            let case = format!("{kind} {number} {harm:?} {cache:?}");
            let (client, harmed) = scene.damaged(&case, &object, harm, cache)?;
            // A fault in one row of the matrix must not hide the next.
            if let Err(error) = judge(&scene, &client, &harmed, (kind, harm)) {
                failed.push(format!("{case}, {object}: {error:?}\n"));
            }
            sandbox::remove(&scene.sandbox.path(&case))?;
        }
    }
    let shown = failed.iter().take(CASES_SHOWN).cloned().collect::<String>();
    ensure!(failed.is_empty(), "{} cases failed, among them\n{shown}", failed.len());
    Ok(())
}

fn judge(scene: &Scene, client: &Client, harmed: &[String], (kind, harm): (&str, Harm)) -> Result<()> {
    let home = client.cache.parent().context("a home")?;
    for (snapshot, version) in &scene.versions {
        let target = home.join(format!("restored {snapshot}"));
        let outcome = client.restore(snapshot, &target)?;
        judge_restore(scene, &outcome, version, &target)?;
        ensure!(
            !is_harmless(kind, harm) || outcome.code == Some(0),
            "harmless damage kept a snapshot from being restored:\n{outcome}"
        );
    }
    judge_check(&client.check()?, harmed, (kind, harm), "check")?;
    judge_check(&client.check_data()?, harmed, (kind, harm), "check --read-data")?;
    judge_next_backup(scene, client, (kind, harm))
}

/// What is in place is right, and only what is whole is called so.
fn judge_restore(scene: &Scene, outcome: &Outcome, version: &Path, target: &Path) -> Result<()> {
    let restored = restored(target, &scene.source);
    match outcome.code {
        Some(0) => compare::same(version, &restored),
        // Damage, a key that opens nothing, something that is not there; partial where some files were saved.
        Some(3 | 4 | 6 | 7) => {
            compare::no_half_files(version, &restored)?;
            ensure!(!outcome.text().trim().is_empty(), "it failed without a word");
            Ok(())
        }
        _ => bail!("a damaged repository is answered by\n{outcome}"),
    }
}

fn judge_check(outcome: &Outcome, harmed: &[String], (kind, harm): (&str, Harm), what: &str) -> Result<()> {
    // Content of a data pack is read on request only; so is that of a metadata pack, where no snapshot needs the page. And nobody can tell a lost key
    // object from one that `key remove` took away, but for the holder who needs it, who is told at the door.
    let is_deep = ["packs", "pages"].contains(&kind)
        && what == "check"
        && ![Harm::Delete, Harm::Truncate, Harm::Empty].contains(&harm);
    // A pack without parity is no damage; parity is read with the data.
    let may_miss = match kind {
        "parity" => what == "check" || harm == Harm::Delete,
        _ => is_harmless(kind, harm) || is_deep || (kind, harm) == ("keys", Harm::Delete),
    };
    if (kind, harm) == ("parity", Harm::Delete) {
        let pack = harmed[0].trim_start_matches("parity/");
        ensure!(outcome.stdout.contains(pack), "{what} does not say which pack has no parity:\n{outcome}");
    }
    match outcome.code {
        Some(0) => ensure!(may_miss, "{what} found nothing:\n{outcome}"),
        Some(4 | 6 | 7) => {
            let text = outcome.text();
            ensure!(harmed.iter().any(|name| text.contains(name)), "{what} does not name {harmed:?}:\n{outcome}");
        }
        _ => bail!("{what} ended with\n{outcome}"),
    }
    Ok(())
}

/// It may fail, loudly. If it succeeds, the same machine restores what it made; only where the content of packs or of the index is lost, which a backup does
/// not read, the restore may be the first to notice. Another machine, whose cache helps it over nothing, restores it or says what is lost.
fn judge_next_backup(scene: &Scene, client: &Client, (kind, harm): (&str, Harm)) -> Result<()> {
    let backup =
        client.run("backup", ["--json".as_ref(), scene.source.as_os_str()])?.expect_one_of(&[0, 1, 4, 6, 7])?;
    ensure!(
        !is_harmless(kind, harm) || backup.code == Some(0),
        "harmless damage kept a backup from being made:\n{backup}"
    );
    if backup.code != Some(0) {
        ensure!(!backup.stderr.trim().is_empty(), "it failed without a word");
        return Ok(());
    }
    let home = client.cache.parent().context("a home")?;
    let (snapshot, target, far_target) =
        (snapshot_of(&backup)?, home.join("restored here"), home.join("restored elsewhere"));
    let here = client.restore(&snapshot, &target)?;
    let may_be_lost = ["packs", "pages", "index"].contains(&kind);
    ensure!(may_be_lost || here.code == Some(0), "a backup that succeeded is not restored:\n{backup}\n{here}");
    judge_restore(scene, &here, &scene.source, &target)?;
    let elsewhere = client.with_cache(&home.join("cache of another machine")).restore(&snapshot, &far_target)?;
    judge_restore(scene, &elsewhere, &scene.source, &far_target)
}

#[test]
fn of_the_configuration() -> Result<()> {
    matrix("config")
}

#[test]
fn of_keys() -> Result<()> {
    matrix("keys")
}

#[test]
fn of_packs() -> Result<()> {
    matrix("packs")
}

#[test]
fn of_page_packs() -> Result<()> {
    matrix("pages")
}

#[test]
fn of_parity() -> Result<()> {
    matrix("parity")
}

#[test]
fn of_the_index() -> Result<()> {
    matrix("index")
}

#[test]
fn of_snapshots() -> Result<()> {
    matrix("snapshots")
}

#[test]
fn of_sessions() -> Result<()> {
    matrix("sessions")
}

#[test]
fn of_commits() -> Result<()> {
    matrix("commits")
}

#[test]
fn of_the_hint() -> Result<()> {
    matrix("hint")
}
