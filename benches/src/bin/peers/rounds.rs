//! The rounds over one corpus: in every round each candidate does every operation, one candidate right after the other.
//!
//! Invariants: all candidates see the same tree at the same moment; every round starts with fresh repositories and another candidate
//! first; file systems are synced before a command starts, so nobody pays for another's dirty pages; a candidate that fails leaves the round,
//! the others go on.

use crate::disk::{self, Extent};
use crate::measure::{Usage, measure};
use crate::site::{PASSWORD, Site};
use crate::tools::{Operation, Step, Tool};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use strongroom_benches::change::Change;
use strongroom_benches::corpus::Corpus;

/// A tool as it is installed here.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) tool: &'static Tool,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// Whether what is read lies in memory when a command starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageCache {
    Warm,
    /// Dropped before every command; needs root.
    Cold,
}

/// What one run of one operation took, as it stands in the JSON lines.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) corpus: &'static str,
    pub(crate) round: u64,
    pub(crate) tool: &'static str,
    pub(crate) operation: Operation,
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    /// After a backup: all files of the repository, and how much this operation made it grow.
    pub(crate) repository_bytes: Option<u64>,
    pub(crate) repository_objects: Option<u64>,
    pub(crate) added_bytes: Option<u64>,
}

/// All that one corpus gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) extent: Extent,
    pub(crate) samples: Vec<Sample>,
    pub(crate) failures: Vec<String>,
}

/// One corpus, about to be measured.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    pub(crate) corpus: Corpus,
    pub(crate) pristine: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) candidates: &'a [Candidate],
    pub(crate) rounds: u64,
    pub(crate) page_cache: PageCache,
}

/// A candidate in one round; it keeps its repository through all operations.
#[derive(Debug)]
struct Runner<'a> {
    candidate: &'a Candidate,
    site: Site,
    repository: Extent,
}

impl Course<'_> {
    /// Runs all rounds and hands every sample to `report` as soon as it is there.
    pub(crate) fn run(&self, report: &mut dyn FnMut(&Sample) -> Result<()>) -> Result<Outcome> {
        let working = self.scratch.join("source");
        fs::create_dir_all(&self.scratch)?;
        copy(&self.pristine, &working)?;
        make_newest(&working.join(self.corpus.one_file()))?;
        let mut outcome = Outcome { extent: disk::extent(&working)?, samples: Vec::new(), failures: Vec::new() };
        for round in 1..=self.rounds {
            let mut report_sample = |sample: Sample| {
                report(&sample)?;
                outcome.samples.push(sample);
                Ok(())
            };
            self.round(round, &working, &mut report_sample, &mut outcome.failures)?;
        }
        Ok(outcome)
    }

    fn round(
        &self,
        round: u64,
        working: &Path,
        report: &mut dyn FnMut(Sample) -> Result<()>,
        failures: &mut Vec<String>,
    ) -> Result<()> {
        if self.page_cache == PageCache::Warm {
            forget_deleted_inodes();
            disk::warm(working)?;
        }
        let mut runners = self.runners(working, failures)?;
        // Everybody is first in some rounds and last in others.
        let shift = (round as usize - 1) % runners.len().max(1);
        runners.rotate_left(shift);
        let mut change = None;
        for operation in Operation::ALL {
            if operation == Operation::Changed {
                change = Some(Change::apply(self.corpus, working, round)?);
            }
            runners.retain_mut(|runner| match self.operation(round, operation, runner, report) {
                Ok(()) => true,
                Err(error) => {
                    failures.push(self.failure(round, operation, runner, &error));
                    false
                }
            });
        }
        if let Some(change) = change {
            change.revert(&self.pristine, working)?;
        }
        fs::remove_dir_all(self.scratch.join("homes")).context("removing the repositories")
    }

    fn runners(&self, working: &Path, failures: &mut Vec<String>) -> Result<Vec<Runner<'_>>> {
        let mut runners = Vec::new();
        for candidate in self.candidates {
            let home = self.scratch.join("homes").join(candidate.tool.name);
            let one_file = self.corpus.one_file().to_owned();
            let site = Site::new(candidate.program.clone(), home, working.to_owned(), one_file);
            fs::create_dir_all(site.cache())?;
            fs::write(site.password(), PASSWORD)?;
            match create(candidate, &site) {
                Ok(()) => runners.push(Runner { candidate, repository: disk_extent(&site)?, site }),
                Err(error) => failures.push(format!("{}: creating its repository: {error:#}", candidate.tool.name)),
            }
        }
        Ok(runners)
    }

    fn operation(
        &self,
        round: u64,
        operation: Operation,
        runner: &mut Runner<'_>,
        report: &mut dyn FnMut(Sample) -> Result<()>,
    ) -> Result<()> {
        let site = &runner.site;
        let Some(step) = (runner.candidate.tool.step)(site, operation) else {
            return Ok(());
        };
        if operation.is_restore() {
            fs::create_dir(site.target())?;
        }
        let usage = self.step(step, &site.home().join(format!("{}.log", operation.word())))?;
        let mut sample = Sample::new(self.corpus, round, runner.candidate.tool, operation, usage);
        if operation.is_restore() {
            check_restore(operation, site, round).context("the restore is not right")?;
            // It goes with the homes, at the end of the round: after a deletion ext4 makes files five times slower.
            fs::rename(site.target(), site.home().join(operation.word()))?;
        } else {
            let extent = disk_extent(site)?;
            sample.repository_bytes = Some(extent.bytes);
            sample.repository_objects = Some(extent.files);
            sample.added_bytes = Some(extent.bytes.saturating_sub(runner.repository.bytes));
            runner.repository = extent;
        }
        report(sample)
    }

    /// Said at once, because the round goes on for long, and again below the table.
    fn failure(&self, round: u64, operation: Operation, runner: &Runner<'_>, error: &anyhow::Error) -> String {
        let (corpus, tool) = (self.corpus.name(), runner.candidate.tool.name);
        let failure = format!("{corpus} round {round}: {tool}, {}: {error:#}", operation.title());
        eprintln!("{failure}");
        failure
    }

    fn step(&self, mut step: Step, log: &Path) -> Result<Usage> {
        match &step.output {
            Some(file) => step.command.stdout(File::create(file)?),
            None => step.command.stdout(Stdio::null()),
        };
        settle(self.page_cache)?;
        measure(&mut step.command, log)
    }
}

impl Sample {
    fn new(corpus: Corpus, round: u64, tool: &'static Tool, operation: Operation, usage: Usage) -> Self {
        Sample {
            corpus: corpus.name(),
            round,
            tool: tool.name,
            operation,
            wall_seconds: usage.wall.as_secs_f64(),
            cpu_seconds: usage.cpu.as_secs_f64(),
            peak_bytes: usage.peak_bytes,
            repository_bytes: None,
            repository_objects: None,
            added_bytes: None,
        }
    }
}

fn create(candidate: &Candidate, site: &Site) -> Result<()> {
    for mut command in (candidate.tool.create)(site) {
        measure(command.stdout(Stdio::null()), &site.home().join("create.log"))?;
    }
    Ok(())
}

fn disk_extent(site: &Site) -> Result<Extent> {
    // A floor has no repository before its first backup.
    if site.repository().exists() { disk::extent(&site.repository()) } else { Ok(Extent::default()) }
}

/// The one file always; the whole tree once per tool, because comparing takes as long as restoring.
fn check_restore(operation: Operation, site: &Site, round: u64) -> Result<()> {
    let (target, one_file) = (site.target(), site.one_file());
    let root = disk::restored_root(&target, site.source(), one_file);
    if operation == Operation::RestoreAll {
        let root = root.with_context(|| format!("{} is not in the restored tree", one_file.display()))?;
        return if round == 1 { disk::compare(site.source(), &root) } else { Ok(()) };
    }
    let alone = target.join(one_file.file_name().unwrap_or_default());
    let places = [site.printed_file(), root.unwrap_or_default().join(one_file), alone];
    let found = places.iter().find(|place| place.is_file()).context("the one file was not restored")?;
    disk::same_content(&site.source().join(one_file), found)
}

/// For half a minute after many deletions, ext4 looks at each deleted inode before it makes a new one (`recently_deleted` in its `ialloc.c`), as long as it has
/// the inode tables in memory. The first tool of a round must not pay for the round before. Without root it is only slower.
fn forget_deleted_inodes() {
    let synced = Command::new("sync").status();
    if let Err(error) = synced.and_then(|_| fs::write("/proc/sys/vm/drop_caches", "3")) {
        eprintln!("the first tool of each round may be slowed down by what was deleted before: {error}");
    }
}

/// Brings the machine to the same state before every command.
fn settle(page_cache: PageCache) -> Result<()> {
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    if page_cache == PageCache::Cold {
        fs::write("/proc/sys/vm/drop_caches", "3").context("dropping caches (needs root)")?;
    }
    Ok(())
}

/// Borg reads the file with the newest change time again in every run, as a guard against races: let that be a small one, not the image.
fn make_newest(file: &Path) -> Result<()> {
    Ok(fs::set_permissions(file, fs::metadata(file)?.permissions())?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").args(["-a", "-T"]).arg(from).arg(to).status()?;
    ensure!(status.success(), "copying {} ended with {status}", from.display());
    Ok(())
}
