//! A backup's report for people.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use strongroom_repository::{Problem, Totals};
use strongroom_worker::backup::BackupReport;

use crate::choice::short_id;
use crate::copies::Filled;
use crate::output::Answer;
use crate::shown::{count, duration, ratio, size, write_listed};
use crate::snapshots::kind;

/// A backup that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Made {
    #[serde(skip)]
    pub(super) host: String,
    #[serde(flatten)]
    pub(super) report: BackupReport,
    /// The copies that were filled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) copied: Vec<Filled>,
}

impl Answer for Made {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        let id = report.snapshot.hex();
        writeln!(
            out,
            "snapshot {} of {} is safe ({}, commit {})",
            short_id(&id),
            self.host,
            kind(report.kind),
            report.commit
        )?;
        write_totals(out, &report.totals, "  ")?;
        let took = Duration::from_millis(report.total_ms);
        match report.totals.bytes_read {
            0 => writeln!(out, "  took   {}", duration(took))?,
            bytes => writeln!(out, "  took   {}, reading {}/s", duration(took), rate(bytes, report.total_ms))?,
        }
        if report.left_out > 0 {
            writeln!(out, "  rules left out {} files and directories", count(report.left_out))?;
        }
        if report.torn > 0 {
            writeln!(out, "  {} files changed each time they were read and are marked as torn", count(report.torn))?;
        }
        write_problems(out, &report.problems, report.totals.problems)?;
        self.copied.iter().try_for_each(|copy| copy.write_text(out))
    }
}

fn rate(bytes: u64, milliseconds: u64) -> String {
    size((bytes as f64 / (milliseconds.max(1) as f64 / 1000.0)) as u64)
}

/// What was looked at, read and stored.
pub(crate) fn write_totals(out: &mut dyn Write, totals: &Totals, margin: &str) -> io::Result<()> {
    let Totals { files, directories, others, files_changed, bytes, bytes_read, bytes_new, bytes_stored, .. } = *totals;
    writeln!(
        out,
        "{margin}holds  {} files ({} new or changed), {} directories, {} others; {}",
        count(files),
        count(files_changed),
        count(directories),
        count(others),
        size(bytes)
    )?;
    writeln!(
        out,
        "{margin}read   {}; {} of it new here (deduplication {}), stored as {} (compression {})",
        size(bytes_read),
        size(bytes_new),
        ratio(bytes_read, bytes_new),
        size(bytes_stored),
        ratio(bytes_new, bytes_stored)
    )
}

fn write_problems(out: &mut dyn Write, problems: &[Problem], total: u64) -> io::Result<()> {
    if total == 0 {
        return Ok(());
    }
    writeln!(out, "PARTIAL: {} could not be read and are not in the snapshot:", count(total))?;
    let said = problems.iter().map(|problem| (problem.path.as_str(), problem.error.clone()));
    write_listed(out, " ", said, total)
}
