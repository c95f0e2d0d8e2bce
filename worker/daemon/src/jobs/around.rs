//! The commands before and after a restore, and the probes of what came of it.
//!
//! Those before it run in order until one fails, which ends the job before anything is written. Those after it run when everything is in place and every check agrees, in
//! order until one fails; then the probes, all of them. What was not run because of that proves nothing. A worker that was restarted runs them again, so they must bear to
//! run twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_worker::checks::{Check, CheckVerdict, Probe, Stopped, probe};
use strongroom_worker::command::Order;
use strongroom_worker::ready_check::TIME;
use strongroom_worker::restore::{HookDone, HookTime, ProbeDone, RestoreReport};

use super::checking::on_thread;
use super::control::Wish;
use super::hooks;
use super::job::Job;
use crate::request::{self, Hook, RestoreRequest};

/// One that ends the job.
pub(super) enum NotBegun {
    /// A command failed: which, and how.
    Failed(String),
    Asked(Wish),
}

/// What a restore is of: what was asked for, and the time of its snapshot.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) request: &'a RestoreRequest,
    pub(super) time: Timestamp,
}

/// Runs the commands before. They come before the last look at the target, since they may change it.
pub(super) async fn before(job: &Arc<Job>, told: Told<'_>) -> Result<Vec<HookDone>, NotBegun> {
    let done = run_all(job, told, HookTime::Before).await.map_err(NotBegun::Asked)?;
    match done.last().and_then(|hook| hook.error.as_ref()) {
        Some(error) => Err(NotBegun::Failed(error.clone())),
        None => Ok(done),
    }
}

/// Completes the report of a restore that is checked.
pub(super) async fn after(job: &Arc<Job>, told: Told<'_>, report: RestoreReport) -> Result<RestoreReport, Wish> {
    if !report.is_whole() {
        return Ok(report);
    }
    let after = run_all(job, told, HookTime::After).await?;
    let probes = match after.iter().all(|hook| hook.error.is_none()) {
        true => probes(job, told).await?,
        false => Vec::new(),
    };
    Ok(report.with_around(after, probes))
}

async fn run_all(job: &Arc<Job>, told: Told<'_>, when: HookTime) -> Result<Vec<HookDone>, Wish> {
    let hooks = match when {
        HookTime::Before => &told.request.around.before,
        HookTime::After => &told.request.around.after,
    };
    let mut done = Vec::new();
    for hook in hooks {
        job.show_doing(&format!("running the commands {} the restore", when.word()));
        let hook = run_one(job, told, hook, when).await?;
        let is_failed = hook.error.is_some();
        done.push(hook);
        if is_failed {
            break;
        }
    }
    Ok(done)
}

async fn run_one(job: &Arc<Job>, told: Told<'_>, hook: &Hook, when: HookTime) -> Result<HookDone, Wish> {
    let environment = environment(job, told, when.word());
    let order = Order { arguments: hook.arguments.clone(), environment, time_max: hook.time_max() };
    let (begun, stop) = (Instant::now(), Arc::default());
    let running = hooks::run(order, Arc::clone(&stop));
    tokio::pin!(running);
    let ended = tokio::select! {
        ended = &mut running => ended,
        wish = job.control().asked() => {
            stop.store(true, Ordering::Relaxed);
            // It is over when this is: nothing of it goes on without its job.
            drop(running.await);
            return Err(wish);
        }
    };
    let error = ended.err();
    if let Some(error) = &error {
        tracing::warn!(job = %job.id(), error, "a command {} the restore failed", when.word());
    }
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(HookDone { when, command: hook.arguments.clone(), error, milliseconds })
}

async fn probes(job: &Arc<Job>, told: Told<'_>) -> Result<Vec<ProbeDone>, Wish> {
    let Told { request, time } = told;
    let wanted = &request.around.probes;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    job.show_doing("probing what was restored");
    let (on_job, on_request) = (Arc::clone(job), request.clone());
    let work = move || {
        let told = Told { request: &on_request, time };
        let (target, environment) = (on_request.target(), environment(&on_job, told, "probe"));
        let stop = || on_job.control().wish().is_some();
        let run = |one: &request::Probe| {
            let prints = one.prints.as_deref();
            let (command, time_max) = (&one.hook.arguments, one.hook.time_max());
            let wait = Duration::from_secs(one.wait_seconds);
            probe(&Probe { command, prints, folder: &target, environment: &environment, time_max, wait }, &stop)
        };
        on_request.around.probes.iter().map(run).collect::<Result<Vec<Check>, Stopped>>()
    };
    let made = match on_thread(work).await {
        Ok(made) => made.map_err(|Stopped| job.control().wish().unwrap_or(Wish::Stop))?,
        Err(reason) => wanted.iter().map(|one| not_started(&one.hook, &reason)).collect(),
    };
    let agreed = made.iter().filter(|check| check.agreed()).count();
    tracing::info!(job = %job.id(), probes = made.len(), agreed, "what was restored is probed");
    let done = |(one, check): (&request::Probe, Check)| ProbeDone { prints: one.prints.clone(), check };
    Ok(wanted.iter().zip(made).map(done).collect())
}

fn not_started(hook: &Hook, reason: &str) -> Check {
    let (command, output) = (hook.arguments.clone(), reason.to_owned());
    Check { command, verdict: CheckVerdict::NotStarted, output, milliseconds: 0 }
}

/// What each of them is told.
fn environment(job: &Job, Told { request, time }: Told<'_>, when: &str) -> Vec<(String, String)> {
    let own = [
        ("STRONGROOM_WHEN", when.to_owned()),
        ("STRONGROOM_JOB", job.id().to_string()),
        ("STRONGROOM_SNAPSHOT", request.snapshot.to_string()),
        (TIME, time.to_string()),
        ("STRONGROOM_TARGET", request.target.clone()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let told = request.around.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
    own.chain(told).filter(|(_, value)| !value.contains('\0')).collect()
}
