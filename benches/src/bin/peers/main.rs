//! `peers`: Strongroom beside restic, borg, rustic and bupstash, on three corpora, with the floors under them.
//!
//! The script `benches/peers` installs what this needs and starts it. Tables go to standard output and to `RESULTS.md`, talk to standard
//! error. Deliberately absent: any judgement; whether a figure is good enough is for its reader.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program at the terminal")]

mod disk;
mod machine;
mod measure;
mod results;
mod rounds;
mod site;
mod table;
mod tools;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use rounds::{Candidate, Course, PageCache, Sample};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use strongroom_benches::corpus::Corpus;
use tools::{Role, TOOLS, Tool};

/// Measures Strongroom beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to back up
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["linux", "image", "small"])]
    corpus: Vec<Corpus>,
    /// Which candidates: strongroom, restic, borg, rustic, bupstash, floor
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = "strongroom,restic,borg,rustic,bupstash,floor"
    )]
    only: Vec<String>,
    /// How many rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// One round, whatever --runs says
    #[arg(long)]
    quick: bool,
    /// Drop the page cache before every command (needs root)
    #[arg(long)]
    cold: bool,
    /// The date that the results bear
    #[arg(long)]
    date: String,
    /// A remark on the circumstances, printed above the tables
    #[arg(long)]
    note: Option<String>,
    /// The file that the tables are put into
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md"))]
    results: PathBuf,
    /// Also append every single sample to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The strongroom to measure; normally the one beside this program
    #[arg(long, value_name = "FILE")]
    strongroom: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cache = cache_folder()?;
    let candidates = candidates(&arguments, &cache)?;
    let scratch = Scratch::take(&cache)?;
    let mut failed = 0;
    for corpus in &arguments.corpus {
        failed += run_corpus(&arguments, *corpus, &cache, &scratch, &candidates)?;
    }
    if failed > 0 {
        bail!("{failed} operations failed; the tables name them");
    }
    Ok(())
}

fn run_corpus(
    arguments: &Arguments,
    corpus: Corpus,
    cache: &Path,
    scratch: &Scratch,
    candidates: &[Candidate],
) -> Result<usize> {
    eprintln!("{}: preparing", corpus.name());
    let page_cache = if arguments.cold { PageCache::Cold } else { PageCache::Warm };
    let course = Course {
        corpus,
        pristine: corpus.ensure(cache)?,
        scratch: scratch.folder.join(corpus.name()),
        candidates,
        rounds: if arguments.quick { 1 } else { arguments.runs },
        page_cache,
    };
    let mut json =
        arguments.json.as_ref().map(|path| File::options().append(true).create(true).open(path)).transpose()?;
    let outcome = course.run(&mut |sample| announce(sample, json.as_mut()))?;
    let heading = results::Heading {
        date: &arguments.date,
        note: arguments.note.as_deref(),
        machine: machine::describe(&course.scratch)?,
        rounds: course.rounds,
        page_cache,
    };
    let section = results::section(corpus, &heading, candidates, &outcome);
    println!("{section}");
    results::write(&arguments.results, corpus, &section)?;
    fs::remove_dir_all(&course.scratch).context("removing the working copy")?;
    Ok(outcome.failures.len())
}

fn announce(sample: &Sample, json: Option<&mut File>) -> Result<()> {
    eprintln!(
        "{} round {}: {:10} {:21} {:8.2} s wall {:8.2} s CPU {:6} MiB",
        sample.corpus,
        sample.round,
        sample.tool,
        sample.operation.title(),
        sample.wall_seconds,
        sample.cpu_seconds,
        sample.peak_bytes >> 20
    );
    if let Some(file) = json {
        writeln!(file, "{}", serde_json::to_string(sample)?)?;
    }
    Ok(())
}

fn candidates(arguments: &Arguments, cache: &Path) -> Result<Vec<Candidate>> {
    for name in &arguments.only {
        ensure!(TOOLS.iter().any(|tool| tool.name == name), "there is no candidate {name}");
    }
    let chosen = TOOLS.iter().filter(|tool| arguments.only.iter().any(|name| name == tool.name));
    chosen.map(|tool| candidate(tool, arguments, cache)).collect()
}

fn candidate(tool: &'static Tool, arguments: &Arguments, cache: &Path) -> Result<Candidate> {
    let program = match tool.role {
        Role::Ours => our_program(arguments)?,
        Role::Peer => machine::locate(tool.name, tool.installed.map(|folder| cache.join("peers").join(folder)))?,
        Role::Floor => machine::locate("sh", None)?,
    };
    let version = machine::version(tool.name, &program, tool.version)?;
    Ok(Candidate { tool, program, version })
}

fn our_program(arguments: &Arguments) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("strongroom");
    let program = arguments.strongroom.clone().unwrap_or(beside);
    let missing = || format!("{} is missing: cargo build --release --bin strongroom", program.display());
    program.canonicalize().with_context(missing)
}

/// Where corpora, installations and scratch live: `$XDG_CACHE_HOME/strongroom` or `~/.cache/strongroom`.
fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = base.or(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("strongroom");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// The one scratch folder, removed at the end, and at the next start if this program was killed.
struct Scratch {
    folder: PathBuf,
    /// Two measurements at once would measure each other.
    _lock: File,
}

impl Scratch {
    fn take(cache: &Path) -> Result<Self> {
        let lock = File::create(cache.join("peers-scratch.lock"))?;
        lock.try_lock().context("another run of this program is measuring")?;
        let folder = cache.join("peers-scratch");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(Scratch { folder, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays behind: {error}", self.folder.display());
        }
    }
}
