//! The three corpora, built once and kept in the cache folder.
//!
//! A corpus is finished when its folder exists: it is built under a name of its own beside it, then renamed.

mod image;
mod linux;
mod small;

pub use image::BLOCK_BYTES;

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Corpus {
    /// The Linux source tree: 78,579 files, 1.3 GB.
    Linux,
    /// A 4 GiB disk image of a real Debian root, with its free space.
    Image,
    /// 500,000 files of 0 to 16 KiB of realistic text.
    Small,
}

impl Corpus {
    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Corpus::Linux => "linux",
            Corpus::Image => "image",
            Corpus::Small => "small",
        }
    }

    /// What it is, in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Corpus::Linux => "the source tree of Debian's `linux-source-6.1`",
            Corpus::Image => "a 4 GiB ext4 image of a Debian 12 root, sparse where the file system is free",
            Corpus::Small => "500,000 generated files of 0 to 16 KiB: prose, logs, JSON, settings, source",
        }
    }

    /// The file that the restore of one file asks for, relative to the corpus.
    pub fn one_file(self) -> &'static Path {
        Path::new(match self {
            Corpus::Linux => "kernel/sched/core.c",
            Corpus::Image => image::LIST,
            Corpus::Small => small::ONE_FILE,
        })
    }

    /// The folder of the finished corpus, built now when it is missing.
    pub fn ensure(self, cache: &Path) -> Result<PathBuf> {
        // The numbers are versions of the content: of the package, or of the recipe and generator below.
        match self {
            Corpus::Linux => finished(cache, "linux-source-6.1", linux::unpack),
            Corpus::Image => finished(cache, "image-debian-12-v1", image::build),
            Corpus::Small => finished(cache, "small-v1", small::generate),
        }
        .with_context(|| format!("building the corpus {}", self.name()))
    }
}

fn finished(cache: &Path, name: &str, build: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache.join("corpus").join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let staging = folder.with_file_name(format!("{name}.partial"));
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir_all(&staging)?;
    build(&staging)?;
    fs::rename(&staging, &folder)?;
    Ok(folder)
}

/// Runs a program of the recipe, its output on our standard error.
fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdout(std::io::stderr()).status().with_context(|| format!("starting {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
