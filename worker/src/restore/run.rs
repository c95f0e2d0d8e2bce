//! Carrying a plan out.

use std::sync::Arc;
use std::time::Instant;

use strongroom_repository::text::escape;
use tokio::runtime::Handle;

use super::crew::{Crew, Tools};
use super::error::RestoreError;
use super::events::{Listener, RestoreEvent};
use super::fetch::Fetcher;
use super::findings::Findings;
use super::jobs::Job;
use super::options::Replaced;
use super::owners::OwnerMap;
use super::place::Placer;
use super::plan::{RestorePlan, Resumes};
use super::report::{Outcome, PhaseTime, ProblemKind, RestoreReport};
use super::settle;
use super::staging::{self, Flagged, Found, Note, Staging};
use super::threads::on_thread;
use super::windows::Windows;
use super::work::Work;
use crate::filesystem::Root;
use crate::progress::Progress;

/// Runs a plan: stages, flushes, reads back, compares, and puts in place what is equal. What an interrupted run of the same request has done is not done
/// again.
pub async fn run(
    plan: RestorePlan,
    progress: Arc<Progress>,
    listener: Listener,
) -> Result<RestoreReport, RestoreError> {
    let summary = &plan.summary;
    if summary.resumes == Resumes::Nothing && summary.lacks_room() {
        let (target, needed, free) = (plan.options.target.clone(), summary.needed_bytes, summary.free_bytes);
        return Err(RestoreError::NoRoom { target, needed, free });
    }
    let (target, name) = (plan.options.target.clone(), plan.staging.clone());
    let staging = on_thread("restore-open", move || Staging::open(&target, &name)).await??;
    listener.tell(&RestoreEvent::Staging { path: staging.path().to_owned() });
    let staging = Arc::new(staging);
    let note = match staging.note()? {
        Some(note) => note,
        None => {
            progress.set_total(summary.files + summary.directories + summary.others, summary.bytes);
            let (report, flagged) = stage(&plan, &staging, progress, &listener).await?;
            if report.outcome == Outcome::Failed {
                return Ok(report);
            }
            Note { report, flagged }
        }
    };
    put_in_place(plan, staging, note, listener).await
}

/// Builds everything in the staging directory and verifies it there.
async fn stage(
    plan: &RestorePlan,
    staging: &Arc<Staging>,
    progress: Arc<Progress>,
    listener: &Listener,
) -> Result<(RestoreReport, Vec<Flagged>), RestoreError> {
    let start = Instant::now();
    let shown = escape(staging.path().as_os_str().as_encoded_bytes());
    if staging.found() == Found::Unfinished {
        // What is read back from an earlier run must be on the disk first.
        let earlier = Arc::clone(staging);
        on_thread("restore-flush", move || earlier.flush())
            .await?
            .map_err(RestoreError::target("flush", shown.clone()))?;
    }
    let tools = Tools {
        repository: Arc::clone(&plan.repository),
        staging: Arc::clone(staging),
        root: Arc::new(staging.tree().map_err(RestoreError::target("open", shown.clone()))?),
        findings: Arc::new(Findings::default()),
        progress,
        listener: listener.clone(),
        runtime: Handle::current(),
    };
    let findings = &tools.findings;
    for conflict in &plan.decisions.conflicts {
        let path = strongroom_repository::text::unescape(&conflict.path);
        findings.problem(&path, ProblemKind::Conflict, conflict.note.clone());
    }
    let crew = Crew::start(&tools, &plan.options)?;
    let flagged = write_windows(plan, &tools, &crew).await?;
    let written = start.elapsed();
    let times = crew.finish().await?;
    findings.check()?;
    let phases = vec![
        PhaseTime::new("fetched and written", written),
        PhaseTime::new("of that, and after it: flushing", times.flush),
        PhaseTime::new("of that, and after it: reading back", times.read_back),
        PhaseTime::new("written and verified", start.elapsed()),
    ];
    let mut report = report(plan, staging, findings);
    report.phases = phases;
    Ok((report, flagged))
}

/// Hands out all windows.
async fn write_windows(plan: &RestorePlan, tools: &Tools, crew: &Crew) -> Result<Vec<Flagged>, RestoreError> {
    let (repository, findings) = (&tools.repository, &tools.findings);
    let mut fetcher =
        Fetcher::new(Arc::clone(repository), Arc::clone(findings), crew.jobs()?, Arc::clone(&plan.options.pace));
    let jobs = crew.jobs()?;
    let mut windows = Windows::new(plan, findings);
    while let Some(window) = windows.next().await? {
        let window = Arc::new(window);
        jobs.prepare(&window).await?;
        let (work, written) = Work::new(window, repository, findings);
        let work = Arc::new(work);
        for nodes in work.node_jobs() {
            jobs.send(Job::Nodes(nodes), &work).await?;
        }
        fetcher.fetch(work, written).await?;
    }
    fetcher.finish().await?;
    Ok(windows.flagged)
}

fn report(plan: &RestorePlan, staging: &Staging, findings: &Findings) -> RestoreReport {
    let summary = &plan.summary;
    let (problems, problems_total) = findings.problems();
    let (deviations, deviations_total) = findings.deviations();
    let mut counts = findings.counts();
    (counts.unchanged, counts.kept) = (summary.unchanged, summary.kept);
    RestoreReport {
        snapshot: summary.snapshot,
        target: summary.target.clone(),
        outcome: findings.outcome(),
        counts,
        verification: findings.verification(staging.medium()),
        fetched_bytes: findings.fetched_bytes.get(),
        problems,
        problems_total,
        deviations,
        deviations_total,
        phases: Vec::new(),
        set_aside: None,
        staging: Some(escape(staging.path().as_os_str().as_encoded_bytes())),
        checks: Vec::new(),
        hooks: Vec::new(),
        probes: Vec::new(),
    }
}

/// Moves what is verified into place, and completes the report.
async fn put_in_place(
    plan: RestorePlan,
    staging: Arc<Staging>,
    note: Note,
    listener: Listener,
) -> Result<RestoreReport, RestoreError> {
    on_thread("restore-place", move || Mover { plan, note, listener }.run(staging)).await?
}

/// The last phase, which blocks.
struct Mover {
    plan: RestorePlan,
    note: Note,
    listener: Listener,
}

impl Mover {
    fn run(self, staging: Arc<Staging>) -> Result<RestoreReport, RestoreError> {
        let start = Instant::now();
        let shown = escape(staging.path().as_os_str().as_encoded_bytes());
        let fault = |doing| RestoreError::target(doing, shown.clone());
        staging.leave_note(&self.note).map_err(fault("leave the note in"))?;
        self.listener.may_place()?;
        self.listener.tell(&RestoreEvent::Placing);
        let (tree, target) =
            (staging.tree().map_err(fault("open"))?, staging.target().map_err(fault("open the target of"))?);
        let findings = Findings::default();
        let aside = staging::aside_name(&self.plan.summary.snapshot);
        let nothing_left = self.place(&tree, &target, &aside, &findings).map_err(fault("put in place"))?;
        findings.check()?;
        let owners = OwnerMap::new(self.plan.options.owners);
        settle::merged(&target, &self.plan.decisions.merged, &owners, &findings);
        settle::flagged(&target, &self.note.flagged, &findings);
        findings.check()?;
        staging.flush().map_err(fault("flush"))?;
        self.listener.tell(&RestoreEvent::Placed);
        // It may be there from an earlier restore.
        let is_used = self.plan.options.replaced == Replaced::SetAside && target.place(aside.as_bytes()).is_ok();
        let mut report = self.complete(&findings, is_used.then_some(aside));
        report.phases.push(PhaseTime::new("put in place", start.elapsed()));
        if nothing_left {
            report.staging = None;
        }
        self.listener.placed(&report)?;
        if nothing_left && let Ok(staging) = Arc::try_unwrap(staging) {
            staging.remove().map_err(fault("remove"))?;
        }
        Ok(report)
    }

    fn place(&self, tree: &Root, target: &Root, aside: &str, findings: &Findings) -> std::io::Result<bool> {
        let (overwrite, replaced) = (self.plan.options.overwrite, self.plan.options.replaced);
        Placer { target, overwrite, replaced, aside: aside.to_owned(), findings }.place(tree)
    }

    fn complete(&self, findings: &Findings, aside: Option<String>) -> RestoreReport {
        let mut report = self.note.report.clone();
        let (problems, problems_total) = findings.problems();
        let (deviations, deviations_total) = findings.deviations();
        report.problems.extend(problems);
        report.deviations.extend(deviations);
        report.problems_total += problems_total;
        report.deviations_total += deviations_total;
        report.counts.replaced += findings.replaced.get();
        report.counts.directories += self.plan.decisions.merged.len() as u64;
        report.verification.compared_nodes += findings.compared_nodes.get();
        report.set_aside = aside;
        let mismatches = report.verification.mismatches;
        report.outcome = Outcome::of(report.problems_total, mismatches, report.deviations_total);
        report
    }
}
