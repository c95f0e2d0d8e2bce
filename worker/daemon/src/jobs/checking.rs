//! The checks of what was restored: all of them run, in their order, also after one that does not agree.
//!
//! They begin when everything is in place, so nothing but the worker's own end keeps them from being made; then the next try makes them again, and they must bear that.

use std::sync::Arc;

use strongroom_worker::checks::{self, Bounds, Check, CheckVerdict, Isolation, Restored, Stopped};
use strongroom_worker::restore::{Outcome, RestoreReport};
use tokio::sync::oneshot;

use super::around::Told;
use super::control::Wish;
use super::job::Job;
use crate::request::Hook;

/// Completes a restore's report. An error is what the job was asked before it had come so far.
pub(super) async fn check(
    job: &Arc<Job>,
    Told { request, time }: Told<'_>,
    report: RestoreReport,
) -> Result<RestoreReport, Wish> {
    // Of what was not put in place there is nothing to be looked at.
    if request.checks.is_empty() || report.outcome == Outcome::Failed {
        return Ok(report);
    }
    job.show_doing("running the plan's checks");
    let (on_job, on_request) = (Arc::clone(job), request.clone());
    let work = move || {
        let (target, stop) = (on_request.target(), || on_job.control().wish().is_some());
        let restored = Restored { folder: &target, time: Some(time) };
        // Here it is to be used, so a check may ask this host's own services.
        let run = |check: &Hook| {
            checks::run(&check.arguments, restored, Isolation::None, Bounds::of_time(check.time_max()), &stop)
        };
        on_request.checks.iter().map(run).collect::<Result<Vec<Check>, Stopped>>()
    };
    let made = match on_thread(work).await {
        Ok(made) => made.map_err(|Stopped| job.control().wish().unwrap_or(Wish::Stop))?,
        Err(reason) => request.checks.iter().map(|check| not_started(check, &reason)).collect(),
    };
    let agreed = made.iter().filter(|check| check.agreed()).count();
    tracing::info!(job = %job.id(), checks = made.len(), agreed, "what was restored is checked");
    Ok(report.with_checks(made))
}

/// A thread of its own waits for commands; an error says why there is none.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (send, ended) = oneshot::channel();
    // Nobody listens any more if the worker was stopped by force.
    let thread = std::thread::Builder::new().name("checks".into()).spawn(move || drop(send.send(work())));
    thread.map_err(|error| format!("no thread for a command: {error}"))?;
    ended.await.map_err(|_| "the thread of a command failed".to_owned())
}

fn not_started(check: &Hook, reason: &str) -> Check {
    let (command, output) = (check.arguments.clone(), reason.to_owned());
    Check { command, verdict: CheckVerdict::NotStarted, output, milliseconds: 0 }
}
