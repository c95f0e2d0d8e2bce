//! The damage matrix: every type of object, deleted, cut off, with a bit turned over, and swapped with another of its type; then a restore, a check and
//! the next backup, with a fresh cache and with one that has seen the repository whole.
//!
//! Never a panic, never a wrong byte restored, never a success that is none; and the check names the object.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use strongroom_tests::client::restored;
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

    /// A damaged copy of the repository, with a client of its own.
    fn damaged(&self, name: &str, object: &str, harm: Harm, cache: Cache) -> Result<Client> {
        let folder = self.sandbox.folder(name)?;
        sandbox::copy(&self.client.repository, &folder.join("repository"))?;
        harm_object(&folder.join("repository"), object, harm, &self.other)?;
        if cache == Cache::Warm {
            sandbox::copy(&self.sandbox.path("client"), &folder.join("client"))?;
        }
        Ok(Client::new(&folder.join("client"), &folder.join("repository"), &self.client.key))
    }

    /// The object of a kind that is damaged: the first one, or for keys the one in use.
    fn victim(&self, kind: &str) -> Result<String> {
        let names = stored::of_kind(&self.client.repository, kind)?;
        let victim = names.iter().find(|name| self.is_in_use(name)).or(names.first());
        victim.cloned().with_context(|| format!("the repository has no {kind}"))
    }

    /// The holder's key object is the one that was there before the second holder came: the older file.
    fn is_in_use(&self, name: &str) -> bool {
        let made =
            |name: &str| self.client.repository.join(name).metadata().and_then(|metadata| metadata.modified()).ok();
        let names = stored::of_kind(&self.client.repository, "keys").unwrap_or_default();
        name.starts_with("keys/") && names.iter().all(|other| made(name) <= made(other))
    }
}

fn harm_object(repository: &Path, name: &str, harm: Harm, other: &Path) -> Result<()> {
    let path = repository.join(name);
    let size = path.metadata()?.len();
    match harm {
        Harm::Delete => fs::remove_file(path)?,
        Harm::Truncate => fs::File::options().write(true).open(path)?.set_len(size / 2)?,
        Harm::Empty => fs::File::options().write(true).open(path)?.set_len(0)?,
        Harm::FlipFirstBit => stored::flip_bit(repository, name, 0)?,
        Harm::FlipMiddleBit => stored::flip_bit(repository, name, size * 4)?,
        Harm::FlipLastBit => stored::flip_bit(repository, name, size * 8 - 1)?,
        Harm::Swap => swap(repository, name, other)?,
    }
    Ok(())
}

/// Gives an object the content of another of its type; what there is only one of gets that of another repository.
fn swap(repository: &Path, name: &str, other: &Path) -> Result<()> {
    let kind = name.split('/').next().context("a kind")?;
    let twin = stored::of_kind(repository, kind)?.into_iter().find(|twin| twin != name);
    let (path, twin) = match (twin, kind) {
        // Its twin is another number.
        (_, "hint") => return Ok(fs::write(repository.join(name), "1")?),
        (Some(twin), _) => (repository.join(name), repository.join(twin)),
        (None, "config") => (repository.join(name), other.join(name)),
        (None, _) => bail!("there is only one of {kind}"),
    };
    let (ours, theirs) = (fs::read(&path)?, fs::read(&twin)?);
    fs::write(path, theirs)?;
    Ok(fs::write(twin, ours)?)
}

/// Nobody depends on these: the hint is a guess to be checked, and a session that has committed is closed.
fn is_harmless(kind: &str, harm: Harm) -> bool {
    kind == "hint" || (kind == "sessions" && harm == Harm::Delete)
}

fn matrix(kind: &str) -> Result<()> {
    let scene = Scene::set()?;
    let object = scene.victim(kind)?;
    for harm in HARMS {
        for cache in [Cache::Fresh, Cache::Warm] {
            let case = format!("{kind} {harm:?} {cache:?}");
            let client = scene.damaged(&case, &object, harm, cache)?;
            judge(&scene, &client, &object, (kind, harm)).with_context(|| format!("{case}: {object}"))?;
            sandbox::remove(&scene.sandbox.path(&case))?;
        }
    }
    Ok(())
}

fn judge(scene: &Scene, client: &Client, object: &str, (kind, harm): (&str, Harm)) -> Result<()> {
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
    judge_check(&client.check()?, object, (kind, harm), "check")?;
    judge_check(&client.check_data()?, object, (kind, harm), "check --read-data")?;
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

fn judge_check(outcome: &Outcome, object: &str, (kind, harm): (&str, Harm), what: &str) -> Result<()> {
    // Content of a data or metadata pack is read on request only.
    let is_deep = ["packs", "pages"].contains(&kind) && !["check --read-data"].contains(&what);
    let may_miss = is_harmless(kind, harm) || (is_deep && ![Harm::Delete, Harm::Truncate, Harm::Empty].contains(&harm));
    match outcome.code {
        Some(0) => ensure!(may_miss, "{what} found nothing:\n{outcome}"),
        Some(4 | 6 | 7) => {
            let text = outcome.text();
            // A swapped pair is named by either; what is cut short may be named by its number or its first letters.
            let names = [object, object.rsplit('/').next().unwrap_or(object)];
            ensure!(names.iter().any(|name| text.contains(name)), "{what} does not name {object}:\n{outcome}");
        }
        _ => bail!("{what} ended with\n{outcome}"),
    }
    Ok(())
}

/// It may fail, loudly. If it succeeds, what it made is whole, or a restore of it says what is not; never less.
fn judge_next_backup(scene: &Scene, client: &Client, (kind, harm): (&str, Harm)) -> Result<()> {
    let outcome =
        client.run("backup", ["--json".as_ref(), scene.source.as_os_str()])?.expect_one_of(&[0, 1, 4, 6, 7])?;
    ensure!(
        !is_harmless(kind, harm) || outcome.code == Some(0),
        "harmless damage kept a backup from being made:\n{outcome}"
    );
    if outcome.code != Some(0) {
        ensure!(!outcome.stderr.trim().is_empty(), "it failed without a word");
        return Ok(());
    }
    let home = client.cache.parent().context("a home")?;
    let target = home.join("restored next");
    let restore = client.with_cache(&home.join("cache of another machine")).restore("latest", &target)?;
    judge_restore(scene, &restore, &scene.source, &target)
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
