//! The commands before and after a backup.
//!
//! Those before it run in order until one fails, which ends the job without a snapshot. Those after it run always and all of them, whatever came of the backup, and also
//! where an earlier try made it; so they must bear to run twice.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;
use strongroom_worker::command::{CommandError, Order, Running, Take};
use tokio::sync::oneshot;

use super::job::Job;
use crate::request::{Hook, Request};

/// When the worker stops, it does not wait for longer.
const STOPPING_TIME_MAX: Duration = Duration::from_secs(20);

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum When {
    /// Before the backup.
    Before,
    /// After it.
    After,
}

/// What came of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HookResult {
    pub(super) when: When,
    pub(super) arguments: Vec<String>,
    pub(super) error: Option<String>,
}

/// Runs the hooks before; an error says which one failed and how. `stop` ends them early.
pub(super) async fn before(job: &Job, request: &Request, stop: &Arc<AtomicBool>) -> Result<Vec<HookResult>, String> {
    let mut results = Vec::new();
    for hook in &request.before {
        job.show_doing("running the commands before the backup");
        let order = order(job, request, hook, &[("STRONGROOM_WHEN", "before")]);
        run(order, Arc::clone(stop)).await?;
        results.push(HookResult { when: When::Before, arguments: hook.arguments.clone(), error: None });
    }
    Ok(results)
}

/// Runs the hooks after, each whatever came of the one before it.
pub(super) async fn after(job: &Job, request: &Request, outcome: &[(&str, &str)]) -> Vec<HookResult> {
    let mut results = Vec::new();
    for hook in &request.after {
        job.show_doing("running the commands after the backup");
        let environment: Vec<(&str, &str)> = [("STRONGROOM_WHEN", "after")].iter().chain(outcome).copied().collect();
        let mut order = order(job, request, hook, &environment);
        if job.control().wish() == Some(super::control::Wish::Stop) {
            order.time_max = order.time_max.min(STOPPING_TIME_MAX);
        }
        let error = run(order, Arc::default()).await.err();
        if let Some(error) = &error {
            tracing::warn!(job = %job.id(), error, "a command after the backup failed");
        }
        results.push(HookResult { when: When::After, arguments: hook.arguments.clone(), error });
    }
    results
}

fn order(job: &Job, request: &Request, hook: &Hook, more: &[(&str, &str)]) -> Order {
    let mut environment = environment(job, request);
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Order { arguments: hook.arguments.clone(), environment, time_max: hook.time_max() }
}

/// What every command of a job is told.
pub(super) fn environment(job: &Job, request: &Request) -> Vec<(String, String)> {
    let mut environment = vec![
        ("STRONGROOM_JOB".to_owned(), job.id().to_string()),
        ("STRONGROOM_HOST".to_owned(), request.host.clone()),
        ("STRONGROOM_REPOSITORY".to_owned(), request.repository.to_string()),
    ];
    for (tag, name) in [("plan", "STRONGROOM_PLAN"), ("run", "STRONGROOM_RUN")] {
        environment.extend(request.tags.get(tag).map(|value| (name.to_owned(), value.clone())));
    }
    // A variable cannot hold a zero byte.
    environment.retain(|(_, value)| !value.contains('\0'));
    environment
}

/// Runs one command on a thread of its own, which waits for it.
pub(super) async fn run(order: Order, stop: Arc<AtomicBool>) -> Result<(), String> {
    let (send, ended) = oneshot::channel();
    let work = move || {
        let done = Running::start(order, Take::End, stop).and_then(Running::finish);
        // Nobody listens any more if the worker was stopped by force.
        drop(send.send(done));
    };
    let thread = std::thread::Builder::new().name("hook".into()).spawn(work);
    thread.map_err(|error| format!("no thread for a command: {error}"))?;
    let done: Result<(), CommandError> = ended.await.map_err(|_| "the thread of a command failed".to_owned())?;
    done.map_err(|error| strongroom_repository::chain(&error))
}
