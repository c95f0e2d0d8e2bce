//! The measurement behind the constants of the format: what frame size and zstd level cost and give on a real tree, in path order.
//!
//! `cargo run --release -p strongroom-benches --bin constants -- DIR` prints a Markdown table. One thread, CPU seconds; every third 16 MiB of the tree, so that a run takes a
//! minute and the whole tree is met.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use strongroom_repository::pack::compress;

/// Sample one block of so many, of this size.
const EVERY: usize = 3;
const BLOCK: usize = 16 << 20;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: constants DIR")?;
    let sample = sample(Path::new(&folder))?;
    let mut lines = vec![
        format!(
            "{:.0} MB sampled from {folder}; size in percent of the plain bytes, and CPU seconds per plain GB.",
            megabytes(sample.len())
        ),
        String::new(),
        "| frame | level 1 | level 2 | level 3 | level 5 |".into(),
        "|---|---:|---:|---:|---:|".into(),
    ];
    for kib in [256, 512, 1024, 2048, 4096] {
        let cells: Vec<String> =
            [1, 2, 3, 5].iter().map(|level| cell(&sample, kib << 10, *level)).collect::<Result<_>>()?;
        lines.push(format!("| {kib} KiB | {} |", cells.join(" | ")));
    }
    print_lines(&lines);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program whose output is its result")]
fn print_lines(lines: &[String]) {
    println!("{}", lines.join("\n"));
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn sample(folder: &Path) -> Result<Vec<u8>> {
    let mut sample = Vec::new();
    let mut block = Vec::new();
    let mut number = 0;
    for path in files(folder)? {
        block.extend(fs::read(&path).with_context(|| path.display().to_string())?);
        if block.len() >= BLOCK {
            if number % EVERY == 0 {
                sample.append(&mut block);
            }
            block.clear();
            number += 1;
        }
    }
    Ok(sample)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn cell(sample: &[u8], frame: usize, level: i32) -> Result<String> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    let mut out = Vec::new();
    let mut size = 0;
    let start = cpu_seconds();
    for plain in sample.chunks(frame) {
        compress(&mut compressor, plain, &mut out);
        size += out.len();
    }
    let seconds = (cpu_seconds() - start) / (sample.len() as f64 / 1e9);
    Ok(format!("{:.2} % / {seconds:.2} s", 100.0 * size as f64 / sample.len() as f64))
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
