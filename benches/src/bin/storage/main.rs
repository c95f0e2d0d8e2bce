//! `storage`: repositories over the years: the index of very large ones, pruning, stores far away, and searches.
//!
//! The script `benches/storage` builds what this needs and starts it. Each measurement writes a section of `RESULTS.md`; talk goes to standard error.
//! Deliberately absent: any judgement; whether a figure is good enough is for its reader.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program at the terminal")]

#[path = "../peers/disk.rs"]
mod disk;
mod find;
mod index;
#[path = "../peers/machine.rs"]
mod machine;
#[path = "../peers/measure.rs"]
mod measure;
mod prune;
mod restore;
mod stores;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use strongroom_benches::corpus::Corpus;
use strongroom_benches::page;

/// Measures repositories over the years.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All of it, into RESULTS.md
    All(All),
    /// One process of look-ups; started by this program itself
    #[command(hide = true)]
    LookUp(index::look_up::Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Look-ups among 100 million chunks
    Index,
    /// Prune after forgetting every other one of 60 daily snapshots
    Prune,
    /// Backup and restore through S3 and SFTP, near and far
    Stores,
    /// Searches among ten million names
    Find,
    /// A large restore beside `cp` and `cmp`, and the first byte of one
    Restore,
}

#[derive(Debug, Args)]
struct All {
    /// The date that the results bear
    #[arg(long)]
    date: String,
    /// A remark on the circumstances, printed above the tables
    #[arg(long)]
    note: Option<String>,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["index", "prune", "stores", "find", "restore"])]
    only: Vec<Measurement>,
    /// How many chunks the index knows
    #[arg(long, default_value_t = 100_000_000)]
    entries: u64,
    /// How many look-ups a figure is made from
    #[arg(long, default_value_t = 1_000_000)]
    look_ups: u64,
    /// Chunks in a frame: 128 of 16 KiB, as in source trees; 1 where all files are large
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    chunks_per_frame: u32,
    /// How many file entries are searched
    #[arg(long, default_value_t = 10_000_000)]
    names: u64,
    /// How large the large restore is, in GiB
    #[arg(long, default_value_t = 10)]
    gib: u64,
    /// How many daily snapshots are made before the prune
    #[arg(long, default_value_t = 60)]
    days: u64,
    /// Which tools: strongroom, restic, rustic
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["strongroom", "restic", "rustic"])]
    tools: Vec<tool::Tool>,
    /// The tree that goes through the stores; the Linux tree if none
    #[arg(long, value_name = "FOLDER")]
    tree: Option<PathBuf>,
    /// The file system that is measured on, for what is removed afterwards
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// The file that the tables are put into
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md"))]
    results: PathBuf,
    /// The strongroom to measure; normally the one beside this program
    #[arg(long, value_name = "FILE")]
    strongroom: Option<PathBuf>,
}

fn main() -> Result<()> {
    match CommandLine::parse().command {
        Command::All(order) => all(&order),
        Command::LookUp(order) => index::look_up::run(&order),
    }
}

fn all(order: &All) -> Result<()> {
    let mut failures = Vec::new();
    for measurement in &order.only {
        let measured = match measurement {
            Measurement::Index => index::measure(order),
            Measurement::Prune => prune::measure(order),
            Measurement::Stores => stores::measure(order),
            Measurement::Find => find::measure(order),
            Measurement::Restore => restore::measure(order),
        };
        match measured {
            Ok(section) => {
                println!("{section}");
                page::put(&order.results, &section)?;
            }
            // The others are measured all the same.
            Err(error) => failures.push(format!("{measurement:?}: {error:#}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
}

impl All {
    /// The line below a heading.
    fn circumstances(&self) -> Result<String> {
        let note = self.note.as_ref().map(|note| format!("\n\n**{note}**")).unwrap_or_default();
        Ok(format!("Written by `benches/storage`. {}, {}{note}", self.date, machine::describe(&self.folder)?))
    }

    /// The Linux tree, made now where it is missing.
    fn linux() -> Result<PathBuf> {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let cache = base.or(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("strongroom");
        fs::create_dir_all(&cache)?;
        Corpus::Linux.ensure(&cache)
    }
}
