//! How the index behaves with 100 million chunks: opening it, look-ups, memory.
//!
//! The cache files of such a repository are made, as they are after its runs were joined, and measured in processes of their own, so that nobody's
//! memory counts for another. Deliberately absent: the store. Fetching runs is a matter of its speed.

pub(crate) mod look_up;
mod make;
mod memory;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::All;
use look_up::Figures;

/// What each process does, beside opening the index: a title, what is looked up, by how much less often, and whether the page cache is dropped before.
const CASES: [(&str, &str, u64, Cache); 4] = [
    ("present, all in the page cache", "present", 1, Cache::Kept),
    ("absent, all in the page cache", "absent", 1, Cache::Kept),
    ("present, page cache dropped", "present", 50, Cache::Dropped),
    ("absent, page cache dropped", "absent", 50, Cache::Dropped),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    Kept,
    Dropped,
}

pub(crate) fn measure(order: &All) -> Result<String> {
    let folder = tempfile::tempdir_in(&order.folder)?;
    let cache = folder.path();
    eprintln!("making {} entries", order.entries);
    let started = Instant::now();
    let runs = make::runs(cache, order.entries, order.chunks_per_frame)?;
    let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
    fs::write(cache.join("runs"), names.join("\n"))?;
    eprintln!("made in {:.1} s", started.elapsed().as_secs_f64());
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    let first = look_up(order, cache, "present", 1000, Cache::Kept)?;
    let (run_bytes, filter_bytes) = sizes(&cache.join("index"))?;
    let mut text = heading(order, runs.len(), run_bytes, filter_bytes)?;
    writeln!(text, "| | |\n|---|---:|")?;
    writeln!(text, "| open, the filters being made | {:.2} s |", first.open_seconds)?;
    writeln!(text, "| its peak memory, files that are mapped left out | {} MiB |", first.open_anonymous_peak >> 20)?;
    let mut table = "\n| look-ups of random ids | open s | look-ups a second | memory MiB | mapped files, peak MiB |\n|---|---:|---:|---:|---:|\n".to_owned();
    for (title, ids, fewer, page_cache) in CASES {
        eprintln!("measuring: {title}");
        let figures = look_up(order, cache, ids, order.look_ups / fewer, page_cache)?;
        writeln!(
            table,
            "| {title} | {:.2} | {:.0} | {} | {} |",
            figures.open_seconds,
            figures.look_ups_per_second,
            figures.anonymous_peak.max(figures.open_anonymous_peak) >> 20,
            figures.mapped_peak >> 20
        )?;
    }
    text.push_str(&table);
    Ok(text)
}

fn heading(order: &All, runs: usize, run_bytes: u64, filter_bytes: u64) -> Result<String> {
    Ok(format!(
        "## index: {} synthetic entries\n\n{}\n\n{runs} runs as `prune` joins them, {} chunks a frame: {:.2} GB, and {} MiB of filters \
         ({:.2} bits a chunk). One process a row, one thread. Memory is the peak of what is not a mapped file (`RssAnon`) while the index is opened and \
         asked; the filters and what was touched last of the runs are mapped (`RssFile`, with this program's own few MiB), and can be taken back when memory is short. Opening hashes every file whole.\n\n",
        order.entries,
        order.circumstances()?,
        order.chunks_per_frame,
        run_bytes as f64 / 1e9,
        filter_bytes >> 20,
        filter_bytes as f64 * 8.0 / order.entries as f64,
    ))
}

/// Bytes of runs, and of filters.
fn sizes(folder: &Path) -> Result<(u64, u64)> {
    let mut sizes = (0, 0);
    for file in fs::read_dir(folder)? {
        let file = file?;
        let is_filter = file.path().extension().is_some();
        *(if is_filter { &mut sizes.1 } else { &mut sizes.0 }) += file.metadata()?.len();
    }
    Ok(sizes)
}

fn look_up(order: &All, cache: &Path, ids: &str, look_ups: u64, page_cache: Cache) -> Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("look-up").arg("--cache").arg(cache).args(["--ids", ids]);
    command.args(["--entries", &order.entries.to_string(), "--look-ups", &look_ups.max(1).to_string()]);
    if page_cache == Cache::Dropped {
        command.arg("--drop-page-cache");
    }
    let output = command.stderr(Stdio::inherit()).output().context("starting this program again")?;
    ensure!(output.status.success(), "looking up ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
