//! A worker that holds only its writer key cannot read back a byte of file content, nor any name but those in the local state of its own last run: tried
//! with everything that it has on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, X25519};
use serde_json::Value;
use strongroom_tests::{Client, Sandbox, stored, tree};

/// Words that are in content alone.
const CONTENT: &str = "content-of-";

struct Scene {
    sandbox: Sandbox,
    admin: Client,
    /// The host web1: its key, its cache, its state; nothing else.
    worker: Client,
    source: PathBuf,
}

impl Scene {
    /// Another host's backup, an earlier run of the worker's with files that are gone since, and its last run.
    fn set() -> Result<Self> {
        let (sandbox, admin) = Sandbox::with_repository("writer")?;
        let key = sandbox.folder("worker")?.join("writer.json");
        admin
            .run("key add", ["--holder".as_ref(), "web1".as_ref(), "--writer".as_ref(), key.as_os_str()])?
            .expect(0)?;
        let worker = sandbox.client("worker").with_key(&key);
        let other = sandbox.folder("other-source")?;
        plant(&other, "others-name")?;
        admin.backup(&other)?;
        let source = sandbox.folder("source")?;
        plant(&source, "earlier-name")?;
        worker.backup(&source)?;
        fs::remove_dir_all(&source)?;
        plant(&source, "last-name")?;
        worker.backup(&source)?;
        Ok(Self { sandbox, admin, worker, source })
    }
}

/// Small files, which share frames, and a large one, which is cut.
fn plant(root: &Path, name: &str) -> Result<()> {
    for number in 0..50 {
        tree::write(root, &format!("{name}-folder/{name}-{number}"), format!("{CONTENT}{name}-{number} ").repeat(20))?;
    }
    let line = format!("{CONTENT}{name}-large ");
    tree::write(root, &format!("{name}-large"), line.repeat((3 << 20) / line.len()))
}

/// The program itself says no.
#[test]
fn commands_that_read_are_refused() -> Result<()> {
    let scene = Scene::set()?;
    let (name, target) = (
        scene.source.join("last-name-large").display().to_string(),
        scene.sandbox.path("target").display().to_string(),
    );
    let commands: [(&str, &[&str]); 7] = [
        ("snapshots", &[]),
        ("ls", &["latest"]),
        ("find", &["latest", "last-name"]),
        ("cat", &["latest", &name]),
        ("diff", &["latest", "latest"]),
        ("restore", &["latest", "--target", &target]),
        ("key add", &["--holder", "eve", "--key-file", &target]),
    ];
    for (command, arguments) in commands {
        let outcome = scene.worker.run(command, arguments)?.expect(6)?;
        ensure!(
            !outcome.text().contains(CONTENT) && !outcome.stdout.contains("-name-"),
            "{command} tells something:\n{outcome}"
        );
    }
    scene.worker.check()?.expect(6)?;
    ensure!(!Path::new(&target).exists(), "a refused command left something behind");
    // The same commands do work for a holder, so it is the key that is refused.
    scene.admin.run("cat", ["latest", &name])?.expect(0)?;
    Ok(())
}

/// Nothing that lies on its disk holds content, or a name that is not of its last run; not even packed.
#[test]
fn its_disk_holds_no_content_and_no_others_names() -> Result<()> {
    let scene = Scene::set()?;
    let mut own_names = 0;
    for (path, bytes) in on_disk(&scene)? {
        let is_state = path.starts_with(&scene.worker.state);
        for plain in unpacked(&bytes) {
            for forbidden in [CONTENT, "others-name", "earlier-name"] {
                ensure!(!holds(&plain, forbidden), "{} holds '{forbidden}…'", path.display());
            }
            ensure!(is_state || !holds(&plain, "last-name"), "{} holds names, and is no state", path.display());
            own_names += usize::from(holds(&plain, "last-name"));
        }
    }
    // The proof that the search finds what is there.
    ensure!(own_names > 0, "not even the names of the last run were found in its state");
    Ok(())
}

/// What the writer key opens in the repository (inventories, index, footers, sessions, commits) tells ids, sizes and places; no names, no content.
#[test]
fn what_the_key_opens_tells_no_names() -> Result<()> {
    let scene = Scene::set()?;
    let mut opened = 0;
    for (kind, folder) in [
        ("pack", "packs"),
        ("pack", "pages"),
        ("index", "index"),
        ("snapshot", "snapshots"),
        ("session", "sessions"),
        ("commit", "commits"),
        ("key", "keys"),
        ("config", "config"),
    ] {
        for object in stored::of_kind(&scene.worker.repository, folder)? {
            let id = object.rsplit('/').next().unwrap_or_default();
            let id = if kind == "commit" { u64::from_str_radix(id, 16)?.to_string() } else { id.to_owned() };
            let outcome = scene.worker.run("inspect", ["--json", kind, &id])?.expect_one_of(&[0, 6])?;
            opened += usize::from(outcome.code == Some(0));
            for forbidden in [CONTENT, "others-name", "earlier-name", "last-name", "other-source"] {
                ensure!(!outcome.text().contains(forbidden), "inspect {kind} {id} tells '{forbidden}…':\n{outcome}");
            }
        }
    }
    ensure!(opened >= 8, "the writer key opened {opened} objects only: this shows nothing");
    the_page_of_names_stays_shut(&scene)?;
    Ok(())
}

/// A page of the worker's own snapshot, which a holder has to name for it.
fn the_page_of_names_stays_shut(scene: &Scene) -> Result<()> {
    let snapshot = scene.admin.snapshots()?.pop().context("a snapshot")?;
    let shown = scene.admin.run("inspect", ["--json", "snapshot", &snapshot])?.expect(0)?.json()?;
    let root = find(&shown, "root").and_then(Value::as_str).context("a root page")?;
    scene.admin.run("inspect", ["--json", "page", root])?.expect(0)?;
    scene.worker.run("inspect", ["--json", "page", root])?.expect(6).map(drop)
}

/// Every 32 bytes that lie anywhere on its disk, tried as the key of frames and as the private key that would open all of them.
#[test]
fn no_bytes_on_its_disk_are_a_key() -> Result<()> {
    let scene = Scene::set()?;
    let targets = Targets::of(&scene)?;
    let mut tried = BTreeSet::new();
    for (path, bytes) in on_disk(&scene)? {
        for plain in unpacked(&bytes) {
            for candidate in candidates(&plain) {
                if tried.insert(candidate) {
                    ensure!(!targets.opened_by(&candidate)?, "32 bytes of {} open data", path.display());
                }
            }
        }
    }
    ensure!(tried.len() > 10_000, "only {} candidates: too few to mean something", tried.len());
    // The proof that the trial recognises a key: a holder's opens.
    let holder: Value = serde_json::from_slice(&fs::read(&scene.admin.key)?)?;
    let private = from_hex(holder["private-key"].as_str().context("a private key")?).context("hexadecimal")?;
    ensure!(targets.opened_by(&private.as_slice().try_into()?)?, "the trial would not recognise a private key");
    Ok(())
}

/// What a candidate is tried on.
struct Targets {
    /// Public keys of the epochs and of the holders.
    public_keys: Vec<Vec<u8>>,
    frames: Vec<Frame>,
}

/// The first frame of a pack, as FORMAT.md has it.
struct Frame {
    aad: Vec<u8>,
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Targets {
    fn of(scene: &Scene) -> Result<Self> {
        let mut targets = Self { public_keys: Vec::new(), frames: Vec::new() };
        let config = scene.admin.run("inspect", ["--json", "config"])?.expect(0)?.json()?;
        let keys = scene.admin.run("key list", ["--json"])?.expect(0)?.json()?;
        let holders = keys.as_array().context("a list of keys")?.iter().filter(|row| row["role"] == "holder");
        let public = holders
            .map(|row| &row["public-key"])
            .chain([find(&config, "public-key").context("the repository's public key")?]);
        targets.public_keys.extend(public.filter_map(Value::as_str).filter_map(from_hex));
        ensure!(targets.public_keys.len() == 2, "the keys were not understood: {keys} {config}");
        for (folder, number) in [("packs", 3), ("pages", 4)] {
            for object in stored::of_kind(&scene.admin.repository, folder)? {
                let id = object.rsplit('/').next().unwrap_or_default();
                let footer = scene.admin.run("inspect", ["--json", "pack", id])?.expect(0)?.json()?;
                let nonce = find(&footer, "nonce")
                    .or(find(&footer, "segment"))
                    .and_then(Value::as_str)
                    .and_then(from_hex)
                    .context("a segment's nonce")?;
                targets.frames.push(Frame::first(&fs::read(scene.admin.repository.join(&object))?, number, &nonce)?);
            }
        }
        Ok(targets)
    }

    fn opened_by(&self, candidate: &[u8; 32]) -> Result<bool> {
        let private =
            PrivateKey::from_private_key(&X25519, candidate).ok().and_then(|key| key.compute_public_key().ok());
        if private.is_some_and(|public| self.public_keys.iter().any(|known| known == public.as_ref())) {
            return Ok(true);
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, candidate)?);
        Ok(self.frames.iter().any(|frame| frame.opens_with(&key)))
    }
}

impl Frame {
    fn first(pack: &[u8], kind: u8, segment: &[u8]) -> Result<Self> {
        let (header, frame) = (pack.get(..24).context("a header")?, pack.get(24..56).context("a frame header")?);
        let length = u32::from_le_bytes(frame[8..12].try_into()?) as usize;
        let mut nonce = [0; 12];
        nonce[4..8].copy_from_slice(&frame[4..8]);
        ensure!(frame[20..28] == segment[..8], "the first frame is of another segment");
        let aad = [&header[8..24], &[kind], segment, &frame[4..18]].concat();
        Ok(Self { aad, nonce, sealed: pack.get(56..56 + length).context("a frame")?.to_vec() })
    }

    fn opens_with(&self, key: &LessSafeKey) -> bool {
        let mut sealed = self.sealed.clone();
        key.open_in_place(Nonce::assume_unique_for_key(self.nonce), Aad::from(&self.aad), &mut sealed).is_ok()
    }
}

/// Every file that the worker has, its key among them.
fn on_disk(scene: &Scene) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![scene.sandbox.path("worker")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path())
            } else {
                found.push((entry.path(), fs::read(entry.path())?))
            }
        }
    }
    ensure!(
        found.iter().any(|(path, _)| path.starts_with(&scene.worker.state)),
        "the worker keeps no state: this shows nothing"
    );
    Ok(found)
}

/// The bytes, and what comes out wherever something compressed begins.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == ZSTD).map(|(at, _)| at);
    let plain = starts.filter_map(|at| {
        let mut plain = Vec::new();
        let mut decoder = zstd::Decoder::with_buffer(&bytes[at..]).ok()?.single_frame();
        std::io::copy(&mut decoder, &mut plain).ok().map(|_| plain)
    });
    plain.chain([bytes.to_vec()]).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Every 32 bytes in a row, and every 64 hexadecimal digits as the bytes that they stand for.
fn candidates(bytes: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    let raw = bytes.windows(32).filter_map(|window| window.try_into().ok());
    let hex = bytes.windows(64).filter_map(|window| from_hex(std::str::from_utf8(window).ok()?)?.try_into().ok());
    raw.chain(hex)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| (0..text.len()).step_by(2).filter_map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect())
}

/// The first value of this name anywhere in a document.
fn find<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    match document {
        Value::Object(fields) => fields.get(name).or_else(|| fields.values().find_map(|value| find(value, name))),
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}
