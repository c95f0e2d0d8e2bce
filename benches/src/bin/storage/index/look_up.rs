//! One process: opens the index, looks ids up, says what that took.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use strongroom_benches::dice::Dice;
use strongroom_repository::{ChunkId, Index, ObjectId};

use super::make::chunk_id;
use super::memory::watched;

/// Half a MiB of ids.
const IDS_AT_ONCE: u64 = 1 << 14;

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ids {
    /// Chunks that the index knows.
    Present,
    /// Others.
    Absent,
}

#[derive(Debug, Args)]
pub(crate) struct Order {
    /// The cache folder, with the names of the runs in `runs`
    #[arg(long)]
    pub(crate) cache: PathBuf,
    /// How many chunks it knows
    #[arg(long)]
    pub(crate) entries: u64,
    #[arg(long)]
    pub(crate) look_ups: u64,
    #[arg(long, value_enum)]
    pub(crate) ids: Ids,
    /// Drop the page cache between opening and looking up (needs root)
    #[arg(long)]
    pub(crate) drop_page_cache: bool,
}

/// What it took; times in seconds, memory in bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) open_seconds: f64,
    /// The most memory while it was opened, without the files that are mapped.
    pub(crate) open_anonymous_peak: u64,
    pub(crate) look_ups_per_second: f64,
    pub(crate) anonymous_peak: u64,
    /// Pages of mapped files during the look-ups, which the kernel takes back when it needs memory.
    pub(crate) mapped_peak: u64,
}

pub(crate) fn run(order: &Order) -> Result<()> {
    let names = fs::read_to_string(order.cache.join("runs"))?;
    let runs: Vec<ObjectId> = names.lines().map(str::parse).collect::<Result<_, _>>().ok().context("names of runs")?;
    let started = Instant::now();
    let (index, opening) = watched(|| Ok(Index::of_cache(&order.cache, &runs)?))?;
    let open_seconds = started.elapsed().as_secs_f64();
    ensure!(index.chunk_count() == order.entries, "{} chunks of {}", index.chunk_count(), order.entries);
    if order.drop_page_cache {
        fs::write("/proc/sys/vm/drop_caches", "3").context("dropping the page cache (needs root)")?;
    }
    let ((found, seconds), asking) = watched(|| Ok(ask(order, &index)))?;
    let expected = if order.ids == Ids::Present { order.look_ups } else { 0 };
    ensure!(found == expected, "{found} found of {expected}");
    let figures = Figures {
        open_seconds,
        open_anonymous_peak: opening.anonymous,
        look_ups_per_second: order.look_ups as f64 / seconds,
        anonymous_peak: asking.anonymous,
        mapped_peak: asking.mapped,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// How many of the ids were found, and the time that it took; making ids is not part of it, nor are all of them held at once.
fn ask(order: &Order, index: &Index) -> (u64, f64) {
    let mut dice = Dice::seeded(&[7, order.ids as u64]);
    // Numbers beyond the last chunk are of none.
    let first = if order.ids == Ids::Present { 0 } else { order.entries };
    let (mut found, mut seconds, mut left) = (0, 0.0, order.look_ups);
    while left > 0 {
        let some = left.min(IDS_AT_ONCE);
        let numbers = (0..some).map(|_| first + dice.below(order.entries as usize) as u64);
        let ids: Vec<ChunkId> = numbers.map(chunk_id).collect();
        let started = Instant::now();
        found += ids.iter().filter(|id| index.find(id).is_some()).count() as u64;
        seconds += started.elapsed().as_secs_f64();
        left -= some;
    }
    (found, seconds)
}
