//! What every command gets: folders, output, and a runtime to wait with.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use tokio::runtime::{Builder, Handle, Runtime};
use tracing_subscriber::EnvFilter;

use crate::command_line::GlobalArgs;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Output;
use crate::places;
use crate::signals::Signals;

/// Threads that only wait for disks and networks. Work has threads of its own.
const WAITING_THREADS: usize = 2;

/// Shared by all commands.
#[derive(Debug)]
pub(crate) struct Context {
    global: GlobalArgs,
    runtime: Runtime,
    /// Answers go here.
    pub(crate) output: Output,
    /// Whether somebody wants us to stop.
    pub(crate) signals: Signals,
}

impl Context {
    /// Starts the log, the runtime and the watch for signals.
    pub(crate) fn new(global: GlobalArgs) -> Result<Self, Failure> {
        start_log(&global)?;
        let runtime = Builder::new_multi_thread().worker_threads(WAITING_THREADS).enable_all().build();
        let runtime = runtime.map_err(program).doing(|| "start".into())?;
        let signals = Signals::watch(runtime.handle()).map_err(program).doing(|| "watch for signals".into())?;
        let output = Output::new(global.format());
        Ok(Self { global, runtime, output, signals })
    }

    /// Waits for something on this thread, unless a signal comes first. Not to be called from within.
    pub(crate) fn wait<T, E: Into<Cause>>(
        &self,
        doing: &str,
        what: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = self.signals.arrived() => Err(Failure::new(doing, Cause::Stopped(signal))),
                result = what => result.doing(|| doing.to_owned()),
            }
        })
    }

    /// Waits for something that looks after signals itself.
    pub(crate) fn serve<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// For tasks that run beside a command.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Where repositories are cached.
    pub(crate) fn cache_dir(&self) -> Result<PathBuf, Failure> {
        self.global.cache_dir.clone().map_or_else(places::cache, Ok)
    }

    /// Where this host keeps what it remembers.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        self.global.state_dir.clone().map_or_else(places::state, Ok)
    }

    /// How many threads may work.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.global.threads.unwrap_or_else(processors)
    }

    /// Talk, on standard error; a closed standard error silences it.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Whether log lines go to standard error, where a bar would tear them.
    pub(crate) fn is_logging(&self) -> bool {
        self.global.verbose > 0 || self.global.log.is_some()
    }
}

fn program(error: std::io::Error) -> Cause {
    Cause::Program(Box::new(error))
}

fn start_log(global: &GlobalArgs) -> Result<(), Failure> {
    let by_count = match global.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = global.log.as_deref().filter(|log| !log.is_empty()).unwrap_or(by_count);
    let filter = EnvFilter::builder().parse(filter).map_err(|bad| {
        let why = Cause::Usage(format!("the log filter '{filter}' is not understood: {bad}"));
        Failure::new("start the log", why)
            .advise("write a level (error, warn, info, debug, trace) or `module=level`, separated by commas")
    })?;
    // Nothing else of this program starts a log, so this cannot fail twice; without a log we go on.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
    Ok(())
}
