//! A restore's plan and report for people.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_repository::Served;
use strongroom_worker::restore::{Medium, Outcome, PlanSummary, RestoreReport, Resumes};

use crate::choice::short_id;
use crate::output::Answer;
use crate::shown::{count, size, time, write_grouped, write_listed};

/// So many paths of each kind are listed; --json has more.
const LISTED_MAX: usize = 20;

/// What a restore would do.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Planned(pub(super) PlanSummary);

impl Answer for Planned {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_plan(out)?;
        writeln!(out, "nothing was written")
    }
}

impl Planned {
    /// What would be done, without a word on whether it was.
    pub(super) fn write_plan(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.0;
        let what = if plan.paths.is_empty() { "everything".to_owned() } else { plan.paths.join(" ") };
        writeln!(out, "would restore {what}")?;
        writeln!(out, "  from   snapshot {} of {}, {}", short_id(&plan.snapshot.hex()), plan.host, time(plan.time))?;
        let leads_elsewhere = |real: &&String| plan.target.starts_with('/') && **real != plan.target;
        match plan.target_real.as_ref().filter(leads_elsewhere) {
            Some(real) => writeln!(out, "  into   {}, which is {real}", plan.target)?,
            None => writeln!(out, "  into   {}", plan.target)?,
        }
        writeln!(out, "  holds  {}", nodes([plan.files, plan.directories, plan.hard_links, plan.others], plan.bytes))?;
        writeln!(
            out,
            "  reads  {} in {} frames of {} packs",
            size(plan.fetch_bytes),
            count(plan.frames),
            count(plan.packs)
        )?;
        writeln!(out, "  room   needs {}, {} are free", size(plan.needed_bytes), size(plan.free_bytes))?;
        match plan.resumes {
            Resumes::Nothing => {}
            Resumes::Staging => writeln!(out, "  goes on with an interrupted run; what it left is read back first")?,
            Resumes::Placing => writeln!(
                out,
                "  goes on with an interrupted run: everything is verified and only has to be put in place"
            )?,
        }
        writeln!(
            out,
            "  there  {} replaced, {} equal already, {} left as they are",
            count(plan.replaced),
            count(plan.unchanged),
            count(plan.kept)
        )?;
        write_paths(out, "replace", plan.replaced_paths.iter().map(String::as_str), plan.replaced)?;
        write_paths(out, "leave", plan.kept_paths.iter().map(String::as_str), plan.kept)?;
        plan.warnings.iter().try_for_each(|warning| write!(out, "{warning}"))
    }
}

/// What a restore did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Restored {
    #[serde(skip)]
    pub(super) host: String,
    #[serde(skip)]
    pub(super) time: Timestamp,
    #[serde(flatten)]
    pub(super) report: RestoreReport,
    /// What came from which copy.
    pub(super) served: Vec<Served>,
}

impl Answer for Restored {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        let id = short_id(&report.snapshot.hex());
        writeln!(out, "{} into {}", headline(report.outcome), report.target)?;
        writeln!(out, "  from   snapshot {id} of {}, {}", self.host, time(self.time))?;
        let counts = &report.counts;
        writeln!(
            out,
            "  wrote  {}",
            nodes([counts.files, counts.directories, counts.hard_links, counts.others], counts.bytes)
        )?;
        if self.served.len() > 1 {
            for copy in &self.served {
                writeln!(out, "  read   {} in {} frames from {}", size(copy.bytes), count(copy.frames), copy.location)?;
            }
        }
        write_proof(out, report)?;
        if counts.resumed_files > 0 {
            writeln!(out, "  kept   {} files of an interrupted run, read back and equal", count(counts.resumed_files))?;
        }
        if counts.replaced + counts.unchanged + counts.kept > 0 {
            writeln!(
                out,
                "  there  {} replaced, {} equal already, {} left as they are",
                count(counts.replaced),
                count(counts.unchanged),
                count(counts.kept)
            )?;
        }
        if let Some(aside) = &report.set_aside {
            writeln!(out, "  what was replaced is in {aside}")?;
        }
        let problems = report.problems.iter().map(|problem| (problem.path.as_str(), problem.error.clone()));
        write_listed(out, "NOT RESTORED", problems, report.problems_total)?;
        let deviations = report.deviations.iter();
        let deviations = deviations.map(|found| (found.path.as_str(), format!("{}: {}", found.aspect, found.reason)));
        write_grouped(out, "DEVIATES", deviations, report.deviations_total)?;
        match &report.staging {
            Some(staging) => writeln!(
                out,
                "nothing was put in place; what was written is in {staging}, and the same command goes on with it"
            ),
            None => Ok(()),
        }
    }
}

fn headline(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Restored => "restored and verified",
        Outcome::Deviating => "PARTIAL: content restored and verified, some metadata deviates,",
        Outcome::Unproven => "NOT PROVEN: restored and read back, and a check of the plan does not agree,",
        Outcome::Partial => "PARTIAL: restored in part",
        Outcome::Failed => "FAILED: what was read back is not what was stored,",
    }
}

/// What was proven, and how.
pub(crate) fn write_proof(out: &mut dyn Write, report: &RestoreReport) -> io::Result<()> {
    let verified = &report.verification;
    let medium = match verified.medium {
        Medium::Disk => "read back from the disk",
        Medium::Memory => "read back from memory (there is no disk below the target)",
    };
    writeln!(
        out,
        "  proof  {} files, {}: {medium} and equal to the hashes taken at the source; metadata of {} compared",
        count(verified.verified_files),
        size(verified.verified_bytes),
        count(verified.compared_nodes)
    )
}

fn nodes([files, directories, hard_links, others]: [u64; 4], bytes: u64) -> String {
    format!(
        "{} files, {} directories, {} further names, {} others; {}",
        count(files),
        count(directories),
        count(hard_links),
        count(others),
        size(bytes)
    )
}

fn write_paths(
    out: &mut dyn Write,
    label: &str,
    lines: impl Iterator<Item = impl AsRef<str>>,
    total: u64,
) -> io::Result<()> {
    let mut listed = 0;
    for line in lines.take(LISTED_MAX) {
        writeln!(out, "{label}  {}", line.as_ref())?;
        listed += 1;
    }
    if total > listed { writeln!(out, "{label}  and {} more", count(total - listed)) } else { Ok(()) }
}
