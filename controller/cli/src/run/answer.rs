//! What a run says: compact, and with the next commands to type.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use strongroom_controller::{
    CheckResult, CheckVerdict, CopyDone, Kept, Outcome, RestoreDone, RunRecord, StepRecord, Verdict,
};
use strongroom_plans::{BackupPlan, ProofLevel, Step, Verdict as Retained, steps};
use strongroom_repository::Problem;

use crate::backup::write_totals;
use crate::choice::short_id;
use crate::output::Answer;
use crate::shown::{count, duration, shell_word, size, time, write_grouped, write_listed};

/// So many lines of a check's output, and so many snapshots; the record has all of them.
const LISTED_MAX: usize = 10;

/// The steps of a plan, for `--dry-run`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Steps {
    dry_run: bool,
    plan: String,
    repository: String,
    steps: Vec<Step>,
}

impl Steps {
    pub(super) fn new(plan: &BackupPlan, url: &str) -> Self {
        Self { dry_run: true, plan: plan.name().to_string(), repository: url.to_owned(), steps: steps(plan) }
    }
}

impl Answer for Steps {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan {} would, with the repository at {},", self.plan, self.repository)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(out, "  {}. {step}", at + 1)?;
        }
        writeln!(out, "nothing was done")
    }
}

/// A run that is over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RunAnswer {
    record: RunRecord,
    #[serde(flatten)]
    whereabouts: Whereabouts,
    next: Vec<String>,
}

/// What a run leaves on this machine, and where.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Whereabouts {
    pub(super) record_file: PathBuf,
    /// None if the repository is opened by a passphrase.
    pub(super) key_file: Option<PathBuf>,
    /// What is not good about the place.
    pub(super) warning: Option<String>,
}

impl RunAnswer {
    pub(super) fn new(record: RunRecord, whereabouts: Whereabouts, url: &str) -> Self {
        let next = next_commands(&record, whereabouts.key_file.as_deref(), url);
        Self { record, whereabouts, next }
    }
}

fn next_commands(record: &RunRecord, key_file: Option<&Path>, url: &str) -> Vec<String> {
    let repo = format!("--repo {}", shell_word(Path::new(url)));
    let mut next = vec![format!("strongroom snapshots {repo}")];
    if let Some(path) = first_source(record) {
        let snapshot = shell_word(Path::new(&format!("latest@{}:{path}", record.host)));
        let path = shell_word(Path::new(&path));
        next.push(format!("strongroom ls {repo} {snapshot} {path}"));
        next.push(format!("strongroom restore {repo} {snapshot} {path} --target /tmp/restored --dry-run"));
    }
    next.push(format!("strongroom repo check --read-data {}", shell_word(Path::new(url))));
    next.extend(key_file.map(|path| format!("strongroom key sheet --key {}", shell_word(path))));
    next
}

fn first_source(record: &RunRecord) -> Option<String> {
    record.steps.iter().find_map(|step| match &step.step {
        Step::Backup { source, .. } => source.roots().first().map(ToString::to_string),
        _ => None,
    })
}

impl Answer for RunAnswer {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let record = &self.record;
        let took = duration(length(record.started, record.finished));
        writeln!(
            out,
            "{}: plan {} on {}, {}, took {took}",
            headline(record),
            record.plan,
            record.host,
            time(record.started)
        )?;
        for step in &record.steps {
            writeln!(out)?;
            write_step(out, step)?;
        }
        writeln!(out, "\nrepository  {} ({})", record.location, record.repository)?;
        match &self.whereabouts.key_file {
            Some(path) => writeln!(
                out,
                "key         {}\n            Without it nothing can be restored: keep a copy on another machine or on paper.",
                path.display()
            )?,
            None => writeln!(out, "key         a passphrase; without it nothing can be restored")?,
        }
        writeln!(out, "record      {}", self.whereabouts.record_file.display())?;
        if let Some(warning) = &self.whereabouts.warning {
            writeln!(out, "warning     {warning}")?;
        }
        writeln!(out, "\nnext:")?;
        self.next.iter().try_for_each(|command| writeln!(out, "  {command}"))
    }
}

fn headline(record: &RunRecord) -> &'static str {
    match (record.verdict, record.proof) {
        (Verdict::Done, Some(level)) if level.is_verified_restore() => "DONE and PROVEN",
        (Verdict::Done, _) => "DONE, not proven",
        (Verdict::Partial, Some(level)) if level.is_verified_restore() => "PARTIAL, what was stored is PROVEN",
        (Verdict::Partial, _) => "PARTIAL",
        (Verdict::Unproven, _) => "NOT PROVEN",
        (Verdict::Failed, _) => "FAILED",
    }
}

fn write_step(out: &mut dyn Write, step: &StepRecord) -> io::Result<()> {
    let took = duration(length(step.started, step.finished));
    match &step.outcome {
        Outcome::BackedUp(done) => {
            writeln!(out, "backup   snapshot {} in {took}", short_id(&done.snapshot.hex()))?;
            write_totals(out, &done.totals, "         ")?;
            write_listed(out, "         NOT READ", said(&done.problems), done.totals.problems)
        }
        Outcome::Restored(done) => write_restored(out, done, &took),
        Outcome::Verified { reached, demanded, checks } => write_verified(out, (*reached, *demanded), checks),
        Outcome::LeftToDrills => writeln!(out, "proof    {}", step.step),
        Outcome::Copied(done) => write_copied(out, done, &took),
        Outcome::Previewed { snapshots } => write_retention(out, step, snapshots),
        Outcome::Failed { fault } => writeln!(out, "FAILED   {}\n         {fault}", step.step),
        Outcome::NotBegun => writeln!(out, "not begun: {}", step.step),
    }
}

fn write_restored(out: &mut dyn Write, done: &RestoreDone, took: &str) -> io::Result<()> {
    let proven = done.verification;
    writeln!(
        out,
        "restore  {} files, {}, to scratch in {took}: read back from the disk and equal to the hashes taken at the source; metadata of {} compared; scratch removed",
        count(proven.files_equal),
        size(proven.bytes_equal),
        count(proven.metadata_compared)
    )?;
    write_listed(out, "         NOT RESTORED", said(&done.differences), done.differences_total)?;
    write_grouped(out, "         DEVIATES", said(&done.deviations), done.deviations_total)
}

fn write_copied(out: &mut dyn Write, done: &CopyDone, took: &str) -> io::Result<()> {
    let (snapshots, bytes) = (count(done.snapshots), size(done.bytes));
    writeln!(out, "copy     {snapshots} new snapshots, {bytes} sent to {} in {took}", done.location)?;
    done.faults.iter().try_for_each(|fault| writeln!(out, "         NOT COPIED  {fault}"))
}

fn said(findings: &[Problem]) -> impl Iterator<Item = (&str, String)> {
    findings.iter().map(|problem| (problem.path.as_str(), problem.error.clone()))
}

fn write_verified(
    out: &mut dyn Write,
    (reached, demanded): (ProofLevel, ProofLevel),
    checks: &[CheckResult],
) -> io::Result<()> {
    match reached >= demanded {
        true => writeln!(out, "proof    {reached}, as the plan demands")?,
        false => writeln!(out, "proof    {reached}; the plan demands {demanded}")?,
    }
    for check in checks {
        let took = duration(length(check.started, check.finished));
        writeln!(out, "         check {}: {} ({took})", check.command, verdict(check.verdict))?;
        if !check.agreed() {
            check
                .output
                .lines()
                .rev()
                .take(LISTED_MAX)
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .try_for_each(|line| writeln!(out, "           | {line}"))?;
        }
    }
    Ok(())
}

pub(crate) fn verdict(verdict: CheckVerdict) -> String {
    match verdict {
        CheckVerdict::Agreed => "agrees".into(),
        CheckVerdict::Disagreed(code) => format!("DOES NOT AGREE, ended with {code}"),
        CheckVerdict::Killed(signal) => format!("DOES NOT AGREE, ended by signal {signal}"),
        CheckVerdict::TimedOut => "DOES NOT AGREE, did not end in time".into(),
        CheckVerdict::CpuUsedUp => "USED UP its processor time".into(),
        CheckVerdict::NotStarted => "could NOT BE STARTED".into(),
        CheckVerdict::Otherwise => "DOES NOT AGREE, printed something else".into(),
    }
}

fn write_retention(out: &mut dyn Write, step: &StepRecord, snapshots: &[Kept]) -> io::Result<()> {
    let dropped: Vec<&Kept> = snapshots.iter().filter(|kept| kept.verdict == Retained::Drop).collect();
    let kept = snapshots.len() - dropped.len();
    let rules = match &step.step {
        Step::PreviewRetention { rules } => rules.to_string(),
        other => other.to_string(),
    };
    writeln!(out, "retain   {rules}: would keep {kept} of {} snapshots; nothing is removed", snapshots.len())?;
    for snapshot in dropped.iter().take(LISTED_MAX) {
        writeln!(out, "         would drop {} of {}", short_id(&snapshot.snapshot.hex()), time(snapshot.time))?;
    }
    Ok(())
}

fn length(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
