//! The proof of the format: a Python program written from FORMAT.md alone reads what the product wrote.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::random::{noise, seeded, words};
use strongroom_tests::{Client, Outcome, Sandbox, compare, program, tree};

/// The reader's interpreter: `tests/run` makes its environment and says where it is.
fn python() -> Result<PathBuf> {
    let folder = std::env::var_os("STRONGROOM_READER_VENV").map(PathBuf::from);
    let folder = folder
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/strongroom/reader-venv-1")))
        .context("a home")?;
    Ok(folder.join("bin/python"))
}

/// Runs the reader: the repository, the key, then its own command.
pub(crate) fn reader(client: &Client, arguments: &[&str]) -> Result<Outcome> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent_reader.py");
    program::run(
        Command::new(python()?).arg(script).arg(&client.repository).arg("--key").arg(&client.key).args(arguments),
    )
}

fn b3sum(path: &Path) -> Result<String> {
    let printed = program::tool(Command::new("b3sum").arg("--no-names").arg(path))?;
    Ok(String::from_utf8(printed)?.trim().to_owned())
}

struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
}

/// A file of every shape that content is stored in: in a solid frame, in cut chunks, in pages of chunks, with holes.
const FILES: [&str; 4] = ["small.txt", "cut.bin", "with holes", "in chunk pages"];

impl Scene {
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(10);
        tree::ordinary(&source, &mut dice, 100)?;
        tree::write(&source, FILES[0], words(&mut dice, 5000))?;
        tree::write(&source, FILES[1], noise(&mut dice, 9 << 20))?;
        let holes = File::create(source.join(FILES[2]))?;
        holes.set_len(40 << 20)?;
        holes.write_all_at(&words(&mut dice, 3 << 20), 11 << 20)?;
        // More than 128 chunks, with little to compress: the same noise with a number in each piece.
        let pages = File::create(source.join(FILES[3]))?;
        let piece = noise(&mut dice, 1 << 20);
        for number in 0..320_u64 {
            pages.write_all_at(&piece, number << 20)?;
            pages.write_all_at(&number.to_le_bytes(), number << 20)?;
        }
        client.backup(&source)?;
        Ok(Self { sandbox, client, source })
    }
}

/// The issue's own sentence: it restores three files whose `b3sum` equals the original's. By the index, and by the packs' footers alone.
#[test]
fn restores_files_with_the_same_b3sum() -> Result<()> {
    let scene = Scene::set("reader")?;
    for way in [&[][..], &["--from-footers"]] {
        let target = scene.sandbox.path(&format!("target {}", way.len()));
        let (paths, target_text) =
            (FILES.map(|name| scene.source.join(name).display().to_string()), target.display().to_string());
        let mut arguments = vec!["restore", "latest"];
        arguments.extend(paths.iter().map(String::as_str));
        arguments.extend(["--target", &target_text]);
        arguments.extend(way);
        reader(&scene.client, &arguments)?.expect(0)?;
        for name in FILES {
            let (original, copy) =
                (b3sum(&scene.source.join(name))?, b3sum(&restored(&target, &scene.source).join(name))?);
            ensure!(original == copy, "{name}: b3sum {original} became {copy}");
        }
    }
    Ok(())
}

/// Everything that the reader restores (it leaves out devices, owners and attributes) is there; the two programs agree on a whole tree.
#[test]
fn agrees_with_the_product_on_a_tree() -> Result<()> {
    let scene = Scene::set("reader-tree")?;
    reader(&scene.client, &["verify", "latest"])?.expect(0)?;
    let listed = reader(&scene.client, &["list"])?.expect(0)?;
    ensure!(listed.stdout.contains(&scene.client.snapshots()?[0]), "the snapshot is not listed:\n{listed}");
    let (source, target) = (scene.source.display().to_string(), scene.sandbox.path("target").display().to_string());
    reader(&scene.client, &["restore", "latest", &source, "--target", &target])?.expect(0)?;
    let lost = compare::lost(&scene.source, &restored(Path::new(&target), &scene.source))?;
    ensure!(
        lost.is_empty(),
        "not as in the source: {:?}",
        lost.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>()
    );
    Ok(())
}

/// The hash that the product shows for a file is the plain BLAKE3 of its content, which needs nothing of ours to check.
#[test]
fn the_hash_in_a_listing_is_the_files_b3sum() -> Result<()> {
    let scene = Scene::set("reader-hash")?;
    for name in FILES {
        let path = scene.source.join(name);
        let listed = scene.client.run("ls", ["--json".as_ref(), "latest".as_ref(), path.as_os_str()])?.expect(0)?;
        ensure!(listed.stdout.contains(&b3sum(&path)?), "{name}: another hash in\n{listed}");
        let printed = program::tool(&mut scene.client.command("cat", ["latest".as_ref(), path.as_os_str()])?)?;
        ensure!(printed == fs::read(&path)?, "cat prints something else than {name}");
    }
    Ok(())
}
