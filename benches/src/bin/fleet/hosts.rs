//! A controller at work: its loop, its journal on a disk, and a thousand workers in this process at the other ends of its lines.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_controller::Clock;
use strongroom_controller::daemon::{Chores, Daemon, RunEnd, RunOrder, Setting};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::Journal;
use strongroom_controller::links::Links;
use strongroom_controller::remote::{self, RemoteJob};
use strongroom_controller::runs::Ending;
use strongroom_controller::site::Loaded;
use strongroom_plans::{Site, SiteFiles};
use strongroom_proto::worker::{BackupJob, StartRequest};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::process;
use crate::simulated::Fleet;
use crate::spread::{Spread, ms};

const HOSTS: usize = 1000;
/// All hosts at once, three times.
const EVERY_SECONDS: u32 = 20;
const ROUNDS: usize = 3;
/// How long a job takes.
const WORK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

fn site() -> Result<Loaded> {
    let mut files = SiteFiles::new("site");
    let limits = format!("limits: {{ runs: {HOSTS}, per-host: 1, per-repository: {HOSTS} }}\n");
    files.insert(
        "site.yaml",
        format!("name: large\nzone: UTC\nrepositories: {{ main: {{ at: /srv/main }} }}\n{limits}"),
    );
    let mut hosts = String::from("hosts:\n");
    for number in 0..HOSTS {
        writeln!(hosts, "  h{number}: {{ address: h{number} }}")?;
    }
    files.insert("hosts.yaml", hosts);
    let seconds: Vec<String> = (0..60 / EVERY_SECONDS).map(|number| (number * EVERY_SECONDS).to_string()).collect();
    let plan = format!(
        "kind: backup\nname: all\nhosts: \"*\"\nsources: [{{ files: [/srv] }}]\nrepository: main\n\
         schedule: {{ incremental: \"{} * * * * *\" }}\nretain: {{ daily: 7 }}\n",
        seconds.join(",")
    );
    files.insert("plans/all.yaml", plan);
    let site = Site::read(&files)?;
    Ok(Loaded { version: site.version().to_string(), site: Arc::new(site), commit: None })
}

/// From due until the worker said that it works, for each run; of the first due time the lines have to be made, too.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<(Timestamp, Duration)>>);

impl Waits {
    fn began(&self, due: Timestamp) {
        let waited = Duration::try_from(Timestamp::now().duration_since(due)).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((due, waited));
    }
}

pub(crate) fn measure(folder: &Path) -> Result<String> {
    let before = process::resident_mib()?;
    let scratch = tempfile::tempdir_in(folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let fleet = Arc::new(Fleet::default());
    (0..HOSTS).for_each(|number| drop(fleet.host(&format!("h{number}"), WORK)));
    let waits = Arc::new(Waits::default());
    let (begun, cpu) = (Instant::now(), process::cpu());
    serve(&runtime, scratch.path(), fleet, &waits)?;
    let (lived, cpu) = (begun.elapsed(), process::cpu() - cpu);
    let peak = process::peak_mib()?;
    let all = std::mem::take(&mut *waits.0.lock().unwrap_or_else(PoisonError::into_inner));
    let first = all.iter().map(|(due, _)| *due).min();
    let of = |is_first: bool| -> Spread {
        Spread::of(all.iter().filter(|(due, _)| (Some(*due) == first) == is_first).map(|(_, waited)| *waited).collect())
    };
    let (first, later) = (of(true), of(false));
    ensure!(all.len() == HOSTS * ROUNDS, "{} runs began", all.len());
    Ok(format!(
        "## {HOSTS} connected workers, all due at the same instant\n\n\
         The loop, the journal on this disk with its flushes, one thread for each run, gRPC over pipes to workers in the same process. {ROUNDS} due times, {EVERY_SECONDS} s apart; \
         a job takes {} s.\n\n\
         | | p50 | p99 | max |\n|---|---:|---:|---:|\n\
         | due to started, hosts connected | {} | {} | {} |\n\
         | due to started, hosts not connected yet | {} | {} | {} |\n\n\
         | | |\n|---|---:|\n| peak memory, the {HOSTS} workers' ends included | {peak:.0} MiB (before: {before:.0} MiB) |\n\
         | processor time, the workers' ends included | {:.1} s in {:.0} s |\n",
        WORK.as_secs(),
        ms(later.percentile(50)),
        ms(later.percentile(99)),
        ms(later.max()),
        ms(first.percentile(50)),
        ms(first.percentile(99)),
        ms(first.max()),
        cpu.as_secs_f64(),
        lived.as_secs_f64(),
    ))
}

/// A controller's life, until every host has had its runs.
fn serve(runtime: &Runtime, folder: &Path, fleet: Arc<Fleet>, waits: &Arc<Waits>) -> Result<()> {
    let links = Arc::new(Links::new(fleet as _, Arc::new(Gateway::default()), "bench".into()));
    let (ended, mut ends) = mpsc::unbounded_channel();
    let handle = runtime.handle();
    std::thread::scope(|scope| {
        let start = |order: RunOrder| {
            let (links, waits, ended) = (Arc::clone(&links), Arc::clone(waits), ended.clone());
            scope.spawn(move || {
                handle.block_on(back_up(links, order, &waits));
                // The other end waits for as many as there are.
                let _ = ended.send(());
            });
        };
        handle.block_on(async {
            let journal = Arc::new(Journal::open(&folder.join("journal.db")).await?);
            let loaded = site()?;
            let known = Hosts::new(Arc::clone(&journal), Arc::clone(&links));
            let (in_force, _) = watch::channel(Arc::clone(&loaded.site));
            let (beats, _) = watch::channel(0);
            let load = || site().map_err(|error| error.to_string());
            let program = "bench".into();
            let (clock, hosts) = (SystemClock, known);
            let (chores, _due) = Chores::channels();
            let setting = Setting { journal, clock, start, load, program, hosts, in_force, chores, beats };
            let daemon = Daemon::new(setting, loaded).await?;
            let (_requests, receive) = mpsc::channel(1);
            let stop = async move {
                for _ in 0..HOSTS * ROUNDS {
                    ends.recv().await;
                }
            };
            Ok(daemon.run(receive, stop).await?)
        })
    })
}

async fn back_up(links: Arc<Links>, order: RunOrder, waits: &Waits) {
    let request = StartRequest {
        job: format!("{}.1", order.run),
        generation: order.attempt.into(),
        backup: Some(BackupJob::default()),
        restore: None,
    };
    let job = RemoteJob { host: order.host.clone(), request, cancel: order.cancel.clone(), pause: order.pause.clone() };
    let due = order.due();
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let started = |_: &_| {
        if is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            waits.began(due);
        }
    };
    let done = remote::run(&links, &job, || async { Ok(b"key".to_vec()) }, started).await;
    order.end(match done {
        Ok(_) => RunEnd::Over { ending: Ending::Done, reason: None, record: None, class: None },
        Err(fault) => {
            RunEnd::Over { ending: Ending::Failed, reason: Some(fault.to_string()), record: None, class: None }
        }
    });
}
