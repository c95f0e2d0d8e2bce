//! The commands around a backup on this machine, and the one whose output is backed up.
//!
//! They run as they do on a host of a fleet: without a shell, in a clean environment, in a process group that is ended as a whole. Those before must all end well, or
//! nothing is backed up; those after run whatever came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom_controller::{BackupOrder, PLAN_TAG};
use strongroom_plans::{CheckCommand, CommandSource, Hook, TimeSpan};
use strongroom_repository::RepositoryId;
use strongroom_worker::backup::BackupReport;
use strongroom_worker::command::{CommandError, HOOK_TIME, OUTPUT_TIME, Order, Running, Take};
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::failure::{Cause, Failure};
use crate::places;

/// The commands of one source in one run. A signal ends the one that runs.
#[derive(Debug)]
pub(super) struct Around<'a> {
    order: &'a BackupOrder<'a>,
    environment: Vec<(String, String)>,
    context: &'a Context,
    stop: Arc<AtomicBool>,
    watching: JoinHandle<()>,
}

impl<'a> Around<'a> {
    pub(super) fn new(order: &'a BackupOrder<'a>, host: &str, repository: RepositoryId, context: &'a Context) -> Self {
        let plan = order.tags.get(PLAN_TAG).cloned().unwrap_or_default();
        let told = [("STRONGROOM_PLAN", plan), ("STRONGROOM_HOST", host.to_owned())];
        let mut environment: Vec<_> = told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.push(("STRONGROOM_REPOSITORY".into(), repository.to_string()));
        let home = places::home().and_then(|home| home.to_str().map(str::to_owned));
        environment.extend(home.map(|home| ("HOME".to_owned(), home)));
        let stop = Arc::new(AtomicBool::new(false));
        let (signals, stopped) = (context.signals.clone(), Arc::clone(&stop));
        let watching = context.handle().spawn(async move {
            signals.arrived().await;
            stopped.store(true, Ordering::Relaxed);
        });
        Self { order, environment, context, stop, watching }
    }

    /// The commands before, the backup, the commands after.
    pub(super) fn run(&self, back_up: impl FnOnce() -> Result<BackupReport, Failure>) -> Result<BackupReport, Failure> {
        let before = self.order.source.before().iter().try_for_each(|hook| {
            let run = self.hook(hook, &[("STRONGROOM_WHEN", "before")], &self.stop);
            run.map_err(|error| self.failed("run the command before the backup", hook.run(), error))
        });
        let made = before.and_then(|()| back_up());
        let (result, snapshot) = match &made {
            Ok(report) => ("backed-up", report.snapshot.to_string()),
            Err(_) => ("failed", String::new()),
        };
        let told = [("STRONGROOM_WHEN", "after"), ("STRONGROOM_RESULT", result), ("STRONGROOM_SNAPSHOT", &*snapshot)];
        for hook in self.order.source.after() {
            // An application that was stopped is started again also when a signal ends the run.
            if let Err(error) = self.hook(hook, &told, &Arc::default()) {
                self.context.say(&format!("warning: after the backup, {}", strongroom_repository::chain(&error)));
            }
        }
        made
    }

    /// What a command prints, from its start on.
    pub(super) fn output(&self, source: &CommandSource) -> Result<Running, Failure> {
        let order = self.command(source.command(), source.time_out(), OUTPUT_TIME, &[]);
        let running = Running::start(order, Take::Output, Arc::clone(&self.stop));
        running.map_err(|error| self.failed("back up what is printed by", source.command(), error))
    }

    fn hook(&self, hook: &Hook, told: &[(&str, &str)], stop: &Arc<AtomicBool>) -> Result<(), CommandError> {
        let order = self.command(hook.run(), hook.time_out(), HOOK_TIME, told);
        Running::start(order, Take::End, Arc::clone(stop)).and_then(Running::finish)
    }

    fn command(&self, command: &CheckCommand, time: Option<TimeSpan>, usual: Duration, told: &[(&str, &str)]) -> Order {
        let told = told.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Order {
            arguments: command.words().map(str::to_owned).collect(),
            environment: self.environment.iter().cloned().chain(told).collect(),
            time_max: time.map_or(usual, Duration::from),
        }
    }

    fn failed(&self, doing: &str, command: &CheckCommand, error: CommandError) -> Failure {
        let what = format!("{doing} `{command}`");
        match self.context.signals.received() {
            Some(signal) => Failure::new(what, Cause::Stopped(signal)),
            None => Failure::new(what, Cause::Program(Box::new(error))),
        }
    }
}

impl Drop for Around<'_> {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
