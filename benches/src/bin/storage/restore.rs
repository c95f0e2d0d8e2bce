//! How long a restore takes until its first byte, and a large one as a whole, beside `cp` and `cmp` of the same files.
//!
//! A restore of ours ends when what it wrote was flushed and read back from the disk. So it is compared with a copy that is flushed, and then compared byte by byte
//! with its source, the page cache dropped in between: the least that anybody does who wants to know.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use strongroom_benches::dice::Dice;
use strongroom_benches::vocabulary::Vocabulary;

use crate::All;
use crate::measure::{Usage, measure as run};
use crate::tool::{Client, Place, Tool};

const FILE_BYTES: u64 = 256 << 20;
/// Of such pieces one is noise and one is text, in turns.
const PIECE_BYTES: usize = 1 << 20;
/// The best of so many counts.
const ROUNDS: usize = 5;

pub(crate) fn measure(order: &All) -> Result<String> {
    let folder = tempfile::tempdir_in(&order.folder)?;
    let (source, home) = (folder.path().join("source"), folder.path().join("home"));
    eprintln!("restore: making {} GiB", order.gib);
    let files = make(&source, order.gib << 30)?;
    let client = Client::new(Tool::Strongroom, order, home, &source, Place::Folder)?;
    let log = client.home.join("log");
    let quiet = |mut command: Command| run(command.stdout(Stdio::null()), &log);
    quiet(client.create())?;
    let backup = quiet(client.backup())?;
    let first = (0..ROUNDS).map(|_| first_byte(&client, &files[files.len() / 2])).collect::<Result<Vec<_>>>()?;

    let target = folder.path().join("restored");
    fs::create_dir(&target)?;
    drop_caches()?;
    let restore = quiet(client.restore(&target))?;
    fs::remove_dir_all(&target)?;

    let copy = folder.path().join("copy");
    drop_caches()?;
    let copied = shell("cp -a \"$0\" \"$1\" && sync -f \"$1\"", &source, &copy, &log)?;
    drop_caches()?;
    let compared = shell("diff -r \"$0\" \"$1\"", &source, &copy, &log)?;
    let both = copied.wall + compared.wall;

    let mut text = format!(
        "## restore: {} GiB in {} files\n\n{}\n\nHalf of it is noise and half is text, from a repository in a local folder, all on one disk, the page cache dropped before each row (not before the first bytes, of which \
         this is the best of {ROUNDS}). A restore has flushed what it wrote and read it back; the peer is a copy that was flushed and compared with its source. One round.\n\n\
         | | wall s | MiB/s | CPU s | peak memory MiB |\n|---|---:|---:|---:|---:|\n",
        order.gib,
        files.len(),
        order.circumstances()?
    );
    for (title, usage) in
        [("backup", backup), ("restore, read back", restore), ("`cp -a`, `sync`", copied), ("`diff -r`", compared)]
    {
        row(&mut text, title, usage, order.gib << 10)?;
    }
    writeln!(
        text,
        "\nThe restore runs at {:.2} of the rate of copy and comparison together. The first byte of a file in the middle comes after {:.2} s, from the start of `strongroom cat`.",
        both.as_secs_f64() / restore.wall.as_secs_f64(),
        first.iter().min().copied().unwrap_or_default().as_secs_f64()
    )?;
    Ok(text)
}

/// Writes so many bytes of files, and names them.
fn make(source: &Path, bytes: u64) -> Result<Vec<String>> {
    fs::create_dir(source)?;
    let vocabulary = Vocabulary::seeded(2);
    let names: Vec<String> = (0..bytes / FILE_BYTES).map(|number| format!("{number:03}.bin")).collect();
    for (number, name) in (0..).zip(&names) {
        let mut dice = Dice::seeded(&[number, 0x7e57]);
        let mut noise = blake3::Hasher::new_keyed(&[number as u8; 32]).finalize_xof();
        let mut file = io::BufWriter::new(File::create(source.join(name))?);
        let mut piece = vec![0; PIECE_BYTES];
        for at in 0..FILE_BYTES / PIECE_BYTES as u64 {
            match at % 2 {
                0 => noise.fill(&mut piece),
                _ => text(&vocabulary, &mut dice, &mut piece),
            }
            file.write_all(&piece)?;
        }
        file.into_inner()?.sync_all()?;
    }
    Ok(names)
}

fn text(vocabulary: &Vocabulary, dice: &mut Dice, piece: &mut [u8]) {
    let mut text = Vec::with_capacity(piece.len() + 64);
    while text.len() < piece.len() {
        text.extend_from_slice(vocabulary.word(dice).as_bytes());
        text.push(b' ');
    }
    piece.copy_from_slice(&text[..piece.len()]);
}

fn first_byte(client: &Client, name: &str) -> Result<Duration> {
    let path = client.source.join(name);
    let begun = Instant::now();
    let mut child = client.cat(&path).stdout(Stdio::piped()).spawn()?;
    let mut byte = [0];
    child.stdout.take().context("its output")?.read_exact(&mut byte)?;
    let taken = begun.elapsed();
    // Nobody reads on, which it may call a failure.
    child.wait()?;
    Ok(taken)
}

fn shell(script: &str, source: &Path, copy: &Path, log: &Path) -> Result<Usage> {
    run(Command::new("sh").args(["-c", script]).arg(source).arg(copy).stdout(Stdio::null()), log)
}

fn drop_caches() -> Result<()> {
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    fs::write("/proc/sys/vm/drop_caches", "3").context("dropping the page cache needs root")
}

fn row(table: &mut String, title: &str, usage: Usage, mib: u64) -> Result<()> {
    let (wall, cpu) = (usage.wall.as_secs_f64(), usage.cpu.as_secs_f64());
    Ok(writeln!(table, "| {title} | {wall:.1} | {:.0} | {cpu:.1} | {} |", mib as f64 / wall, usage.peak_bytes >> 20)?)
}
